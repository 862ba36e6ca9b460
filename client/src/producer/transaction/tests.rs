//! The state machine by itself: what is allowed where, what each error does, and a coordinator that loses requests and answers.

use std::collections::BTreeSet;

use forebay_protocol::ErrorCode;
use forebay_records::{ProducerEpoch, ProducerId};
use proptest::prelude::*;

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
        Kind::AddOffsets | Kind::CommitOffsets => {
            let group = GroupMetadata {
                group_id: "g".to_owned(),
                generation_id: 1,
                member_id: "m".to_owned(),
                group_instance_id: None,
            };
            let offsets = [(partition(0), forebay_records::Offset(5).into())];
            machine.send_offsets(offsets.into(), group).expect("allowed");
        }
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

/// The least that a coordinator has to do, to hold a machine against.
#[derive(Debug, Default)]
struct Coordinator {
    epoch: i16,
    ongoing: bool,
    added: BTreeSet<TopicPartition>,
    last: Option<(i16, bool)>,
    commits: u32,
}

impl Coordinator {
    fn carry_out(&mut self, request: &Request, version: Version) -> Result<Answer, Error> {
        let fenced = || code(ErrorCode::ProducerFenced);
        match request {
            Request::Init { current, .. } => {
                assert!(!self.ongoing, "only after the end");
                match current {
                    Some(current) if current.epoch.0 == self.epoch => self.epoch += 1,
                    Some(current) if current.epoch.0 + 1 == self.epoch => {}
                    Some(_) => return Err(fenced()),
                    None => self.epoch += 1,
                }
                Ok(initialized(self.epoch, version))
            }
            Request::AddPartitions { identity, partitions } => {
                assert_eq!((identity.epoch.0, version), (self.epoch, Version::V1));
                self.ongoing = true;
                self.added.extend(partitions.iter().cloned());
                let added = partitions.iter().map(|one| (one.clone(), ErrorCode::None));
                Ok(Answer::Partitions(added.collect()))
            }
            Request::End { identity, commit, .. } => {
                let epoch = identity.epoch.0;
                if !self.ongoing && self.last == Some((epoch, *commit)) {
                    return Ok(self.ended(version));
                }
                assert_eq!(epoch, self.epoch, "nobody else took it over");
                assert!(
                    self.ongoing || (version == Version::V2 && !commit),
                    "INVALID_TXN_STATE is fatal"
                );
                self.ongoing = false;
                self.added.clear();
                self.last = Some((epoch, *commit));
                self.commits += u32::from(*commit);
                self.epoch += i16::from(version == Version::V2);
                Ok(self.ended(version))
            }
            other => panic!("{other:?} is not part of this"),
        }
    }

    fn ended(&self, version: Version) -> Answer {
        Answer::Ended((version == Version::V2).then(|| identity(self.epoch)))
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(i32),
    FailBatch,
    End {
        commit: bool,
    },
    /// The next request is carried out, or not, and its answer arrives, or not.
    Request {
        arrives: bool,
        answered: bool,
    },
    Refuse,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3).prop_map(Step::Write),
        1 => Just(Step::FailBatch),
        2 => any::<bool>().prop_map(|commit| Step::End { commit }),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(arrives, answered)| Step::Request { arrives, answered }),
        1 => Just(Step::Refuse),
    ]
}

proptest! {
    /// Whatever is lost on the way: no partition is written to that the coordinator does not know, nothing is asked in a state or
    /// an epoch that would be refused, a commit that is told happened exactly once, and in the end it always goes on.
    #[test]
    fn whatever_is_lost_machine_and_coordinator_agree(
        is_v2 in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let version = if is_v2 { Version::V2 } else { Version::V1 };
        let (mut machine, mut coordinator) = (in_transaction(version), Coordinator::default());
        coordinator.ongoing = true;
        coordinator.added.insert(partition(0));
        let mut waits: Option<(Operation, Outcome)> = None;
        let mut told = 0;
        let calm = (0..40).map(|number| match number % 4 {
            3 => Step::End { commit: false },
            _ => Step::Request { arrives: true, answered: true },
        });
        for step in steps.into_iter().chain(calm) {
            match step {
                Step::Write(number) => {
                    if machine.state() == State::Ready {
                        machine.begin(version).expect("ready");
                    }
                    if machine.state() == State::InTransaction && machine.may_send(&partition(number)) {
                        if is_v2 {
                            coordinator.ongoing = true;
                        } else {
                            prop_assert!(coordinator.ongoing && coordinator.added.contains(&partition(number)));
                        }
                    }
                }
                Step::FailBatch => machine.batch_failed(&code(ErrorCode::MessageTooLarge)),
                Step::End { commit } => {
                    let call = if commit { machine.commit() } else { machine.abort() };
                    let operation = if commit { Operation::Commit } else { Operation::Abort };
                    if let Ok(outcome) = call {
                        waits = Some((operation, outcome));
                    }
                }
                Step::Request { arrives, answered } => {
                    if let Some(request) = machine.next(true) {
                        let result = if arrives { coordinator.carry_out(&request, version) } else { Err(lost()) };
                        let result = if answered { result } else { Err(lost()) };
                        machine.answered(&request, result);
                    }
                }
                Step::Refuse => {
                    if let Some(request) = machine.next(true) {
                        machine.answered(&request, Err(code(ErrorCode::ConcurrentTransactions)));
                    }
                }
            }
            prop_assert!(machine.state() != State::FatalError);
            if let Some((operation, outcome)) = waits.clone() && outcome.borrow().is_some() {
                machine.taken(operation);
                let is_ok = matches!(*outcome.borrow(), Some(Ok(())));
                told += u32::from(is_ok && operation == Operation::Commit && coordinator.last.is_some_and(|(_, commit)| commit));
                waits = None;
            }
        }
        prop_assert!(matches!(machine.state(), State::Ready), "{:?}", machine.state());
        prop_assert!(!coordinator.ongoing);
        // A commit of nothing is told, too, and the coordinator does not hear of it.
        prop_assert!(told >= coordinator.commits || waits.is_some());
    }
}
