//! What references stand for, who may read what, and that nobody sees it again.

mod seen;

use std::fs;

use super::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    pairs.collect()
}

/// A directory with a file of properties and one that is a value.
fn directory() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("it is there");
    fs::write(path.join("a.properties"), "user=al\npassword = first-password\n").expect("written");
    fs::write(path.join("token"), "token-in-a-file\n").expect("written");
    let path = path.to_str().expect("it is text").to_owned();
    (directory, path)
}

const WORKER: [(&str, &str); 4] = [
    ("config.providers", "file, directory,env"),
    (
        "config.providers.file.class",
        "org.apache.kafka.common.config.provider.FileConfigProvider",
    ),
    ("config.providers.directory.class", "DirectoryConfigProvider"),
    ("config.providers.env.class", "EnvVarConfigProvider"),
];

fn providers(more: &[(&str, &str)], access: &Access, is_loopback: bool) -> Providers {
    let worker = properties(&[&WORKER, more].concat());
    Providers::new(&worker, access, is_loopback).expect("all are known")
}

fn resolve(providers: &Providers, value: &str) -> Result<String, String> {
    let raw = Arc::new(properties(&[("k", value), ("other", "${topic}")]));
    let resolved = providers.resolve(&raw).map_err(|errors| errors.to_string())?;
    assert_eq!(resolved.properties["other"], "${topic}");
    Ok(resolved.properties["k"].clone())
}

#[test]
fn references_become_what_they_stand_for() {
    let (_kept, path) = directory();
    let all = providers(&[], &Access::unrestricted(), true);
    let home = std::env::var("PATH").expect("every process has one");
    for (value, expected) in [
        (
            format!("${{file:{path}/a.properties:password}}"),
            "first-password".to_owned(),
        ),
        (
            format!("${{file:{path}/a.properties:user}}:${{file:{path}/a.properties:password}}@x"),
            "al:first-password@x".to_owned(),
        ),
        (
            format!("${{directory:{path}:token}}"),
            "token-in-a-file\n".to_owned(),
        ),
        ("${env:PATH}".to_owned(), home),
        ("${a b:c}".to_owned(), "${a b:c}".to_owned()),
    ] {
        assert_eq!(resolve(&all, &value), Ok(expected), "{value}");
    }
    for (value, reason) in [
        ("${vault:a:b}".to_owned(), "there is no config provider vault"),
        (
            format!("${{file:{path}/a.properties:none}}"),
            "the config provider file has no none in",
        ),
        (
            format!("${{file:{path}/none:x}}"),
            "Could not read properties from file",
        ),
        (
            format!("${{file:{path}:x}}"),
            "Could not read properties from file",
        ),
        (format!("${{directory:{path}:../x}}"), "has no ../x"),
        (
            "${env:/etc:PATH}".to_owned(),
            "Path is not supported for EnvVarConfigProvider",
        ),
        (
            "${env:NO_SUCH_VARIABLE_HERE}".to_owned(),
            "has no NO_SUCH_VARIABLE_HERE",
        ),
        ("${env:A=B}".to_owned(), "has no A=B"),
    ] {
        let error = resolve(&all, &value).expect_err(&value);
        assert!(
            error.contains(reason) && error.contains("configuration k"),
            "{error}"
        );
    }
}

#[test]
fn what_others_can_configure_reads_only_what_is_allowed() {
    let (_kept, path) = directory();
    let (_other, elsewhere) = directory();
    std::os::unix::fs::symlink(format!("{elsewhere}/token"), format!("{path}/link")).expect("linked");
    let file = |path: &str| format!("${{file:{path}/a.properties:password}}");
    let (token, link) = (
        format!("${{directory:{path}:token}}"),
        format!("${{directory:{path}:link}}"),
    );
    // Reachable by others, and nothing is allowed: faults.md C15.
    let closed = providers(&[], &Access::none(), false);
    for value in [
        file(&path).as_str(),
        &token,
        "${env:HOME}",
        "${env:PATH}",
        "${file:/etc/passwd:x}",
    ] {
        let error = resolve(&closed, value).expect_err(value);
        assert!(error.contains("may not be read"), "{error}");
    }
    // What connectors may read, references may.
    let as_connectors = providers(&[], &Access::none().with_paths([path.clone().into()]), false);
    assert_eq!(
        resolve(&as_connectors, &file(&path)),
        Ok("first-password".to_owned())
    );
    assert!(resolve(&as_connectors, &file(&elsewhere)).is_err());
    // Lists of the providers' own hold for everybody.
    let listed = [
        ("config.providers.file.param.allowed.paths", path.as_str()),
        ("config.providers.directory.param.allowed.paths", &path),
        ("config.providers.env.param.allowlist.pattern", "PA.*"),
    ];
    for (access, is_loopback) in [(Access::none(), false), (Access::unrestricted(), true)] {
        let listed = providers(&listed, &access, is_loopback);
        for value in [file(&path).as_str(), &token, "${env:PATH}"] {
            assert!(resolve(&listed, value).is_ok(), "{value}");
        }
        for value in [
            file(&elsewhere).as_str(),
            &link,
            "${env:HOME}",
            &format!("${{file:{path}/../x:y}}"),
        ] {
            assert!(resolve(&listed, value).is_err(), "{value}");
        }
    }
}

