//! What can go wrong in a client, by meaning, with the cure where one is known. Says whether a retry helps.

use std::{sync::Arc, time::Duration};

use forebay_protocol::{ErrorCode, NodeId, TopicPartition};
use forebay_records::{Offset, ProducerEpoch, ProducerId};

use crate::transport;

/// What a client call failed with. Cheap to clone: one failed batch tells all of its records.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is wrong; every mistake is named.
    #[error(transparent)]
    Config(#[from] forebay_config::Errors),
    /// A connection failed or was lost.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// None of the addresses answered.
    #[error("no broker answered at {addresses}: {}; is Forebay running? (forebay start)", why(.last))]
    NoBroker {
        /// All that were tried.
        addresses: String,
        /// Why the last one did not.
        last: Box<Error>,
    },
    /// The cluster has no broker of this id, or does not know it yet.
    #[error("the cluster has no broker with id {0}")]
    UnknownNode(NodeId),
    /// A broker speaks no version of a request that this client speaks too.
    #[error("the broker at {address} does not speak {api} in a version from {min} to {max}{}", offered(*.theirs))]
    UnsupportedVersion {
        /// The broker.
        address: Arc<str>,
        /// Kafka's name of the request.
        api: &'static str,
        /// The least version that would do.
        min: i16,
        /// The greatest version that would do.
        max: i16,
        /// What the broker offers; `None` if it does not know the request at all.
        theirs: Option<(i16, i16)>,
    },
    /// The broker refused.
    #[error("cannot {action}: {}", describe(*.code, .message.as_deref()))]
    Broker {
        /// What was to be done: `create topic t`.
        action: Arc<str>,
        /// Kafka's error.
        code: ErrorCode,
        /// What the broker said beyond that.
        message: Option<Arc<str>>,
    },
    /// It took too long, retries included.
    #[error("cannot {action} within {} ms{}", .after.as_millis(), because(.last.as_deref()))]
    Timeout {
        /// What was to be done.
        action: Arc<str>,
        /// How long was tried.
        after: Duration,
        /// What the last attempt failed with.
        last: Option<Box<Error>>,
    },
    /// An answer does not fit its question.
    #[error("the answer to {action} makes no sense: {reason}")]
    InvalidResponse {
        /// What was asked.
        action: Arc<str>,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// A record that no request can hold.
    #[error(
        "the record is {bytes} bytes when serialized, which is larger than {bytes_max}, the value of {key}"
    )]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
        /// The key to raise.
        key: &'static str,
    },
    /// `buffer.memory` is full of records that wait to be acknowledged.
    #[error("cannot allocate {bytes} of the {buffer_memory} bytes of buffer.memory within {} ms (max.block.ms)", .after.as_millis())]
    BufferExhausted {
        /// What was needed.
        bytes: usize,
        /// What there is in all.
        buffer_memory: usize,
        /// How long was waited.
        after: Duration,
    },
    /// A batch cannot be built or read.
    #[error("{topic_partition}, offset {offset}: {source}")]
    Corrupt {
        /// Where it is.
        topic_partition: TopicPartition,
        /// The offset that was to be read.
        offset: Offset,
        /// What is wrong.
        source: Arc<forebay_records::Error>,
    },
    /// Records cannot become a batch.
    #[error(transparent)]
    Batch(Arc<forebay_records::build::Error>),
    /// There is no committed offset and `auto.offset.reset` is none.
    #[error(
        "no offset is committed for {0} and auto.offset.reset is none; seek, or set it to earliest or latest"
    )]
    NoOffsetForPartition(TopicPartition),
    /// The position lies outside of what the partition holds, and `auto.offset.reset` is none.
    #[error(
        "offset {offset} of {topic_partition} is out of range and auto.offset.reset is none; seek, or set it to earliest or latest"
    )]
    OffsetOutOfRange {
        /// The partition.
        topic_partition: TopicPartition,
        /// The position.
        offset: Offset,
    },
    /// The consumer does not have this partition.
    #[error("partition {0} is not assigned to this consumer")]
    NotAssigned(TopicPartition),
    /// The transaction cannot be committed any more: abort it, and go on (KIP-1050's abortable errors).
    #[error("the transaction must be aborted: {0}")]
    TransactionAbortable(Box<Error>),
    /// A record that was not sent before its transaction was aborted.
    #[error("Failing batch since transaction was aborted")]
    TransactionAborted,
    /// Another producer has the transactional id now, or the coordinator has ended this one's transaction after its time-out. The
    /// producer can only be closed.
    #[error("Producer with transactionalId '{transactional_id}'{} has been fenced by another producer with the same transactionalId", identity_of(*.identity))]
    ProducerFenced {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Who it was, if it was anybody yet.
        identity: Option<(ProducerId, ProducerEpoch)>,
    },
    /// The transactional producer can only be closed.
    #[error(
        "the producer with transactionalId '{transactional_id}' cannot go on and must be closed: {source}"
    )]
    TransactionFatal {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Why.
        source: Box<Error>,
    },
    /// The end was asked for, no answer came, and nobody can be asked any more.
    #[error("whether the transaction of '{transactional_id}' was committed is not known: {source}")]
    UnknownOutcome {
        /// The transactional id.
        transactional_id: Arc<str>,
        /// Why it cannot be found out.
        source: Box<Error>,
    },
    /// A call that does not fit the state: `subscribe` without `group.id`.
    #[error("{0}")]
    IllegalState(Arc<str>),
    /// Another thread called `wakeup`.
    #[error("woken up")]
    Wakeup,
    /// The client is closed.
    #[error("the {0} is closed")]
    Closed(&'static str),
}

