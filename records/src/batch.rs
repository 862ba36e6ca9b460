//! One whole batch as a zero-copy view over its bytes, and the same with the offsets and timestamps that the log gives it.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::error::{Corruption, Error};
use crate::header::{ATTRIBUTES_AT, BatchHeader, HEADER_BYTES};
use crate::read::{DECOMPRESSED_BYTES_MAX, RecordIterator};
use crate::{CompressionType, LeaderEpoch, Offset, ProducerIdentity, Timestamp, TimestampType};

/// The largest batch that the format can express.
pub const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// One whole batch. Its length is checked; its CRC and records are not until asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes bytes that hold exactly one batch.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`]; [`Error::Incomplete`] if bytes are missing, [`Error::Corrupt`] if there are more.
    pub fn new(bytes: Bytes) -> Result<Self, Error> {
        let header = BatchHeader::parse(&bytes)?;
        let size = header.size_in_bytes();
        if bytes.len() < size {
            return Err(Error::Incomplete {
                needed_bytes: size,
                available_bytes: bytes.len(),
            });
        }
        if bytes.len() > size {
            return Err(Corruption::TrailingBytes {
                bytes: bytes.len() - size,
            }
            .into());
        }
        Ok(Self { header, bytes })
    }

    /// The caller knows that the bytes are this header's batch.
    pub(crate) fn from_parts(header: BatchHeader, bytes: Bytes) -> Self {
        debug_assert_eq!(header.size_in_bytes(), bytes.len());
        Self { header, bytes }
    }

    /// All fields of the header.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole batch.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The records as they lie: compressed, if the batch is.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// Offset of the first record as appended.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// Offset of the last record as appended.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompression`].
    pub fn compression_type(&self) -> Result<CompressionType, Error> {
        self.header.compression_type()
    }

    /// The CRC-32C of the bytes, to compare with the header's.
    #[must_use]
    pub fn compute_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..])
    }

    /// Compares stored and computed CRC (`DefaultRecordBatch.ensureValid`).
    ///
    /// # Errors
    /// [`Corruption::Checksum`].
    pub fn ensure_valid(&self) -> Result<(), Error> {
        let computed = self.compute_crc();
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(Corruption::Checksum {
                stored: self.header.crc,
                computed,
            }
            .into())
        }
    }

    /// The records, decompressed to at most [`DECOMPRESSED_BYTES_MAX`]. The CRC is not checked here.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompression`], or [`InvalidBatch::Count`] for a negative number of records.
    pub fn records(&self) -> Result<RecordIterator, Error> {
        self.records_within(DECOMPRESSED_BYTES_MAX)
    }

    /// The records, decompressed to at most `decompressed_bytes_max`; has no bearing on a batch that is not compressed.
    ///
    /// # Errors
    /// As [`records`](Self::records).
    pub fn records_within(&self, decompressed_bytes_max: u64) -> Result<RecordIterator, Error> {
        RecordIterator::new(self, decompressed_bytes_max)
    }

    /// The batch as the log stores it: a new head in front of the untouched rest. The CRC is recomputed only if timestamp
    /// type or maximum timestamp change; base offset and leader epoch are outside of it.
    #[must_use]
    pub fn assign(&self, assignment: &Assignment) -> AssignedBatch {
        let mut header = self.header;
        header.base_offset = assignment.base_offset;
        header.partition_leader_epoch = assignment.partition_leader_epoch;
        let rest = self.body();
        let same = header.timestamp_type() == assignment.timestamp_type
            && header.max_timestamp == assignment.max_timestamp;
        let head = if same {
            header.encode()
        } else {
            header.attributes = header.attributes.with_timestamp_type(assignment.timestamp_type);
            header.max_timestamp = assignment.max_timestamp;
            header.seal(&rest)
        };
        AssignedBatch { header, head, rest }
    }

    /// The batch with another producer id, epoch and base sequence, for a producer that starts its sequences anew
    /// (`MemoryRecordsBuilder.reopenAndRewriteProducerState`). Copies the bytes.
    #[must_use]
    pub fn with_producer(&self, producer: ProducerIdentity) -> Self {
        self.assign_producer(producer).into_batch()
    }

    /// As [`RecordBatch::with_producer`], without copying the records: for a producer that learns its sequence when it sends.
    #[must_use]
    pub fn assign_producer(&self, producer: ProducerIdentity) -> AssignedBatch {
        self.assign_as(producer, self.header.is_transactional())
    }

    /// The same, as a part of a transaction of the producer's.
    #[must_use]
    pub fn assign_transactional_producer(&self, producer: ProducerIdentity) -> AssignedBatch {
        self.assign_as(producer, true)
    }

    fn assign_as(&self, producer: ProducerIdentity, is_transactional: bool) -> AssignedBatch {
        let mut header = self.header;
        header.attributes = header.attributes.with_transactional(is_transactional);
        header.producer_id = producer.id;
        header.producer_epoch = producer.epoch;
        header.base_sequence = producer.base_sequence;
        let rest = self.body();
        let head = header.seal(&rest);
        AssignedBatch { header, head, rest }
    }
}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordBatch")
            .field("header", &self.header)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// What the log decides about a batch that it appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition's log end offset.
    pub base_offset: Offset,
    /// The leader's epoch.
    pub partition_leader_epoch: LeaderEpoch,
    /// The topic's `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// With CreateTime what [`crate::validate`] found, with LogAppendTime the time of the append.
    pub max_timestamp: Timestamp,
}

/// A batch with its place in the log: a rewritten head and the rest as it came, so that a log can write both with one `writev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedBatch {
    header: BatchHeader,
    head: [u8; HEADER_BYTES],
    rest: Bytes,
}

impl AssignedBatch {
    /// The header as it is written.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The first 61 bytes.
    #[must_use]
    pub const fn head(&self) -> &[u8; HEADER_BYTES] {
        &self.head
    }

    /// All that follows the head, shared with the batch it was made from.
    #[must_use]
    pub const fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// Bytes of head and rest.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        HEADER_BYTES + self.rest.len()
    }

    /// Head and rest as shared bytes; copies the head's 61 bytes only.
    #[must_use]
    pub fn into_chunks(self) -> [Bytes; 2] {
        [Bytes::copy_from_slice(&self.head), self.rest]
    }

    /// One contiguous batch; copies everything.
    #[must_use]
    pub fn into_batch(self) -> RecordBatch {
        let mut bytes = BytesMut::with_capacity(self.size_in_bytes());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&self.rest);
        RecordBatch::from_parts(self.header, bytes.freeze())
    }
}

#[cfg(test)]
mod tests;
