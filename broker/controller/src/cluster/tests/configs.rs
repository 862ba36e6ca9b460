//! IncrementalAlterConfigs, and what DescribeConfigs shows.

use std::sync::Arc;

use forebay_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use forebay_protocol::{ErrorCode, NodeId};

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::ConfigRecord;

use super::fixture::{TestCluster, options, properties, schema};
use crate::controller::{Cluster, Command, Outcome};
use crate::*;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Change<'a> = (&'a str, i8, Option<&'a str>);
/// Changes, and what is set after them.
type Step<'a> = (&'a [Change<'a>], &'a [(&'a str, &'a str)]);

fn resource(resource_type: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let config = |(name, operation, value): &Change<'_>| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
        ..AlterableConfig::default()
    };
    AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: changes.iter().map(config).collect(),
        ..AlterConfigsResource::default()
    }
}

fn run(
    cluster: &mut TestCluster,
    resources: Vec<AlterConfigsResource>,
    validate_only: bool,
) -> Vec<(i16, String)> {
    let request = IncrementalAlterConfigsRequest {
        resources,
        validate_only,
        ..IncrementalAlterConfigsRequest::default()
    };
    let responses = cluster
        .run(IncrementalAlterConfigs {
            request,
            loggers: Some(["forebay_client".to_owned()].into()),
        })
        .responses
        .into_iter();
    responses
        .map(|result| {
            (
                result.error_code,
                result.error_message.unwrap_or_default().to_string(),
            )
        })
        .collect()
}

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::with_brokers(1);
    cluster.topic("a", 1);
    cluster
}

#[test]
fn keys_are_set_deleted_and_amended() {
    let mut cluster = cluster();
    let set = "cleanup.policy";
    let steps: [Step<'_>; 7] = [
        (
            &[("retention.ms", SET, Some("5")), ("segment.ms", SET, Some("7"))],
            &[("retention.ms", "5"), ("segment.ms", "7")],
        ),
        (&[("segment.ms", DELETE, None)], &[("retention.ms", "5")]),
        // What is not set has its default, and the amended value is set from then on.
        (
            &[(set, APPEND, Some("compact"))],
            &[(set, "delete,compact"), ("retention.ms", "5")],
        ),
        (
            &[(set, APPEND, Some("compact,delete"))],
            &[(set, "delete,compact"), ("retention.ms", "5")],
        ),
        (
            &[(set, SUBTRACT, Some("delete"))],
            &[(set, "compact"), ("retention.ms", "5")],
        ),
        (&[("retention.ms", DELETE, None)], &[(set, "compact")]),
        (
            &[(set, DELETE, Some("ignored")), ("segment.ms", DELETE, None)],
            &[],
        ),
    ];
    for (changes, expected) in steps {
        assert_eq!(
            run(&mut cluster, vec![resource(2, "a", changes)], true),
            [(0, String::new())]
        );
        assert_eq!(
            run(&mut cluster, vec![resource(2, "a", changes)], false),
            [(0, String::new())]
        );
        let image = cluster.image();
        let left = image.topic_configs("a").cloned().unwrap_or_default();
        assert_eq!(left, properties(expected), "after {changes:?}");
    }
}

#[test]
fn an_unchanged_key_of_a_topic_is_not_written_and_one_of_a_broker_is() {
    let mut cluster = cluster();
    let count = |cluster: &mut TestCluster, resources: Vec<AlterConfigsResource>| {
        let request = IncrementalAlterConfigsRequest {
            resources,
            ..IncrementalAlterConfigsRequest::default()
        };
        cluster
            .run_with_records(IncrementalAlterConfigs {
                request,
                loggers: None,
            })
            .0
            .len()
    };
    let topic = || vec![resource(2, "a", &[("retention.ms", SET, Some("5"))])];
    let broker = || vec![resource(4, "0", &[("log.retention.ms", SET, Some("5"))])];
    assert_eq!(
        (count(&mut cluster, topic()), count(&mut cluster, topic())),
        (1, 0)
    );
    assert_eq!(
        (count(&mut cluster, broker()), count(&mut cluster, broker())),
        (1, 1)
    );
}

