//! Offsets as part of transactions: who reads them when, who may commit them, what they keep alive (KIP-98, 447).

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::TxnOffsetCommitRequest;
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::Driver;
use super::driver::{GROUP, error, join, text};
use super::offsets::{all_offsets, commit, committed};
use crate::{Command, EndOfTransaction, RequestId, Response, TransactionPart};

const DAY: Duration = Duration::from_secs(60 * 60 * 24);

pub(super) fn txn_commit(group: &str, producer: i64, offsets: &[(&str, i32, i64)]) -> TxnOffsetCommitRequest {
    let topics =
        offsets.iter().map(
            |(topic, partition_index, committed_offset)| TxnOffsetCommitRequestTopic {
                name: (*topic).into(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: *partition_index,
                    committed_offset: *committed_offset,
                    committed_metadata: Some(text("note")),
                    ..Default::default()
                }],
                ..Default::default()
            },
        );
    TxnOffsetCommitRequest {
        transactional_id: format!("transactional-{producer}").as_str().into(),
        group_id: group.into(),
        producer_id: producer,
        generation_id: -1,
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(super) fn end_of_transaction(producer: i64, commit: bool) -> EndOfTransaction {
    EndOfTransaction {
        producer_id: producer.into(),
        producer_epoch: 0.into(),
        coordinator_epoch: 1,
        transaction_version: 1,
        commit,
    }
}

fn committed_in(driver: &mut Driver, request: TxnOffsetCommitRequest) -> ErrorCode {
    let id = driver.ask(Command::TxnOffsetCommit {
        request,
        verification: 7,
    });
    match driver.answer(id) {
        Some(Response::TxnOffsetCommit(response)) => error(response.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

fn end(driver: &mut Driver, producer: i64, commit: bool) {
    let id = driver.ask(Command::EndTransaction(end_of_transaction(producer, commit)));
    assert_eq!(driver.answer(id), Some(Response::EndTransaction(Ok(()))));
}

/// Offset and error of partition 0 of topic `t`, for those who ask for stable ones and for the others.
fn seen(driver: &mut Driver) -> [(i64, ErrorCode); 2] {
    [true, false].map(|require_stable| {
        let topic = OffsetFetchRequestTopics {
            name: text("t"),
            partition_indexes: vec![0],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let id = driver.ask(Command::OffsetFetch {
            group,
            require_stable,
        });
        match driver.answer(id) {
            Some(Response::OffsetFetch(group)) => {
                let partition = &group.topics[0].partitions[0];
                (partition.committed_offset, error(partition.error_code))
            }
            other => panic!("{other:?}"),
        }
    })
}

const UNSTABLE: (i64, ErrorCode) = (-1, ErrorCode::UnstableOffsetCommit);

fn stable(offset: i64) -> [(i64, ErrorCode); 2] {
    [(offset, ErrorCode::None); 2]
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    for commits in [true, false] {
        let mut driver = Driver::new();
        committed(&mut driver, commit(GROUP, &[("t", 0, 1)]));
        let answer = committed_in(&mut driver, txn_commit(GROUP, 9, &[("t", 0, 5)]));
        assert_eq!(answer, ErrorCode::None);
        assert_eq!(seen(&mut driver), [UNSTABLE, (1, ErrorCode::None)]);
        // Another broker takes over in the middle.
        driver.restart();
        assert_eq!(seen(&mut driver), [UNSTABLE, (1, ErrorCode::None)]);
        end(&mut driver, 8, true);
        assert_eq!(seen(&mut driver)[0], UNSTABLE, "another producer's");
        end(&mut driver, 9, commits);
        let expected = stable(if commits { 5 } else { 1 });
        assert_eq!(seen(&mut driver), expected);
        end(&mut driver, 9, !commits);
        assert_eq!(seen(&mut driver), expected, "it was over");
        driver.restart();
        assert_eq!(seen(&mut driver), expected);
    }
}

/// The newest commit counts, whichever transaction ends first.
#[test]
fn of_several_commits_the_newest_counts() {
    // Commits in their order, a producer's or plain; then who commits, in this order; what counts.
    type Case = (&'static [(Option<i64>, i64)], &'static [i64], i64);
    let cases: [Case; 6] = [
        (&[(Some(1), 10), (Some(2), 20)], &[1, 2], 20),
        (&[(Some(1), 10), (Some(2), 20)], &[2, 1], 20),
        (&[(Some(1), 10), (None, 30)], &[1], 30),
        (&[(None, 30), (Some(1), 10)], &[1], 10),
        (&[(Some(1), 10), (None, 30), (Some(1), 11)], &[1], 11),
        (&[(Some(1), 10), (Some(2), 20), (None, 30)], &[2, 1], 30),
    ];
    for (commits, ends, expected) in cases {
        for restarts in [false, true] {
            let mut driver = Driver::new();
            for (producer, offset) in commits {
                let offsets = [("t", 0, *offset)];
                match producer {
                    Some(producer) => {
                        committed_in(&mut driver, txn_commit(GROUP, *producer, &offsets));
                    }
                    None => {
                        committed(&mut driver, commit(GROUP, &offsets));
                    }
                }
            }
            for producer in ends {
                if restarts {
                    driver.restart();
                }
                end(&mut driver, *producer, true);
            }
            assert_eq!(seen(&mut driver), stable(expected), "{commits:?} {ends:?}");
        }
    }
}

#[test]
fn who_says_to_be_a_member_must_be_one_and_who_does_not_may_commit() {
    let mut driver = Driver::new();
    let unknown = TxnOffsetCommitRequest {
        generation_id: 1,
        ..txn_commit(GROUP, 9, &[("t", 0, 5)])
    };
    assert_eq!(committed_in(&mut driver, unknown), ErrorCode::IllegalGeneration);
    let nameless = txn_commit("", 9, &[("t", 0, 5)]);
    assert_eq!(committed_in(&mut driver, nameless), ErrorCode::InvalidGroupId);
    let (members, generation) = driver.stable_group(1);
    let claims = |member: &str, generation_id: i32| TxnOffsetCommitRequest {
        member_id: member.into(),
        generation_id,
        ..txn_commit(GROUP, 9, &[("t", 0, 5)])
    };
    for (member, generation, expected) in [
        (&*members[0], generation, ErrorCode::None),
        (&*members[0], generation - 1, ErrorCode::IllegalGeneration),
        ("somebody", generation, ErrorCode::UnknownMemberId),
        ("", -1, ErrorCode::None),
    ] {
        let answer = committed_in(&mut driver, claims(member, generation));
        assert_eq!(answer, expected, "{member} {generation}");
    }
    let long = "x".repeat(5_000);
    let mut request = txn_commit(GROUP, 9, &[("t", 0, 5)]);
    request.topics[0].partitions[0].committed_metadata = Some(text(&long));
    assert_eq!(
        committed_in(&mut driver, request),
        ErrorCode::OffsetMetadataTooLarge
    );
}

#[test]
fn an_open_transaction_keeps_its_offsets_and_its_group() {
    let mut driver = Driver::new();
    committed(&mut driver, commit(GROUP, &[("t", 0, 1)]));
    committed_in(&mut driver, txn_commit(GROUP, 9, &[("t", 0, 5)]));
    driver.advance(DAY * 30);
    assert_eq!(seen(&mut driver), [UNSTABLE, (1, ErrorCode::None)]);
    end(&mut driver, 9, true);
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 1);
    driver.advance(DAY * 30);
    assert_eq!(driver.coordinator.group_count(), 0);
}

#[test]
fn what_is_deleted_does_not_come_back_with_the_transaction() {
    let mut driver = Driver::new();
    committed_in(&mut driver, txn_commit(GROUP, 9, &[("t", 0, 5), ("u", 0, 6)]));
    driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    assert_eq!(driver.coordinator.group_count(), 0);
    end(&mut driver, 9, true);
    assert_eq!(all_offsets(&mut driver, GROUP), []);
    driver.restart();
    assert_eq!(all_offsets(&mut driver, GROUP), []);
}

/// The batch is the producer's own, and the marker nobody's but its.
#[test]
fn the_driver_is_told_whose_transaction_it_is() {
    let mut driver = Driver::new();
    committed_in(&mut driver, txn_commit(GROUP, 9, &[("t", 0, 5), ("t", 1, 5)]));
    end(&mut driver, 9, true);
    let part = TransactionPart::Records {
        producer_id: 9.into(),
        producer_epoch: 0.into(),
        verification: 7,
    };
    let end = TransactionPart::End(end_of_transaction(9, true));
    assert_eq!(driver.transactions, [(0, part), (1, part), (2, end)]);
}

/// Commits offset 1 of partition 0 of topic `t`, later than a part of a transaction that is not settled.
fn commit_later(driver: &mut Driver, group: &str) -> RequestId {
    driver.ask(Command::OffsetCommit(commit(group, &[("t", 0, 1)])))
}

fn told(driver: &mut Driver, request: RequestId) -> Option<ErrorCode> {
    match driver.answer(request)? {
        Response::OffsetCommit(response) => Some(super::driver::first_error(&response)),
        Response::TxnOffsetCommit(response) => Some(error(response.topics[0].partitions[0].error_code)),
        Response::EndTransaction(result) => Some(result.err().unwrap_or(ErrorCode::None)),
        other => panic!("{other:?}"),
    }
}

/// What a log refuses for its producer's sake is taken back alone: what others have decided meanwhile stands, and is committed.
#[test]
fn what_is_wrong_with_a_producer_is_no_affair_of_others() {
    let refused = Command::TxnOffsetCommit {
        request: txn_commit(GROUP, 9, &[("t", 0, 5)]),
        verification: 7,
    };
    for part in [refused, Command::EndTransaction(end_of_transaction(9, true))] {
        let mut driver = Driver::new();
        driver.hold = true;
        let before = commit_later(&mut driver, "before");
        let part = driver.ask(part);
        let others = ["before", GROUP, "other"].map(|group| commit_later(&mut driver, group));
        driver.refuse(0, ErrorCode::InvalidProducerEpoch);
        assert_eq!(told(&mut driver, part), Some(ErrorCode::InvalidProducerEpoch));
        assert_eq!(others.map(|other| told(&mut driver, other)), [None; 3]);
        driver.commit();
        for other in others.into_iter().chain([before]) {
            assert_eq!(told(&mut driver, other), Some(ErrorCode::None));
        }
        assert_eq!(seen(&mut driver), stable(1));
        assert_eq!(driver.coordinator.group_count(), 3);
    }
}

/// However many are refused at once, what was decided after them is said once more, not once for each.
#[test]
fn many_that_are_refused_at_once_cost_little_more_than_one() {
    const EACH: usize = 300;
    let driver = || {
        let mut driver = Driver::new();
        driver.hold = true;
        let mut asked = Vec::new();
        for number in 0..EACH {
            let group = format!("group-{}", number % 100);
            let part = driver.ask(Command::TxnOffsetCommit {
                request: txn_commit(&group, 9 + number as i64, &[("t", 0, 5)]),
                verification: 7,
            });
            let group = format!("group-{}", number % 150);
            asked.push((part, commit_later(&mut driver, &group)));
        }
        (driver, asked)
    };
    let error = ErrorCode::InvalidProducerEpoch;
    let (mut at_once, asked) = driver();
    let before = at_once.coordinator.parts_written();
    at_once.refuse_some(0, EACH, error);
    assert_eq!(at_once.coordinator.parts_written() - before, EACH);
    // And come to the same as one after the other.
    let (mut one_by_one, _) = driver();
    for _ in 0..EACH {
        one_by_one.refuse(0, error);
    }
    for mut driver in [at_once, one_by_one] {
        driver.coordinator.assert_consistent(false);
        driver.commit();
        for (part, later) in &asked {
            assert_eq!(told(&mut driver, *part), Some(error));
            assert_eq!(told(&mut driver, *later), Some(ErrorCode::None));
        }
        assert_eq!(driver.coordinator.group_count(), 150);
        driver.coordinator.assert_consistent(true);
    }
}

/// The group that it would have brought into being is there for those who have joined it since, and for nobody else.
#[test]
fn a_group_that_a_refused_commit_would_have_made() {
    for joins in [true, false] {
        let mut driver = Driver::new();
        driver.hold = true;
        let request = txn_commit(GROUP, 9, &[("t", 0, 5)]);
        driver.ask(Command::TxnOffsetCommit {
            request,
            verification: 7,
        });
        let joining = joins.then(|| driver.join_as(3, join("")));
        driver.refuse(0, ErrorCode::InvalidTxnState);
        assert_eq!(driver.coordinator.group_count(), usize::from(joins));
        if let Some(joining) = joining {
            assert_eq!(driver.answer(joining), None, "it waits for the others");
            driver.advance(Duration::from_secs(3));
            assert_eq!(error(driver.joined(joining).error_code), ErrorCode::None);
        }
    }
}

/// An end that the log refuses has ended nothing, also where the group was deleted on the strength of it.
#[test]
fn a_refused_end_leaves_the_transaction_open() {
    let mut driver = Driver::new();
    committed_in(&mut driver, txn_commit(GROUP, 9, &[("t", 0, 5)]));
    driver.hold = true;
    let end = driver.ask(Command::EndTransaction(end_of_transaction(9, false)));
    driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    let topic = OffsetFetchRequestTopics {
        name: text("t"),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let reader = driver.ask(Command::OffsetFetch {
        group: OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        },
        require_stable: true,
    });
    driver.refuse(0, ErrorCode::TransactionCoordinatorFenced);
    assert_eq!(
        told(&mut driver, end),
        Some(ErrorCode::TransactionCoordinatorFenced)
    );
    match driver.answer(reader) {
        Some(Response::OffsetFetch(group)) => assert_eq!(error(group.error_code), ErrorCode::NotCoordinator),
        other => panic!("{other:?}"),
    }
    driver.commit();
    driver.hold = false;
    assert_eq!(seen(&mut driver)[0], UNSTABLE);
    driver.coordinator.assert_consistent(true);
}
