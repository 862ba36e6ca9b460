//! What is known of a transactional id (Kafka's `TransactionMetadata`), and what each step makes of it. Steps give the next value; the
//! coordinator takes it when its record is committed.

use std::collections::BTreeSet;

use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::{
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP, ProducerEpoch, ProducerId, Timestamp,
};

use super::{State, TransactionVersion};

/// The last epoch that a producer is given: the one after it is kept for fencing.
const LAST_EPOCH: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionMetadata {
    /// Its producer.
    pub(crate) producer_id: ProducerId,
    /// The producer id before the last step, which changes it only when its epochs are exhausted.
    pub(crate) previous_producer_id: ProducerId,
    /// The producer id from the completion of the transaction on; none unless the epochs are exhausted.
    pub(crate) next_producer_id: ProducerId,
    /// The epoch of its producer; none until the first InitProducerId is written.
    pub(crate) producer_epoch: ProducerEpoch,
    /// The epoch before the last raise, if the producer itself asked for that. Not in the log.
    pub(crate) last_producer_epoch: ProducerEpoch,
    /// How long a transaction may be open.
    pub(crate) timeout_ms: i32,
    /// Where it stands.
    pub(crate) state: State,
    /// What takes part in the transaction.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When the transaction began; `NO_TIMESTAMP` before the first one.
    pub(crate) start: Timestamp,
    /// When the last step was taken.
    pub(crate) last_update: Timestamp,
    /// How the client runs its transactions, as far as its last step told.
    pub(crate) client_version: TransactionVersion,
}

/// Producer id and epoch that a client believes to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) epoch: ProducerEpoch,
}

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) commit: bool,
    pub(crate) client_version: TransactionVersion,
    /// The producer id from the completion on, where epochs are exhausted.
    pub(crate) next_producer_id: ProducerId,
}