/// Each of these is refused so, and nothing is written.
fn assert_refused(cases: Vec<(AlterConfigsResource, ErrorCode, &str)>) {
    let mut cluster = cluster();
    let before = cluster.image();
    for (change, code, message) in cases {
        assert_eq!(
            run(&mut cluster, vec![change], false),
            [(code as i16, message.to_owned())]
        );
    }
    assert_eq!(cluster.image(), before);
}

#[test]
fn changes_of_topics_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let long = "x".repeat(32768);
    let set = |name, value| [("retention.ms", SET, Some(value))].map(|change| resource(2, name, &[change]));
    let change = |change: Change<'_>| resource(2, "a", &[change]);
    let [nobody] = set("nobody", "5");
    let [default] = set("", "5");
    let [nobody_and_bad] = set("nobody", "x");
    assert_refused(vec![
        (
            nobody,
            E::UnknownTopicOrPartition,
            "The topic 'nobody' does not exist.",
        ),
        (
            default,
            E::InvalidRequest,
            "Default topic resources are not allowed.",
        ),
        (
            nobody_and_bad,
            E::InvalidConfig,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            resource(
                2,
                "a",
                &[("retention.ms", SET, Some("5")), ("retention.ms", DELETE, None)],
            ),
            E::InvalidRequest,
            "Error due to duplicate config keys",
        ),
        (
            resource(
                2,
                "a",
                &[("retention.ms", SET, None), ("segment.ms", APPEND, None)],
            ),
            E::InvalidRequest,
            "Null value not supported for : retention.ms, segment.ms",
        ),
        (
            change(("retention.ms", APPEND, Some("5"))),
            E::InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            change(("bogus", SUBTRACT, Some("5"))),
            E::InvalidConfig,
            "Can't SUBTRACT to key bogus because its type is not LIST.",
        ),
        (
            change(("bogus", SET, Some("5"))),
            E::InvalidConfig,
            "Unknown topic config name: bogus",
        ),
        (
            change(("retention.ms", 4, Some("5"))),
            E::InvalidRequest,
            "Unknown operations type 4",
        ),
        (
            change(("compression.type", SET, Some(&long))),
            E::InvalidConfig,
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ),
        (
            resource(3, "a", &[]),
            E::InvalidRequest,
            "Unknown resource type 3",
        ),
    ]);
}

#[test]
fn changes_of_brokers_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let change = |name, change: Change<'_>| resource(4, name, &[change]);
    assert_refused(vec![
        (
            change("7", ("log.retention.ms", SET, Some("5"))),
            E::InvalidRequest,
            "Unexpected broker id, expected 0, but received 7",
        ),
        (
            change("x", ("log.retention.ms", SET, Some("5"))),
            E::InvalidRequest,
            "Node id must be an integer, but it is: x",
        ),
        (
            change("0", ("node.id", SET, Some("5"))),
            E::InvalidRequest,
            "Cannot update these configs dynamically: [node.id]",
        ),
        (
            change("", ("ssl.keystore.password", SET, Some("secret"))),
            E::InvalidRequest,
            "Cannot update these configs at default cluster level, broker id must be specified: \
             [ssl.keystore.password]",
        ),
        (
            change("0", ("min.insync.replicas", SET, Some("1"))),
            E::InvalidConfig,
            "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        ),
        (
            change("", ("min.insync.replicas", DELETE, None)),
            E::InvalidConfig,
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        ),
    ]);
}

/// Records as an earlier release has written them.
struct Written(Vec<ConfigRecord>);

impl Command for Written {
    type Response = ();

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<()> {
        let records = self.0.into_iter().map(MetadataRecord::Config);
        Outcome::new(records.map(|record| cluster.record(record)).collect(), ())
    }
}

