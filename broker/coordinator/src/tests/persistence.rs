//! Reading back what any Kafka may have written, and what becomes of groups when a coordinator takes over or goes.

use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::ErrorCode::{
    self, CoordinatorLoadInProgress, GroupIdNotFound, InconsistentGroupProtocol, NotCoordinator,
    UnknownMemberId,
};
use forebay_protocol::internal_record::{GroupRecordKey, GroupRecordValue};
use forebay_protocol::messages::group_metadata_value::MemberMetadata;
use forebay_protocol::messages::{
    GroupMetadataKey, GroupMetadataValue, HeartbeatRequest, LegacyOffsetCommitKey, LegacyOffsetCommitValue,
    OffsetCommitKey, OffsetCommitRequest, OffsetCommitValue,
};
use forebay_records::{NO_PRODUCER_ID, Offset, ProducerId};

use super::Driver;
use super::driver::{GROUP, SESSION, error, join, replayed, subscription, sync, text};
use super::offsets::{all_offsets, commit, committed};
use crate::{
    Command, Config, Error, GroupCoordinator, Record, Request, RequestContext, RequestId, Response, Source,
};

fn source(offset: i64, producer_id: i64) -> Source {
    Source {
        offset: Offset(offset),
        producer_id: ProducerId(producer_id),
    }
}

fn group_record(value: GroupMetadataValue, version: i16) -> Record {
    Record {
        key: GroupRecordKey::GroupMetadata(GroupMetadataKey { group: GROUP.into() })
            .to_bytes()
            .expect("short"),
        value: Some(
            GroupRecordValue::GroupMetadata(value)
                .to_bytes(version)
                .expect("short"),
        ),
    }
}

fn offset_record(partition: i32, value: Option<OffsetCommitValue>, version: i16) -> Record {
    let key = OffsetCommitKey {
        group: GROUP.into(),
        topic: text("t"),
        partition,
    };
    Record {
        key: GroupRecordKey::OffsetCommit(key).to_bytes().expect("short"),
        value: value.map(|value| {
            GroupRecordValue::OffsetCommit(value)
                .to_bytes(version)
                .expect("short")
        }),
    }
}

/// Takes over a log that somebody else has written.
fn taken_over(log: Vec<Record>) -> Driver {
    let mut driver = Driver::new();
    driver.log = log;
    driver.restart();
    driver
}

#[test]
fn groups_of_every_version_are_read() {
    for version in 0..=4 {
        let member = MemberMetadata {
            member_id: text("m"),
            group_instance_id: (version >= 3).then(|| text("i")),
            client_id: text("c"),
            client_host: text("/h"),
            rebalance_timeout: 7_000,
            session_timeout: 6_000,
            subscription: subscription(&["t"]),
            assignment: Bytes::from_static(b"assigned"),
            ..Default::default()
        };
        let value = GroupMetadataValue {
            protocol_type: text("consumer"),
            generation: 4,
            protocol: Some(text("range")),
            leader: Some(text("m")),
            current_state_timestamp: 1,
            members: vec![member],
            ..Default::default()
        };
        let mut driver = taken_over(vec![group_record(value, version)]);
        assert_eq!(driver.state(GROUP), "Stable");
        let instance = (version >= 3).then_some("i");
        assert_eq!(
            driver.heartbeat_as("m", instance, 4),
            ErrorCode::None,
            "version {version}"
        );
        let request = forebay_protocol::messages::SyncGroupRequest {
            protocol_type: Some(text("consumer")),
            protocol_name: Some(text("range")),
            ..sync("m", 4, &[])
        };
        let id = driver.ask(Command::SyncGroup(request));
        assert_eq!(&*driver.synced(id).assignment, b"assigned", "version {version}");
        // The session begins when the coordinator takes over.
        driver.advance(Duration::from_millis(5_999));
        assert_eq!(driver.state(GROUP), "Stable");
        driver.advance(Duration::from_millis(1));
        assert_ne!(driver.state(GROUP), "Stable", "version {version}");
    }
}

