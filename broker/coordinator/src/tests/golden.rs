//! A partition of `__consumer_offsets` as a live Apache Kafka 4.3.1 wrote it: one partition, no initial delay, Java clients. In it: `classic`, of a static and
//! a dynamic member, where the dynamic one leaves, the static one commits, comes back under another id, and is gone in the end; `modern`,
//! of the consumer protocol (KIP-848); `simple`, `gone` and `fewer`, whose offsets an administrator set and, of the latter two, deleted;
//! `transactional`, with one transaction committed and one aborted.

use bytes::Bytes;
use forebay_protocol::Uuid;
use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::{OffsetCommitRequest, SyncGroupRequest};
use forebay_records::{NO_PRODUCER_ID, RecordBatch, Timestamp, batches};
use proptest::prelude::*;

use super::Driver;
use super::driver::{error, join, text};
use super::offsets::{all_offsets, committed};
use crate::classic::ClassicGroup;
use crate::record::CoordinatorRecord;
use crate::{Command, Config, GroupCoordinator, Record, Source};

const LOG: &[u8] = include_bytes!("kafka-4.3.1-consumer-offsets.log");

fn kafka_wrote() -> Vec<RecordBatch> {
    let batches: Vec<RecordBatch> = batches(Bytes::from_static(LOG))
        .collect::<Result<_, _>>()
        .expect("Kafka wrote it");
    batches
        .iter()
        .for_each(|batch| batch.ensure_valid().expect("Kafka wrote it"));
    batches
}

/// The record at an offset, if it is one of ours.
fn record_at(offset: i64) -> Record {
    let batches = kafka_wrote();
    let records = batches.iter().filter(|batch| !batch.header().is_control());
    let mut records = records.flat_map(|batch| batch.records().expect("readable"));
    let record = records.find_map(|record| record.ok().filter(|record| record.offset.0 == offset));
    let record = record.expect("the log has it");
    Record {
        key: record.key.expect("a key"),
        value: record.value,
    }
}

/// Takes over Kafka's partition at the moment of its last record.
fn taken_over() -> Driver {
    let mut driver = Driver::new();
    driver.now.timestamp = Timestamp(1_795_254_988_062);
    driver.coordinator = GroupCoordinator::new(Config::default());
    for batch in kafka_wrote() {
        driver
            .coordinator
            .replay_batch(&batch)
            .expect("we read what Kafka writes");
    }
    let outcome = driver.coordinator.activate(driver.now);
    driver.take(outcome);
    driver
}

#[test]
fn we_take_over_where_kafka_stopped() {
    let mut driver = taken_over();
    let states =
        ["classic", "simple", "fewer", "transactional", "gone", "modern"].map(|group| driver.state(group));
    assert_eq!(states, ["Empty", "Empty", "Empty", "Empty", "Dead", "Dead"]);
    let modern = driver.consumer_group("modern");
    assert_eq!(
        (&*modern.group_state, modern.group_epoch, modern.assignment_epoch),
        ("Empty", 3, 2)
    );
    let offsets = |driver: &mut Driver, group: &str| -> Vec<(i32, i64)> {
        all_offsets(driver, group)
            .into_iter()
            .map(|(_, partition, offset)| (partition, offset))
            .collect()
    };
    // As kafka-consumer-groups.sh --describe showed them.
    let cases: [(&str, &[(i32, i64)]); 6] = [
        ("classic", &[(0, 11), (1, 5)]),
        ("modern", &[(0, 0), (1, 0), (2, 0)]),
        ("simple", &[(2, 3)]),
        ("fewer", &[(1, 4)]),
        ("transactional", &[(0, 100)]),
        ("gone", &[]),
    ];
    for (group, expected) in cases {
        assert_eq!(offsets(&mut driver, group), expected, "{group}");
    }
    assert_eq!(
        driver.coordinator.unknown_records(),
        0,
        "everything in it means something here"
    );
    // The group goes on from Kafka's generation.
    let id = driver.join_as(
        3,
        forebay_protocol::messages::JoinGroupRequest {
            group_id: text("classic"),
            ..join("")
        },
    );
    driver.advance(std::time::Duration::from_secs(3));
    assert_eq!(driver.joined(id).generation_id, 5);
}

#[test]
fn what_kafka_wrote_we_write_byte_for_byte() {
    let mut written = 0;
    for batch in kafka_wrote().iter().filter(|batch| !batch.header().is_control()) {
        for record in batch.records().expect("readable") {
            let record = record.expect("readable");
            let key = record.key.expect("a key");
            let decoded = CoordinatorRecord::decode(&key, record.value.as_ref()).expect("known");
            if matches!(
                decoded,
                CoordinatorRecord::OtherGroup { .. } | CoordinatorRecord::Unknown
            ) {
                continue;
            }
            let encoded = decoded.encode().expect("it was written before");
            assert_eq!(
                encoded,
                Record {
                    key,
                    value: record.value
                },
                "{decoded:?}"
            );
            if let CoordinatorRecord::Group(id, Some(mut metadata)) = decoded {
                // Nor does the group lose anything on its way through our state, except Java's order of its members.
                metadata.members.sort_by(|one, other| one.id.cmp(&other.id));
                assert_eq!(ClassicGroup::load(id, &metadata).to_metadata(None), metadata);
            }
            written += 1;
        }
    }
    assert_eq!(written, 31);
}

