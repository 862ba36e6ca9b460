//! What an operator may want to read about transactions.

use std::fmt;

use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::ProducerId;

use super::State;

/// Something that happened to a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A transaction took longer than its timeout; its producer is fenced and it is aborted.
    TimedOut {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// The producer that is fenced.
        producer_id: ProducerId,
    },
    /// A new producer has come while a transaction was open: the old one is fenced and the transaction is aborted.
    Fenced {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// The producer that is fenced.
        producer_id: ProducerId,
    },
    /// A record could not be written.
    NotWritten {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// The state that did not come about.
        state: State,
        /// Why.
        error: ErrorCode,
    },
    /// The log was read, and a transaction that was decided by then had not been ended in all partitions.
    Resumed {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// `PrepareCommit` or `PrepareAbort`.
        state: State,
    },
    /// The end of a transaction could not be written into a partition; it will be tried again.
    MarkerNotWritten {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// Where.
        partition: TopicPartition,
        /// Why.
        error: ErrorCode,
    },
    /// The partition has seen a later epoch of the producer: somebody else has ended this transaction there.
    MarkerRefused {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// Where.
        partition: TopicPartition,
    },
    /// The partition has seen a later coordinator: this one gives up the transaction.
    CoordinatorFenced {
        /// Whose.
        transactional_id: Utf8Bytes,
        /// Where.
        partition: TopicPartition,
    },
    /// Ids that nobody uses any more are forgotten.
    Expired {
        /// How many.
        ids: usize,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut {
                transactional_id,
                producer_id,
            } => write!(
                f,
                "Transaction of {transactional_id} timed out: producer {producer_id} is fenced and the transaction aborted."
            ),
            Self::Fenced {
                transactional_id,
                producer_id,
            } => write!(
                f,
                "Open transaction of {transactional_id} is aborted and producer {producer_id} fenced: another one has come."
            ),
            Self::NotWritten {
                transactional_id,
                state,
                error,
            } => write!(
                f,
                "Failed to write state {} of transactional id {transactional_id}: {error:?}",
                state.name()
            ),
            Self::Resumed {
                transactional_id,
                state,
            } => write!(
                f,
                "Transaction of {transactional_id} was found in state {} and is completed.",
                state.name()
            ),
            Self::MarkerNotWritten {
                transactional_id,
                partition,
                error,
            } => write!(
                f,
                "Failed to write the end of the transaction of {transactional_id} into {partition}, retrying: {error:?}"
            ),
            Self::MarkerRefused {
                transactional_id,
                partition,
            } => write!(
                f,
                "The transaction of {transactional_id} was ended in {partition} by a later epoch of its producer."
            ),
            Self::CoordinatorFenced {
                transactional_id,
                partition,
            } => write!(
                f,
                "The end of the transaction of {transactional_id} is left to the later coordinator that {partition} has seen."
            ),
            Self::Expired { ids } => write!(f, "Removed {ids} expired transactional ids."),
        }
    }
}
