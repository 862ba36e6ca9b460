//! The 61 bytes at the head of a batch: a plain struct that parses from and encodes to bytes. Cheap enough to scan a segment
//! file by headers alone. The layout is that of Kafka's `DefaultRecordBatch`.

use crate::error::{Corruption, Error};
use crate::{
    Attributes, CompressionType, LeaderEpoch, NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, Sequence,
    Timestamp, TimestampType,
};

/// Bytes of base offset and length, which every format version has in front (`Records.LOG_OVERHEAD`).
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Bytes of a whole header, and so the least size of a batch (`RECORD_BATCH_OVERHEAD`).
pub const HEADER_BYTES: usize = 61;
/// The least length field of a batch: what of the header follows it.
const LENGTH_MIN: i32 = 49;
/// The least length field of any format version (magic 0: CRC, magic, attributes, two lengths).
const OLD_MESSAGE_LENGTH_MIN: i32 = 14;
/// The only format version that is read and written.
pub const CURRENT_MAGIC: i8 = 2;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const LEADER_EPOCH_AT: usize = 12;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
/// The CRC covers everything from here.
pub(crate) const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

/// The header of a batch, field by field, in the order of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record as it was appended; compaction keeps it.
    pub base_offset: Offset,
    /// Bytes that follow this field.
    pub length: i32,
    /// Epoch of the leader that appended it; not covered by the CRC.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Flags.
    pub attributes: Attributes,
    /// Last offset minus base offset; compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from (or the delete horizon).
    pub base_timestamp: Timestamp,
    /// The greatest timestamp, or with LogAppendTime every record's timestamp.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, if any.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the first record.
    pub base_sequence: Sequence,
    /// Records in the batch; compaction can make it less than `last_offset_delta + 1`.
    pub count: i32,
}

impl BatchHeader {
    /// Reads a header from the first 61 bytes; what follows is neither needed nor looked at.
    ///
    /// # Errors
    /// [`Error::Incomplete`] with fewer bytes, [`Error::Corrupt`] if the length field is below the minimum or negative,
    /// [`Error::UnsupportedMagic`]. Counts, deltas and codec are given as found.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_within(bytes, usize::MAX)
    }

    /// As [`parse`](Self::parse), and refuses a batch of more than `batch_bytes_max` bytes (head included).
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_within(bytes: &[u8], batch_bytes_max: usize) -> Result<Self, Error> {
        check_overhead(bytes, batch_bytes_max)?;
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(Error::Incomplete {
            needed_bytes: HEADER_BYTES,
            available_bytes: bytes.len(),
        })?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(array(head, 0))),
            length: i32::from_be_bytes(array(head, LENGTH_AT)),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(array(head, LEADER_EPOCH_AT))),
            crc: u32::from_be_bytes(array(head, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(array(head, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(array(head, LAST_OFFSET_DELTA_AT)),
            base_timestamp: Timestamp(i64::from_be_bytes(array(head, BASE_TIMESTAMP_AT))),
            max_timestamp: Timestamp(i64::from_be_bytes(array(head, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(array(head, PRODUCER_ID_AT))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(array(head, PRODUCER_EPOCH_AT))),
            base_sequence: Sequence(i32::from_be_bytes(array(head, BASE_SEQUENCE_AT))),
            count: i32::from_be_bytes(array(head, COUNT_AT)),
        })
    }

    /// The header's 61 bytes, with the CRC as it stands in `self`.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut head = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.base_offset.0.to_be_bytes());
        put(LENGTH_AT, &self.length.to_be_bytes());
        put(LEADER_EPOCH_AT, &self.partition_leader_epoch.0.to_be_bytes());
        put(MAGIC_AT, &CURRENT_MAGIC.to_be_bytes());
        put(CRC_AT, &self.crc.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes.0.to_be_bytes());
        put(LAST_OFFSET_DELTA_AT, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.0.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &self.max_timestamp.0.to_be_bytes());
        put(PRODUCER_ID_AT, &self.producer_id.0.to_be_bytes());
        put(PRODUCER_EPOCH_AT, &self.producer_epoch.0.to_be_bytes());
        put(BASE_SEQUENCE_AT, &self.base_sequence.0.to_be_bytes());
        put(COUNT_AT, &self.count.to_be_bytes());
        head
    }

    /// Encodes the header with the CRC of itself and `body`, the bytes that follow it.
    #[must_use]
    pub(crate) fn seal(&mut self, body: &[u8]) -> [u8; HEADER_BYTES] {
        let mut head = self.encode();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(&head[ATTRIBUTES_AT..]), body);
        head[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&self.crc.to_be_bytes());
        head
    }

    /// Bytes of the whole batch, head included.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD_BYTES + usize::try_from(self.length).unwrap_or(0)
    }

    /// Offset of the last record as it was appended.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Sequence of the last record; none without a base sequence.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence.is_none() {
            NO_SEQUENCE
        } else {
            self.base_sequence.plus(self.last_offset_delta)
        }
    }

    /// Whether the batch comes from an idempotent producer.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.is_some()
    }

    /// Part of a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Holds control records.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`Error::UnsupportedCompression`].
    pub fn compression_type(&self) -> Result<CompressionType, Error> {
        self.attributes.compression_type()
    }

    /// From when tombstones and markers of this batch may go (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes
            .has_delete_horizon()
            .then_some(self.base_timestamp)
    }
}

/// Checks length and magic as far as they are there, in Kafka's order: an old message set is named as such.
fn check_overhead(bytes: &[u8], batch_bytes_max: usize) -> Result<(), Error> {
    let Some(overhead) = bytes.first_chunk::<LOG_OVERHEAD_BYTES>() else {
        return Err(Error::Incomplete {
            needed_bytes: LOG_OVERHEAD_BYTES,
            available_bytes: bytes.len(),
        });
    };
    let length = i32::from_be_bytes(array(overhead, LENGTH_AT));
    let max = i32::try_from(batch_bytes_max.saturating_sub(LOG_OVERHEAD_BYTES)).unwrap_or(i32::MAX);
    if !(OLD_MESSAGE_LENGTH_MIN..=max).contains(&length) {
        return Err(Corruption::Length {
            length,
            min: LENGTH_MIN,
            max,
        }
        .into());
    }
    if let Some(magic) = bytes.get(MAGIC_AT).map(|byte| i8::from_be_bytes([*byte]))
        && magic != CURRENT_MAGIC
    {
        return Err(Error::UnsupportedMagic { magic });
    }
    if length < LENGTH_MIN {
        return Err(Corruption::Length {
            length,
            min: LENGTH_MIN,
            max,
        }
        .into());
    }
    Ok(())
}

/// `N` bytes of a fixed-size array; offsets are this file's constants, so it cannot fail.
fn array<const FROM: usize, const N: usize>(bytes: &[u8; FROM], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
