//! What of `topics` can be told without a cluster.

use super::*;

fn options(arguments: &str) -> Options {
    let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
    TOOL.parse(&arguments).expect("reads")
}

#[test]
fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
    let cases = [
        (
            "--topic x",
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ),
        (
            "--list --create --topic x",
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ),
        ("--list", "--bootstrap-server must be specified"),
        (
            "--bootstrap-server b --create",
            "Missing required argument \"[topic]\"",
        ),
        (
            "--bootstrap-server b --delete",
            "Missing required argument \"[topic]\"",
        ),
        (
            "--bootstrap-server b --alter --topic x",
            "Missing required argument \"[partitions]\"",
        ),
        (
            "--bootstrap-server b --alter --topic x --partitions 2 --config a=b",
            "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic \
             configurations, the kafka-configs tool can be used.)",
        ),
        (
            "--bootstrap-server b --list --partitions 3",
            "Option \"[partitions]\" can't be used with option \"[list]\"",
        ),
        (
            "--bootstrap-server b --create --topic x --replica-assignment 0 --partitions 3",
            "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"",
        ),
        (
            "--bootstrap-server b --describe --if-exists",
            "--topic or --topic-id is required to describe a topic",
        ),
        (
            "--bootstrap-server b --describe --topics-with-overrides --unavailable-partitions",
            "Option \"[unavailable-partitions]\" can't be used with option \"[topics-with-overrides]\"",
        ),
        (
            "--bootstrap-server b --create --topic x --if-exists",
            "Option \"[if-exists]\" can't be used with option \"[create]\"",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            check(&options(arguments)),
            Err(Stop::usage(message)),
            "{arguments}"
        );
    }
    for arguments in [
        "--bootstrap-server b --list",
        "--bootstrap-server b --describe",
        "--bootstrap-server b --create --topic x --partitions 1 --replication-factor 1 --config a=b --if-not-exists",
        "--bootstrap-server b --delete --topic x --if-exists",
    ] {
        assert_eq!(check(&options(arguments)), Ok(()), "{arguments}");
    }
}

#[test]
fn old_options_are_answered_with_what_replaced_them() {
    let arguments = ["--zookeeper", "localhost:2181", "--list"].map(ToOwned::to_owned);
    let Err(Stop::Usage(message)) = TOOL.parse(&arguments) else {
        panic!("refused")
    };
    assert!(
        message.starts_with("zookeeper is not a recognized option: "),
        "{message}"
    );
    assert!(message.contains("--bootstrap-server"), "{message}");
}

#[test]
fn a_new_topic_is_read_or_refused_in_kafkas_words() {
    let refused = [
        (
            "--topic x --partitions 0",
            "The partitions must be greater than 0",
        ),
        (
            "--topic x --partitions abc",
            "Cannot parse argument 'abc' of option partitions",
        ),
        (
            "--topic x --replication-factor 0",
            "The replication factor must be between 1 and 32767 inclusive",
        ),
        (
            "--topic x --replication-factor 32768",
            "The replication factor must be between 1 and 32767 inclusive",
        ),
        (
            "--topic x --config a",
            "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
        ),
        (
            "--topic x --config a=b=c",
            "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
        ),
        (
            "--topic x --replica-assignment 0:1:0",
            "Partition replica lists may not contain duplicate entries: 0",
        ),
        (
            "--topic x --replica-assignment 0:1,2",
            "Partition 1 has different replication factor: [2]",
        ),
        ("--topic x --replica-assignment 0:x", "For input string: \"x\""),
        (
            "--topic x --topic y",
            "Found multiple arguments for option topic, but you asked for only one",
        ),
    ];
    for (arguments, message) in refused {
        let failure = new_topic(&options(arguments)).expect_err(arguments);
        assert_eq!(failure.to_string(), message, "{arguments}");
    }
    let topic = new_topic(&options(
        "--topic x --partitions 3 --replication-factor 2 --config a=b",
    ))
    .expect("fine");
    assert_eq!((topic.partitions, topic.replication_factor), (Some(3), Some(2)));
    assert_eq!(topic.configs.get("a").map(String::as_str), Some("b"));
    let topic = new_topic(&options("--topic x --replica-assignment 0:1,1:0")).expect("fine");
    assert_eq!(topic.replica_assignments[&1], [NodeId(1), NodeId(0)]);
}

#[test]
fn a_topic_is_a_regular_expression_for_the_whole_name() {
    let cases = [
        ("foo", "foo", true),
        ("foo", "foo.bar", false),
        ("fo.*", "foo.bar", true),
        ("a, b", "b", true),
        ("\"foo\"", "foo", true),
        ("test\\.topic", "test-topic", false),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(
            include_list(pattern).expect("valid").is_match(name),
            expected,
            "{pattern} {name}"
        );
    }
    assert_eq!(
        include_list("(").expect_err("invalid").to_string(),
        "( is an invalid regex."
    );
}
