//! How a transaction ends, and what is told to those who ask twice.

use forebay_protocol::ErrorCode;
use forebay_protocol::ErrorCode::{ConcurrentTransactions, InvalidProducerIdMapping, InvalidTxnState};

use super::support::{Driver, EPOCH, partitions};
use crate::transaction::{State, TransactionVersion};

const NOBODY: (i64, i16) = (-1, -1);

#[test]
fn all_partitions_are_told_before_a_transaction_is_complete() {
    for committed in [true, false] {
        let mut driver = Driver::new();
        let producer = driver.init().expect("new");
        assert_eq!(driver.add(producer, &[("b", 0), ("a", 1)]), ErrorCode::None);
        driver.hold_actions = true;
        assert_eq!(
            driver.end(4, producer, committed),
            Ok(NOBODY),
            "decided is enough"
        );
        let (prepared, complete) = if committed {
            (State::PrepareCommit, State::CompleteCommit)
        } else {
            (State::PrepareAbort, State::CompleteAbort)
        };
        assert_eq!(driver.metadata().state, prepared);
        driver.act_one();
        let [markers] = &driver.markers[..] else {
            panic!("{:?}", driver.markers)
        };
        assert_eq!(markers.commit, committed);
        assert_eq!((markers.producer_id.0, markers.producer_epoch.0), producer);
        assert_eq!(markers.coordinator_epoch, EPOCH);
        assert_eq!(markers.partitions, partitions(&[("a", 1), ("b", 0)]));
        let states = [State::Empty, State::Ongoing, prepared, complete].map(Some);
        assert_eq!(driver.states(), states);
        assert!(driver.metadata().partitions.is_empty());
        assert_eq!(driver.add(producer, &[("c", 0)]), ErrorCode::None, "the next one");
    }
}

/// Clients whose epoch stays: the state says what has been asked before.
#[test]
fn the_end_may_be_asked_for_again_but_not_for_another() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    assert_eq!(
        driver.end(4, producer, true),
        Err(InvalidTxnState),
        "nothing to end"
    );
    assert_eq!(driver.end(4, producer, false), Err(InvalidTxnState));
    for committed in [true, false] {
        assert_eq!(driver.add(producer, &[("a", 0)]), ErrorCode::None);
        driver.hold_actions = true;
        assert_eq!(driver.end(4, producer, committed), Ok(NOBODY));
        assert_eq!(driver.end(4, producer, committed), Err(ConcurrentTransactions));
        driver.hold_actions = false;
        driver.settle();
        assert_eq!(driver.end(4, producer, committed), Ok(NOBODY));
        assert_eq!(driver.end(4, producer, !committed), Err(InvalidTxnState));
    }
}

#[test]
fn only_the_current_producer_ends() {
    let mut driver = Driver::new();
    driver.init().expect("new");
    let (id, epoch) = driver.init().expect("the next");
    driver.add((id, epoch), &[("a", 0)]);
    let cases = [
        (4, (7, 1), InvalidProducerIdMapping),
        (5, (7, 1), InvalidProducerIdMapping),
        (5, (id, 0), ErrorCode::ProducerFenced),
        (2, (id, 0), ErrorCode::ProducerFenced),
        (1, (id, 0), ErrorCode::InvalidProducerEpoch),
        (4, (id, 2), ErrorCode::ProducerFenced),
    ];
    for (version, claimed, expected) in cases {
        assert_eq!(driver.end(version, claimed, true), Err(expected), "{claimed:?}");
    }
    assert_eq!(driver.metadata().state, State::Ongoing);
}

