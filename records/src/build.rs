//! Building a batch: records go one after the other into one buffer, which becomes the batch (or is compressed once at the
//! end). Nothing is allocated per record.

mod rewrite;

use std::io;

pub use rewrite::RewriteError;

use crate::attributes::Attributes;
use crate::compress::compress;
use crate::control::{ControlRecordType, EndTransactionMarker};
use crate::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use crate::record::{self, RecordRef};
use crate::{
    BATCH_BYTES_MAX, Compression, CompressionType, Headers, LeaderEpoch, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Offset, ProducerEpoch, ProducerId, RecordBatch, Sequence,
    Timestamp, varint,
};

/// Why a record or batch cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record does not fit any more: close this batch and put the record into the next one.
    #[error(
        "the record of {record_bytes} bytes does not fit into the batch of at most {batch_bytes_max} bytes"
    )]
    Full {
        /// Bytes of the record.
        record_bytes: usize,
        /// The batch's bound.
        batch_bytes_max: usize,
    },
    /// Offsets must grow, and lie within `i32::MAX` of the batch's first.
    #[error(
        "offset {offset} does not follow the batch's last one, or is too far from its base offset {base_offset}"
    )]
    Offset {
        /// The record's.
        offset: Offset,
        /// The batch's.
        base_offset: Offset,
    },
    /// A batch has at least one record.
    #[error("a batch needs at least one record")]
    Empty,
    /// The codec failed, for want of memory.
    #[error("the records cannot be compressed with {compression}: {source}")]
    Compression {
        /// The codec.
        compression: CompressionType,
        /// Its own words.
        source: io::Error,
    },
}

/// The idempotent producer of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// As `InitProducerId` gave it.
    pub id: ProducerId,
    /// As `InitProducerId` gave it.
    pub epoch: ProducerEpoch,
    /// Sequence of the batch's first record in its partition.
    pub base_sequence: Sequence,
}

impl ProducerIdentity {
    /// Not idempotent.
    pub const NONE: Self = Self {
        id: NO_PRODUCER_ID,
        epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
    };
}

/// What a batch is besides its records.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Codec and level.
    pub compression: Compression,
    /// 0 from producers: the broker assigns offsets.
    pub base_offset: Offset,
    /// None from producers.
    pub partition_leader_epoch: LeaderEpoch,
    /// Can also be set last, with [`BatchBuilder::set_producer`].
    pub producer: ProducerIdentity,
    /// Part of a transaction.
    pub transactional: bool,
    /// The greatest size before compression, head included. One record always fits, as in Kafka's producer.
    pub batch_bytes_max: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            compression: Compression::NONE,
            base_offset: Offset::ZERO,
            partition_leader_epoch: NO_LEADER_EPOCH,
            producer: ProducerIdentity::NONE,
            transactional: false,
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }
}

