//! Who gets which producer id and epoch, and who is fenced by that.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::InitProducerIdRequest;

use super::support::{Driver, init_request, initialized};
use crate::transaction::{Command, Event, State, TransactionVersion};

#[test]
fn a_producer_begins_and_each_one_after_it_has_the_next_epoch() {
    let mut driver = Driver::new();
    assert_eq!(driver.init(), Ok((1_000, 0)));
    assert_eq!(driver.init(), Ok((1_000, 1)));
    assert_eq!(driver.init_as(4, init_request("other", None)), Ok((1_001, 0)));
    assert_eq!(driver.init(), Ok((1_000, 2)));
    assert_eq!(driver.states(), [Some(State::Empty); 4]);
    assert_eq!(driver.metadata().timeout_ms, 60_000);
}

#[test]
fn what_is_asked_must_make_sense() {
    let cases = [
        ("t", 60_000, Ok((1_000, 0))),
        ("t", 1, Ok((1_000, 0))),
        ("t", 900_000, Ok((1_000, 0))),
        ("t", 900_001, Err(ErrorCode::InvalidTransactionTimeout)),
        ("t", 0, Err(ErrorCode::InvalidTransactionTimeout)),
        ("t", -1, Err(ErrorCode::InvalidTransactionTimeout)),
        ("", 60_000, Err(ErrorCode::InvalidRequest)),
    ];
    for (id, timeout, expected) in cases {
        let mut driver = Driver::new();
        let request = InitProducerIdRequest {
            transaction_timeout_ms: timeout,
            ..init_request(id, None)
        };
        assert_eq!(driver.init_as(4, request), expected, "{id} {timeout}");
    }
}

/// KIP-360: who names its producer id and epoch goes on, unless another producer has come.
#[test]
fn a_producer_that_names_its_epoch_goes_on_unless_it_is_fenced() {
    let mut driver = Driver::new();
    assert_eq!(driver.init(), Ok((1_000, 0)));
    let again = |epoch| init_request("t", Some((1_000, epoch)));
    assert_eq!(driver.init_as(4, again(0)), Ok((1_000, 1)));
    assert_eq!(driver.init_as(4, again(0)), Ok((1_000, 1)), "the answer was lost");
    assert_eq!(driver.init_as(4, again(1)), Ok((1_000, 2)));
    assert_eq!(driver.init_as(4, again(0)), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.init_as(3, again(0)), Err(ErrorCode::InvalidProducerEpoch));
    let other = init_request("t", Some((7, 2)));
    assert_eq!(driver.init_as(4, other), Err(ErrorCode::ProducerFenced));
    assert_eq!(driver.init(), Ok((1_000, 3)), "another producer");
    assert_eq!(driver.init_as(4, again(2)), Err(ErrorCode::ProducerFenced));
    let unknown = init_request("new", Some((7, 2)));
    assert_eq!(driver.init_as(4, unknown), Ok((1_001, 0)), "nobody knows it");
}

#[test]
fn exhausted_epochs_are_followed_by_a_new_producer_id() {
    let mut driver = Driver::at_last_epoch(TransactionVersion::V0);
    assert_eq!(driver.init(), Ok((1_001, 0)));
    assert_eq!(driver.metadata().previous_producer_id.0, 1_000);

    let mut driver = Driver::at_last_epoch(TransactionVersion::V0);
    let again = |producer, epoch| init_request("t", Some((producer, epoch)));
    assert_eq!(
        driver.init_as(4, again(1_000, i16::MAX - 2)),
        Err(ErrorCode::UnknownServerError),
        "as Kafka"
    );
    let exhausted = again(1_000, i16::MAX - 1);
    assert_eq!(driver.init_as(4, exhausted.clone()), Ok((1_001, 0)));
    assert_eq!(
        driver.init_as(4, exhausted.clone()),
        Ok((1_001, 0)),
        "the answer was lost"
    );
    assert_eq!(driver.init_as(4, again(1_001, 0)), Ok((1_001, 1)));
    assert_eq!(driver.init_as(4, exhausted), Err(ErrorCode::ProducerFenced));
}

