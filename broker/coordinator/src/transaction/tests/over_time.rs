//! What only time brings about.

use std::time::Duration;

use forebay_protocol::ErrorCode;

use super::support::{Driver, TIMEOUT_MS, init_request};
use crate::transaction::{Event, State, TransactionVersion};

const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS as u64);
/// How often timed out transactions are looked for.
const ROUND: Duration = Duration::from_secs(10);

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    for version in [TransactionVersion::V0, TransactionVersion::V2] {
        let mut driver = Driver::with(version);
        let producer = driver.init().expect("new");
        driver.init_as(4, init_request("idle", None)).expect("new");
        driver.add(producer, &[("a", 0)]);
        driver.pass(TIMEOUT);
        assert_eq!(driver.metadata().state, State::Ongoing);
        driver.pass(ROUND);
        assert_eq!(driver.metadata().state, State::CompleteAbort);
        assert_eq!((driver.markers.len(), driver.markers[0].commit), (1, false));
        assert_eq!(driver.markers[0].producer_epoch.0, 1, "nobody was given it");
        assert!(matches!(driver.events[..], [Event::TimedOut { .. }]));
        assert_eq!(driver.add(producer, &[("a", 0)]), ErrorCode::ProducerFenced);
        let end_version = if version == TransactionVersion::V2 { 5 } else { 4 };
        let late = driver.end(end_version, producer, true);
        // In version 2 it looks like the end of this very transaction, asked for again.
        let expected = if version == TransactionVersion::V2 {
            ErrorCode::InvalidTxnState
        } else {
            ErrorCode::ProducerFenced
        };
        assert_eq!(late, Err(expected));
        assert_eq!(driver.init(), Ok((1_000, 2)));
        driver.pass(TIMEOUT * 3);
        assert_eq!(driver.markers.len(), 1, "nothing else is open");
    }
}

/// The epoch that fences is the last: the transaction is aborted by the round after the one that finds no producer id at hand.
#[test]
fn a_transaction_that_takes_too_long_may_need_a_new_producer_id() {
    let mut driver = Driver::at_last_epoch(TransactionVersion::V2);
    driver.add((1_000, i16::MAX - 1), &[("a", 0)]);
    driver.pass(TIMEOUT + ROUND * 2);
    let metadata = driver.metadata();
    assert_eq!(metadata.state, State::CompleteAbort);
    assert_eq!((metadata.producer_id.0, metadata.producer_epoch.0), (1_001, 0));
}

/// What is on its way is left to arrive.
#[test]
fn a_transaction_that_ends_is_not_timed_out() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.add(producer, &[("a", 0)]);
    driver.hold_actions = true;
    assert!(driver.end(4, producer, true).is_ok());
    driver.pass(TIMEOUT * 2);
    driver.hold_actions = false;
    driver.settle();
    assert_eq!(driver.metadata().state, State::CompleteCommit);
    assert!(driver.markers.iter().all(|markers| markers.commit));
}

#[test]
fn ids_that_nobody_uses_are_forgotten() {
    let mut driver = Driver::new();
    let expiration = driver.config.id_expiration;
    let hour = driver.config.remove_expired_interval;
    let producer = driver.init().expect("new");
    driver.pass(expiration / 2);
    driver.init_as(4, init_request("used", None)).expect("new");
    driver.add(producer, &[("a", 0)]);
    driver.end(4, producer, true).expect("open");
    driver.init_as(4, init_request("unused", None)).expect("new");
    driver.pass(expiration - hour);
    driver.init_as(4, init_request("used", None)).expect("there");
    assert_eq!(driver.coordinator.transaction_count(), 3);
    driver.pass(hour * 2);
    assert_eq!(driver.coordinator.transaction_count(), 1);
    assert_eq!(driver.states()[driver.log.len() - 2..], [None, None]);
    assert!(matches!(driver.events[..], [Event::Expired { ids: 2 }]));
    assert_eq!(
        driver.add(producer, &[("a", 0)]),
        ErrorCode::InvalidProducerIdMapping
    );
    driver.reload();
    assert_eq!(driver.coordinator.transaction_count(), 1);
    driver.pass(expiration * 2);
    assert_eq!(driver.coordinator.transaction_count(), 0);
}

/// As many partitions as one record can have: the records of the end have more to say, and fit.
#[test]
fn what_has_begun_can_end() {
    // Lengths of names, so that one of them leaves less room than the records of the end need besides.
    for length in 1..16 {
        let mut driver = Driver::with(TransactionVersion::V2);
        driver.config.append_bytes_max = 1_000;
        driver.reload();
        let producer = driver.init().expect("new");
        let mut number = 0;
        while driver.add(producer, &[(&"n".repeat(length), number)]) == ErrorCode::None {
            number += 1;
        }
        assert!(number > 100, "{number} fit");
        // What was written under a larger bound must end, too.
        if length % 2 == 0 {
            driver.config.append_bytes_max = 100;
            driver.reload();
        }
        driver.pass(TIMEOUT + ROUND);
        assert_eq!(driver.metadata().state, State::CompleteAbort, "{length}");
    }
}

/// More tombstones than a batch takes come in several.
#[test]
fn tombstones_fit_into_batches() {
    let mut driver = Driver::new();
    for number in 0..40 {
        let id = format!("{number:0100}");
        driver.init_as(4, init_request(&id, None)).expect("new");
    }
    driver.config.append_bytes_max = 2_000;
    driver.reload();
    driver.hold_appends = true;
    driver.pass(driver.config.id_expiration * 2);
    let sizes: Vec<usize> = driver.written.iter().map(|append| append.records.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 40);
    assert_eq!(sizes, [15, 15, 10], "of some 120 bytes each");
    driver.fail_appends(ErrorCode::KafkaStorageError);
    assert_eq!(driver.coordinator.transaction_count(), 40);
    driver.hold_appends = false;
    driver.pass(driver.config.remove_expired_interval);
    assert_eq!(driver.coordinator.transaction_count(), 0);
}
