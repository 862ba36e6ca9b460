//! One shard of the transaction coordinator: takes commands and time, keeps what is known in step with what is committed. Each API
//! decides in its own file below this one; how decisions become appends is in `appends`.

mod add_partitions;
mod appends;
mod driven;
mod end_transaction;
mod init_producer_id;
mod list;
mod markers;
mod over_time;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{NO_PRODUCER_ID, ProducerId, RecordBatch};

pub use list::{ListFilters, Listing};

use super::metadata::TransactionMetadata;
use super::record::{Error, TransactionRecord};
use super::{
    Action, Command, Completion, Config, Features, Outcome, Request, Response, State, TransactionVersion,
};
use crate::{AppendId, Now, RequestId};
use appends::Appends;

/// The coordinator of the transactional ids of one `__transaction_state` partition. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct TransactionCoordinator {
    config: Config,
    /// The leader epoch of the partition; markers carry it.
    epoch: i32,
    features: Arc<dyn Features>,
    /// The finalized `transaction.version` at the beginning of the call that is being answered.
    version: TransactionVersion,
    transactions: BTreeMap<Utf8Bytes, Transaction>,
    appends: Appends,
    deadlines: BTreeSet<(Duration, Deadline)>,
    /// Requests that need a producer id, in the order in which ids were asked for.
    parked: VecDeque<Request>,
    /// Ids that turned out not to be needed when they came.
    spare_producer_ids: Vec<ProducerId>,
    unknown_records: u64,
}

/// A transactional id: what is committed of it, and what is being done to it.
#[derive(Debug)]
struct Transaction {
    metadata: TransactionMetadata,
    pending: Option<Pending>,
}

/// Why nothing else may be done to a transactional id just now (Kafka's `pendingState`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    /// The record that brings it into this state is on its way.
    Append { append: AppendId, state: State },
    /// It is prepared, and these partitions have not been told. None: the record of the completion could not be written.
    Markers(BTreeSet<TopicPartition>),
}

/// What the clock is watched for. Deadlines lie on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    /// Who waits for this append has waited long enough.
    Append(AppendId),
    /// Go on with ending this transaction.
    Markers(Utf8Bytes),
    /// Look for transactions that take too long.
    AbortTimedOut,
    /// Look for ids that nobody uses.
    RemoveExpired,
}

/// Who is to be answered, in which version.
#[derive(Debug, Clone, Copy)]
struct Asker {
    request: RequestId,
    api_version: i16,
}

/// Why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It is answered with this.
    Error(ErrorCode),
    /// It can be decided once there is a producer id to give.
    NeedsProducerId,
}

impl Refusal {
    /// What is said where nobody can be told to wait.
    fn error(self) -> ErrorCode {
        match self {
            Self::Error(error) => error,
            Self::NeedsProducerId => ErrorCode::CoordinatorNotAvailable,
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self::Error(error)
    }
}

impl TransactionCoordinator {
    /// A coordinator that knows no transactional id: to `replay` into, then to `activate`. `epoch` is the leader epoch of its partition.
    #[must_use]
    pub fn new(config: Config, epoch: i32, features: Arc<dyn Features>) -> Self {
        Self {
            config,
            epoch,
            version: features.transaction_version(),
            features,
            transactions: BTreeMap::new(),
            appends: Appends::default(),
            deadlines: BTreeSet::new(),
            parked: VecDeque::new(),
            spare_producer_ids: Vec::new(),
            unknown_records: 0,
        }
    }

    /// Reads back one record of the partition, oldest first, before `activate`. Records of versions that are not known here are counted
    /// and left alone.
    ///
    /// # Errors
    /// A record of a known version that cannot be read: the partition should not be coordinated from here.
    pub fn replay(&mut self, key: Option<&Bytes>, value: Option<&Bytes>) -> Result<(), Error> {
        match TransactionRecord::decode(key.ok_or(Error::NoKey)?, value)? {
            TransactionRecord::Transaction(id, Some(metadata)) => {
                let pending = None;
                self.transactions.insert(id, Transaction { metadata, pending });
            }
            TransactionRecord::Transaction(id, None) => {
                self.transactions.remove(&id);
            }
            TransactionRecord::Unknown => self.unknown_records += 1,
        }
        Ok(())
    }

    /// Reads back a whole batch.
    ///
    /// # Errors
    /// As `replay`; what of the batch precedes the damage is applied.
    pub fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.header().is_control() {
            return Ok(());
        }
        for entry in batch.records()? {
            let entry = entry?;
            self.replay(entry.key.as_ref(), entry.value.as_ref())?;
        }
        Ok(())
    }

    /// All records are read: what was decided is carried through, time begins to count, and commands may come.
    pub fn activate(&mut self, now: Now) -> Outcome {
        self.version = self.features.transaction_version();
        let mut outcome = Outcome::default();
        self.begin_rounds(now);
        self.resume(now, &mut outcome);
        outcome
    }