fn identity_of(identity: Option<(ProducerId, ProducerEpoch)>) -> String {
    let written = |(id, epoch)| format!(" and ProducerIdAndEpoch(producerId={id}, epoch={epoch})");
    identity.map_or_else(String::new, written)
}

fn offered(theirs: Option<(i16, i16)>) -> String {
    theirs.map_or_else(String::new, |(min, max)| format!("; it speaks {min} to {max}"))
}

fn describe(code: ErrorCode, message: Option<&str>) -> String {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{message} ({code})"),
        None => code.to_string(),
    }
}

/// The addresses are named already: of a refused connection the reason is enough.
fn why(last: &Error) -> String {
    match last {
        Error::Transport(transport::Error::Connect { source, .. }) => source.kind().to_string(),
        other => other.to_string(),
    }
}

fn because(last: Option<&Error>) -> String {
    last.map_or_else(String::new, |last| format!(": {last}"))
}

impl Error {
    /// Whether the same call may succeed if it is made again.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_retriable(),
            Self::Broker { code, .. } => code.is_retriable(),
            Self::NoBroker { .. }
            | Self::Timeout { .. }
            | Self::UnknownNode(_)
            | Self::BufferExhausted { .. } => true,
            _ => false,
        }
    }

    /// Whether the transaction is lost but not its producer: after an abort it goes on (KIP-1050).
    pub fn is_abortable(&self) -> bool {
        matches!(self, Self::TransactionAbortable(_) | Self::TransactionAborted)
    }

    /// Whether the transactional producer can only be closed.
    pub fn is_fatal_for_producer(&self) -> bool {
        matches!(
            self,
            Self::ProducerFenced { .. } | Self::TransactionFatal { .. } | Self::UnknownOutcome { .. }
        )
    }

    /// Kafka's error, if the broker gave one; of a timeout, what the last attempt failed with.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Timeout { last: Some(last), .. } => last.code(),
            Self::TransactionAbortable(source)
            | Self::TransactionFatal { source, .. }
            | Self::UnknownOutcome { source, .. } => source.code(),
            Self::ProducerFenced { .. } => Some(ErrorCode::ProducerFenced),
            _ => None,
        }
    }

    /// What the broker said beyond its error code.
    pub fn broker_message(&self) -> Option<&str> {
        match self {
            Self::Broker { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn broker(action: impl Into<Arc<str>>, code: ErrorCode) -> Self {
        Self::Broker {
            action: action.into(),
            code,
            message: None,
        }
    }
}