/// A batch that takes records.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the head, then the records.
    buffer: Vec<u8>,
    count: i32,
    last_offset: Option<Offset>,
    base_timestamp: Timestamp,
    /// What timestamps are counted from, if not from the first record's.
    delete_horizon: Option<Timestamp>,
    max_timestamp: Timestamp,
    control: bool,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        Self::with_capacity(options, HEADER_BYTES)
    }

    /// An empty batch with memory reserved for `bytes`, head included.
    #[must_use]
    pub fn with_capacity(options: BatchOptions, bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes.max(HEADER_BYTES));
        buffer.resize(HEADER_BYTES, 0);
        Self {
            options,
            buffer,
            count: 0,
            last_offset: None,
            base_timestamp: NO_TIMESTAMP,
            delete_horizon: None,
            max_timestamp: NO_TIMESTAMP,
            control: false,
        }
    }

    /// The batch of one transaction marker. `options.producer` names the producer whose transaction it ends.
    ///
    /// # Errors
    /// [`Error::Compression`].
    pub fn end_transaction(
        options: BatchOptions,
        timestamp: Timestamp,
        control_type: ControlRecordType,
        marker: EndTransactionMarker,
    ) -> Result<RecordBatch, Error> {
        let options = BatchOptions {
            transactional: true,
            ..options
        };
        Self::control(options, timestamp, control_type, &marker.encode())
    }

    /// The batch of one control record with an encoded value.
    ///
    /// # Errors
    /// [`Error::Compression`].
    pub fn control(
        options: BatchOptions,
        timestamp: Timestamp,
        control_type: ControlRecordType,
        value: &[u8],
    ) -> Result<RecordBatch, Error> {
        let mut builder = Self::new(options);
        builder.control = true;
        builder.append(timestamp, Some(&control_type.key()), Some(value), &Headers::EMPTY)?;
        builder.build()
    }

    /// Adds a record at the next offset.
    ///
    /// # Errors
    /// [`Error::Full`], which leaves the batch as it was.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<Offset, Error> {
        let offset = self.next_offset();
        self.append_record(&RecordRef {
            offset,
            timestamp,
            key,
            value,
            headers: headers.iter(),
        })?;
        Ok(offset)
    }

    /// Adds a record at its own offset, which may leave a gap after the last one: for batches that were compacted or are
    /// filtered.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Offset`], which leave the batch as it was.
    pub fn append_record(&mut self, record: &RecordRef<'_>) -> Result<(), Error> {
        let base_offset = self.options.base_offset;
        let offset_delta = i32::try_from(record.offset - base_offset)
            .ok()
            .filter(|delta| *delta >= 0);
        let follows = self.last_offset.is_none_or(|last| last < record.offset);
        let Some(offset_delta) = offset_delta.filter(|_| follows) else {
            return Err(Error::Offset {
                offset: record.offset,
                base_offset,
            });
        };
        let first = self.count == 0;
        let base_timestamp = if first {
            self.delete_horizon.unwrap_or(record.timestamp)
        } else {
            self.base_timestamp
        };
        // Wraps as in Kafka; the reader adds with the same wrap.
        let timestamp_delta = record.timestamp.0.wrapping_sub(base_timestamp.0);
        let body = body_bytes(record, offset_delta, timestamp_delta);
        let record_bytes = body + varint::size(body as i64);
        let bound = if first {
            BATCH_BYTES_MAX
        } else {
            self.options.batch_bytes_max.min(BATCH_BYTES_MAX)
        };
        if self.buffer.len().saturating_add(record_bytes) > bound {
            return Err(Error::Full {
                record_bytes,
                batch_bytes_max: bound,
            });
        }
        self.buffer.reserve(record_bytes);
        varint::put(&mut self.buffer, body as i64);
        self.buffer.push(0);
        varint::put(&mut self.buffer, timestamp_delta);
        varint::put(&mut self.buffer, i64::from(offset_delta));
        record::put_bytes(&mut self.buffer, record.key);
        record::put_bytes(&mut self.buffer, record.value);
        self.buffer.extend_from_slice(record.headers.encoded());
        self.base_timestamp = base_timestamp;
        self.max_timestamp = if first {
            record.timestamp
        } else {
            self.max_timestamp.max(record.timestamp)
        };
        self.last_offset = Some(record.offset);
        self.count += 1;
        Ok(())
    }

    /// Whether a record of that many bytes (see [`record_bytes`]) still fits. The first always does.
    #[must_use]
    pub fn has_room_for(&self, record_bytes: usize) -> bool {
        self.count == 0 || self.buffer.len().saturating_add(record_bytes) <= self.options.batch_bytes_max
    }

    /// Size of the batch as it stands, before compression.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// No record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Offset that the next record gets.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset.map_or(self.options.base_offset, Offset::next)
    }

    /// Names the producer: sequences are known only when the batch is about to be sent.
    pub fn set_producer(&mut self, producer: ProducerIdentity) {
        self.options.producer = producer;
    }

    /// The batch.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Compression`].
    pub fn build(self) -> Result<RecordBatch, Error> {
        self.build_with(|_header| {})
    }

    /// The batch, with a header that `adjust` may change before the CRC is computed.
    fn build_with(self, adjust: impl FnOnce(&mut BatchHeader)) -> Result<RecordBatch, Error> {
        let Some(last_offset) = self.last_offset else {
            return Err(Error::Empty);
        };
        let options = self.options;
        let compression_type = options.compression.compression_type();
        let mut bytes = if compression_type == CompressionType::None {
            self.buffer
        } else {
            // Kafka's own first guess of a ratio; the buffer grows if it was wrong.
            let mut compressed = Vec::with_capacity(HEADER_BYTES + self.buffer.len() / 2);
            compressed.resize(HEADER_BYTES, 0);
            compress(options.compression, &self.buffer[HEADER_BYTES..], &mut compressed).map_err(
                |source| Error::Compression {
                    compression: compression_type,
                    source,
                },
            )?;
            compressed
        };
        let length = i32::try_from(bytes.len() - LOG_OVERHEAD_BYTES).map_err(|_| Error::Full {
            record_bytes: bytes.len(),
            batch_bytes_max: BATCH_BYTES_MAX,
        })?;
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            length,
            partition_leader_epoch: options.partition_leader_epoch,
            crc: 0,
            attributes: Attributes::new(compression_type)
                .with_transactional(options.transactional)
                .with_control(self.control),
            last_offset_delta: i32::try_from(last_offset - options.base_offset).expect("append checked it"),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: options.producer.id,
            producer_epoch: options.producer.epoch,
            base_sequence: options.producer.base_sequence,
            count: self.count,
        };
        adjust(&mut header);
        let head = header.seal(&bytes[HEADER_BYTES..]);
        bytes[..HEADER_BYTES].copy_from_slice(&head);
        Ok(RecordBatch::from_parts(header, bytes.into()))
    }
}

/// An upper bound of the bytes that a record takes in a batch before compression.
#[must_use]
pub fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    /// Length, attributes, timestamp delta and offset delta (`DefaultRecord.MAX_RECORD_OVERHEAD`).
    const OVERHEAD_MAX: usize = 21;
    OVERHEAD_MAX + record::size_of(key) + record::size_of(value) + headers.encoded_bytes()
}

fn body_bytes(record: &RecordRef<'_>, offset_delta: i32, timestamp_delta: i64) -> usize {
    1 + varint::size(timestamp_delta)
        + varint::size(i64::from(offset_delta))
        + record::size_of(record.key)
        + record::size_of(record.value)
        + record.headers.encoded().len()
}

#[cfg(test)]
mod tests;
