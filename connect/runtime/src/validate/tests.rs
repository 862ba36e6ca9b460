mod transformations;

use std::sync::Arc;

use forebay_config::{ConfigKey, ConfigType};
use forebay_connect_api::{
    BoxFuture, Connector, ConnectorContext, Error as ConnectError, Plugin, SinkConnector, SinkTask,
    SourceConnector, SourceTask,
};

use super::*;
use crate::config::OverridePolicy;

/// A connector of both types with one key of its own.
struct Probe;

impl Connector for Probe {
    fn config(&self) -> ConfigDef {
        ConfigDef::new()
            .define(ConfigKey::new("file", ConfigType::String).group("File", 1))
            .define(
                ConfigKey::new("file.password", ConfigType::Password)
                    .optional()
                    .guards(),
            )
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        _properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, ConnectError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for Probe {
    fn task(&self) -> Box<dyn SourceTask> {
        unreachable!("validation makes no tasks")
    }
}

impl SinkConnector for Probe {
    fn task(&self) -> Box<dyn SinkTask> {
        unreachable!("validation makes no tasks")
    }
}

fn validated(policy: OverridePolicy, class: &str, pairs: &[(&str, Option<&str>)]) -> ConfigInfos {
    let plugins = Plugins::new([
        Plugin::source("org.example.ProbeSourceConnector", "1", || Probe),
        Plugin::sink("org.example.ProbeSinkConnector", "1", || Probe),
    ]);
    let mut config: RawConfig = [
        ("name", Some("n")),
        ("connector.class", Some(class)),
        ("file", Some("f")),
    ]
    .iter()
    .chain(pairs)
    .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
    .collect();
    config.retain(|_, value| value.as_deref() != Some("(none)"));
    let policy = [(
        "connector.client.config.override.policy".to_owned(),
        format!("{policy:?}"),
    )];
    let worker = Config::new(&policy.into()).expect("a policy");
    validate(&plugins, &worker, &Providers::default(), &config).expect("the class is known")
}

/// The errors of each key.
fn errors(infos: &ConfigInfos) -> Vec<(&str, &str)> {
    let values = infos.configs.iter().filter_map(|config| config.value.as_ref());
    values
        .flat_map(|value| {
            value
                .errors
                .iter()
                .map(|error| (value.name.as_str(), error.as_str()))
        })
        .collect()
}

const SOURCE: &str = "ProbeSource";
const SINK: &str = "org.example.ProbeSinkConnector";

/// What is configured, of which key an error is expected, and what it says.
type Case<'a> = (&'a [(&'a str, Option<&'a str>)], &'a str, &'a str);

fn check(class: &str, cases: &[Case<'_>]) {
    for (pairs, key, text) in cases {
        let infos = validated(OverridePolicy::All, class, pairs);
        let found = errors(&infos);
        assert!(
            found.iter().any(|(of, error)| of == key && error.contains(text)),
            "{key}: {found:?}"
        );
        assert_eq!(infos.error_count, found.len());
        assert!(infos.message().contains(text));
    }
}

#[test]
fn what_is_wrong_with_any_connector_is_said_of_its_key() {
    let missing = "Missing required configuration";
    check(
        SOURCE,
        &[
            (&[("name", Some("a/b"))], "name", "may not contain a slash"),
            (&[("name", Some(".."))], "name", "may not be . or .."),
            (&[("name", Some("(none)"))], "name", missing),
            (
                &[("tasks.max", Some("0"))],
                "tasks.max",
                "Value must be at least 1",
            ),
            (&[("file", Some("(none)"))], "file", missing),
            (&[("file", None)], "file", "Null value can not be supplied"),
            (&[("transforms", Some("a"))], "transforms.a.type", missing),
            (
                &[("transforms", Some("a,a"))],
                "transforms",
                "Invalid value [a, a] for configuration transforms: Duplicate alias provided.",
            ),
            (
                &[("value.converter", Some("com.example.X"))],
                "value.converter",
                "could not be found",
            ),
            (
                &[("file.password", Some("${env:PW}"))],
                "file.password",
                "there is no config provider env",
            ),
            (
                &[("file.pasword", Some("x"))],
                "file.pasword",
                "did you mean \"file.password\"?",
            ),
        ],
    );
}

#[test]
fn a_refusal_names_the_keys_that_nobody_knows() {
    let pairs = [
        ("file", Some("(none)")),
        ("fil", Some("/in")),
        ("xyzzy", Some("1")),
    ];
    let message = validated(OverridePolicy::All, SOURCE, &pairs).message();
    assert!(
        message.contains("Missing required configuration \"file\""),
        "{message}"
    );
    assert!(
        message.contains(
            "\nUnknown configurations are ignored: \"fil\" (did you mean \"file\"?), \"xyzzy\"\nYou can also"
        ),
        "{message}"
    );
}

#[test]
fn a_class_that_is_not_there_is_told_with_the_one_that_was_meant() {
    for (class, says) in [
        (
            "io.apicurio.AvroConverter",
            "Did you mean io.confluent.connect.avro.AvroConverter?",
        ),
        (
            "org.apache.kafka.connect.json.JsonConvertor",
            "Did you mean JsonConverter?",
        ),
        (
            "io.confluent.connect.protobuf.ProtobufConverter",
            "Protobuf is not built yet",
        ),
        (
            "io.confluent.connect.json.JsonSchemaConverter",
            "JSON Schema is not built yet",
        ),
        (
            "com.example.X",
            "There are io.confluent.connect.avro.AvroConverter, ",
        ),
    ] {
        check(
            SOURCE,
            &[(&[("value.converter", Some(class))], "value.converter", says)],
        );
    }
    let transform = [
        ("transforms", Some("a")),
        (
            "transforms.a.type",
            Some("org.apache.kafka.connect.transforms.InsertField"),
        ),
    ];
    let says = "Did you mean org.apache.kafka.connect.transforms.InsertField$Key, org.apache.kafka.connect.transforms.InsertField$Value?";
    check(SOURCE, &[(&transform, "transforms.a.type", says)]);
}

#[test]
fn what_is_wrong_with_parts_is_said_of_their_keys() {
    let topic_creation = "topic.creation.default.replication.factor";
    check(
        SOURCE,
        &[
            (
                &[
                    (
                        "value.converter",
                        Some("org.apache.kafka.connect.storage.StringConverter"),
                    ),
                    ("value.converter.converter.encoding", Some("EBCDIC")),
                ],
                "value.converter.converter.encoding",
                "String must be one of",
            ),
            (
                &[("producer.override.acks", Some("7"))],
                "producer.override.acks",
                "String must be one of",
            ),
            (
                &[("topic.creation.default.partitions", Some("1"))],
                topic_creation,
                "Missing",
            ),
            (
                &[("exactly.once.support", Some("required"))],
                "exactly.once.support",
                "The connector does not support exactly-once semantics with the provided configuration.",
            ),
            (
                &[("transaction.boundary", Some("connector"))],
                "transaction.boundary",
                "The connector does not support connector-defined transaction boundaries",
            ),
            (
                &[("transaction.boundary.interval.ms", Some("-1"))],
                "transaction.boundary.interval.ms",
                "at least 0",
            ),
            (
                &[("producer.override.transactional.id", Some("mine"))],
                "producer.override.transactional.id",
                "each task has its own",
            ),
        ],
    );
}

#[test]
fn overrides_that_break_a_guarantee_are_refused() {
    let topics = ("topics", Some("t"));
    for (class, key, value, text) in [
        (
            SINK,
            "consumer.override.enable.auto.commit",
            "true",
            "the worker commits what the task says is stored",
        ),
        (
            SINK,
            "consumer.override.group.instance.id",
            "me",
            "each task has its own",
        ),
        (SOURCE, "producer.override.acks", "1", "must be all"),
        (
            SOURCE,
            "producer.override.enable.idempotence",
            "false",
            "must be true",
        ),
        (SOURCE, "producer.override.max.in.flight", "6", "between 1 and 5"),
    ] {
        check(class, &[(&[topics, (key, Some(value))], key, text)]);
    }
    let allowed = [
        topics,
        ("consumer.override.enable.auto.commit", Some("false")),
        ("consumer.override.group.id", Some("mine")),
        ("consumer.override.isolation.level", Some("read_uncommitted")),
        ("consumer.override.auto.offset.reset", Some("latest")),
    ];
    assert_eq!(errors(&validated(OverridePolicy::All, SINK, &allowed)), []);
}

#[test]
fn what_is_wrong_with_topics_is_said_of_them() {
    let topics = ("topics", Some("t"));
    let queue = ("errors.deadletterqueue.topic.name", Some("t"));
    check(
        SINK,
        &[
            (&[], "topics", "Must configure one of topics or topics.regex"),
            (
                &[topics, ("topics.regex", Some("t.*"))],
                "topics.regex",
                "mutually exclusive",
            ),
            (
                &[("topics.regex", Some("("))],
                "topics.regex",
                "Syntax error in regular expression",
            ),
            (
                &[topics, queue],
                "topics",
                "The DLQ topic 't' may not be included",
            ),
            (
                &[("topics.regex", Some("t?")), queue],
                "topics.regex",
                "The DLQ topic 't' may not be matched",
            ),
        ],
    );
    let good = validated(OverridePolicy::All, SINK, &[topics]);
    assert_eq!(errors(&good), []);
}

#[test]
fn overrides_are_subject_to_the_workers_policy() {
    let pairs = [
        ("producer.override.linger.ms", Some("7")),
        ("producer.override.security.protocol", Some("PLAINTEXT")),
    ];
    for (policy, refused) in [
        (OverridePolicy::All, &[][..]),
        (OverridePolicy::Principal, &["producer.override.linger.ms"]),
        (
            OverridePolicy::None,
            &[
                "producer.override.linger.ms",
                "producer.override.security.protocol",
            ],
        ),
    ] {
        let infos = validated(policy, "ProbeSource", &pairs);
        let mut keys: Vec<&str> = errors(&infos).into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        assert_eq!(keys, refused, "{policy:?}");
    }
}

#[test]
fn the_form_is_kafkas_and_secrets_stay_hidden() {
    let pairs = [("file.password", Some("s3cret")), ("fil", Some("x"))];
    let infos = validated(OverridePolicy::All, "ProbeSource", &pairs);
    let json = serde_json::to_value(&infos).expect("it is JSON");
    assert_eq!(
        json["groups"],
        serde_json::json!([
            "Common",
            "Transforms",
            "Predicates",
            "Error Handling",
            "Topic Creation",
            "Exactly Once Support",
            "offsets.topic",
            "File"
        ])
    );
    assert_eq!(json["name"], "ProbeSource");
    let of = |name: &str| {
        let configs = json["configs"].as_array().expect("a list");
        configs
            .iter()
            .find(|config| config["value"]["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        of("tasks.max"),
        serde_json::json!({
            "definition": {
                "name": "tasks.max", "type": "INT", "required": false, "default_value": "1", "importance": "HIGH",
                "documentation": "Maximum number of tasks to use for this connector.", "group": "Common",
                "width": "SHORT", "display_name": "Tasks max", "dependents": [], "order_in_group": 4
            },
            "value": {"name": "tasks.max", "value": "1", "recommended_values": [], "errors": [], "visible": true}
        })
    );
    assert_eq!(of("file.password")["value"]["value"], "[hidden]");
    assert_eq!(of("fil")["definition"], serde_json::Value::Null);
    assert_eq!(
        of("fil")["value"]["recommended_values"],
        serde_json::json!(["file"])
    );
    assert!(!json.to_string().contains("s3cret"));
}
