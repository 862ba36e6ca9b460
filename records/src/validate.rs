//! What a broker checks before it appends a batch (Kafka's `LogValidator` and `UnifiedLog.analyzeAndValidateRecords`): header,
//! CRC, and every record read through once. A compressed batch streams through a window and is never held whole, nor encoded
//! again: what Kafka would repair by re-encoding (offset deltas out of order) is refused here.

mod walk;

use crate::decompress::Decompressor;
use crate::error::{Error, InvalidBatch, RecordError, RecordErrorReason};
use crate::read::{self, DECOMPRESSED_BYTES_MAX};
use crate::record::{self, RawRecord, problem};
use crate::varint::Cursor;
use crate::{
    Assignment, BatchHeader, CompressionType, LeaderEpoch, NO_TIMESTAMP, Offset, RecordBatch, Timestamp,
    TimestampType,
};

/// The most per-record errors that are reported; after them reading stops.
pub const RECORD_ERRORS_MAX: usize = 1000;

/// Who appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: it may not write control records, and leaves offsets to the broker.
    #[default]
    Client,
    /// A coordinator or the controller of this broker.
    Coordinator,
}

/// What a topic asks of its batches.
#[derive(Clone, Copy, Debug)]
pub struct ValidationOptions {
    /// Who appends.
    pub origin: AppendOrigin,
    /// Records need keys (`cleanup.policy` contains `compact`).
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// The broker's time.
    pub now: Timestamp,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// How much a batch may decompress to.
    pub decompressed_bytes_max: u64,
}

impl ValidationOptions {
    /// Kafka's defaults for a producer's batch on an ordinary topic, at a time.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self {
            origin: AppendOrigin::Client,
            compacted: false,
            timestamp_type: TimestampType::CreateTime,
            now,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        }
    }
}

/// What the log needs to know of a batch that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Records in it.
    pub record_count: i32,
    /// The topic's, to be written into the batch.
    pub timestamp_type: TimestampType,
    /// To be written into the batch: the greatest of the records' timestamps, or with LogAppendTime the time of the append.
    pub max_timestamp: Timestamp,
    /// The first record with that timestamp counts so many offsets from the batch's first; with LogAppendTime 0.
    pub max_timestamp_offset_delta: i32,
    /// Bytes of all records after decompression.
    pub records_bytes: u64,
}

impl Validated {
    /// What to write into the batch's head when it is appended.
    #[must_use]
    pub const fn assignment(&self, base_offset: Offset, partition_leader_epoch: LeaderEpoch) -> Assignment {
        Assignment {
            base_offset,
            partition_leader_epoch,
            timestamp_type: self.timestamp_type,
            max_timestamp: self.max_timestamp,
        }
    }
}

/// Checks a batch before it is appended. `max.message.bytes` is the caller's to check, before this.
///
/// # Errors
/// Each variant of [`Error`] but `Incomplete` and `UnsupportedMagic`, which parsing gives.
pub fn validate(batch: &RecordBatch, options: &ValidationOptions) -> Result<Validated, Error> {
    let header = batch.header();
    if options.origin == AppendOrigin::Client && header.base_offset != Offset::ZERO {
        return Err(InvalidBatch::BaseOffset {
            base_offset: header.base_offset.0,
        }
        .into());
    }
    batch.ensure_valid()?;
    let compression = batch.compression_type()?;
    if options.origin == AppendOrigin::Client {
        check_producers_header(header)?;
    } else if header.count < 0 {
        return Err(InvalidBatch::Count { count: header.count }.into());
    }
    let mut check = RecordCheck::new(header, options);
    let records_bytes = if compression == CompressionType::None {
        read_plain(batch, &mut check)?
    } else {
        read_compressed(batch, compression, &mut check)?
    };
    check.finish(records_bytes)
}

/// What a producer's header must say (`LogValidator.validateBatch`). Unused attribute bits are not looked at, as in Kafka.
fn check_producers_header(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let BatchHeader {
        count,
        last_offset_delta,
        producer_id,
        producer_epoch,
        base_sequence,
        ..
    } = *header;
    if count <= 0 {
        return Err(InvalidBatch::Count { count });
    }
    if i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(InvalidBatch::OffsetRange {
            last_offset_delta,
            count,
        });
    }
    if header.is_control() {
        return Err(InvalidBatch::ControlBatch);
    }
    if header.has_producer_id() {
        if base_sequence.is_none() {
            return Err(InvalidBatch::Sequence {
                base_sequence: base_sequence.0,
                producer_id: producer_id.0,
            });
        }
        if producer_epoch.is_none() {
            return Err(InvalidBatch::ProducerEpoch {
                producer_epoch: producer_epoch.0,
                producer_id: producer_id.0,
            });
        }
    } else if header.is_transactional() {
        return Err(InvalidBatch::TransactionalWithoutProducerId);
    }
    Ok(())
}