/// The open transaction is aborted first; its producer is fenced with the epoch that nobody is given.
#[test]
fn a_producer_that_finds_an_open_transaction_comes_again() {
    for (version, client_version) in [
        (TransactionVersion::V0, TransactionVersion::V0),
        (TransactionVersion::V1, TransactionVersion::V0),
        (TransactionVersion::V2, TransactionVersion::V2),
    ] {
        let mut driver = Driver::with(version);
        let old = driver.init().expect("new");
        assert_eq!(driver.add(old, &[("a", 0), ("b", 1)]), ErrorCode::None);
        assert_eq!(driver.init(), Err(ErrorCode::ConcurrentTransactions));
        assert!(matches!(driver.events[..], [Event::Fenced { .. }]));
        let [markers] = &driver.markers[..] else {
            panic!("{:?}", driver.markers)
        };
        assert!(!markers.commit);
        assert_eq!((markers.producer_id.0, markers.producer_epoch.0), (1_000, 1));
        assert_eq!(markers.transaction_version, client_version);
        assert_eq!(driver.metadata().state, State::CompleteAbort);
        assert_eq!(driver.add(old, &[("a", 0)]), ErrorCode::ProducerFenced);
        assert_eq!(driver.init(), Ok((1_000, 2)));
    }
}

/// As before, and the epoch that fences is the last one: in version 2 it is followed by a new producer id, else the next producer gets that.
#[test]
fn fencing_may_exhaust_the_epochs() {
    for version in [TransactionVersion::V0, TransactionVersion::V2] {
        let mut driver = Driver::at_last_epoch(version);
        let last = (1_000, i16::MAX - 1);
        assert_eq!(driver.add(last, &[("a", 0)]), ErrorCode::None);
        assert_eq!(driver.init(), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(driver.markers[0].producer_epoch.0, i16::MAX);
        let (epoch, id) = match version {
            TransactionVersion::V2 => (1, 1_001),
            _ => (0, 1_001),
        };
        assert_eq!(driver.init(), Ok((id, epoch)));
    }
}

#[test]
fn who_comes_while_something_is_on_its_way_comes_again() {
    let mut driver = Driver::new();
    driver.hold_appends = true;
    driver.hold_actions = true;
    let first = driver.send(4, Command::InitProducerId(init_request("t", None)));
    assert_eq!(driver.answer(first), None, "it needs a producer id");
    driver.act_one();
    assert_eq!(driver.answer(first), None, "it needs to be written");
    assert_eq!(driver.init(), Err(ErrorCode::ConcurrentTransactions));
    driver.commit_one();
    assert_eq!(driver.answer(first).map(initialized), Some(Ok((1_000, 0))));
    assert!(driver.actions.is_empty());
}

#[test]
fn without_a_producer_id_to_give_there_is_an_error_and_nothing_else() {
    let mut driver = Driver::new();
    driver.hold_actions = true;
    let asked = driver.send(4, Command::InitProducerId(init_request("t", None)));
    driver.actions.clear();
    let failed = Err(ErrorCode::CoordinatorLoadInProgress);
    driver.send(0, Command::ProducerIdAllocated(failed));
    assert_eq!(
        driver.answer(asked).map(initialized),
        Some(Err(ErrorCode::CoordinatorLoadInProgress))
    );
    assert_eq!(driver.coordinator.transaction_count(), 0);
    driver.hold_actions = false;
    assert_eq!(driver.init(), Ok((1_000, 0)));
}

/// Two wait for ids; the first one's makes the second one's unnecessary, and it is kept for whoever needs one next.
#[test]
fn producer_ids_that_are_not_needed_are_kept() {
    let mut driver = Driver::new();
    driver.hold_actions = true;
    let asked = [(); 2].map(|()| driver.send(4, Command::InitProducerId(init_request("t", None))));
    driver.hold_actions = false;
    driver.settle();
    let answers = asked.map(|id| driver.answer(id).map(initialized));
    assert_eq!(answers, [Some(Ok((1_000, 0))), Some(Ok((1_000, 1)))]);
    assert_eq!(driver.init_as(4, init_request("other", None)), Ok((1_001, 0)));
    assert_eq!(driver.next_producer_id, 1_002, "nothing was asked for");
}