impl TransactionMetadata {
    /// An id that nobody has used yet.
    pub(crate) fn new(producer_id: ProducerId, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            start: NO_TIMESTAMP,
            last_update: now,
            client_version: TransactionVersion::V0,
        }
    }

    /// Whether its producer has no epoch left to be given.
    pub(crate) fn is_epoch_exhausted(&self) -> bool {
        self.producer_epoch >= LAST_EPOCH
    }

    /// Whether a client that names its producer id and epoch may begin anew, its epoch permitting: nobody was here before, the id is ours,
    /// or it was until the epochs were exhausted and the client has not heard of that.
    pub(crate) fn may_continue(&self, expected: Producer) -> bool {
        self.producer_epoch == NO_PRODUCER_EPOCH
            || expected.id == self.producer_id
            || (expected.id == self.previous_producer_id && expected.epoch >= LAST_EPOCH)
    }

    /// InitProducerId with the next epoch.
    ///
    /// # Errors
    /// PRODUCER_FENCED if the client's epoch is of the past.
    pub(crate) fn next_epoch(
        &self,
        timeout_ms: i32,
        expected: Option<ProducerEpoch>,
        now: Timestamp,
    ) -> Result<Self, ErrorCode> {
        if self.is_epoch_exhausted() {
            // As Kafka: the client's epoch is not the exhausted one, so no new producer id may be given for it.
            return Err(ErrorCode::UnknownServerError);
        }
        let raised = ProducerEpoch(self.producer_epoch.0 + 1);
        let (epoch, last) = match expected {
            None => (raised, NO_PRODUCER_EPOCH),
            Some(epoch) if self.producer_epoch == NO_PRODUCER_EPOCH || epoch == self.producer_epoch => {
                (raised, self.producer_epoch)
            }
            // It has not heard the answer to its last call. Nobody else was here since, or the last epoch were none.
            Some(epoch) if epoch == self.last_producer_epoch => {
                (self.producer_epoch, self.last_producer_epoch)
            }
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let mut next = self.step(State::Empty, now);
        next.producer_epoch = epoch;
        next.last_producer_epoch = last;
        next.begin_empty(timeout_ms);
        Ok(next)
    }

    /// InitProducerId with a new producer id, because the epochs of the old one are exhausted.
    pub(crate) fn next_producer(
        &self,
        producer_id: ProducerId,
        timeout_ms: i32,
        keep_last_epoch: bool,
        now: Timestamp,
    ) -> Self {
        let mut next = self.step(State::Empty, now);
        next.producer_id = producer_id;
        next.producer_epoch = ProducerEpoch(0);
        next.last_producer_epoch = if keep_last_epoch {
            self.producer_epoch
        } else {
            NO_PRODUCER_EPOCH
        };
        next.begin_empty(timeout_ms);
        next
    }

    fn begin_empty(&mut self, timeout_ms: i32) {
        self.timeout_ms = timeout_ms;
        self.partitions.clear();
        self.start = NO_TIMESTAMP;
    }

    /// Partitions take part.
    pub(crate) fn add_partitions(
        &self,
        partitions: &[TopicPartition],
        client_version: TransactionVersion,
        now: Timestamp,
    ) -> Self {
        let mut next = self.step(State::Ongoing, now);
        if self.state.is_idle() {
            next.start = now;
        }
        next.partitions.extend(partitions.iter().cloned());
        next.client_version = client_version;
        next
    }

    /// It is decided how the transaction ends.
    pub(crate) fn prepare(&self, end: End, now: Timestamp) -> Self {
        let state = if end.commit {
            State::PrepareCommit
        } else {
            State::PrepareAbort
        };
        let mut next = self.step(state, now);
        if end.client_version.raises_epoch() {
            next.producer_epoch = self.fencing_epoch();
            next.last_producer_epoch = self.producer_epoch;
        }
        if self.state.is_idle() {
            // Nothing was added; yet there is a transaction to end.
            next.start = now;
        }
        next.next_producer_id = end.next_producer_id;
        next.client_version = end.client_version;
        next
    }

    /// As `prepare`, of an abort that the producer has not asked for, by a coordinator of this version: the producer is fenced.
    pub(crate) fn fence(
        &self,
        version: TransactionVersion,
        next_producer_id: ProducerId,
        now: Timestamp,
    ) -> Self {
        let end = End {
            commit: false,
            client_version: version,
            next_producer_id,
        };
        if version.raises_epoch() {
            return self.prepare(end, now);
        }
        let mut next = self.prepare(
            End {
                client_version: TransactionVersion::V0,
                ..end
            },
            now,
        );
        next.producer_epoch = self.fencing_epoch();
        next.last_producer_epoch = NO_PRODUCER_EPOCH;
        next
    }

    /// The epoch after the current one; the highest has none after it, and nobody may get there.
    fn fencing_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.producer_epoch.0.saturating_add(1))
    }

    /// All partitions know how the transaction has ended.
    pub(crate) fn complete(&self, now: Timestamp) -> Self {
        let state = if self.state == State::PrepareCommit {
            State::CompleteCommit
        } else {
            State::CompleteAbort
        };
        let mut next = self.step(state, now);
        if self.client_version.raises_epoch() && self.next_producer_id != NO_PRODUCER_ID {
            next.producer_id = self.next_producer_id;
            next.producer_epoch = ProducerEpoch(0);
        }
        next.next_producer_id = NO_PRODUCER_ID;
        next.partitions.clear();
        next
    }

    /// Whether the transaction is open for longer than it may be. One that an external coordinator prepares (KIP-939) never is.
    pub(crate) fn is_timed_out(&self, now: Timestamp) -> bool {
        self.state == State::Ongoing
            && self.timeout_ms != i32::MAX
            && self.start.0.saturating_add(i64::from(self.timeout_ms)) < now.0
    }

    fn step(&self, state: State, now: Timestamp) -> Self {
        debug_assert!(state.follows(self.state), "{state:?} after {:?}", self.state);
        Self {
            state,
            previous_producer_id: self.producer_id,
            last_update: now,
            ..self.clone()
        }
    }
}