#[test]
fn what_is_wrong_with_providers_is_said() {
    for (pairs, expected) in [
        (
            &[("config.providers", "x")][..],
            "Missing required configuration \"config.providers.x.class\"",
        ),
        (
            &[("config.providers", "x"), ("config.providers.x.class", "Vault")],
            "Class Vault could not be found",
        ),
        (
            &[
                ("config.providers", "x"),
                ("config.providers.x.class", "FileConfigProvider"),
                ("config.providers.x.param.allowed.paths", "relative"),
            ],
            "configuration config.providers.x.param.allowed.paths: Path relative is not absolute",
        ),
        (
            &[
                ("config.providers", "x"),
                ("config.providers.x.class", "EnvVarConfigProvider"),
                ("config.providers.x.param.allowlist.pattern", "("),
            ],
            "Syntax error in regular expression",
        ),
        (
            &[
                ("config.providers", "x"),
                ("config.providers.x.class", "FileConfigProvider"),
                ("config.providers.x.param.ttl.ms", "0"),
            ],
            "Value must be at least 1",
        ),
    ] {
        let error = Providers::new(&properties(pairs), &Access::unrestricted(), true).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_workers_own_configuration_has_references_too() {
    let (_kept, path) = directory();
    let mut worker = properties(&WORKER);
    worker.insert(
        "producer.linger.ms".to_owned(),
        format!("${{file:{path}/a.properties:user}}"),
    );
    let resolved = resolve_worker(&worker).expect("it can be read");
    assert_eq!(resolved["producer.linger.ms"], "al");
    assert_eq!(resolved["config.providers"], worker["config.providers"]);
    worker.insert("producer.linger.ms".to_owned(), "${file:/none:x}".to_owned());
    assert!(resolve_worker(&worker).is_err());
    let without = properties(&[("a", "${env:HOME}")]);
    assert_eq!(resolve_worker(&without), Ok(without));
}

/// Finding 3 of the review of 22 November: a connector got the references of others, which it may not read, or which change.
#[test]
fn what_a_connector_makes_of_its_values_is_stored_with_its_references() {
    let (_kept, path) = directory();
    let all = providers(&[], &Access::unrestricted(), true);
    let password = format!("${{file:{path}/a.properties:password}}");
    let token = format!("${{directory:{path}:token}}");
    let others = properties(&[("k", "${env:PATH}")]);
    let others = all.resolve(&Arc::new(others)).expect("it is there");
    let raw = Arc::new(properties(&[
        ("password", &password),
        ("token", &token),
        ("topic", "t"),
    ]));
    let resolved = all.resolve(&raw).expect("it can be read");
    let of_another = others.properties["k"].as_str();
    let made = [
        ("password", "first-password", password.as_str()),
        ("token", "token-in-a-file", &token),
        ("topic", "t", "t"),
        (
            "url",
            "http://al:first-password@host",
            &format!("http://al:{password}@host"),
        ),
        // Trimmed: resolved it would be another.
        ("trimmed", "x-token-in-a-file", "x-token-in-a-file"),
        ("others", of_another, of_another),
    ];
    let stored = resolved.without_secrets(&raw, properties(&made.map(|(key, made, _)| (key, made))));
    assert_eq!(stored, properties(&made.map(|(key, _, stored)| (key, stored))));
    let plain = Resolved::plain(Arc::default());
    let kept = properties(&[("others", of_another), ("url", "http://al:first-password@host")]);
    assert_eq!(plain.without_secrets(&Properties::new(), kept.clone()), kept);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_another_after_its_time_is_told_unless_nobody_wants_to_know() {
    let (_kept, path) = directory();
    let living = providers(
        &[("config.providers.file.param.ttl.ms", "50")],
        &Access::unrestricted(),
        true,
    );
    let reference = format!("${{file:{path}/a.properties:password}}");
    let resolve = |action: &str| {
        let raw = properties(&[("k", &reference), ("config.action.reload", action)]);
        living.resolve(&Arc::new(raw)).expect("it can be read")
    };
    let (restarts, stays) = (resolve("restart"), resolve("none"));
    let long = Duration::from_secs(5);
    assert!(
        tokio::time::timeout(long, living.changed(&restarts))
            .await
            .is_err(),
        "it is the same"
    );
    fs::write(format!("{path}/a.properties"), "password=second-password").expect("written");
    living.changed(&restarts).await;
    assert!(
        tokio::time::timeout(long, living.changed(&stays)).await.is_err(),
        "it does not matter"
    );
    let plain = Resolved::plain(Arc::default());
    assert!(
        tokio::time::timeout(long, living.changed(&plain)).await.is_err(),
        "it has no references"
    );
}
