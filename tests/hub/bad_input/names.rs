//! Names that are none (B29), in every request that could make a folder of one: refused, and nothing outside the data directory
//! changes.

use std::collections::BTreeSet;
use std::path::Path;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use forebay_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use forebay_protocol::messages::{CreatePartitionsRequest, DeleteTopicsRequest};
use forebay_records::{BatchBuilder, BatchOptions, Headers, Timestamp};

use crate::process::Hub;
use crate::wire::Wire;

/// A name may have 249 letters.
const LONGEST: usize = 249;

fn bad_names() -> Vec<String> {
    let names = [
        "",
        ".",
        "..",
        "a/../b",
        "../escaped",
        "/tmp/escaped",
        "a\0b",
        "a b",
        "naïve",
        "京都",
        "a\\b",
        "a:b",
        "%2e%2e",
        "a\n",
    ];
    let mut names: Vec<String> = names.map(str::to_owned).to_vec();
    names.push("n".repeat(LONGEST + 1));
    names.push("../".repeat(100));
    names
}

/// Every path below a directory.
fn below(directory: &Path) -> BTreeSet<std::path::PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory {
                left.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}

fn produce(wire: &mut Wire, topic: &str) -> i16 {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder
        .append(
            Timestamp(1_700_000_000_000),
            Some(b"k"),
            Some(b"v"),
            &Headers::EMPTY,
        )
        .expect("it fits");
    wire.produce(topic, builder.build().expect("a batch").into_bytes())
}

/// Metadata that makes topics which are not there.
fn look_up(wire: &mut Wire, topic: &str) -> i16 {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.into()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    wire.call(8, &request).topics[0].error_code
}

fn delete(wire: &mut Wire, topic: &str) -> i16 {
    let request = DeleteTopicsRequest {
        topic_names: vec![topic.into()],
        timeout_ms: 30_000,
        ..Default::default()
    };
    wire.call(4, &request).responses[0].error_code
}

fn grow(wire: &mut Wire, topic: &str) -> i16 {
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: topic.into(),
            count: 3,
            ..Default::default()
        }],
        timeout_ms: 30_000,
        ..Default::default()
    };
    wire.call(1, &request).results[0].error_code
}

#[test]
fn a_bad_name_is_refused_everywhere_and_leaves_the_data_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    let before = below(directory.path());
    let invalid = i16::from(ErrorCode::InvalidTopicException);
    for name in bad_names() {
        assert_eq!(wire.create_topic(&name, 1, &[]), invalid, "create {name:?}");
        assert_eq!(look_up(&mut wire, &name), invalid, "look up {name:?}");
        for (what, code) in [
            ("produce to", produce(&mut wire, &name)),
            ("delete", delete(&mut wire, &name)),
            ("grow", grow(&mut wire, &name)),
        ] {
            assert_ne!(code, 0, "{what} {name:?}");
        }
    }
    let made: Vec<_> = below(directory.path()).difference(&before).cloned().collect();
    assert!(made.is_empty(), "{made:?}");
    assert!(!Path::new("/tmp/escaped").exists() && !directory.path().join("escaped").exists());
}

#[test]
fn odd_names_are_topics_and_internal_ones_are_not_written_to() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    let longest = "n".repeat(LONGEST);
    // Twins but for the size of a letter, and names that look like something else.
    for name in ["twin", "TWIN", "...", "-", "a-0", "a", "con", longest.as_str()] {
        assert_eq!(wire.create_topic(name, 1, &[]), 0, "{name}");
        assert_eq!(produce(&mut wire, name), 0, "{name}");
        assert!(hub.partition_dir(name, 0).is_dir(), "{name}");
    }
    // A name that would give another's metrics.
    assert_eq!(wire.create_topic("a.b", 1, &[]), 0);
    let collides = i16::from(ErrorCode::InvalidTopicException);
    assert_eq!(wire.create_topic("a_b", 1, &[]), collides);
    for internal in ["__consumer_offsets", "__transaction_state"] {
        look_up(&mut wire, internal); // which makes it
        assert_eq!(
            produce(&mut wire, internal),
            i16::from(ErrorCode::InvalidTopicException),
            "{internal}"
        );
    }
}
