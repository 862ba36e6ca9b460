//! How a transaction begins and grows, and what its partitions' leaders are told of it.

use forebay_protocol::ErrorCode;

use super::support::{Driver, added, adding, partitions};
use crate::transaction::{AddPartitions, Command, Response, State, TransactionVersion};

#[test]
fn the_first_partition_begins_a_transaction_and_known_ones_cost_nothing() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    let begin = driver.now.timestamp;
    assert_eq!(driver.add(producer, &[("a", 0), ("b", 3)]), ErrorCode::None);
    driver.now.timestamp.0 += 10;
    assert_eq!(driver.add(producer, &[("b", 3)]), ErrorCode::None);
    assert_eq!(driver.log.len(), 2, "nothing new to write");
    assert_eq!(driver.add(producer, &[("b", 3), ("c", 1)]), ErrorCode::None);
    let metadata = driver.metadata();
    let taking_part: Vec<_> = metadata.partitions.iter().cloned().collect();
    assert_eq!(taking_part, partitions(&[("a", 0), ("b", 3), ("c", 1)]));
    assert_eq!((metadata.state, metadata.start), (State::Ongoing, begin));
    assert_eq!(metadata.last_update, driver.now.timestamp);
}

#[test]
fn only_the_current_producer_adds() {
    let mut driver = Driver::new();
    let (id, _) = driver.init().expect("new");
    let producer = driver.init().expect("the next");
    let cases = [
        ("x", producer, 3, ErrorCode::InvalidProducerIdMapping),
        ("", producer, 3, ErrorCode::InvalidRequest),
        ("t", (7, 1), 3, ErrorCode::InvalidProducerIdMapping),
        ("t", (id, 0), 3, ErrorCode::ProducerFenced),
        ("t", (id, 0), 2, ErrorCode::ProducerFenced),
        ("t", (id, 0), 1, ErrorCode::InvalidProducerEpoch),
        ("t", (id, 2), 3, ErrorCode::ProducerFenced),
    ];
    for (name, claimed, version, expected) in cases {
        let answer = driver.ask(
            version,
            Command::AddPartitions(adding(name, claimed, &[("a", 0)])),
        );
        assert_eq!(added(answer), expected, "{name} {claimed:?} in version {version}");
        let verify = AddPartitions {
            verify_only: true,
            ..adding(name, claimed, &[("a", 0)])
        };
        assert_eq!(
            added(driver.ask(version, Command::AddPartitions(verify))),
            expected
        );
    }
    assert_eq!(driver.metadata().state, State::Empty);
}

/// KIP-890, part 1.
#[test]
fn partitions_leaders_are_told_which_take_part() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    let verify = |driver: &mut Driver| {
        let command = AddPartitions {
            verify_only: true,
            ..adding("t", producer, &[("a", 0), ("b", 0)])
        };
        match driver.ask(5, Command::AddPartitions(command)) {
            Response::AddPartitions(results) => results.into_iter().map(|(_, code)| code).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let (yes, no) = (ErrorCode::None, ErrorCode::TransactionAbortable);
    assert_eq!(verify(&mut driver), [no, no]);
    driver.hold_appends = true;
    let adding = driver.send(3, Command::AddPartitions(adding("t", producer, &[("a", 0)])));
    assert_eq!(verify(&mut driver), [no, no], "not committed yet");
    driver.commit_one();
    assert_eq!(driver.answer(adding).map(added), Some(yes));
    assert_eq!(verify(&mut driver), [yes, no]);
    driver.hold_appends = false;
    driver.hold_actions = true;
    assert_eq!(driver.end(4, producer, true), Ok((-1, -1)));
    let ending = ErrorCode::ConcurrentTransactions;
    assert_eq!(verify(&mut driver), [ending, ending]);
    driver.act_one();
    assert_eq!(verify(&mut driver), [no, no], "the next transaction has none");
}

#[test]
fn nothing_is_added_while_something_is_on_its_way_or_the_transaction_ends() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    driver.hold_appends = true;
    driver.send(3, Command::AddPartitions(adding("t", producer, &[("a", 0)])));
    assert_eq!(
        driver.add(producer, &[("b", 0)]),
        ErrorCode::ConcurrentTransactions
    );
    driver.commit_one();
    driver.hold_actions = true;
    driver.send(
        4,
        Command::EndTransaction(super::support::ending("t", producer, true)),
    );
    assert_eq!(
        driver.add(producer, &[("b", 0)]),
        ErrorCode::ConcurrentTransactions
    );
    driver.commit_one();
    assert_eq!(
        driver.add(producer, &[("b", 0)]),
        ErrorCode::ConcurrentTransactions,
        "markers"
    );
    driver.act_one();
    assert_eq!(
        driver.add(producer, &[("b", 0)]),
        ErrorCode::ConcurrentTransactions,
        "completion"
    );
    driver.commit_one();
    driver.hold_appends = false;
    assert_eq!(driver.add(producer, &[("b", 0)]), ErrorCode::None);
    assert_eq!(driver.metadata().partitions.len(), 1);
    assert_eq!(driver.metadata().client_version, TransactionVersion::V0);
}