/// Reads the records where they lie; gives their bytes.
fn read_plain(batch: &RecordBatch, check: &mut RecordCheck<'_>) -> Result<u64, Error> {
    let body = batch.body();
    let mut cursor = Cursor::new(&body);
    while check.wants_more() {
        let index = check.index;
        let corrupt = |reason| Error::from(InvalidBatch::Record { index, reason });
        let length = cursor.varint().ok_or_else(|| corrupt(problem::END))?;
        let length = usize::try_from(length).map_err(|_| corrupt(problem::LENGTH))?;
        let bytes = cursor.take(length).ok_or_else(|| corrupt(problem::END))?;
        check.record(record::raw(bytes).map_err(corrupt)?.into());
    }
    check.ensure_none_remaining(cursor.rest().is_empty())?;
    Ok(body.len() as u64)
}

/// Streams the records; gives their bytes after decompression.
fn read_compressed(
    batch: &RecordBatch,
    compression: CompressionType,
    check: &mut RecordCheck<'_>,
) -> Result<u64, Error> {
    if check.header.count == 0 {
        return Ok(0);
    }
    let mut stream = Decompressor::new(compression, batch.body(), check.options.decompressed_bytes_max);
    while check.wants_more() {
        let index = check.index;
        let fields = walk::record(&mut stream).map_err(|fault| match fault {
            walk::Fault::Stream(error) => error,
            walk::Fault::Structure(reason) => InvalidBatch::Record { index, reason }.into(),
        })?;
        check.record(fields);
    }
    let none_remaining = check.gave_up() || stream.chunk()?.is_empty();
    check.ensure_none_remaining(none_remaining)?;
    Ok(stream.produced_bytes())
}

/// The fields of a record that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    timestamp_delta: i64,
    offset_delta: i32,
    has_key: bool,
}

impl From<RawRecord<'_>> for Fields {
    fn from(raw: RawRecord<'_>) -> Self {
        Self {
            timestamp_delta: raw.timestamp_delta,
            offset_delta: raw.offset_delta,
            has_key: raw.key.is_some(),
        }
    }
}

/// Judges record after record (`LogValidator.validateRecord`).
struct RecordCheck<'a> {
    header: &'a BatchHeader,
    options: &'a ValidationOptions,
    index: i32,
    errors: Vec<RecordError>,
    max_timestamp: Timestamp,
    max_timestamp_offset_delta: i32,
}

impl<'a> RecordCheck<'a> {
    fn new(header: &'a BatchHeader, options: &'a ValidationOptions) -> Self {
        Self {
            header,
            options,
            index: 0,
            errors: Vec::new(),
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset_delta: 0,
        }
    }

    fn wants_more(&self) -> bool {
        self.index < self.header.count && !self.gave_up()
    }

    fn gave_up(&self) -> bool {
        self.errors.len() >= RECORD_ERRORS_MAX
    }

    fn record(&mut self, fields: Fields) {
        let timestamp = read::timestamp(self.header, fields.timestamp_delta);
        if let Err(reason) = self.judge(fields, timestamp) {
            self.errors.push(RecordError {
                index: self.index,
                reason,
            });
        }
        if timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.max_timestamp_offset_delta = fields.offset_delta;
        }
        self.index += 1;
    }

    fn judge(&self, fields: Fields, timestamp: Timestamp) -> Result<(), RecordErrorReason> {
        let options = self.options;
        if fields.offset_delta != self.index {
            let expected = self.index;
            return Err(RecordErrorReason::OffsetDelta {
                offset_delta: fields.offset_delta,
                expected,
            });
        }
        if options.compacted && !fields.has_key {
            return Err(RecordErrorReason::MissingKey);
        }
        // Kafka's order: a batch that claims LogAppendTime passes on a CreateTime topic if its time is in range.
        if options.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            // In 128 bits: the difference of hostile timestamps does not fit into 64.
            let age_ms = i128::from(options.now.0) - i128::from(timestamp.0);
            let too_old = age_ms > i128::from(options.timestamp_before_max_ms);
            let too_new = -age_ms > i128::from(options.timestamp_after_max_ms);
            if too_old || too_new {
                return Err(RecordErrorReason::TimestampOutOfRange {
                    timestamp,
                    earliest: options.now - options.timestamp_before_max_ms,
                    latest: options.now + options.timestamp_after_max_ms,
                });
            }
        } else if self.header.timestamp_type() == TimestampType::LogAppendTime {
            return Err(RecordErrorReason::TimestampType);
        }
        Ok(())
    }

    fn ensure_none_remaining(&self, none_remaining: bool) -> Result<(), Error> {
        if none_remaining || self.gave_up() {
            Ok(())
        } else {
            Err(InvalidBatch::RemainingRecords {
                count: self.header.count,
            }
            .into())
        }
    }

    fn finish(self, records_bytes: u64) -> Result<Validated, Error> {
        if !self.errors.is_empty() {
            return Err(Error::InvalidRecords { errors: self.errors });
        }
        let timestamp_type = self.options.timestamp_type;
        let (max_timestamp, max_timestamp_offset_delta) = match timestamp_type {
            TimestampType::CreateTime => (self.max_timestamp, self.max_timestamp_offset_delta),
            TimestampType::LogAppendTime => (self.options.now, 0),
        };
        Ok(Validated {
            record_count: self.header.count,
            timestamp_type,
            max_timestamp,
            max_timestamp_offset_delta,
            records_bytes,
        })
    }
}

#[cfg(test)]
mod tests;