#[test]
fn what_is_wrong_already_is_put_right_one_by_one() {
    let mut cluster = cluster();
    let written = |(broker, name, value): (&str, &str, &str)| ConfigRecord {
        resource_type: 4,
        resource_name: broker.into(),
        name: name.into(),
        value: Some(value.into()),
        ..ConfigRecord::default()
    };
    let wrong = [("", "log.retention.ms", "abc"), ("0", "log.retention.ms", "x")];
    cluster.run(Written(wrong.map(written).into()));
    let mut alter = |broker: &str, change: Change<'_>| {
        run(&mut cluster, vec![resource(4, broker, &[change])], false)
            .remove(0)
            .0
    };
    let none = ErrorCode::None.to_i16();
    let refused = ErrorCode::InvalidRequest.to_i16();
    assert_eq!(alter("0", ("log.cleanup.policy", SET, Some("compact"))), none);
    assert_eq!(alter("0", ("log.retention.ms", SET, Some("def"))), refused);
    assert_eq!(alter("", ("log.retention.ms", SET, Some("def"))), refused);
    for (broker, name, _) in wrong {
        assert_eq!(alter(broker, (name, DELETE, None)), none, "{broker} {name}");
    }
    assert_eq!(alter("0", ("log.retention.ms", SET, Some("5"))), none);
}

#[test]
fn each_resource_stands_alone_and_comes_once() {
    let mut cluster = cluster();
    cluster.topic("b", 1);
    let set = |name: &str, value| resource(2, name, &[("retention.ms", SET, Some(value))]);
    let results = run(
        &mut cluster,
        vec![
            set("a", "5"),
            set("b", "x"),
            set("c", "5"),
            set("b", "6"),
            set("c", "6"),
        ],
        false,
    );
    let repeated = (
        ErrorCode::InvalidRequest as i16,
        "Each resource must appear at most once.".to_owned(),
    );
    assert_eq!(
        results,
        [
            (0, String::new()),
            repeated.clone(),
            repeated.clone(),
            repeated.clone(),
            repeated
        ]
    );
    let image = cluster.image();
    assert_eq!(
        image.topic_configs("a"),
        Some(&properties(&[("retention.ms", "5")]))
    );
    assert_eq!(image.topic_configs("b"), None);
}

#[test]
fn a_brokers_key_tells_of_its_other_names_behind_its_own() {
    let mut cluster = TestCluster::with_options(Options {
        schema: Arc::new(schema(&[("log.retention.hours", "1")])),
        ..options()
    });
    cluster.add_broker(0, None);
    let synonyms = |cluster: &mut TestCluster, name: &str| -> Vec<(String, Option<String>, ConfigSource)> {
        let schema = Arc::clone(&cluster.controller.options().schema);
        let entries = schema.describe_broker(&cluster.image(), NodeId(0));
        let entry = entries.into_iter().find(|entry| entry.name == name);
        entry.expect("it is a key").synonyms
    };
    let said = |name: &str, value: &str, source| (name.to_owned(), Some(value.to_owned()), source);
    let hours = [
        said("log.retention.hours", "1", ConfigSource::StaticBroker),
        said("log.retention.hours", "168", ConfigSource::Default),
    ];
    assert_eq!(synonyms(&mut cluster, "log.retention.ms"), []);
    run(
        &mut cluster,
        vec![
            resource(4, "0", &[("log.retention.ms", SET, Some("5"))]),
            resource(4, "", &[("log.retention.ms", SET, Some("6"))]),
        ],
        false,
    );
    let mut expected = vec![
        said("log.retention.ms", "5", ConfigSource::DynamicBroker),
        said("log.retention.ms", "6", ConfigSource::DynamicDefaultBroker),
    ];
    expected.extend(hours.clone());
    assert_eq!(synonyms(&mut cluster, "log.retention.ms"), expected);
    assert_eq!(synonyms(&mut cluster, "log.retention.minutes"), []);
    assert_eq!(synonyms(&mut cluster, "log.retention.hours"), hours);
}

