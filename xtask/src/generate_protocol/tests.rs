use super::schema::{Kind, parse};
use super::versions::{Versions, When};
use super::*;

#[test]
fn what_is_committed_is_what_would_be_generated() {
    let root = root();
    let files = generate(&root).expect("the tables are well-formed");
    for (path, text) in &files {
        let committed = fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == *text,
            "{} is stale: run `cargo xtask generate-protocol`",
            path.display()
        );
    }
    let listed = fs::read_dir(root.join(OUTPUT)).expect("it is committed").count();
    assert_eq!(
        listed + 1,
        files.len(),
        "a file in {OUTPUT} is not generated any more"
    );
}

#[test]
fn versions_are_read_as_kafka_writes_them() {
    let cases = [("none", 0, -1), ("3", 3, 3), ("3+", 3, i16::MAX), ("3-9", 3, 9)];
    for (text, lowest, highest) in cases {
        assert_eq!(
            Versions::parse(text).ok(),
            Some(Versions { lowest, highest }),
            "{text}"
        );
    }
    for wrong in ["", "+", "a", "3-", "3-b"] {
        assert!(Versions::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn conditions_are_the_shortest_that_say_it() {
    let possible = Versions {
        lowest: 2,
        highest: 9,
    };
    let cases = [
        ("0+", When::Always, When::Never),
        ("10+", When::Never, When::Always),
        (
            "5+",
            When::If("version >= 5".into()),
            When::If("version < 5".into()),
        ),
        (
            "0-5",
            When::If("version <= 5".into()),
            When::If("version > 5".into()),
        ),
        (
            "4",
            When::If("version == 4".into()),
            When::If("version != 4".into()),
        ),
        (
            "4-5",
            When::If("(4..=5).contains(&version)".into()),
            When::If("!(4..=5).contains(&version)".into()),
        ),
    ];
    for (versions, when, negated) in cases {
        let condition = Versions::parse(versions).expect("well-formed").when(possible);
        assert_eq!((condition.negated(), condition), (negated, when), "{versions}");
    }
}

#[test]
fn names_are_spelt_as_rust_does() {
    let cases = [
        ("TopicId", "topic_id", "topicId"),
        (
            "KRaftVersionFeature",
            "k_raft_version_feature",
            "kRaftVersionFeature",
        ),
        ("V3AndBelowTopics", "v3_and_below_topics", "v3AndBelowTopics"),
        ("ISR", "isr", "iSR"),
        ("Type", "r#type", "type"),
    ];
    for (name, field, camel) in cases {
        assert_eq!(
            (names::field(name).as_str(), names::camel(name).as_str()),
            (field, camel)
        );
    }
}

#[test]
fn tables_are_read() {
    let message = parse(
        "request PingRequest\napi-key 7\nlisteners broker controller\nvalid-versions 1-3\nflexible-versions 2+\n\n\
         Items []Item 1+ nullable 2+ default null\n  Id uuid 1+\n  Parts []Part 1+\nEpoch int64 3+ tag 0 tagged 3+ default -1 ignorable\n\n\
         struct Part 1+\n  Bytes bytes 1+\n",
    )
    .expect("well-formed");
    let names: Vec<_> = message
        .structs
        .iter()
        .map(|structure| structure.name.as_str())
        .collect();
    assert_eq!(names, ["PingRequest", "Item", "Part"]);
    let [items, epoch] = &message.structs[0].fields[..] else {
        panic!("{message:?}")
    };
    assert_eq!(items.kind, Kind::Array(Box::new(Kind::Struct("Item".into()))));
    assert!(items.is_null_by_default() && !items.ignorable);
    assert_eq!(
        (epoch.tag, epoch.in_place().is_empty(), epoch.ignorable),
        (Some(0), true, true)
    );

    for wrong in [
        "request A\napi-key 7\n\nX int32 0+\n",
        "request A\nvalid-versions 0\n\nX []Missing 0+\n",
        "request A\nvalid-versions 0\n\nX int32 0+ nullable 0+\n",
        "request A\nvalid-versions 0\n\nX int32 0+ tag 1\n",
        "request A\nvalid-versions 0\n\nX int32 0+\n  Y int32 0+\n",
        "request A\nvalid-versions 0\n\nX int32 0+ sometimes\n",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
