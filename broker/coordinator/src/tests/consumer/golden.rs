//! Consumer groups as a live Apache Kafka 4.3.1 wrote them, with librdkafka's clients: `modern`, of a dynamic and then a static member that leaves for a
//! while; `regex`, of a subscriber to `^events.*`; `mixed`, a classic group of one that is upgraded by a member of the consumer protocol
//! and downgraded when that leaves. The topics: `events` with 4 partitions, `events-2` with 1, `other` with 2.

use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;
use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::{RecordBatch, Timestamp, batches};

use super::client::Client;
use crate::consumer::{ConsumerValue, Part};
use crate::record::CoordinatorRecord;
use crate::tests::driver::Driver;
use crate::{Command, Config, GroupCoordinator, Record};

const LOG: &[u8] = include_bytes!("../kafka-4.3.1-consumer-groups.log");
const TOPICS: [(&str, &str, i32); 3] = [
    ("events", "PWE7ca5IQZ2H2q4I0kmtQQ", 4),
    ("events-2", "RWKX7PeXR8aaQiit9KuvRQ", 1),
    ("other", "QaQgsXFfSnuj2O73_wGhKg", 2),
];

fn kafka_wrote() -> Vec<RecordBatch> {
    batches(Bytes::from_static(LOG))
        .collect::<Result<_, _>>()
        .expect("Kafka wrote it")
}

fn records(batches: &[RecordBatch]) -> Vec<Record> {
    let records = batches
        .iter()
        .flat_map(|batch| batch.records().expect("readable"));
    let records = records.map(|record| {
        let record = record.expect("readable");
        Record {
            key: record.key.expect("a key"),
            value: record.value,
        }
    });
    records.collect()
}

/// A cluster with the topics of the log, before anybody has joined.
fn driver() -> Driver {
    let driver = Driver::new();
    for (name, id, partitions) in TOPICS {
        let id: Uuid = id.parse().expect("an id");
        driver.cluster.topic_with_id(name, id, partitions);
    }
    driver
}

/// Takes over Kafka's partition after the first `count` batches.
fn taken_over(count: usize) -> Driver {
    let mut driver = driver();
    driver.now.timestamp = Timestamp(1_795_278_007_300);
    driver.coordinator =
        GroupCoordinator::new(Config::default()).with_cluster(Arc::clone(&driver.cluster) as _);
    for batch in &kafka_wrote()[..count] {
        driver
            .coordinator
            .replay_batch(batch)
            .expect("we read what Kafka writes");
    }
    let outcome = driver.coordinator.activate(driver.now);
    driver.take(outcome);
    driver
}

fn decoded(record: &Record) -> CoordinatorRecord {
    CoordinatorRecord::decode(&record.key, record.value.as_ref()).expect("known")
}

#[test]
fn what_kafka_wrote_we_write() {
    let mut written = 0;
    for record in records(&kafka_wrote()) {
        let decoded = decoded(&record);
        let CoordinatorRecord::Consumer(_, value) = &decoded else {
            continue;
        };
        let encoded = decoded.encode().expect("it was written before");
        assert_eq!(encoded.key, record.key);
        let topics = match value {
            Some(ConsumerValue::Target(target)) => target.topics().count(),
            Some(ConsumerValue::Current(current)) => current.assigned.topics().count(),
            _ => 1,
        };
        // Several topics Kafka writes in Java's order.
        if topics > 1 {
            assert_eq!(self::decoded(&encoded), decoded);
        } else {
            assert_eq!(encoded.value, record.value, "{decoded:?}");
        }
        written += 1;
    }
    assert_eq!(written, 55);
}

#[test]
fn the_hash_of_a_groups_topics_is_kafkas() {
    let cases: [(&[&str], i64); 5] = [
        (&["events"], -388_733_697_781_137_551),
        (&["events", "other"], 4_045_829_806_943_560_594),
        (&["events", "events-2"], -5_149_001_492_364_513_518),
        (&["not there"], 0),
        (&[], 0),
    ];
    for (topics, expected) in cases {
        let mut driver = driver();
        Client::new("m1", topics).join(&mut driver);
        let hash = driver.log.iter().filter_map(|record| match decoded(record) {
            CoordinatorRecord::Consumer(key, Some(ConsumerValue::Epoch(epoch)))
                if key.part == Part::Epoch =>
            {
                Some(epoch.metadata_hash)
            }
            _ => None,
        });
        assert_eq!(hash.last().unwrap_or(0), expected, "{topics:?}");
    }
}