#[test]
fn entries_tell_where_they_come_from() {
    let broker = [("log.retention.hours", "1"), ("ssl.keystore.password", "secret")];
    let mut cluster = TestCluster::with_options(Options {
        schema: Arc::new(schema(&broker)),
        ..options()
    });
    cluster.add_broker(0, None);
    cluster.topic("a", 1);
    run(
        &mut cluster,
        vec![
            resource(4, "", &[("log.cleanup.policy", SET, Some("compact"))]),
            resource(2, "a", &[("segment.ms", SET, Some("7"))]),
        ],
        false,
    );
    let schema = Arc::clone(&cluster.controller.options().schema);
    let image = cluster.image();
    let topic = schema.describe_topic(image.topic_configs("a").expect("set"), &image, NodeId(0));
    let entry = |name: &str| topic.iter().find(|entry| entry.name == name).expect(name).clone();
    assert_eq!(
        entry("segment.ms").synonyms,
        [("segment.ms".into(), Some("7".into()), ConfigSource::Topic)]
    );
    let retention = entry("retention.ms");
    assert_eq!(
        (retention.value.as_deref(), retention.source),
        (Some("3600000"), ConfigSource::StaticBroker)
    );
    let policy = entry("cleanup.policy");
    assert_eq!(
        (policy.value.as_deref(), policy.source),
        (Some("compact"), ConfigSource::DynamicDefaultBroker)
    );
    let name = "log.cleanup.policy".to_owned();
    assert_eq!(
        policy.synonyms,
        [
            (
                name.clone(),
                Some("compact".to_owned()),
                ConfigSource::DynamicDefaultBroker
            ),
            (name, Some("delete".to_owned()), ConfigSource::Default),
        ]
    );

    let broker = schema.describe_broker(&image, NodeId(0));
    let entry = |name: &str| {
        broker
            .iter()
            .find(|entry| entry.name == name)
            .expect(name)
            .clone()
    };
    let password = entry("ssl.keystore.password");
    assert!(password.is_sensitive && password.value.is_none() && password.synonyms[0].1.is_none());
    assert_eq!(
        (
            entry("log.retention.hours").value.as_deref(),
            entry("log.retention.hours").read_only
        ),
        (Some("1"), true)
    );
    assert!(!entry("log.cleanup.policy").read_only);
    let defaults = schema.describe_default_broker(&image);
    let names: Vec<_> = defaults.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["log.cleanup.policy", "min.insync.replicas"]);
}

#[test]
fn another_minimum_clears_the_eligible_replicas() {
    let mut cluster = TestCluster::with_brokers(2);
    let request = super::fixture::topic("a", 1, 2);
    assert_eq!(cluster.create(request).error_code, 0);
    run(
        &mut cluster,
        vec![resource(2, "a", &[("min.insync.replicas", SET, Some("2"))])],
        false,
    );
    let epoch = cluster.image().broker(NodeId(1)).expect("there").epoch;
    cluster
        .run(FenceBroker {
            broker_id: NodeId(1),
            broker_epoch: epoch,
        })
        .expect("fenced");
    assert_eq!(cluster.image().partition("a", 0).expect("there").elr, [NodeId(1)]);
    run(
        &mut cluster,
        vec![resource(2, "a", &[("min.insync.replicas", SET, Some("1"))])],
        false,
    );
    assert!(cluster.image().partition("a", 0).expect("there").elr.is_empty());
}

#[test]
fn levels_of_loggers_are_judged_and_leave_no_record() {
    let mut cluster = cluster();
    let before = cluster.next_offset;
    const LOGGERS: i8 = 8;
    let levels = "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN";
    let odd =
        format!("Cannot set the log level of root to debug as it is not a supported log level. {levels}");
    let cases: [(&str, Change<'_>, i16, &str); 9] = [
        ("0", ("root", SET, Some("DEBUG")), 0, ""),
        ("0", ("forebay_client", SET, Some("FATAL")), 0, ""),
        ("0", ("forebay_client", DELETE, None), 0, ""),
        ("0", ("nosuch", DELETE, None), 40, "Logger nosuch does not exist!"),
        ("0", ("root", SET, Some("debug")), 40, &odd),
        (
            "0",
            ("root", DELETE, None),
            42,
            "Removing the log level of the root logger is not allowed",
        ),
        (
            "0",
            ("root", APPEND, Some("INFO")),
            42,
            "APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "0",
            ("root", SUBTRACT, Some("INFO")),
            42,
            "SUBTRACT operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "0",
            ("root", 9, Some("INFO")),
            42,
            "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource",
        ),
    ];
    for (node, change, code, text) in cases {
        let told = run(&mut cluster, vec![resource(LOGGERS, node, &[change])], false);
        assert_eq!(told, [(code, text.to_owned())], "{change:?}");
    }
    assert_eq!(cluster.next_offset, before, "levels are no metadata");
}
