//! What becomes of requests and transactions when records or markers cannot be written, or the coordinator goes.

use std::time::Duration;

use forebay_protocol::messages::InitProducerIdRequest;
use forebay_protocol::{ErrorCode, TopicPartition};

use super::support::{
    Driver, TIMEOUT_MS, added, adding, ended, ending, init_request, initialized, partitions,
};
use crate::transaction::{Action, Command, Event, Markers, State, TransactionVersion};

/// What clients are told when the log says so.
const ERRORS: [(ErrorCode, ErrorCode); 5] = [
    (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::RequestTimedOut, ErrorCode::CoordinatorNotAvailable),
    (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
    (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
    (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
];

#[test]
fn what_cannot_be_written_has_not_happened() {
    for version in [TransactionVersion::V0, TransactionVersion::V2] {
        for (error, told) in ERRORS {
            let mut driver = Driver::with(version);
            driver.hold_appends = true;
            let asked = driver.send(4, Command::InitProducerId(init_request("t", None)));
            driver.fail_appends(error);
            assert_eq!(driver.answer(asked).map(initialized), Some(Err(told)));
            assert_eq!(driver.coordinator.transaction_count(), 0);

            driver.hold_appends = false;
            let producer = driver.init().expect("new");
            driver.hold_appends = true;
            let asked = driver.send(3, Command::AddPartitions(adding("t", producer, &[("a", 0)])));
            driver.fail_appends(error);
            assert_eq!(driver.answer(asked).map(added), Some(told));
            assert_eq!(driver.metadata().state, State::Empty);

            driver.hold_appends = false;
            assert_eq!(driver.add(producer, &[("a", 0)]), ErrorCode::None);
            driver.hold_appends = true;
            for api_version in [4, 5] {
                let command = Command::EndTransaction(ending("t", producer, true));
                let asked = driver.send(api_version, command);
                driver.fail_appends(error);
                assert_eq!(driver.answer(asked).map(ended), Some(Err(told)));
                assert_eq!(driver.metadata().state, State::Ongoing);
                assert!(driver.markers.is_empty());
            }
            let asked = driver.send(4, Command::InitProducerId(init_request("t", None)));
            driver.fail_appends(error);
            assert_eq!(driver.answer(asked).map(initialized), Some(Err(told)));
            driver.hold_appends = false;
            assert!(driver.end(4, producer, true).is_ok(), "it was not fenced");
        }
    }
}

/// One append fails, and all that were written after it with it, whichever ids they are of.
#[test]
fn later_appends_fail_with_the_first() {
    let mut driver = Driver::new();
    driver.hold_appends = true;
    let ids = ["x", "y", "z"];
    let asked = ids.map(|id| driver.send(4, Command::InitProducerId(init_request(id, None))));
    let second = driver.written[1].id;
    let outcome = driver.coordinator.committed(second, driver.now);
    driver.take(outcome);
    assert!(
        asked.iter().all(|id| driver.answer(*id).is_none()),
        "the first is not"
    );
    driver.fail_appends(ErrorCode::KafkaStorageError);
    for id in asked {
        let told = driver.answer(id).map(initialized);
        assert_eq!(told, Some(Err(ErrorCode::NotCoordinator)));
    }
    assert_eq!(driver.coordinator.transaction_count(), 0);
}

/// The transaction is decided and everybody knows: only that this is so has not been written. It will be.
#[test]
fn a_completion_that_cannot_be_written_is_tried_again() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.add(producer, &[("a", 0)]);
    driver.hold_actions = true;
    assert!(driver.end(4, producer, true).is_ok());
    driver.hold_appends = true;
    driver.act_one();
    for _ in 0..3 {
        assert_eq!(driver.written.len(), 1);
        driver.fail_appends(ErrorCode::NotEnoughReplicas);
        assert_eq!(driver.metadata().state, State::PrepareCommit);
        assert_eq!(
            driver.end(4, producer, true),
            Err(ErrorCode::ConcurrentTransactions)
        );
        driver.pass(Duration::from_millis(100));
    }
    driver.commit_one();
    assert_eq!(driver.metadata().state, State::CompleteCommit);
    assert_eq!(driver.markers.len(), 1, "nobody is told twice");
}

fn write_markers(driver: &mut Driver) -> Markers {
    match driver.actions.pop_front() {
        Some(Action::WriteMarkers(markers)) => markers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_that_could_not_be_told_are_told_again() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.add(producer, &[("a", 0), ("b", 0), ("c", 0)]);
    driver.hold_actions = true;
    assert!(driver.end(4, producer, false).is_ok());
    let markers = write_markers(&mut driver);
    let result = |one: &TopicPartition| match &*one.topic {
        "a" => Ok(()),
        "b" => Err(ErrorCode::NotLeaderOrFollower),
        _ => Err(ErrorCode::InvalidProducerEpoch),
    };
    let results = markers.partitions.iter().map(|one| (one.clone(), result(one)));
    driver.tell_markers(markers.clone(), results.collect());
    assert_eq!(driver.metadata().state, State::PrepareAbort);
    assert!(driver.actions.is_empty(), "not at once");
    driver.pass(Duration::from_millis(100));
    let again = write_markers(&mut driver);
    assert_eq!(again.partitions, partitions(&[("b", 0)]));
    let told = again.partitions.iter().map(|one| (one.clone(), Ok(()))).collect();
    driver.tell_markers(again, told);
    assert_eq!(driver.metadata().state, State::CompleteAbort);
    // An answer from before is too late for anything.
    driver.add(producer, &[("a", 0)]);
    let late = markers
        .partitions
        .iter()
        .map(|one| (one.clone(), Ok(())))
        .collect();
    driver.tell_markers(markers, late);
    assert_eq!(driver.metadata().state, State::Ongoing);
}

#[test]
fn a_coordinator_that_is_fenced_leaves_the_transaction_to_the_later_one() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.add(producer, &[("a", 0)]);
    driver.hold_actions = true;
    assert!(driver.end(4, producer, true).is_ok());
    let markers = write_markers(&mut driver);
    let fenced = vec![(
        partitions(&[("a", 0)]).remove(0),
        Err(ErrorCode::TransactionCoordinatorFenced),
    )];
    driver.tell_markers(markers, fenced);
    driver.pass(Duration::from_secs(600));
    assert!(driver.actions.is_empty());
    assert_eq!(driver.metadata().state, State::PrepareCommit);
    assert!(matches!(driver.events[..], [Event::CoordinatorFenced { .. }]));
}

/// Whoever reads the log carries through what is decided in it.
#[test]
fn a_decided_transaction_survives_its_coordinator() {
    for committed in [true, false] {
        let mut driver = Driver::new();
        let producer = driver.init().expect("new");
        driver.add(producer, &[("a", 0), ("b", 0)]);
        driver.hold_actions = true;
        assert!(driver.end(4, producer, committed).is_ok());
        for _ in 0..2 {
            driver.reload();
            assert!(matches!(driver.events.last(), Some(Event::Resumed { .. })));
            let markers = write_markers(&mut driver);
            assert_eq!((markers.commit, markers.partitions.len()), (committed, 2));
            assert_eq!(markers.coordinator_epoch, super::support::EPOCH + 1);
            driver.actions.push_front(Action::WriteMarkers(markers));
        }
        driver.act_one();
        let complete = if committed {
            State::CompleteCommit
        } else {
            State::CompleteAbort
        };
        assert_eq!(driver.metadata().state, complete);
    }
}

/// An open transaction is still open for the next coordinator, until its time is over.
#[test]
fn an_open_transaction_survives_its_coordinator() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.add(producer, &[("a", 0)]);
    driver.reload();
    assert_eq!(driver.add(producer, &[("b", 0)]), ErrorCode::None);
    driver.reload();
    driver.pass(Duration::from_millis(TIMEOUT_MS.unsigned_abs().into()) * 2);
    assert_eq!(driver.metadata().state, State::CompleteAbort);
    assert_eq!(driver.markers[0].partitions, partitions(&[("a", 0), ("b", 0)]));
}

#[test]
fn who_waits_too_long_is_told_and_what_was_written_still_counts() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.hold_appends = true;
    let asked = driver.send(3, Command::AddPartitions(adding("t", producer, &[("a", 0)])));
    driver.pass(Duration::from_millis(TIMEOUT_MS.unsigned_abs().into()));
    let told = driver.answer(asked).map(added);
    assert_eq!(told, Some(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(
        driver.add(producer, &[("a", 0)]),
        ErrorCode::ConcurrentTransactions
    );
    driver.commit_one();
    assert_eq!(driver.metadata().state, State::Ongoing);
}

/// However short its transactions may be, the disk has some time.
#[test]
fn a_short_timeout_is_not_the_disks() {
    let mut driver = Driver::new();
    driver.hold_appends = true;
    let request = InitProducerIdRequest {
        transaction_timeout_ms: 1,
        ..init_request("t", None)
    };
    let asked = driver.send(4, Command::InitProducerId(request));
    driver.pass(Duration::from_secs(4));
    driver.commit_one();
    assert_eq!(driver.answer(asked).map(initialized), Some(Ok((1_000, 0))));
}

#[test]
fn who_resigns_sends_everyone_away() {
    let mut driver = Driver::new();
    driver.init_as(4, init_request("t", None)).expect("new");
    driver.hold_appends = true;
    driver.hold_actions = true;
    let waiting = driver.send(4, Command::InitProducerId(init_request("t", None)));
    let parked = driver.send(4, Command::InitProducerId(init_request("new", None)));
    let coordinator = std::mem::replace(
        &mut driver.coordinator,
        crate::transaction::TransactionCoordinator::new(
            driver.config.clone(),
            0,
            std::sync::Arc::new(TransactionVersion::V0),
        ),
    );
    let completed = coordinator.resign(driver.now);
    let outcome = crate::transaction::Outcome {
        completed,
        ..Default::default()
    };
    driver.take(outcome);
    for id in [waiting, parked] {
        let told = driver.answer(id).map(initialized);
        assert_eq!(told, Some(Err(ErrorCode::NotCoordinator)));
    }
}

/// A record that no batch of the topic takes is refused before anything happens.
#[test]
fn what_is_too_large_to_write_is_refused() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.config.append_bytes_max = 1_000;
    driver.reload();
    let names: Vec<String> = (0..100).map(|number| format!("topic-{number}")).collect();
    let many: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    assert_eq!(driver.add(producer, &many), ErrorCode::UnknownServerError);
    assert_eq!(driver.add(producer, &many[..10]), ErrorCode::None);
    assert!(driver.end(4, producer, true).is_ok());
    assert_eq!(driver.metadata().state, State::CompleteCommit);
}