    /// Decides what a request asks.
    pub fn handle(&mut self, request: Request, now: Now) -> Outcome {
        self.version = self.features.transaction_version();
        let mut outcome = Outcome::default();
        self.decide(request, now, &mut outcome);
        outcome
    }

    fn decide(&mut self, request: Request, now: Now, outcome: &mut Outcome) {
        let asker = Asker {
            request: request.id,
            api_version: request.context.api_version,
        };
        let decided = match &request.command {
            Command::InitProducerId(init) => self.init_producer_id(asker, init, now, outcome),
            Command::AddPartitions(add) if add.verify_only => self.verify_partitions(asker, add, outcome),
            Command::AddPartitions(add) => self.add_partitions(asker, add, now, outcome),
            Command::EndTransaction(end) => self.end_transaction(asker, end, now, outcome),
            Command::ListTransactions(filters) => {
                let listed = Ok(self.list(filters, now));
                answer(asker, Response::ListTransactions(listed), outcome);
                Ok(())
            }
            Command::DescribeTransactions(ids) => {
                let described = ids.iter().map(|id| self.describe(id)).collect();
                answer(asker, Response::DescribeTransactions(described), outcome);
                Ok(())
            }
            Command::MarkersWritten { markers, results } => {
                self.markers_written(markers, results, now, outcome);
                answer(asker, Response::Noted(Ok(())), outcome);
                Ok(())
            }
            Command::ProducerIdAllocated(id) => {
                self.producer_id_allocated(*id, now, outcome);
                answer(asker, Response::Noted(Ok(())), outcome);
                Ok(())
            }
        };
        match decided {
            Ok(()) => {}
            Err(Refusal::Error(error)) => outcome.completed.push(request.refuse(error)),
            Err(Refusal::NeedsProducerId) => {
                self.parked.push_back(request);
                outcome.actions.push(Action::AllocateProducerId);
            }
        }
    }

    /// A producer id has come, or none can be had: for whoever waits for it longest.
    fn producer_id_allocated(&mut self, id: Result<ProducerId, ErrorCode>, now: Now, outcome: &mut Outcome) {
        let first = self.parked.pop_front();
        match (id, first) {
            (Ok(id), first) => {
                self.spare_producer_ids.push(id);
                if let Some(request) = first {
                    self.decide(request, now, outcome);
                }
            }
            (Err(error), Some(request)) => outcome.completed.push(request.refuse(error)),
            (Err(_), None) => {}
        }
    }

    fn take_producer_id(&mut self) -> Result<ProducerId, Refusal> {
        self.spare_producer_ids.pop().ok_or(Refusal::NeedsProducerId)
    }

    /// The producer id to go on with once the transaction has ended, where this coordinator's way of ending it needs one.
    fn next_producer_id(&mut self, is_epoch_exhausted: bool) -> Result<ProducerId, Refusal> {
        if is_epoch_exhausted {
            self.take_producer_id()
        } else {
            Ok(NO_PRODUCER_ID)
        }
    }

    /// When `tick` has something to do, on the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Does what the time has come for.
    pub fn tick(&mut self, now: Now) -> Outcome {
        self.version = self.features.transaction_version();
        let mut outcome = Outcome::default();
        // What these set, even for now, is for the next call.
        let mut due = Vec::new();
        while self.deadlines.first().is_some_and(|(at, _)| *at <= now.elapsed) {
            due.extend(self.deadlines.pop_first().map(|(_, deadline)| deadline));
        }
        for deadline in due {
            match deadline {
                Deadline::Append(append) => self.append_timed_out(append, &mut outcome),
                Deadline::Markers(id) => self.carry_on(&id, now, &mut outcome),
                Deadline::AbortTimedOut => self.abort_timed_out(now, &mut outcome),
                Deadline::RemoveExpired => self.remove_expired(now, &mut outcome),
            }
        }
        outcome
    }

    /// Leadership is lost: everyone that waits is sent to look for the new coordinator.
    #[must_use = "someone waits for each of them"]
    pub fn resign(mut self, _now: Now) -> Vec<Completion> {
        let mut outcome = Outcome::default();
        self.refuse_all_waiting(ErrorCode::NotCoordinator, &mut outcome);
        for request in self.parked {
            outcome.completed.push(request.refuse(ErrorCode::NotCoordinator));
        }
        outcome.completed
    }

    /// How many transactional ids there are, those included whose creation is not committed yet.
    #[must_use]
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// How many records were replayed that this coordinator has no use for.
    #[must_use]
    pub fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// What is committed, by transactional id.
    #[cfg(test)]
    pub(super) fn committed_metadata(&self) -> BTreeMap<Utf8Bytes, TransactionMetadata> {
        let written = self
            .transactions
            .iter()
            .filter(|(_, one)| one.metadata.producer_epoch.is_some());
        written
            .map(|(id, one)| (id.clone(), one.metadata.clone()))
            .collect()
    }
}

/// Answers at once.
fn answer(asker: Asker, response: Response, outcome: &mut Outcome) {
    outcome.completed.push(Completion {
        request: asker.request,
        response,
    });
}