#[test]
fn the_same_requests_lead_to_the_same_bytes() {
    let mut driver = Driver::with(Config {
        initial_rebalance_delay: std::time::Duration::ZERO,
        ..Config::default()
    });
    let at = |driver: &mut Driver, timestamp| driver.now.timestamp = Timestamp(timestamp);

    // Offset 0: the group comes to be. Offset 1: its leader, static-1, has assigned.
    at(&mut driver, 1_795_254_971_705);
    let CoordinatorRecord::Group(_, Some(expected)) = decoded(1) else {
        panic!("the group's first generation")
    };
    let member = &expected.members[0];
    let request = forebay_protocol::messages::JoinGroupRequest {
        group_id: text("classic"),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        group_instance_id: member.instance_id.clone(),
        protocol_type: text("consumer"),
        protocols: vec![
            forebay_protocol::messages::join_group_request::JoinGroupRequestProtocol {
                name: text("range"),
                metadata: member.subscription.clone(),
                ..Default::default()
            },
        ],
        ..Default::default()
    };
    let random = 0xe627_35c1_48af_4a15_b825_bf4e_3eba_e6ef;
    let joining = driver.ask_as(9, &member.client_id, Command::JoinGroup(request, random));
    assert_eq!(driver.log, [record_at(0)]);
    at(&mut driver, 1_795_254_971_732);
    driver.advance(std::time::Duration::ZERO);
    let joined = driver.joined(joining);
    assert_eq!((joined.generation_id, &joined.member_id), (1, &member.id));
    let syncing = driver.ask(Command::SyncGroup(SyncGroupRequest {
        group_id: text("classic"),
        generation_id: 1,
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        assignments: vec![
            forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment {
                member_id: member.id.clone(),
                assignment: member.assignment.clone(),
                ..Default::default()
            },
        ],
        ..Default::default()
    }));
    assert_eq!(
        error(driver.synced(syncing).error_code),
        forebay_protocol::ErrorCode::None
    );
    assert_eq!(driver.log[1], record_at(1));

    // Offset 20: an administrator sets an offset. Offsets 22 and 23: deletes a group.
    at(&mut driver, 1_795_254_986_052);
    committed(&mut driver, commit_of_admin("simple"));
    assert_eq!(driver.log.last(), Some(&record_at(20)));
    at(&mut driver, 1_795_254_986_059);
    committed(&mut driver, commit_of_admin("gone"));
    assert_eq!(driver.log.last(), Some(&record_at(21)));
    driver.ask(Command::DeleteGroups(vec![text("gone")]));
    assert_eq!(driver.log[driver.log.len() - 2..], [record_at(22), record_at(23)]);
}

fn decoded(offset: i64) -> CoordinatorRecord {
    let record = record_at(offset);
    CoordinatorRecord::decode(&record.key, record.value.as_ref()).expect("known")
}

fn commit_of_admin(group: &str) -> OffsetCommitRequest {
    let topic_id: Uuid = "OIb68SA_QYq62leH9arHTA".parse().expect("an id");
    let partition = OffsetCommitRequestPartition {
        partition_index: 2,
        committed_offset: 3,
        committed_metadata: Some(text("")),
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: text("events"),
            topic_id,
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever a log holds, reading it ends in an error or in groups that live and expire like any others.
    #[test]
    fn damaged_records_do_no_harm(damage in proptest::collection::vec((0..33_i64, any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut driver = Driver::new();
        driver.coordinator = GroupCoordinator::new(Config::default());
        let intact = kafka_wrote();
        let records = intact.iter().filter(|batch| !batch.header().is_control());
        for record in records.flat_map(|batch| batch.records().expect("readable")) {
            let record = record.expect("readable");
            let mut bytes = [record.key.expect("a key").to_vec(), record.value.unwrap_or_default().to_vec()];
            for (offset, index, byte) in &damage {
                let part = &mut bytes[usize::from(byte % 3 > 0)];
                if *offset == record.offset.0 && !part.is_empty() {
                    let at = index.index(part.len());
                    part[at] ^= byte;
                }
            }
            let [key, value] = bytes.map(Bytes::from);
            let source = Source { offset: record.offset, producer_id: NO_PRODUCER_ID };
            let _refused = driver.coordinator.replay(source, Some(&key), Some(&value).filter(|value| !value.is_empty()));
        }
        let outcome = driver.coordinator.activate(driver.now);
        driver.take(outcome);
        driver.coordinator.assert_consistent(false);
        for _ in 0..3 {
            driver.advance(std::time::Duration::from_secs(60 * 60 * 24));
        }
        driver.coordinator.assert_consistent(false);
    }
}
