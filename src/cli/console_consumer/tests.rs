//! What of `console-consumer` can be told without a cluster.

use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::settings::{Source, Start, consumer_properties};
use super::*;
use crate::cli::options::Options;

fn options(arguments: &str) -> Options {
    let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
    TOOL.parse(&arguments).expect("reads")
}

#[test]
fn options_that_do_not_go_together_are_refused_in_kafkas_words() {
    let invalid = |offset: &str| {
        format!(
            "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a \
             non-negative long."
        )
    };
    let cases = [
        (
            "--bootstrap-server b",
            "Exactly one of the following arguments is required: [topic], [include]".to_owned(),
        ),
        (
            "--bootstrap-server b --topic t --include i",
            "Exactly one of the following arguments is required: [topic], [include]".to_owned(),
        ),
        (
            "--topic t",
            "Missing required argument \"[bootstrap-server]\"".to_owned(),
        ),
        (
            "--bootstrap-server b --topic t --offset 3",
            "The partition is required when offset is specified.".to_owned(),
        ),
        (
            "--bootstrap-server b --include t --partition 3",
            "The topic is required when partition is specified.".to_owned(),
        ),
        (
            "--bootstrap-server b --topic t --partition 0 --offset 2 --from-beginning",
            "Options from-beginning and offset cannot be specified together.".to_owned(),
        ),
        (
            "--bootstrap-server b --topic t --partition 0 --offset -1",
            invalid("-1"),
        ),
        (
            "--bootstrap-server b --topic t --partition 0 --offset x",
            invalid("x"),
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            Source::new(&options(arguments)),
            Err(Stop::Usage(message)),
            "{arguments}"
        );
    }
    let partition = |start| Ok(Source::Partition(TopicPartition::new("t", 3), start));
    let with = |rest: &str| {
        Source::new(&options(&format!(
            "--bootstrap-server b --topic t --partition 3{rest}"
        )))
    };
    assert_eq!(with(""), partition(Start::Latest));
    assert_eq!(with(" --from-beginning"), partition(Start::Earliest));
    assert_eq!(with(" --offset Earliest"), partition(Start::Earliest));
    assert_eq!(with(" --offset 7"), partition(Start::At(Offset(7))));
}

#[test]
fn properties_come_from_options_and_properties() {
    let given =
        options("--topic t --from-beginning --isolation-level read_committed --command-property client.id=c");
    let properties = consumer_properties(&given).expect("fine");
    let get = |key: &str| properties.get(key).map(String::as_str);
    assert_eq!(get("auto.offset.reset"), Some("earliest"));
    assert_eq!(get("isolation.level"), Some("read_committed"));
    assert_eq!(get("client.id"), Some("c"));
    assert_eq!(
        get("enable.auto.commit"),
        Some("false"),
        "a group of its own commits nothing"
    );
    assert!(get("group.id").is_some_and(|group| group.starts_with("console-consumer-")));

    let properties = consumer_properties(&options("--topic t --group g")).expect("fine");
    assert_eq!(properties.get("group.id").map(String::as_str), Some("g"));
    assert_eq!(properties.get("enable.auto.commit"), None);
    assert_eq!(
        properties.get("auto.offset.reset").map(String::as_str),
        Some("latest")
    );
}

#[test]
fn properties_that_contradict_options_are_refused_in_kafkas_words() {
    let cases = [
        (
            "--topic t --from-beginning --command-property auto.offset.reset=latest",
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option",
        ),
        (
            "--topic t --group a --consumer-property group.id=b",
            "The group ids provided in different places (directly using '--group', via '--command-property', or via \
             '--command-config') do not match. Detected group ids: 'a', 'b'",
        ),
        (
            "--topic t --group a --partition 0",
            "Options group and partition cannot be specified together.",
        ),
    ];
    for (arguments, message) in cases {
        assert_eq!(
            consumer_properties(&options(arguments)),
            Err(Stop::usage(message)),
            "{arguments}"
        );
    }
}
