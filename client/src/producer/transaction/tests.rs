//! The state machine by itself: what is allowed where, and what each error does; against a coordinator in `tests/model.rs`.

mod model;

use forebay_protocol::ErrorCode;
use forebay_records::{ProducerEpoch, ProducerId};

use super::*;
use crate::transport;

fn identity(epoch: i16) -> Identity {
    Identity {
        id: ProducerId(7),
        epoch: ProducerEpoch(epoch),
    }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn initialized(epoch: i16, version: Version) -> Answer {
    Answer::Initialized {
        identity: identity(epoch),
        can_bump: true,
        version,
    }
}

fn lost() -> Error {
    Error::Transport(transport::Error::Disconnected {
        address: "broker1:9092".into(),
        reason: "a test".into(),
    })
}

fn code(code: ErrorCode) -> Error {
    Error::broker("test", code)
}

fn send_offsets(machine: &mut Transactions) -> Result<Outcome, Error> {
    let group = GroupMetadata {
        group_id: "g".to_owned(),
        generation_id: 1,
        member_id: "m".to_owned(),
        group_instance_id: None,
    };
    machine.send_offsets([(partition(0), forebay_records::Offset(5).into())].into(), group)
}

/// A machine of version 1 in a new transaction of which nobody knows.
fn begun() -> Transactions {
    let mut machine = Transactions::new("id", 60_000);
    machine.init().expect("first");
    let request = machine.next(true).expect("a request");
    machine.answered(&request, Ok(initialized(0, Version::V1)));
    machine.taken(Operation::Init);
    machine.begin(Version::V1).expect("ready");
    machine
}

/// A machine in a transaction that has written to a partition.
fn in_transaction(version: Version) -> Transactions {
    let mut machine = Transactions::new("id", 60_000);
    let mut outcome = machine.init().expect("first");
    let request = machine.next(true).expect("a request");
    assert_eq!(
        machine.answered(&request, Ok(initialized(0, version))),
        Settled::As(identity(0))
    );
    assert!(matches!(*outcome.borrow_and_update(), Some(Ok(()))));
    machine.taken(Operation::Init);
    machine.begin(version).expect("ready");
    if !machine.may_send(&partition(0)) {
        assert_eq!(version, Version::V1);
        let request = machine.next(false).expect("the partition is to be added");
        machine.answered(
            &request,
            Ok(Answer::Partitions(vec![(partition(0), ErrorCode::None)])),
        );
    }
    assert!(machine.may_send(&partition(0)));
    machine
}

/// In a state, with the request that is due there.
fn with_request(kind: Kind) -> (Transactions, Request) {
    let mut machine = match kind {
        Kind::Init => {
            let mut machine = Transactions::new("id", 60_000);
            machine.init().expect("first");
            machine
        }
        _ => in_transaction(Version::V1),
    };
    match kind {
        Kind::Init => {}
        Kind::AddPartitions => assert!(!machine.may_send(&partition(1))),
        Kind::AddOffsets | Kind::CommitOffsets => drop(send_offsets(&mut machine).expect("allowed")),
        Kind::End => drop(machine.commit().expect("allowed")),
    }
    let mut request = machine.next(true).expect("a request is due");
    if kind == Kind::CommitOffsets {
        machine.answered(&request, Ok(Answer::Done));
        request = machine.next(true).expect("a request is due");
    }
    assert_eq!(request.kind(), kind);
    (machine, request)
}

#[test]
fn what_each_error_does() {
    use ErrorCode as Code;
    use Kind::{AddOffsets, AddPartitions, CommitOffsets, End, Init};
    let all = [Init, AddPartitions, AddOffsets, CommitOffsets, End];
    let mut expected: Vec<(Code, Kind, State)> = Vec::new();
    let before = |kind| match kind {
        Init => State::Initializing,
        End => State::Committing,
        _ => State::InTransaction,
    };
    for kind in all {
        for retried in [
            Code::NotCoordinator,
            Code::CoordinatorLoadInProgress,
            Code::ConcurrentTransactions,
        ] {
            expected.push((retried, kind, before(kind)));
        }
        for fenced in [Code::ProducerFenced, Code::InvalidProducerEpoch] {
            expected.push((fenced, kind, State::FatalError));
        }
        let lost = if kind == Init {
            State::Uninitialized
        } else {
            State::AbortableError
        };
        expected.push((Code::TransactionAbortable, kind, lost));
    }
    for kind in [AddPartitions, AddOffsets, CommitOffsets, End] {
        expected.push((Code::InvalidProducerIdMapping, kind, State::FatalError));
        expected.push((Code::TransactionalIdAuthorizationFailed, kind, State::FatalError));
        expected.push((Code::InvalidTxnState, kind, State::FatalError));
    }
    expected.extend([
        (
            Code::TransactionalIdAuthorizationFailed,
            Init,
            State::Uninitialized,
        ),
        (Code::ClusterAuthorizationFailed, Init, State::Uninitialized),
        (Code::InvalidTransactionTimeout, Init, State::FatalError),
        (
            Code::TopicAuthorizationFailed,
            AddPartitions,
            State::AbortableError,
        ),
        (Code::OperationNotAttempted, AddPartitions, State::AbortableError),
        (Code::UnknownTopicOrPartition, AddPartitions, State::InTransaction),
        (Code::UnknownProducerId, AddPartitions, State::AbortableError),
        (Code::UnknownProducerId, AddOffsets, State::AbortableError),
        (Code::UnknownProducerId, End, State::FatalError),
        (Code::GroupAuthorizationFailed, AddOffsets, State::AbortableError),
        (
            Code::GroupAuthorizationFailed,
            CommitOffsets,
            State::AbortableError,
        ),
        (Code::FencedInstanceId, CommitOffsets, State::AbortableError),
        (Code::UnknownMemberId, CommitOffsets, State::AbortableError),
        (Code::IllegalGeneration, CommitOffsets, State::AbortableError),
        (Code::OffsetMetadataTooLarge, CommitOffsets, State::FatalError),
        (Code::UnknownServerError, End, State::FatalError),
    ]);
    for (error, kind, state) in expected {
        let (mut machine, request) = with_request(kind);
        // Of partitions, as the answer has it; of the others, of the whole.
        let result = match &request {
            Request::CommitOffsets { .. } => Ok(Answer::Partitions(vec![(partition(0), error)])),
            Request::AddPartitions { .. } => Ok(Answer::Partitions(vec![(partition(1), error)])),
            _ => Err(code(error)),
        };
        machine.answered(&request, result);
        assert_eq!(machine.state(), state, "{error} of {kind:?}");
        if state == before(kind) {
            assert_eq!(machine.next(true), Some(request), "{error}: it is asked again");
        }
    }
}

#[test]
fn batches_that_fail_doom_their_transaction() {
    for (error, state) in [
        (code(ErrorCode::MessageTooLarge), State::AbortableError),
        (code(ErrorCode::InvalidProducerEpoch), State::AbortableError),
        (code(ErrorCode::InvalidTxnState), State::AbortableError),
        (code(ErrorCode::TransactionAbortable), State::AbortableError),
        (lost(), State::AbortableError),
        (code(ErrorCode::ProducerFenced), State::FatalError),
        (code(ErrorCode::InvalidProducerIdMapping), State::FatalError),
        (
            code(ErrorCode::TransactionalIdAuthorizationFailed),
            State::FatalError,
        ),
    ] {
        for version in [Version::V1, Version::V2] {
            let mut machine = in_transaction(version);
            machine.batch_failed(&error);
            assert_eq!(machine.state(), state, "{error}");
            assert!(machine.commit().is_err() && machine.check_send().is_err());
            assert!(machine.unsendable().is_some());
            if state == State::FatalError {
                assert!(machine.abort().is_err() && machine.next(true).is_none());
                continue;
            }
            // After the abort it goes on, under another epoch.
            let outcome = machine.abort().expect("the cure");
            assert_eq!(machine.next(false), None, "batches are on their way");
            let request = machine.next(true).expect("the end");
            let ended = (version == Version::V2).then(|| identity(1));
            machine.answered(&request, Ok(Answer::Ended(ended)));
            if version == Version::V1 {
                let request = machine.next(true).expect("the next epoch");
                assert!(
                    matches!(request, Request::Init { current: Some(current), .. } if current == identity(0))
                );
                machine.answered(&request, Ok(initialized(1, version)));
            }
            assert!(matches!(*outcome.borrow(), Some(Ok(()))));
            machine.taken(Operation::Abort);
            machine.begin(version).expect("it goes on");
        }
    }
}

#[test]
fn calls_out_of_place_change_nothing() {
    let mut machine = Transactions::new("id", 60_000);
    assert!(machine.begin(Version::V1).is_err() && machine.commit().is_err() && machine.abort().is_err());
    assert!(machine.check_send().is_err());
    assert_eq!(machine.state(), State::Uninitialized);
    machine.init().expect("first");
    let error = machine.begin(Version::V1).expect_err("init is under way");
    assert!(
        error
            .to_string()
            .contains("previous call to `init_transactions` timed out and must be retried")
    );
    machine.init().expect("the same call joins");
    let mut machine = in_transaction(Version::V1);
    assert!(machine.init().is_err() && machine.begin(Version::V1).is_err());
    assert_eq!(machine.state(), State::InTransaction);
    machine.commit().expect("allowed");
    assert!(machine.abort().is_err(), "the commit may have happened");
    assert_eq!(machine.state(), State::Committing);
}

#[test]
fn an_end_without_a_word_is_asked_again_and_told_honestly() {
    let mut machine = in_transaction(Version::V1);
    let outcome = machine.commit().expect("allowed");
    let request = machine.next(true).expect("the end");
    assert_eq!(machine.answered(&request, Err(lost())), Settled::Retry);
    assert_eq!(machine.next(true), Some(request.clone()));
    machine.answered(&request, Err(code(ErrorCode::ProducerFenced)));
    let told = outcome.borrow().clone();
    assert!(
        matches!(told, Some(Err(Error::UnknownOutcome { .. }))),
        "{told:?}"
    );
    // What was refused from the beginning did not happen.
    let mut machine = in_transaction(Version::V1);
    let outcome = machine.commit().expect("allowed");
    let request = machine.next(true).expect("the end");
    machine.answered(&request, Err(code(ErrorCode::NotCoordinator)));
    machine.answered(&request, Err(code(ErrorCode::ProducerFenced)));
    let told = outcome.borrow().clone();
    assert!(
        matches!(told, Some(Err(Error::ProducerFenced { .. }))),
        "{told:?}"
    );
}

#[test]
fn a_change_of_the_version_waits_for_the_next_epoch() {
    let mut machine = in_transaction(Version::V1);
    machine.commit().expect("allowed");
    let request = machine.next(true).expect("the end");
    machine.answered(&request, Ok(Answer::Ended(None)));
    machine.taken(Operation::Commit);
    machine.begin(Version::V2).expect("ready");
    assert!(
        !machine.may_send(&partition(0)),
        "still version 1: the partition is added first"
    );
    machine.commit().expect("allowed");
    let added = machine.next(true).expect("the partition");
    machine.answered(
        &added,
        Ok(Answer::Partitions(vec![(partition(0), ErrorCode::None)])),
    );
    let request = machine.next(true).expect("the end");
    assert!(matches!(
        request,
        Request::End {
            version: Version::V1,
            ..
        }
    ));
    machine.answered(&request, Ok(Answer::Ended(None)));
    let request = machine.next(true).expect("the next epoch");
    machine.answered(&request, Ok(initialized(1, Version::V2)));
    machine.taken(Operation::Commit);
    machine.begin(Version::V2).expect("ready");
    assert!(machine.may_send(&partition(0)), "writing adds");
}

#[test]
fn partitions_that_were_not_attempted_say_nothing() {
    use ErrorCode as Code;
    for (codes, state) in [
        (
            [Code::UnknownTopicOrPartition, Code::OperationNotAttempted],
            State::InTransaction,
        ),
        // It is asked again whatever else there is; what is forbidden is told once that is all there is.
        (
            [Code::UnknownTopicOrPartition, Code::TopicAuthorizationFailed],
            State::InTransaction,
        ),
        (
            [Code::TopicAuthorizationFailed, Code::OperationNotAttempted],
            State::AbortableError,
        ),
        (
            [Code::InvalidTopicException, Code::TopicAuthorizationFailed],
            State::AbortableError,
        ),
        (
            [Code::InvalidTxnState, Code::OperationNotAttempted],
            State::FatalError,
        ),
        (
            [Code::ProducerFenced, Code::UnknownTopicOrPartition],
            State::FatalError,
        ),
    ] {
        for codes in [codes, [codes[1], codes[0]]] {
            let mut machine = begun();
            assert!(!machine.may_send(&partition(0)) && !machine.may_send(&partition(1)));
            let request = machine.next(false).expect("the partitions are to be added");
            let results = vec![(partition(0), codes[0]), (partition(1), codes[1])];
            let settled = machine.answered(&request, Ok(Answer::Partitions(results)));
            assert_eq!(machine.state(), state, "{codes:?}");
            if state == State::InTransaction {
                assert_eq!(
                    (settled, machine.next(false)),
                    (Settled::Retry, Some(request)),
                    "{codes:?}"
                );
            } else if codes.contains(&Code::TopicAuthorizationFailed) {
                let told = machine.check_send().expect_err("lost");
                assert_eq!(told.code(), Some(Code::TopicAuthorizationFailed), "{codes:?}");
            }
        }
    }
}

/// What is in doubt is asked for once more at most; then only an end can tell.
#[test]
fn an_abort_ends_where_an_unanswered_add_is_refused_later() {
    use ErrorCode as Code;
    for (refusal, is_open, refused_before) in [
        (Code::TopicAuthorizationFailed, true, true),
        (Code::TopicAuthorizationFailed, false, true),
        (Code::TopicAuthorizationFailed, false, false),
        (Code::OperationNotAttempted, true, false),
        (Code::UnknownProducerId, false, true),
        // The topic was deleted meanwhile.
        (Code::UnknownTopicOrPartition, true, false),
        (Code::UnknownTopicOrPartition, false, false),
    ] {
        let mut machine = begun();
        assert!(!machine.may_send(&partition(0)));
        let add = machine.next(false).expect("the partition is to be added");
        let refuse = |machine: &mut Transactions| {
            machine.answered(&add, Ok(Answer::Partitions(vec![(partition(0), refusal)])))
        };
        assert_eq!(machine.answered(&add, Err(lost())), Settled::Retry);
        if refused_before {
            refuse(&mut machine);
            assert_eq!(machine.state(), State::AbortableError, "{refusal}");
        }
        let outcome = machine.abort().expect("the cure");
        if !refused_before {
            assert_eq!(machine.next(true), Some(add.clone()));
            assert_eq!(refuse(&mut machine), Settled::Done, "{refusal}");
        }
        let end = machine.next(true).expect("the end");
        assert_eq!(end.kind(), Kind::End, "{refusal}: a refused add is not repeated");
        machine.answered(
            &end,
            match (is_open, refusal) {
                (true, _) => Ok(Answer::Ended(None)),
                (false, Code::UnknownProducerId) => Err(code(refusal)),
                (false, _) => Err(code(Code::InvalidTxnState)),
            },
        );
        if refusal == Code::UnknownProducerId {
            let init = machine.next(true).expect("the next epoch");
            machine.answered(&init, Ok(initialized(1, Version::V1)));
        }
        assert!(matches!(*outcome.borrow(), Some(Ok(()))), "{refusal} {is_open}");
        // The next one is in no doubt: there a refusal of the end is what it always is.
        machine.taken(Operation::Abort);
        machine.begin(Version::V1).expect("it goes on");
        assert!(!machine.may_send(&partition(0)));
        let add = machine.next(false).expect("the partition is to be added");
        machine.answered(&add, Ok(Answer::Partitions(vec![(partition(0), Code::None)])));
        machine.abort().expect("allowed");
        let end = machine.next(true).expect("the end");
        machine.answered(&end, Err(code(Code::InvalidTxnState)));
        assert_eq!(machine.state(), State::FatalError);
    }
}

/// Finding 13 of the review of the workers of 22 November: a commit that has succeeded was told as failed if the epoch that follows it
/// is refused. Kafka tells it so, too.
#[test]
fn a_commit_that_succeeded_is_told_so_whatever_comes_after_it() {
    let mut machine = Transactions::new("id", 60_000);
    machine.init().expect("first");
    let request = machine.next(true).expect("a request");
    machine.answered(&request, Ok(initialized(0, Version::V1)));
    machine.taken(Operation::Init);
    // The cluster has been upgraded: another epoch is asked for behind this transaction.
    machine.begin(Version::V2).expect("ready");
    assert!(!machine.may_send(&partition(0)));
    let request = machine.next(false).expect("the partition is to be added");
    let added = Answer::Partitions(vec![(partition(0), ErrorCode::None)]);
    machine.answered(&request, Ok(added));
    let outcome = machine.commit().expect("allowed");
    let request = machine.next(true).expect("the end");
    assert_eq!(request.kind(), Kind::End);
    machine.answered(&request, Ok(Answer::Ended(None)));
    assert!(outcome.borrow().is_none(), "it waits for the epoch");
    let request = machine.next(true).expect("the epoch");
    assert_eq!(request.kind(), Kind::Init);
    machine.answered(&request, Err(code(ErrorCode::ProducerFenced)));
    assert!(matches!(*outcome.borrow(), Some(Ok(()))), "{outcome:?}");
    machine.taken(Operation::Commit);
    let error = machine.begin(Version::V2).expect_err("it is fenced");
    assert!(matches!(error, Error::ProducerFenced { .. }), "{error}");
}
