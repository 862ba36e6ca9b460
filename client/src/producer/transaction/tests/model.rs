//! The state machine against a coordinator that loses requests and answers, and refuses.

use std::collections::BTreeSet;

use forebay_protocol::ErrorCode as Code;
use proptest::prelude::*;

use super::*;

/// How many requests an abort may cost that nothing disturbs: what is in doubt, the end, the next epoch.
const REQUESTS_OF_AN_ABORT: usize = 3;
/// After how many a commit that is still refused is given up; offsets may have been sent many times.
const REQUESTS_OF_A_COMMIT: usize = 100;

/// What partitions are refused with. What is fatal is not among it.
const REFUSALS: [Code; 6] = [
    Code::TopicAuthorizationFailed,
    Code::OperationNotAttempted,
    Code::UnknownTopicOrPartition,
    Code::UnknownProducerId,
    Code::TransactionAbortable,
    Code::InvalidTopicException,
];

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
        let fenced = || code(Code::ProducerFenced);
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
                Ok(of_each(partitions, |_| Code::None))
            }
            Request::AddOffsets { identity, .. } => {
                assert_eq!((identity.epoch.0, version), (self.epoch, Version::V1));
                self.ongoing = true;
                Ok(Answer::Done)
            }
            Request::CommitOffsets {
                identity, offsets, ..
            } => {
                assert_eq!(identity.epoch.0, self.epoch);
                assert!(self.ongoing || version == Version::V2, "the group is added first");
                self.ongoing = true;
                Ok(of_each(offsets.keys(), |_| Code::None))
            }
            Request::End { identity, commit, .. } => self.end(identity.epoch.0, *commit, version),
        }
    }

    fn end(&mut self, epoch: i16, commit: bool, version: Version) -> Result<Answer, Error> {
        if !self.ongoing && self.last == Some((epoch, commit)) {
            return Ok(self.ended(version));
        }
        assert_eq!(epoch, self.epoch, "nobody else took it over");
        if !self.ongoing && (version == Version::V1 || commit) {
            assert!(!commit, "nothing is committed that is not there");
            return Err(code(Code::InvalidTxnState));
        }
        self.ongoing = false;
        self.added.clear();
        self.last = Some((epoch, commit));
        self.commits += u32::from(commit);
        self.epoch += i16::from(version == Version::V2);
        Ok(self.ended(version))
    }

    fn ended(&self, version: Version) -> Answer {
        Answer::Ended((version == Version::V2).then(|| identity(self.epoch)))
    }
}

fn of_each<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
    code: impl Fn(usize) -> Code,
) -> Answer {
    let each = partitions.into_iter().enumerate();
    Answer::Partitions(each.map(|(index, one)| (one.clone(), code(index))).collect())
}

/// The answer of a coordinator that carries nothing out; `codes` in this order, the last for all the rest.
fn refusal(request: &Request, codes: [Code; 2]) -> Result<Answer, Error> {
    match request {
        Request::AddPartitions { partitions, .. } => Ok(of_each(partitions, |index| codes[index.min(1)])),
        Request::AddOffsets { .. } if codes[0] == Code::UnknownProducerId => Err(code(codes[0])),
        Request::AddOffsets { .. } => Err(code(Code::GroupAuthorizationFailed)),
        Request::CommitOffsets { offsets, .. } => {
            Ok(of_each(offsets.keys(), |_| Code::GroupAuthorizationFailed))
        }
        Request::Init { .. } | Request::End { .. } => Err(code(Code::ConcurrentTransactions)),
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(i32),
    SendOffsets,
    FailBatch,
    End {
        commit: bool,
    },
    /// The next request is carried out, or not, and its answer arrives, or not.
    Request {
        arrives: bool,
        answered: bool,
    },
    /// The next request is asked too early.
    Early,
    /// The next request is refused.
    Refuse([Code; 2]),
}

fn refusals() -> impl Strategy<Value = [Code; 2]> {
    let one = || prop::sample::select(&REFUSALS);
    (one(), one()).prop_map(|(first, rest)| [first, rest])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3).prop_map(Step::Write),
        1 => Just(Step::SendOffsets),
        1 => Just(Step::FailBatch),
        2 => any::<bool>().prop_map(|commit| Step::End { commit }),
        8 => (any::<bool>(), any::<bool>()).prop_map(|(arrives, answered)| Step::Request { arrives, answered }),
        1 => Just(Step::Early),
        2 => refusals().prop_map(Step::Refuse),
    ]
}

/// A machine, its coordinator, and what was asked and told.
struct Story {
    version: Version,
    machine: Transactions,
    coordinator: Coordinator,
    waits: Option<(Operation, Outcome)>,
    told: u32,
}