#[test]
fn the_same_requests_lead_to_the_same_records() {
    let mut driver = driver();
    let expected = records(&kafka_wrote());
    let heartbeat = |driver: &mut Driver, client_id: &str, request: ConsumerGroupHeartbeatRequest| {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "modern".into(),
            rebalance_timeout_ms: if request.rebalance_timeout_ms == -1 {
                -1
            } else {
                300_000
            },
            ..request
        };
        let asked = driver.ask_as(1, client_id, Command::consumer_group_heartbeat(request, 0));
        let response = driver.consumer_heard(asked);
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        response
    };
    // Values of several topics are compared by what they say: Kafka writes them in Java's order.
    let assert_written = |driver: &Driver| {
        let ours: Vec<_> = driver.log.iter().map(decoded).collect();
        let kafkas: Vec<_> = expected[..ours.len()].iter().map(decoded).collect();
        assert_eq!(ours, kafkas);
    };
    let mut one = Client::new("X8wfizU0RjyZxIcpqwfsmA", &["events"]);
    driver.now.timestamp = Timestamp(1_795_277_986_163);
    let joined = heartbeat(&mut driver, "one", one.full());
    one.hear(&joined);
    one.follow_assignment();
    assert_eq!(driver.log, expected[..5]);

    let mut two = Client::new("SHlsg1hlTfad6kliWSQ43A", &["events", "other"]).with_instance("i");
    driver.now.timestamp = Timestamp(1_795_277_987_998);
    let joined = heartbeat(&mut driver, "two", two.full());
    two.hear(&joined);
    two.follow_assignment();
    assert_eq!(driver.log.len(), 11);
    assert_written(&driver);
    let acknowledged = ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(two.owned_topics()),
        ..two.short()
    };
    heartbeat(&mut driver, "two", acknowledged);
    assert_eq!(driver.log.len(), 12);
    heartbeat(
        &mut driver,
        "two",
        ConsumerGroupHeartbeatRequest {
            member_epoch: -2,
            ..two.short()
        },
    );
    heartbeat(
        &mut driver,
        "one",
        ConsumerGroupHeartbeatRequest {
            member_epoch: -1,
            ..one.short()
        },
    );
    assert_eq!(driver.log.len(), 17);
    assert_written(&driver);
}

#[test]
fn we_take_over_where_kafka_stopped() {
    let batches = kafka_wrote();
    let mut driver = taken_over(batches.len());
    let modern = driver.consumer_group("modern");
    assert_eq!(
        (&*modern.group_state, modern.group_epoch, modern.assignment_epoch),
        ("Empty", 5, 3)
    );
    let regex = driver.consumer_group("regex");
    assert_eq!((&*regex.group_state, regex.group_epoch), ("Empty", 3));
    assert_eq!(driver.state("mixed"), "Empty", "it is a classic group again");
    driver.coordinator.assert_consistent(true);
    driver.coordinator.assert_sound();

    // At every moment before.
    for count in 0..batches.len() {
        let mut driver = taken_over(count);
        driver.coordinator.assert_consistent(true);
        driver.coordinator.assert_sound();
        let state = driver.consumer_group("regex").group_state;
        if &*state == "Stable" && driver.consumer_group("regex").group_epoch == 2 {
            // Its member goes on without noticing.
            let member = driver.consumer_group("regex").members.remove(0);
            let client = Client {
                epoch: 2,
                ..Client::new(&member.member_id, &[])
            };
            let request = ConsumerGroupHeartbeatRequest {
                group_id: Utf8Bytes::from("regex"),
                ..client.short()
            };
            driver.now.timestamp = Timestamp(1_795_277_995_400);
            let response = driver.consumer_heartbeat(request);
            assert_eq!((response.error_code, response.member_epoch), (0, 2));
            assert_eq!(
                driver.consumer_group("regex").group_epoch,
                2,
                "no rebalance: the hash is the same"
            );
        }
        driver.advance(std::time::Duration::from_secs(24 * 60 * 60));
        driver.coordinator.assert_consistent(true);
    }
}
