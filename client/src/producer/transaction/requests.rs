//! What the coordinators are asked, one request at a time, and what their answers change.

use std::sync::Arc;

use forebay_protocol::{ErrorCode, TopicPartition};

use super::{Class, Kind, State, Transactions, Version, class::of_request};
use crate::{consumer::GroupMetadata, error::Error, group_offsets::Offsets, producer::sequences::Identity};

/// A request to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::producer) enum Request {
    /// `InitProducerId`: for the first time, or for the epoch after this one.
    Init {
        timeout_ms: i32,
        current: Option<Identity>,
    },
    /// `AddPartitionsToTxn`.
    AddPartitions {
        identity: Identity,
        partitions: Vec<TopicPartition>,
    },
    /// `AddOffsetsToTxn`.
    AddOffsets { identity: Identity, group: Arc<str> },
    /// `TxnOffsetCommit`, to the group's coordinator.
    CommitOffsets {
        identity: Identity,
        group: GroupMetadata,
        offsets: Offsets,
        version: Version,
    },
    /// `EndTxn`.
    End {
        identity: Identity,
        commit: bool,
        version: Version,
    },
}

/// What came back without an error of the request as a whole.
#[derive(Debug, Clone)]
pub(in crate::producer) enum Answer {
    /// Who the producer is now, whether it may ask for its next epoch, and how transactions work from here on.
    Initialized {
        identity: Identity,
        can_bump: bool,
        version: Version,
    },
    /// What became of each.
    Partitions(Vec<(TopicPartition, ErrorCode)>),
    /// Nothing but yes.
    Done,
    /// The end, and with version 2 who the producer is from here on.
    Ended(Option<Identity>),
}

/// What an answer comes to for the one who carries requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::producer) enum Settled {
    /// Go on.
    Done,
    /// Go on as this producer: nothing of the old one is left.
    As(Identity),
    /// Ask again after a pause.
    Retry,
    /// Ask again after a short pause: the transaction before this one is about to end.
    RetrySoon,
}

impl Request {
    pub(in crate::producer) fn kind(&self) -> Kind {
        match self {
            Self::Init { .. } => Kind::Init,
            Self::AddPartitions { .. } => Kind::AddPartitions,
            Self::AddOffsets { .. } => Kind::AddOffsets,
            Self::CommitOffsets { .. } => Kind::CommitOffsets,
            Self::End { .. } => Kind::End,
        }
    }
}

impl Transactions {
    /// What to ask now, if anything; `is_idle`: no batch waits or is on its way. An end without anything to end is done here.
    pub(in crate::producer) fn next(&mut self, is_idle: bool) -> Option<Request> {
        match self.state {
            State::Initializing => Some(Request::Init {
                timeout_ms: self.timeout_ms,
                current: self.identity,
            }),
            State::InTransaction | State::Committing if !self.new_partitions.is_empty() => {
                Some(Request::AddPartitions {
                    identity: self.identity?,
                    partitions: self.new_partitions.iter().cloned().collect(),
                })
            }
            State::InTransaction | State::Committing if !self.offsets.is_empty() => self.next_of_offsets(),
            State::Aborting if !self.started && self.add_in_doubt.is_some() => self.add_in_doubt.clone(),
            State::Committing | State::Aborting if is_idle => {
                if !self.started {
                    self.ended();
                    return self.next(is_idle);
                }
                self.end_asked = true;
                Some(Request::End {
                    identity: self.identity?,
                    commit: self.state == State::Committing,
                    version: self.version,
                })
            }
            _ => None,
        }
    }

    fn next_of_offsets(&mut self) -> Option<Request> {
        let identity = self.identity?;
        let offsets = self.offsets.front()?;
        if self.version == Version::V1 && !offsets.added {
            return Some(Request::AddOffsets {
                identity,
                group: offsets.group.group_id.as_str().into(),
            });
        }
        // With version 2 the group's coordinator adds it.
        self.started = true;
        Some(Request::CommitOffsets {
            identity,
            group: offsets.group.clone(),
            offsets: offsets.offsets.clone(),
            version: self.version,
        })
    }