#[test]
fn offsets_of_every_version_are_read() {
    for version in 0..=4 {
        let value = OffsetCommitValue {
            offset: 42,
            metadata: text("note"),
            commit_timestamp: 1_700_000_000_000,
            ..Default::default()
        };
        let mut driver = taken_over(vec![offset_record(3, Some(value), version)]);
        assert_eq!(
            all_offsets(&mut driver, GROUP),
            [("t".to_owned(), 3, 42)],
            "version {version}"
        );
    }
    let key = LegacyOffsetCommitKey {
        group: GROUP.into(),
        topic: text("t"),
        partition: 0,
    };
    let value = LegacyOffsetCommitValue {
        offset: 9,
        metadata: text("m"),
        commit_timestamp: 1,
    };
    let legacy = Record {
        key: GroupRecordKey::LegacyOffsetCommit(key).to_bytes().expect("short"),
        value: Some(
            GroupRecordValue::LegacyOffsetCommit(value)
                .to_bytes(0)
                .expect("short"),
        ),
    };
    let mut driver = taken_over(vec![legacy.clone()]);
    assert_eq!(all_offsets(&mut driver, GROUP), [("t".to_owned(), 0, 9)]);
    let tombstone = Record {
        value: None,
        ..legacy.clone()
    };
    let mut driver = taken_over(vec![legacy, tombstone]);
    assert_eq!(all_offsets(&mut driver, GROUP), []);
    assert_eq!(driver.state(GROUP), "Dead");
}

#[test]
fn records_that_mean_nothing_here_are_counted_and_damaged_ones_refused() {
    let mut coordinator = GroupCoordinator::new(Config::default());
    let at = source(0, NO_PRODUCER_ID.0);
    for key in [&b"\0\x0awhatever"[..], b"\x7f\xff", b"\xff\xff", b"\0\x0d"] {
        let key = Bytes::copy_from_slice(key);
        coordinator
            .replay(at, Some(&key), Some(&Bytes::from_static(b"?")))
            .expect("no business of ours");
        coordinator
            .replay(at, Some(&key), None)
            .expect("no business of ours");
    }
    assert_eq!(coordinator.unknown_records(), 8);

    let group = group_record(
        GroupMetadataValue {
            members: vec![MemberMetadata::default()],
            ..Default::default()
        },
        3,
    );
    let value = group.value.expect("no tombstone");
    assert!(matches!(coordinator.replay(at, None, None), Err(Error::NoKey)));
    for key in [
        &b""[..],
        b"\0",
        b"\0\x01",
        b"\0\x02\0\x05ab",
        b"\0\x02\0\x01\xff",
        b"\0\x02\0\x01ax",
        b"\0\x03\0",
    ] {
        let key = Bytes::copy_from_slice(key);
        let result = coordinator.replay(at, Some(&key), Some(&value));
        assert!(matches!(result, Err(Error::Key(_))), "{key:?}: {result:?}");
    }
    for length in 0..value.len() {
        let result = coordinator.replay(at, Some(&group.key), Some(&value.slice(..length)));
        assert!(
            matches!(result, Err(Error::Value(_))),
            "{length} bytes: {result:?}"
        );
    }
    let from_the_future = Bytes::from_static(b"\0\x05");
    assert!(matches!(
        coordinator.replay(at, Some(&group.key), Some(&from_the_future)),
        Err(Error::Value(_))
    ));
    let _ = coordinator.activate(Driver::new().now);
    assert_eq!(coordinator.group_count(), 0);
}

#[test]
fn a_group_whose_members_contradict_each_other_does_no_harm() {
    // The same member twice, the same instance twice, a leader that is none, no protocol.
    let member = |id: &str| MemberMetadata {
        member_id: id.into(),
        group_instance_id: Some(text("i")),
        session_timeout: 6_000,
        ..Default::default()
    };
    let value = GroupMetadataValue {
        protocol_type: text("x"),
        generation: 1,
        protocol: None,
        leader: Some(text("nobody")),
        members: vec![member("a"), member("a"), member("b")],
        ..Default::default()
    };
    let mut driver = taken_over(vec![group_record(value, 3)]);
    let id = driver.join(join("a"));
    assert_eq!(error(driver.joined(id).error_code), InconsistentGroupProtocol);
    driver.advance(Duration::from_secs(60));
    assert_eq!(driver.state(GROUP), "Empty");
}

