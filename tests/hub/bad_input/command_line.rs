//! What `forebay start` refuses: a directory that another process has, ports in use, keys and files that do not exist.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::librdkafka::{broker, create_topic, produce_values, read_all};
use crate::process::{run, start_arguments};

/// How soon the second process on a directory gives up, debug builds on a busy machine included.
const LOCKED_WITHIN: Duration = Duration::from_secs(10);

/// The last line of standard error, which is the error; the lines before are warnings.
fn error_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("forebay: "))
        .collect();
    assert_eq!(errors.len(), 1, "one line says what is wrong: {text}");
    assert!(
        text.trim_end().ends_with(errors[0]),
        "and nothing follows it: {text}"
    );
    errors[0].to_owned()
}

fn refused(arguments: &[String]) -> String {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(!stdout.contains("ready in"), "{stdout}");
    error_line(&output)
}

#[test]
fn a_second_process_on_a_directory_is_told_that_it_is_locked() {
    let (directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, "kept", 1);
    produce_values(&bootstrap, "kept", Some(0), &["before".to_owned()], &[]);
    let began = Instant::now();
    let arguments = start_arguments(directory.path(), "broker", &[], &BTreeMap::new());
    let error = refused(&arguments);
    assert!(began.elapsed() < LOCKED_WITHIN, "it took {:?}", began.elapsed());
    assert!(error.contains("locked"), "{error}");
    let data_dir = hub.data_dir().display().to_string();
    assert!(error.contains(&data_dir), "it names the directory: {error}");
    // The first one does not notice.
    produce_values(&bootstrap, "kept", Some(0), &["after".to_owned()], &[]);
    let texts: Vec<_> = read_all(&bootstrap, "kept", 1)
        .iter()
        .map(|it| it.text().to_owned())
        .collect();
    assert_eq!(texts, ["before", "after"]);
    // Neither a clean end nor a kill leaves the lock behind.
    assert!(hub.process().terminate().success());
    hub.restart();
    hub.process().kill();
    hub.restart();
    assert_eq!(read_all(&bootstrap, "kept", 1).len(), 2);
}

#[test]
fn a_port_in_use_is_named_with_what_chooses_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    for (role, cure) in [
        ("broker", "listeners"),
        ("rest", "--rest-port"),
        ("console", "--console-port"),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ports = BTreeMap::from([(role.to_owned(), port)]);
        let error = refused(&start_arguments(
            directory.path(),
            "broker,rest,console",
            &[],
            &ports,
        ));
        assert!(
            error.contains(&port.to_string()) && error.contains("in use"),
            "{error}"
        );
        assert!(error.contains(cure), "{role}: no cure in: {error}");
    }
}

#[test]
fn keys_roles_and_files_that_do_not_exist_are_named_with_the_nearest_that_does() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["--override", "broker.log.retention.hour=24"],
            &["log.retention.hour", "log.retention.hours"],
        ),
        (
            &["--override", "brokr.log.retention.hours=24"],
            &["brokr", "broker"],
        ),
        (
            &["--override", "broker.log.retention.hours=soon"],
            &["log.retention.hours", "soon"],
        ),
        (&["--roles", "broker,consol"], &["consol", "console"]),
        (
            &["--config", "/nowhere/forebay.toml"],
            &["/nowhere/forebay.toml", "No such file"],
        ),
    ];
    for (wrong, expected) in cases {
        let mut arguments = start_arguments(directory.path(), "broker", &[], &BTreeMap::new());
        if wrong[0] == "--roles" {
            arguments.drain(3..5);
        }
        arguments.extend(wrong.iter().map(|&it| it.to_owned()));
        let error = refused(&arguments);
        for word in expected {
            assert!(error.contains(word), "{wrong:?}: {word} is not in: {error}");
        }
    }
    let output = run(&["start", "--kafka-prot", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("--kafka-port"),
        "{output:?}"
    );
}
