//! Questions to transaction coordinators, and which markers are taken (KIP-890).

use super::*;

/// What the coordinator was asked about, or was not.
fn verified(origin: AppendOrigin, transaction: TransactionChecks) -> Checks {
    Checks::of(origin, transaction, true)
}

fn ask(log: &mut Partition, epoch: i16, sequence: i32, raises_epoch: bool) -> Option<VerificationGuard> {
    let request = VerificationRequest {
        epoch: ProducerEpoch(epoch),
        sequence: Sequence(sequence),
        raises_epoch,
    };
    let now = Timestamp(5000);
    let asked = log
        .states
        .begin_verification(&log.name, ProducerId(7), request, now);
    asked.expect("not fenced")
}

fn guarded(guard: VerificationGuard) -> TransactionChecks {
    TransactionChecks {
        guard,
        ..TransactionChecks::default()
    }
}

#[test]
fn the_first_batch_of_a_transaction_needs_the_guard_of_its_question() {
    for origin in [AppendOrigin::Client, AppendOrigin::Coordinator] {
        let mut log = partition();
        let first = transactional(batch(0, 0, 1));
        let unverified = |refused| matches!(refused, Err(Err(Error::Unverified { .. })));
        let none = verified(origin, TransactionChecks::default());
        assert!(unverified(log.append(&first, None, none)), "nobody was asked");
        let guard = ask(&mut log, 0, 0, false).expect("a question");
        assert_eq!(ask(&mut log, 0, 0, false), Some(guard), "the same question");
        assert!(unverified(log.append(&first, None, none)), "asked, not answered");
        // The transaction ends before the answer, and another one begins.
        let end = verified(AppendOrigin::Coordinator, TransactionChecks::default());
        log.append(&marker_batch(7, 0), Some(marker(1, false)), end)
            .expect("a marker needs no guard");
        let next = ask(&mut log, 0, 0, false).expect("another question");
        assert_ne!(guard, next);
        let stale = verified(origin, guarded(guard));
        assert!(unverified(log.append(&first, None, stale)), "of the last one");
        log.append(&first, None, verified(origin, guarded(next)))
            .expect("verified");
        assert_eq!(ask(&mut log, 0, 1, false), None, "it is open");
        log.append(&transactional(batch(0, 1, 1)), None, none)
            .expect("it is open");
        // One of a newer epoch is another.
        let newer = transactional(batch(1, 0, 1));
        assert!(unverified(log.append(&newer, None, none)));
    }
}

#[test]
fn where_verification_is_off_it_is_still_required_of_those_who_leave_it_to_the_broker() {
    let mut log = partition();
    let first = transactional(batch(0, 0, 1));
    let required = TransactionChecks {
        required: true,
        ..TransactionChecks::default()
    };
    let refused = log.append(&first, None, Checks::of(AppendOrigin::Client, required, false));
    assert!(matches!(refused, Err(Err(Error::Unverified { .. }))));
    log.send(&first).expect("of old");
}

#[test]
fn no_batch_passes_the_one_that_was_asked_about() {
    let mut log = partition();
    let send = |log: &mut Partition, sequence, guard| {
        let batch = transactional(batch(0, sequence, 1));
        let done = log.append(&batch, None, verified(AppendOrigin::Client, guarded(guard)));
        done.map(drop)
            .map_err(|refused| matches!(refused, Err(Error::OutOfOrderSequence { .. })))
    };
    let guard = ask(&mut log, 0, 4, false).expect("a question");
    ask(&mut log, 0, 3, false);
    ask(&mut log, 0, 5, false);
    assert_eq!(send(&mut log, 4, guard), Err(true), "3 was asked about, too");
    assert_eq!(send(&mut log, 3, guard), Ok(()));
    // Of a producer that raises its epoch with each transaction the first sequence is known.
    let mut log = partition();
    let guard = ask(&mut log, 0, 4, true).expect("a question");
    assert_eq!(send(&mut log, 4, guard), Err(true));
    log.states.end_verification(ProducerId(7), guard);
    let guard = ask(&mut log, 0, 0, true).expect("another question");
    assert_eq!(send(&mut log, 0, guard), Ok(()));
    // Questions of which nothing comes are forgotten like producers.
    let guard = ask(&mut log, 1, 0, true);
    log.states.remove_expired(Timestamp(5999), 1000);
    assert_eq!(ask(&mut log, 1, 0, true), guard);
    log.states.remove_expired(Timestamp(6000), 1000);
    assert_ne!(ask(&mut log, 1, 0, true), guard);
}

/// The epoch of the records, of the marker, whether the transaction is open, its version; whether the marker is taken.
#[test]
fn markers_of_version_2_have_a_higher_epoch_or_come_again() {
    for (records, end, open, version, taken) in [
        (3, 3, true, 0, true),
        (3, 3, true, 1, true),
        (3, 3, true, 2, false),
        (3, 4, true, 2, true),
        (3, 2, true, 1, false),
        (3, 2, true, 2, false),
        (3, 3, false, 2, true),
        (3, 2, false, 2, false),
        (i16::MAX, i16::MAX, true, 2, true),
    ] {
        let mut log = partition();
        log.send(&transactional(batch(records, 0, 1))).expect("sent");
        if !open {
            let end = checks(AppendOrigin::Coordinator);
            log.append(&marker_batch(7, records), Some(marker(1, true)), end)
                .expect("ended");
        }
        let transaction = TransactionChecks {
            version,
            ..TransactionChecks::default()
        };
        let checks = verified(AppendOrigin::Coordinator, transaction);
        let done = log.append(&marker_batch(7, end), Some(marker(1, true)), checks);
        assert_eq!(done.is_ok(), taken, "{records} {end} {open} {version}");
        let is_decided = log.states.oldest_open_transaction().is_none();
        assert_eq!(is_decided, taken || !open);
    }
}
