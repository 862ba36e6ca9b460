//! How transformations and predicates are validated, as a worker of 4.3.1 does it.

use super::*;

fn infos() -> ConfigInfos {
    let pairs = [
        ("transforms", "a,b,c"),
        (
            "transforms.a.type",
            "org.apache.kafka.connect.transforms.InsertField$Value",
        ),
        ("transforms.a.topic.field", "t"),
        ("transforms.a.predicate", "p"),
        ("transforms.b.type", "RegexRouter"),
        ("transforms.b.regex", "("),
        ("transforms.b.negate", "true"),
        ("transforms.c.type", "Nope"),
        ("predicates", "p"),
        ("predicates.p.type", "HasHeaderKey"),
        ("transforms.a.topic.fild", "x"),
    ]
    .map(|(key, value)| (key, Some(value)));
    validated(OverridePolicy::All, SOURCE, &pairs)
}

#[test]
fn the_form_is_kafkas() {
    let infos = infos();
    let groups: Vec<&str> = infos.groups.iter().map(String::as_str).collect();
    assert_eq!(
        groups[6..],
        [
            "offsets.topic",
            "Transforms: a",
            "Transforms: b",
            "Transforms: c",
            "Predicates: p",
            "File"
        ]
    );
    let names = infos.configs.iter().filter(|config| config.definition.is_some());
    let names = names
        .filter_map(|config| config.value.as_ref())
        .map(|value| value.name.as_str());
    let names: Vec<&str> = names
        .filter(|name| name.contains("s."))
        .filter(|name| name.contains("form") || name.contains("pred"))
        .collect();
    assert_eq!(
        names,
        [
            "transforms.a.type",
            "transforms.a.plugin.version",
            "transforms.a.negate",
            "transforms.a.offset.field",
            "transforms.a.partition.field",
            "transforms.a.predicate",
            "transforms.a.replace.null.with.default",
            "transforms.a.static.field",
            "transforms.a.static.value",
            "transforms.a.timestamp.field",
            "transforms.a.topic.field",
            "transforms.b.type",
            "transforms.b.plugin.version",
            "transforms.b.regex",
            "transforms.b.replacement",
            "transforms.b.negate",
            "transforms.b.predicate",
            "transforms.c.type",
            "transforms.c.plugin.version",
            "predicates.p.type",
            "predicates.p.plugin.version",
            "predicates.p.name",
        ]
    );
}

/// Also which errors name a key in full, and which do not.
#[test]
fn the_errors_are_kafkas() {
    let infos = infos();
    let found = errors(&infos);
    for (key, text) in [
        (
            "transforms.b.type",
            "Config 'transforms.b.negate' was provided but there is no config 'transforms.b.predicate' defining a predicate to be negated.",
        ),
        (
            "transforms.b.regex",
            "Invalid value ( for configuration regex: Invalid regex: ",
        ),
        (
            "transforms.b.replacement",
            "Missing required configuration \"transforms.b.replacement\" which has no default value.",
        ),
        (
            "transforms.c.type",
            "Invalid value Nope for configuration transforms.c.type: Class Nope could not be found.",
        ),
        (
            "predicates.p.name",
            "Missing required configuration \"predicates.p.name\" which has no default value.",
        ),
    ] {
        assert!(
            found
                .iter()
                .any(|(of, error)| *of == key && error.starts_with(text)),
            "{key}: {found:?}"
        );
    }
    let unknown = infos
        .configs
        .iter()
        .find(|config| config.definition.is_none())
        .expect("the slip");
    let unknown = serde_json::to_value(unknown).expect("it is JSON");
    assert_eq!(unknown["value"]["name"], "transforms.a.topic.fild");
    assert_eq!(
        unknown["value"]["recommended_values"],
        serde_json::json!(["transforms.a.topic.field"])
    );
    // What Kafka says when a task starts.
    let late = [
        ("transforms", Some("a")),
        ("transforms.a.type", Some("InsertField$Key")),
    ];
    check(
        SOURCE,
        &[(&late, "transforms.a.type", "No field insertion configured")],
    );
}