/// KIP-890, part 2: each end gives the next epoch, and the epoch says what has been asked before.
#[test]
fn the_epoch_is_raised_with_every_transaction() {
    let mut driver = Driver::with(TransactionVersion::V2);
    let first = driver.init().expect("new");
    assert_eq!(first, (1_000, 0));
    driver.add(first, &[("a", 0)]);
    driver.hold_actions = true;
    assert_eq!(driver.end(5, first, true), Ok((1_000, 1)));
    assert_eq!(driver.end(5, first, true), Err(ConcurrentTransactions));
    driver.act_one();
    assert_eq!(
        driver.markers[0].producer_epoch.0, 1,
        "the markers have the new one"
    );
    assert_eq!(driver.markers[0].transaction_version, TransactionVersion::V2);
    driver.hold_actions = false;
    assert_eq!(driver.end(5, first, true), Ok((1_000, 1)), "the answer was lost");
    assert_eq!(driver.end(5, first, false), Err(InvalidTxnState));
    assert_eq!(
        driver.end(5, (1_000, 1), true),
        Err(InvalidTxnState),
        "nothing to commit"
    );
    let second = (1_000, 1);
    driver.add(second, &[("a", 0)]);
    assert_eq!(driver.end(5, first, true), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.end(5, second, false), Ok((1_000, 2)));
    assert_eq!(driver.end(5, second, false), Ok((1_000, 2)));
    assert_eq!(driver.end(5, first, true), Err(ErrorCode::ProducerFenced));
}

/// A producer cannot always know whether it has added anything: it may abort, and has the next epoch after that too.
#[test]
fn nothing_may_be_aborted_but_not_committed() {
    let mut driver = Driver::with(TransactionVersion::V2);
    let mut producer = driver.init().expect("new");
    for _ in 0..3 {
        assert_eq!(driver.end(5, producer, true), Err(InvalidTxnState));
        let next = (producer.0, producer.1 + 1);
        assert_eq!(driver.end(5, producer, false), Ok(next));
        assert_eq!(driver.metadata().state, State::CompleteAbort);
        producer = next;
    }
    driver.add(producer, &[("a", 0)]);
    assert_eq!(driver.end(5, producer, true), Ok((1_000, 4)));
    assert_eq!(driver.end(5, (1_000, 4), false), Ok((1_000, 5)), "after a commit");
    assert_eq!(driver.markers.len(), 1, "nobody to tell");
}

#[test]
fn exhausted_epochs_are_followed_by_a_new_producer_id() {
    let mut driver = Driver::at_last_epoch(TransactionVersion::V2);
    let last = (1_000, i16::MAX - 1);
    driver.add(last, &[("a", 0)]);
    driver.hold_actions = true;
    let asked = driver.send(
        5,
        crate::transaction::Command::EndTransaction(super::support::ending("t", last, true)),
    );
    assert_eq!(driver.answer(asked), None, "it needs a producer id");
    driver.act_one();
    assert_eq!(
        driver.answer(asked).map(super::support::ended),
        Some(Ok((1_001, 0)))
    );
    assert_eq!(
        driver.metadata().producer_epoch.0,
        i16::MAX,
        "until it is complete"
    );
    assert_eq!(driver.end(5, (1_001, 0), true), Err(ConcurrentTransactions));
    driver.reload();
    driver.act_one();
    assert_eq!(driver.markers[0].producer_id.0, 1_000);
    assert_eq!(driver.markers[0].producer_epoch.0, i16::MAX);
    assert_eq!(driver.end(5, last, true), Ok((1_001, 0)), "the answer was lost");
    assert_eq!(driver.end(5, last, false), Err(InvalidTxnState));
    assert_eq!(driver.add((1_001, 0), &[("a", 0)]), ErrorCode::None);
    assert_eq!(driver.end(5, (1_001, 0), true), Ok((1_001, 1)));
}

/// The level was lowered while a client that raises its epochs had a transaction open: the epoch that fences it is not its own.
#[test]
fn a_producer_that_was_fenced_in_the_old_way_is_not_given_the_epoch_that_fences_it() {
    for (level, expected) in [
        (TransactionVersion::V0, Err(ErrorCode::ProducerFenced)),
        (TransactionVersion::V1, Err(ErrorCode::ProducerFenced)),
        (TransactionVersion::V2, Ok((1_000, 1))),
    ] {
        let mut driver = Driver::with(TransactionVersion::V2);
        let producer = driver.init().expect("new");
        driver.add(producer, &[("a", 0)]);
        driver.features.set(level);
        driver.pass(std::time::Duration::from_secs(120));
        assert_eq!(driver.metadata().state, State::CompleteAbort);
        assert_eq!(driver.metadata().producer_epoch.0, 1);
        assert_eq!(driver.end(5, producer, false), expected, "{level:?}");
    }
}
