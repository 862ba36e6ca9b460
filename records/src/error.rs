//! What can be wrong with record batches, by meaning. The broker maps each variant to Kafka's error code; the code that Kafka
//! itself gives is named at each variant.

use std::io;
use std::sync::Arc;

use crate::{CompressionType, Timestamp};

/// Why bytes are not acceptable record batches.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the batch says it has. At the end of a fetch this is normal, at the end of a segment a torn write.
    /// `CORRUPT_MESSAGE` where a whole batch is due.
    #[error("record batch is incomplete: it needs {needed_bytes} bytes and {available_bytes} are there")]
    Incomplete {
        /// Bytes needed to go on; a lower bound while the length itself is missing.
        needed_bytes: usize,
        /// Bytes that there are.
        available_bytes: usize,
    },
    /// The bytes are damaged. `CORRUPT_MESSAGE` (Kafka has UNKNOWN_SERVER_ERROR for data that does not decompress).
    #[error("record batch is corrupt: {0}")]
    Corrupt(#[from] Corruption),
    /// An old or unknown format. `INVALID_RECORD` for 0 and 1, `CORRUPT_MESSAGE` for others.
    #[error("record batch has magic {magic}; only magic 2 is supported")]
    UnsupportedMagic {
        /// The magic byte found.
        magic: i8,
    },
    /// A codec that Kafka does not know. `UNSUPPORTED_COMPRESSION_TYPE`.
    #[error("record batch has the unknown compression type {id}")]
    UnsupportedCompression {
        /// The three bits of the attributes.
        id: u8,
    },
    /// Undamaged, but not to be read or not to be sent by a producer. `INVALID_RECORD`.
    #[error("record batch is invalid: {0}")]
    InvalidBatch(#[from] InvalidBatch),
    /// Some records are refused: `INVALID_TIMESTAMP` if any of them for its timestamp, else `INVALID_RECORD`;
    /// each with its index in the batch (KIP-467).
    #[error("{} records are refused, first {}", .errors.len(), .errors.first().map_or_else(String::new, ToString::to_string))]
    InvalidRecords {
        /// At least one, at most [`crate::RECORD_ERRORS_MAX`].
        errors: Vec<RecordError>,
    },
    /// The batch decompresses to more than is allowed. `MESSAGE_TOO_LARGE`.
    #[error("record batch decompresses to more than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was passed.
        limit_bytes: u64,
    },
}

/// How bytes of a batch are damaged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Corruption {
    /// The length field is out of bounds.
    #[error("its length field is {length}, outside {min} to {max}")]
    Length {
        /// The field.
        length: i32,
        /// The least possible value.
        min: i32,
        /// The greatest allowed value.
        max: i32,
    },
    /// There are more bytes than the batch says.
    #[error("{bytes} bytes follow the batch")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// Stored and computed CRC-32C differ.
    #[error("stored crc = {stored}, computed crc = {computed}")]
    Checksum {
        /// As the header says.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The compressed data does not decompress.
    #[error("its {compression} data does not decompress: {source}")]
    Decompression {
        /// The codec.
        compression: CompressionType,
        /// The codec's own words.
        source: Arc<io::Error>,
    },
}

/// Why a batch is invalid although its bytes are undamaged: its records do not parse, or a producer may not send it
/// (`InvalidRecordException`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// A record's bytes do not parse.
    #[error("record {index}: {reason}")]
    Record {
        /// The record's position in the batch.
        index: i32,
        /// What is wrong.
        reason: &'static str,
    },
    /// Bytes are left over after the last record.
    #[error("more bytes follow its {count} records")]
    RemainingRecords {
        /// The header's record count.
        count: i32,
    },
    /// The control record's key or value is not of its schema.
    #[error("control record: {reason}")]
    ControlRecord {
        /// What is wrong.
        reason: &'static str,
    },
    /// A producer leaves offsets to the broker.
    #[error("its base offset is {base_offset}, not 0")]
    BaseOffset {
        /// As found.
        base_offset: i64,
    },
    /// A negative number of records, or from a producer none.
    #[error("its record count is {count}")]
    Count {
        /// As found.
        count: i32,
    },
    /// Last offset delta and count disagree.
    #[error("its last offset delta is {last_offset_delta}, but its record count is {count}")]
    OffsetRange {
        /// As found.
        last_offset_delta: i32,
        /// As found.
        count: i32,
    },
    /// Only brokers write control records.
    #[error("clients may not write control records")]
    ControlBatch,
    /// An idempotent batch without a sequence.
    #[error("its sequence is {base_sequence} although it has producer id {producer_id}")]
    Sequence {
        /// As found.
        base_sequence: i32,
        /// As found.
        producer_id: i64,
    },
    /// An idempotent batch without an epoch.
    #[error("its producer epoch is {producer_epoch} although it has producer id {producer_id}")]
    ProducerEpoch {
        /// As found.
        producer_epoch: i16,
        /// As found.
        producer_id: i64,
    },
    /// Transactional records belong to a producer id.
    #[error("it is transactional but has no producer id")]
    TransactionalWithoutProducerId,
}

/// One refused record (KIP-467).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index}: {reason}")]
pub struct RecordError {
    /// Position in the batch, from 0.
    pub index: i32,
    /// Why; its text is the message for the client.
    pub reason: RecordErrorReason,
}

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordErrorReason {
    /// `cleanup.policy=compact` needs keys. `INVALID_RECORD`.
    #[error("Compacted topic cannot accept message without key")]
    MissingKey,
    /// `message.timestamp.before.max.ms` or `.after.max.ms`. `INVALID_TIMESTAMP`.
    #[error("Timestamp {timestamp} is out of range. The timestamp should be within [{earliest}, {latest}]")]
    TimestampOutOfRange {
        /// The record's.
        timestamp: Timestamp,
        /// The earliest that is accepted.
        earliest: Timestamp,
        /// The latest that is accepted.
        latest: Timestamp,
    },
    /// A producer claimed LogAppendTime. `INVALID_TIMESTAMP`.
    #[error("Invalid timestamp type. Producer should not set timestamp type to LogAppendTime")]
    TimestampType,
    /// Offset deltas must be 0, 1, 2, … `INVALID_RECORD`.
    #[error("Its offset delta is {offset_delta}, expected {expected}")]
    OffsetDelta {
        /// As found.
        offset_delta: i32,
        /// The record's index.
        expected: i32,
    },
}

impl RecordErrorReason {
    /// Whether Kafka answers `INVALID_TIMESTAMP` rather than `INVALID_RECORD`.
    #[must_use]
    pub const fn is_timestamp(&self) -> bool {
        matches!(self, Self::TimestampOutOfRange { .. } | Self::TimestampType)
    }
}