    /// What came of a request.
    pub(in crate::producer) fn answered(
        &mut self,
        request: &Request,
        result: Result<Answer, Error>,
    ) -> Settled {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => return self.refused(request, &error),
        };
        match (request, answer) {
            (
                Request::Init { .. },
                Answer::Initialized {
                    identity,
                    can_bump,
                    version,
                },
            ) => {
                if self.state != State::Initializing {
                    return Settled::Done;
                }
                tracing::debug!(id = %self.id, producer_id = %identity.id, epoch = %identity.epoch, "initialized");
                (self.identity, self.can_bump, self.version) = (Some(identity), can_bump, version);
                self.state = State::Ready;
                self.bump = false;
                self.end(Ok(()));
                Settled::As(identity)
            }
            (Request::AddPartitions { .. }, Answer::Partitions(results)) => self.partitions_added(results),
            (Request::AddOffsets { .. }, Answer::Done) => {
                self.started = true;
                if let Some(offsets) = self.offsets.front_mut() {
                    offsets.added = true;
                }
                Settled::Done
            }
            (Request::CommitOffsets { .. }, Answer::Partitions(results)) => self.offsets_committed(&results),
            (Request::End { .. }, Answer::Ended(identity)) => {
                let next = identity.filter(|_| self.version == Version::V2);
                self.identity = next.or(self.identity);
                self.ended();
                next.map_or(Settled::Done, Settled::As)
            }
            (request, _) => {
                debug_assert!(false, "an answer of another kind to {request:?}");
                Settled::Done
            }
        }
    }

    fn partitions_added(&mut self, results: Vec<(TopicPartition, ErrorCode)>) -> Settled {
        let failed = results.iter().filter(|(_, code)| *code != ErrorCode::None);
        let worst = failed.max_by_key(|(_, code)| rank(*code));
        if let Some((partition, code)) = worst {
            let error = Error::broker(format!("add {partition} to the transaction"), *code);
            let class = of_request(Kind::AddPartitions, &error);
            return self.by_class(Kind::AddPartitions, class, &error);
        }
        self.started |= !results.is_empty();
        for (partition, _) in results {
            self.new_partitions.remove(&partition);
            self.partitions.insert(partition);
        }
        Settled::Done
    }

    /// Takes what is committed off the front's list; the rest is tried again.
    fn offsets_committed(&mut self, results: &[(TopicPartition, ErrorCode)]) -> Settled {
        for (partition, code) in results {
            let error = Error::broker(
                format!("commit the offset of {partition} in the transaction"),
                *code,
            );
            match code {
                ErrorCode::None => {
                    if let Some(front) = self.offsets.front_mut() {
                        front.offsets.remove(partition);
                    }
                }
                _ => match of_request(Kind::CommitOffsets, &error) {
                    Class::Retry => {}
                    class => return self.by_class(Kind::CommitOffsets, class, &error),
                },
            }
        }
        if let Some(front) = self.offsets.front()
            && front.offsets.is_empty()
        {
            front.promise.send_replace(Some(Ok(())));
            self.offsets.pop_front();
            return Settled::Done;
        }
        // Also where the answer does not mention a partition.
        Settled::Retry
    }

    fn refused(&mut self, request: &Request, error: &Error) -> Settled {
        let class = of_request(request.kind(), error);
        // Only what a broker says proves that it has not done what it was asked.
        let is_proof = matches!(error, Error::Broker { code, .. } if *code != ErrorCode::RequestTimedOut);
        if class == Class::Retry && !is_proof {
            match request {
                Request::End { .. } => self.end_in_doubt = true,
                Request::AddPartitions { .. } | Request::AddOffsets { .. } if !self.started => {
                    self.add_in_doubt = Some(request.clone());
                }
                _ => {}
            }
        }
        self.by_class(request.kind(), class, error)
    }

    fn by_class(&mut self, kind: Kind, class: Class, error: &Error) -> Settled {
        let code = error.code();
        let is_add = matches!(kind, Kind::AddPartitions | Kind::AddOffsets);
        match class {
            // Nobody waits for a topic any more: it may have been deleted.
            Class::Retry
                if self.state == State::Aborting
                    && is_add
                    && code == Some(ErrorCode::UnknownTopicOrPartition) =>
            {
                self.add_refused();
            }
            Class::Retry => {
                tracing::debug!(id = %self.id, "{error}; trying again");
                let is_first = kind == Kind::AddPartitions && self.partitions.is_empty();
                let is_ending = code == Some(ErrorCode::ConcurrentTransactions);
                return if is_first && is_ending {
                    Settled::RetrySoon
                } else {
                    Settled::Retry
                };
            }
            Class::Abort | Class::AbortAndBump => {
                self.bump |= class == Class::AbortAndBump && self.version == Version::V1;
                if is_add {
                    self.add_refused();
                }
                match (self.state, kind) {
                    // What can be done about it is under way already.
                    (State::Aborting, Kind::End) => self.fatal(error),
                    (State::Initializing, Kind::Init) => {
                        self.state = State::Uninitialized;
                        self.end(Err(error.clone()));
                    }
                    _ => {
                        self.end_asked = false;
                        self.abortable(error);
                    }
                }
            }
            Class::Fenced => self.fenced(),
            Class::Fatal if kind == Kind::End && self.has_nothing_to_end(error) => self.ended(),
            // Nothing has happened yet: once it is allowed, the same producer may try again.
            Class::Fatal if kind == Kind::Init && self.identity.is_none() && is_forbidden(error) => {
                self.state = State::Uninitialized;
                self.end(Err(error.clone()));
            }
            Class::Fatal => self.fatal(error),
        }
        Settled::Done
    }

    /// A refused add is not asked for again (Kafka does not, either). If an attempt before it went unanswered, the transaction may be
    /// open all the same.
    fn add_refused(&mut self) {
        if !self.started && self.add_in_doubt.take().is_some() {
            self.started = true;
            self.end_may_be_needless = true;
        }
    }

    /// Whether an abort learns that no transaction is open, or not even the producer known, where that is no surprise.
    fn has_nothing_to_end(&self, error: &Error) -> bool {
        self.state == State::Aborting
            && self.end_may_be_needless
            && matches!(
                error.code(),
                Some(ErrorCode::InvalidTxnState | ErrorCode::UnknownProducerId)
            )
    }

    /// The transaction is over.
    fn ended(&mut self) {
        self.started = false;
        self.add_in_doubt = None;
        self.end_may_be_needless = false;
        self.end_asked = false;
        self.end_in_doubt = false;
        self.new_partitions.clear();
        self.partitions.clear();
        self.error = None;
        if self.bump {
            if let Some(pending) = &mut self.pending {
                pending.has_ended = true;
            }
            self.state = State::Initializing;
        } else {
            self.state = State::Ready;
            self.end(Ok(()));
        }
    }
}

/// Which of the errors of partitions counts: the highest. As long as one may pass, they are all asked for again.
fn rank(code: ErrorCode) -> u8 {
    match (of_request(Kind::AddPartitions, &Error::broker("", code)), code) {
        // It says nothing of its own.
        (_, ErrorCode::OperationNotAttempted) => 0,
        (Class::Abort, ErrorCode::TopicAuthorizationFailed) => 2,
        (Class::Abort, ErrorCode::TransactionAbortable) => 4,
        (Class::Abort, _) => 1,
        (Class::Retry, _) => 3,
        (Class::AbortAndBump, _) => 5,
        (Class::Fenced, _) => 6,
        (Class::Fatal, _) => 7,
    }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::TransactionalIdAuthorizationFailed | ErrorCode::ClusterAuthorizationFailed)
    )
}