impl Story {
    fn new(version: Version) -> Self {
        let coordinator = Coordinator {
            ongoing: true,
            added: [partition(0)].into(),
            ..Coordinator::default()
        };
        Self {
            version,
            machine: in_transaction(version),
            coordinator,
            waits: None,
            told: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(number) => self.write(&partition(number)),
            Step::SendOffsets => {
                self.begin();
                let _ = send_offsets(&mut self.machine); // It may be out of place.
            }
            Step::FailBatch => self.machine.batch_failed(&code(Code::MessageTooLarge)),
            Step::End { commit } => {
                let (call, operation) = if commit {
                    (self.machine.commit(), Operation::Commit)
                } else {
                    (self.machine.abort(), Operation::Abort)
                };
                if let Ok(outcome) = call {
                    self.waits = Some((operation, outcome));
                }
            }
            Step::Request { arrives, answered } => {
                self.request(|coordinator, request, version| {
                    let result = if arrives {
                        coordinator.carry_out(request, version)
                    } else {
                        Err(lost())
                    };
                    if answered { result } else { Err(lost()) }
                });
            }
            Step::Early => self.request(|_, _, _| Err(code(Code::ConcurrentTransactions))),
            Step::Refuse(codes) => self.request(|_, request, _| refusal(request, codes)),
        }
        assert_ne!(self.machine.state(), State::FatalError);
        self.hear();
    }

    fn begin(&mut self) {
        if self.machine.state() == State::Ready {
            let _ = self.machine.begin(self.version); // Nobody may have heard yet how the last one ended.
        }
    }

    fn write(&mut self, partition: &TopicPartition) {
        self.begin();
        if self.machine.state() == State::InTransaction && self.machine.may_send(partition) {
            let coordinator = &mut self.coordinator;
            match self.version {
                Version::V1 => assert!(coordinator.ongoing && coordinator.added.contains(partition)),
                Version::V2 => coordinator.ongoing = true,
            }
        }
    }

    fn request(&mut self, answer: impl FnOnce(&mut Coordinator, &Request, Version) -> Result<Answer, Error>) {
        if let Some(request) = self.machine.next(true) {
            let result = answer(&mut self.coordinator, &request, self.version);
            self.machine.answered(&request, result);
        }
    }

    fn hear(&mut self) {
        let Some((operation, outcome)) = &self.waits else {
            return;
        };
        let Some(result) = outcome.borrow().clone() else {
            return;
        };
        let is_commit =
            *operation == Operation::Commit && self.coordinator.last.is_some_and(|(_, commit)| commit);
        self.told += u32::from(result.is_ok() && is_commit);
        self.machine.taken(*operation);
        self.waits = None;
    }

    /// Once no word is lost any more, what is under way ends, and an abort at once: also where adds are refused for good.
    fn comes_to_rest(&mut self, refused: Option<[Code; 2]>) {
        let answer = |coordinator: &mut Coordinator, request: &Request, version| match (request, refused) {
            (Request::Init { .. } | Request::End { .. }, _) | (_, None) => {
                coordinator.carry_out(request, version)
            }
            (_, Some(codes)) => refusal(request, codes),
        };
        // What is under way, and the abort of what that may become.
        for _ in 0..2 {
            self.step(Step::End { commit: false });
            let is_abort = self.machine.state() == State::Aborting;
            let mut requests = 0;
            while self.machine.is_busy() {
                assert!(!is_abort || requests < REQUESTS_OF_AN_ABORT, "{:?}", self.machine);
                self.request(answer);
                self.hear();
                requests += 1;
                if requests == REQUESTS_OF_A_COMMIT {
                    // Its time is over: a topic that is not there is waited for until then.
                    assert_eq!(self.machine.state(), State::Committing);
                    self.step(Step::FailBatch);
                }
            }
        }
        assert_eq!(self.machine.state(), State::Ready);
        assert!(self.waits.is_none() && !self.coordinator.ongoing);
        // A commit of nothing is told, too, and the coordinator does not hear of it.
        assert!(self.told >= self.coordinator.commits);
    }
}

proptest! {
    /// Whatever is lost or refused on the way: no partition is written to that the coordinator does not know, nothing is asked in a
    /// state or an epoch that would be fatal, a commit that is told happened exactly once, and it always comes to an end.
    #[test]
    fn whatever_is_lost_machine_and_coordinator_agree(
        is_v2 in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
        refused in prop::option::of(refusals()),
    ) {
        let mut story = Story::new(if is_v2 { Version::V2 } else { Version::V1 });
        for step in steps {
            story.step(step);
        }
        story.comes_to_rest(refused);
    }
}