#[test]
fn groups_of_another_protocol_are_neither_served_nor_harmed() {
    let exists = Record {
        // ShareGroupMetadata, whose messages we do not have.
        key: Bytes::from_static(b"\0\x0b\0\x05group"),
        value: Some(Bytes::from_static(b"\0\0\0\0\0\x01\0")),
    };
    let value = OffsetCommitValue {
        offset: 42,
        commit_timestamp: 1,
        ..Default::default()
    };
    let log = vec![exists.clone(), offset_record(0, Some(value), 4)];
    let mut driver = taken_over(log.clone());
    assert_eq!(driver.coordinator.unknown_records(), 1);
    let id = driver.join(join(""));
    assert_eq!(error(driver.joined(id).error_code), InconsistentGroupProtocol);
    assert_eq!(driver.heartbeat("m", 1), UnknownMemberId);
    assert_eq!(driver.state(GROUP), "Dead");
    let id = driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    let Some(Response::DeleteGroups(results)) = driver.answer(id) else {
        panic!("no answer")
    };
    assert_eq!(error(results[0].error_code), GroupIdNotFound);
    let member = OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        ..commit(GROUP, &[("t", 0, 1)])
    };
    assert_eq!(committed(&mut driver, member), UnknownMemberId);
    driver.advance(Duration::from_secs(60 * 60 * 24 * 30));
    assert_eq!(
        all_offsets(&mut driver, GROUP),
        [("t".to_owned(), 0, 42)],
        "its offsets do not expire"
    );
    assert_eq!(driver.log, log, "nothing was written about it");
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("t", 0, 43)])),
        ErrorCode::None
    );
    assert_eq!(driver.state(GROUP), "Dead", "an offset makes it no classic group");

    let mut driver = taken_over(vec![
        exists.clone(),
        Record {
            value: None,
            ..exists
        },
    ]);
    driver.join_with_id(|request| request);
}

#[test]
fn what_a_transaction_commits_counts_from_its_end_on_and_what_it_aborts_never_did() {
    let value = |offset| {
        Some(OffsetCommitValue {
            offset,
            commit_timestamp: 1,
            ..Default::default()
        })
    };
    let (plain, txn) = (NO_PRODUCER_ID.0, 9);
    // Records (offset in the log, producer, committed offset or tombstone), whether the transaction commits, what is left.
    type Case = (&'static [(i64, i64, Option<i64>)], Option<bool>, Option<i64>);
    let cases: [Case; 9] = [
        (&[(0, 9, Some(5))], None, None),
        (&[(0, 9, Some(5))], Some(true), Some(5)),
        (&[(0, 9, Some(5))], Some(false), None),
        (&[(0, -1, Some(1)), (1, 9, Some(5))], Some(true), Some(5)),
        (&[(0, -1, Some(1)), (1, 9, Some(5))], Some(false), Some(1)),
        (&[(0, 9, Some(5)), (1, -1, Some(1))], Some(true), Some(1)),
        (&[(0, 9, Some(5)), (1, 9, Some(6))], Some(true), Some(6)),
        (&[(0, 9, Some(5)), (1, -1, None)], Some(true), None),
        (&[(0, 8, Some(5))], Some(true), None),
    ];
    for (records, end, left) in cases {
        let mut driver = Driver::new();
        let mut coordinator = replayed(&driver.config, &[]);
        for (offset, producer_id, committed) in records {
            let record = offset_record(0, committed.and_then(value), 4);
            let at = source(*offset, if *producer_id == -1 { plain } else { *producer_id });
            coordinator
                .replay(at, Some(&record.key), record.value.as_ref())
                .expect("readable");
        }
        if let Some(committed) = end {
            coordinator.replay_end_of_transaction(ProducerId(txn), committed);
        }
        driver.coordinator = coordinator;
        let outcome = driver.coordinator.activate(driver.now);
        driver.take(outcome);
        let expected: Vec<_> = left
            .map(|offset| ("t".to_owned(), 0, offset))
            .into_iter()
            .collect();
        assert_eq!(all_offsets(&mut driver, GROUP), expected, "{records:?}, {end:?}");
        // As long as a transaction is open its group stays.
        driver.advance(Duration::from_secs(60 * 60 * 24 * 30));
        let is_open = end.is_none() || records[0].1 == 8;
        assert_eq!(
            driver.state(GROUP),
            if is_open { "Empty" } else { "Dead" },
            "{records:?}, {end:?}"
        );
    }
}

#[test]
fn a_coordinator_that_resigns_leaves_nobody_waiting() {
    let mut driver = Driver::new();
    let (ids, _) = driver.stable_group(2);
    let join_waits = driver.join(join(&ids[0]));
    driver.hold = true;
    let commit_waits = driver.ask(Command::OffsetCommit(commit("simple", &[("t", 0, 1)])));
    let id = driver.ask_as(3, "client", Command::JoinGroup(join(""), 1));
    driver.restart();
    assert!(driver.unanswered.is_empty());
    for id in [join_waits, id] {
        assert_eq!(error(driver.joined(id).error_code), NotCoordinator);
    }
    let Some(Response::OffsetCommit(response)) = driver.answer(commit_waits) else {
        panic!("no answer")
    };
    assert_eq!(super::driver::first_error(&response), NotCoordinator);
    // Members of the last generation that was written find it again.
    driver.hold = false;
    assert_eq!(driver.heartbeat(&ids[1], 1), ErrorCode::None);
    driver.advance(SESSION);
    assert_eq!(driver.state(GROUP), "Empty");
}

#[test]
fn a_group_that_has_become_too_large_has_to_shrink() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(3);
    driver.config.group_size_max = 2;
    driver.restart();
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    let joins: Vec<RequestId> = ids.iter().map(|id| driver.join(join(id))).collect();
    assert_eq!(
        error(driver.joined(joins[2]).error_code),
        ErrorCode::GroupMaxSizeReached
    );
    driver.advance(Duration::from_secs(60));
    assert_eq!(driver.joined(joins[0]).generation_id, generation + 1);
    assert_eq!(driver.joined(joins[1]).generation_id, generation + 1);
}

