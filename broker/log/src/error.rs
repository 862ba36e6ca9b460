//! What can go wrong with a log, by meaning; the broker maps each variant to one of Kafka's error codes, which is
//! named with it.

use std::path::PathBuf;
use std::sync::Arc;

use forebay_records::{Offset, ProducerEpoch, ProducerId, Sequence};

use crate::topic_partition::{InvalidTopic, TopicPartition};

/// The result of an operation on a log.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a log or of the directory of logs. Cheap to clone: one failed write answers many requests.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk failed or is full, and the log is as it was before. `KAFKA_STORAGE_ERROR`.
    #[error(transparent)]
    Storage(Arc<forebay_disk::Error>),
    /// The log directory was given up after a failure that may have lost data; only a restart can use it again.
    /// `KAFKA_STORAGE_ERROR`.
    #[error("the log directory {} is offline: {reason}", path.display())]
    Offline {
        /// The data directory.
        path: PathBuf,
        /// What happened.
        reason: Arc<str>,
    },
    /// This log could not be opened, or is being deleted; others of its directory work. `KAFKA_STORAGE_ERROR`.
    #[error("the log of {partition} is closed")]
    Closed {
        /// Whose log.
        partition: TopicPartition,
    },
    /// The offset is not, or no longer, in the log. `OFFSET_OUT_OF_RANGE`.
    #[error(
        "offset {offset} of {partition} is out of range: the log starts at {log_start_offset} and ends before {log_end_offset}"
    )]
    OffsetOutOfRange {
        /// Whose log.
        partition: TopicPartition,
        /// As asked for.
        offset: Offset,
        /// The first offset.
        log_start_offset: Offset,
        /// The offset after the last.
        log_end_offset: Offset,
    },
    /// The batches do not fit into a segment. `RECORD_LIST_TOO_LARGE`.
    #[error("{size} bytes for {partition} are more than a segment holds (segment.bytes is {segment_bytes})")]
    RecordBatchTooLarge {
        /// Whose log.
        partition: TopicPartition,
        /// Of all batches of the append.
        size: usize,
        /// The bound.
        segment_bytes: u64,
    },
    /// The batches of a follower's append do not follow the log's end. `UNKNOWN_SERVER_ERROR`.
    #[error("offset {offset} was to be appended to {partition}, which ends before {log_end_offset}")]
    UnexpectedAppendOffset {
        /// Whose log.
        partition: TopicPartition,
        /// The first that does not fit.
        offset: Offset,
        /// The least that would.
        log_end_offset: Offset,
    },
    /// A batch of an idempotent producer does not follow its last one. `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error(
        "Out of order sequence number for producer {producer_id} in partition {partition}: {sequence} (incoming seq. number), {last_sequence} (current end sequence number)"
    )]
    OutOfOrderSequence {
        /// Whose log.
        partition: TopicPartition,
        /// The producer.
        producer_id: ProducerId,
        /// As sent.
        sequence: Sequence,
        /// Of the last record that was appended; none in a new epoch.
        last_sequence: Sequence,
    },
    /// A newer incarnation of the producer has written. `INVALID_PRODUCER_EPOCH`.
    #[error(
        "Epoch of producer {producer_id} in {partition} is {epoch}, which is smaller than the last seen epoch {last_epoch}"
    )]
    InvalidProducerEpoch {
        /// Whose log.
        partition: TopicPartition,
        /// The producer.
        producer_id: ProducerId,
        /// As sent.
        epoch: ProducerEpoch,
        /// The newest known.
        last_epoch: ProducerEpoch,
    },
    /// A batch outside of a transaction came while the producer's transaction is open. `INVALID_TXN_STATE`.
    #[error("Expected transactional write from producer {producer_id} in partition {partition}")]
    InvalidTransactionState {
        /// Whose log.
        partition: TopicPartition,
        /// The producer.
        producer_id: ProducerId,
    },
    /// A transactional batch of which its transaction coordinator is not known to know (KIP-890). `INVALID_TXN_STATE`.
    #[error("Record was not part of an ongoing transaction")]
    Unverified {
        /// Whose log.
        partition: TopicPartition,
        /// The producer.
        producer_id: ProducerId,
    },
    /// A transaction marker of an older coordinator. `TRANSACTION_COORDINATOR_FENCED`.
    #[error(
        "Invalid coordinator epoch for producer {producer_id} in partition {partition}: {coordinator_epoch} (zombie), {last_coordinator_epoch} (current)"
    )]
    TransactionCoordinatorFenced {
        /// Whose log.
        partition: TopicPartition,
        /// The producer.
        producer_id: ProducerId,
        /// As sent.
        coordinator_epoch: i32,
        /// The newest known.
        last_coordinator_epoch: i32,
    },
    /// A batch that was to be appended is damaged, or there is none. `CORRUPT_MESSAGE`.
    #[error("a batch for {partition} is corrupt: {reason}")]
    CorruptBatch {
        /// Whose log.
        partition: TopicPartition,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// Data that was known to be on disk is damaged. `CORRUPT_MESSAGE`.
    #[error("{} is corrupt at position {position}: {reason}", path.display())]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// A segment of the log is missing. `KAFKA_STORAGE_ERROR`.
    #[error(
        "the log of {partition} has a hole: offsets {first_missing} to {last_missing} are missing, their segment files were in {}; bring them back, or delete the partition's folder to give up its records",
        path.display()
    )]
    Hole {
        /// Whose log.
        partition: TopicPartition,
        /// The partition's folder.
        path: PathBuf,
        /// The first offset that is not there.
        first_missing: Offset,
        /// The last one.
        last_missing: Offset,
    },
    /// A batch in a format older than version 2, which Kafka 4 does not read either.
    #[error("{} has batches of the old message format {magic}; only format 2 is supported", path.display())]
    UnsupportedFormat {
        /// The segment file.
        path: PathBuf,
        /// The format.
        magic: i8,
    },
    /// A small text file (`meta.properties`, `partition.metadata`, a checkpoint) is not what it should be.
    #[error("{}: {reason}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, where, and what to do.
        reason: Arc<str>,
    },
    /// The folder belongs to another topic of the same name. `INCONSISTENT_TOPIC_ID`.
    #[error("{} belongs to topic id {found}, not {expected}", path.display())]
    InconsistentTopicId {
        /// The partition's folder.
        path: PathBuf,
        /// The id asked for.
        expected: crate::TopicId,
        /// The id in `partition.metadata`.
        found: crate::TopicId,
    },
    /// The directory belongs to another cluster or node.
    #[error(
        "{} belongs to {what} {found}, but this broker is of {what} {expected}: point log.dirs to its own directory, or delete this one to give up its records",
        path.display()
    )]
    ForeignDirectory {
        /// `meta.properties`.
        path: PathBuf,
        /// `cluster` or `node`.
        what: &'static str,
        /// As configured.
        expected: String,
        /// As in the file.
        found: String,
    },
    /// The name cannot be a topic's. `INVALID_TOPIC_EXCEPTION`.
    #[error(transparent)]
    InvalidTopic(#[from] InvalidTopic),
}

impl Error {
    /// Whether the disk is the cause, now or before: Kafka's `KAFKA_STORAGE_ERROR`.
    pub fn is_storage(&self) -> bool {
        matches!(
            self,
            Error::Storage(_) | Error::Offline { .. } | Error::Closed { .. } | Error::Hole { .. }
        )
    }

    /// Whether the same call can succeed later by itself: only where the disk was full.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Error::Storage(cause) if cause.is_retriable())
    }
}

impl From<forebay_disk::Error> for Error {
    fn from(cause: forebay_disk::Error) -> Error {
        Error::Storage(Arc::new(cause))
    }
}