fn refused(api_version: i16, command: Command, error: ErrorCode) -> Response {
    let context = RequestContext {
        api_version,
        client_id: text("c"),
        client_host: text("/h"),
    };
    Request {
        id: RequestId(1),
        context,
        command,
    }
    .refuse(error)
    .response
}

#[test]
fn who_is_no_coordinator_refuses_in_the_words_of_each_api() {
    let Response::JoinGroup(response) = refused(5, Command::JoinGroup(join("m"), 0), NotCoordinator) else {
        panic!("another API")
    };
    assert_eq!(
        (error(response.error_code), &*response.member_id),
        (NotCoordinator, "m")
    );
    assert_eq!(
        response.protocol_name,
        Some(text("")),
        "not null before version 7"
    );
    for (asked, told) in [
        (CoordinatorLoadInProgress, ErrorCode::None),
        (NotCoordinator, NotCoordinator),
    ] {
        let command = Command::Heartbeat(HeartbeatRequest::default());
        let Response::Heartbeat(response) = refused(4, command, asked) else {
            panic!("another API")
        };
        assert_eq!(
            error(response.error_code),
            told,
            "a heartbeat is not worth a retry"
        );
    }
    let Response::OffsetCommit(response) = refused(
        9,
        Command::OffsetCommit(commit("g", &[("t", 0, 1), ("u", 2, 1)])),
        NotCoordinator,
    ) else {
        panic!("another API")
    };
    assert!(
        response
            .topics
            .iter()
            .all(|topic| error(topic.partitions[0].error_code) == NotCoordinator)
    );
    assert_eq!(response.topics[1].partitions[0].partition_index, 2);
}

/// Version 1 has no place for an error but the partitions.
#[test]
fn who_is_no_coordinator_refuses_a_fetch_where_its_version_looks() {
    use forebay_protocol::messages::offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    };
    for version in [1, 2] {
        let topics = Some(vec![OffsetFetchRequestTopics {
            name: text("t"),
            partition_indexes: vec![3],
            ..Default::default()
        }]);
        let group = OffsetFetchRequestGroup {
            group_id: text("g"),
            topics,
            ..Default::default()
        };
        let command = Command::OffsetFetch {
            group,
            require_stable: false,
        };
        let Response::OffsetFetch(response) = refused(version, command, NotCoordinator) else {
            panic!("another API")
        };
        let (group_error, partitions) = (error(response.error_code), response.topics.len());
        assert_eq!(
            (group_error, partitions),
            if version >= 2 {
                (NotCoordinator, 0)
            } else {
                (ErrorCode::None, 1)
            }
        );
    }
}
