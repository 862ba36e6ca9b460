//! Segments (`.log`) and snapshots of the metadata log (`.checkpoint`): batches, records, and what is left behind them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;

use forebay_records::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, Offset, Record, RecordBatch};

use super::{Dump, Error, absolute, control, offset_of_name, unreadable};

/// Up to the magic: with less Kafka does not look for a batch.
const BYTES_TO_MAGIC: u64 = 17;
/// The least that a batch of any version has behind its length.
const LENGTH_MIN: i32 = 14;

/// A segment's file, read batch by batch.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    path: String,
    length: u64,
}

impl Segment {
    pub(super) fn open(path: &str) -> Result<Self, Error> {
        let failed = |error: std::io::Error| unreadable(path, &error);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self {
            file,
            path: path.to_owned(),
            length,
        })
    }

    /// The batches from a position on, as far as they end before another.
    pub(super) fn batches(&self, from: u64, to: u64) -> Batches<'_> {
        Batches {
            segment: self,
            position: from,
            end: to.min(self.length),
        }
    }

    fn read(&self, position: u64, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, position);
        read.map(|()| bytes)
            .map_err(|error| unreadable(&self.path, &error))
    }

    /// Whether nothing but zeros stands behind a position: space that a broker has laid out ahead.
    fn is_zero_from(&self, position: u64) -> Result<bool, Error> {
        const BLOCK: u64 = 1024 * 1024;
        let mut at = position;
        while at < self.length {
            let length = BLOCK.min(self.length - at);
            let bytes = self.read(at, usize::try_from(length).expect("a block fits"))?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += length;
        }
        Ok(true)
    }
}

/// Where batches are, one after the other (Kafka's `FileLogInputStream`).
#[derive(Debug)]
pub(super) struct Batches<'a> {
    segment: &'a Segment,
    position: u64,
    end: u64,
}

/// Where a batch is, and what its header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub position: u64,
    pub header: BatchHeader,
}

impl Batches<'_> {
    /// The next batch; none if what is left is no whole one.
    pub(super) fn next(&mut self) -> Result<Option<Located>, Error> {
        if self.position + BYTES_TO_MAGIC >= self.end {
            return Ok(None);
        }
        let left = self.end - self.position;
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(HEADER_BYTES);
        let bytes = self.segment.read(self.position, length)?;
        let length: [u8; 4] = bytes[8..LOG_OVERHEAD_BYTES].try_into().expect("four bytes");
        let length = i32::from_be_bytes(length);
        if length < LENGTH_MIN {
            if length == 0 && self.segment.is_zero_from(self.position)? {
                return Ok(None);
            }
            return Err(Error::File(format!(
                "Found record size {length} smaller than minimum record overhead ({LENGTH_MIN}) in file {}.",
                self.segment.path
            )));
        }
        if u64::from(length.unsigned_abs()) + LOG_OVERHEAD_BYTES as u64 > left {
            return Ok(None);
        }
        let header = BatchHeader::parse(&bytes).map_err(|error| self.wrong(&error))?;
        let located = Located {
            position: self.position,
            header,
        };
        self.position += header.size_in_bytes() as u64;
        Ok(Some(located))
    }

    /// The batch itself.
    pub(super) fn load(&self, located: &Located) -> Result<RecordBatch, Error> {
        let bytes = self
            .segment
            .read(located.position, located.header.size_in_bytes())?;
        RecordBatch::new(bytes.into()).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &forebay_records::Error) -> Error {
        Error::File(format!(
            "{}: position {}: {error}",
            self.segment.path, self.position
        ))
    }
}

impl<W: Write> Dump<W> {
    pub(super) fn log(&mut self, path: &str, name: &str) -> Result<(), Error> {
        if name.ends_with(".log") {
            writeln!(self.out, "Log starting offset: {}", offset_of_name(path)?)?;
        } else if name == "bootstrap.checkpoint" {
            writeln!(self.out, "KRaft bootstrap snapshot")?;
        } else {
            let (end, epoch) = snapshot_id(name)
                .ok_or_else(|| Error::File(format!("{path}: its name is not that of a snapshot")))?;
            writeln!(self.out, "Snapshot end offset: {end}, epoch: {epoch}")?;
        }
        let segment = Segment::open(path)?;
        let mut batches = segment.batches(0, self.settings.bytes_max);
        let mut valid_bytes = 0;
        let mut previous = Offset(-1);
        while let Some(located) = batches.next()? {
            let batch = batches.load(&located)?;
            self.batch(&batch, located.position)?;
            if self.settings.deep {
                for record in batch.records().map_err(|error| batches.wrong(&error))? {
                    let record = record.map_err(|error| batches.wrong(&error))?;
                    if record.offset != previous.next() {
                        let gaps = self.problems.gaps.entry(absolute(path)).or_default();
                        gaps.insert(previous.0, record.offset.0);
                    }
                    previous = record.offset;
                    self.record(&batch, &record)?;
                }
            }
            valid_bytes += batch.size_in_bytes() as u64;
        }
        let trailing = segment.length.saturating_sub(valid_bytes);
        if trailing > 0 && self.settings.whole() {
            writeln!(self.out, "Found {trailing} invalid bytes at the end of {name}")?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, position: u64) -> Result<(), Error> {
        let header = batch.header();
        let horizon = header.delete_horizon().map_or_else(
            || "OptionalLong.empty".to_owned(),
            |at| format!("OptionalLong[{at}]"),
        );
        let codec = header
            .compression_type()
            .map_err(|error| Error::File(format!("batch at offset {}: {error}", header.base_offset)))?;
        write!(
            self.out,
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
             partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon}",
            header.base_offset,
            header.last_offset(),
            header.count,
            header.base_sequence,
            header.last_sequence(),
            header.producer_id,
            header.producer_epoch,
            header.partition_leader_epoch,
            header.is_transactional(),
            header.is_control(),
        )?;
        writeln!(
            self.out,
            " position: {position} {}: {} size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
            header.timestamp_type(),
            header.max_timestamp,
            batch.size_in_bytes(),
            codec.name(),
            header.crc,
            batch.ensure_valid().is_ok(),
        )?;
        Ok(())
    }

    fn record(&mut self, batch: &RecordBatch, record: &Record) -> Result<(), Error> {
        let header = batch.header();
        let size = |bytes: &Option<bytes::Bytes>| {
            bytes
                .as_ref()
                .map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string())
        };
        if !self.settings.skip_record_metadata {
            let sequence = if header.base_sequence.is_none() {
                header.base_sequence
            } else {
                let delta = record.offset - header.base_offset;
                header
                    .base_sequence
                    .plus(i32::try_from(delta).unwrap_or_default())
            };
            let keys: Vec<_> = record.headers.iter().map(|header| header.key_text()).collect();
            write!(
                self.out,
                "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
                record.offset,
                header.timestamp_type(),
                record.timestamp,
                size(&record.key),
                size(&record.value),
                keys.join(","),
            )?;
            if header.is_control() {
                write!(self.out, "{}", control::describe(record)?)?;
            }
        }
        if let Some(contents) = self.settings.contents.as_ref().filter(|_| !header.is_control()) {
            let mut prefix = if self.settings.skip_record_metadata {
                "| "
            } else {
                " "
            };
            let parsed = contents.parse(record).map_err(Error::File)?;
            if let Some(key) = parsed.key {
                write!(self.out, "{prefix}key: {key}")?;
                prefix = " ";
            }
            if let Some(value) = parsed.value {
                write!(self.out, "{prefix}payload: {value}")?;
            }
        }
        writeln!(self.out)?;
        Ok(())
    }
}

/// `00000000000000001234-0000000005.checkpoint`: end offset and epoch.
fn snapshot_id(name: &str) -> Option<(i64, i32)> {
    let stem = name.strip_suffix(".checkpoint")?;
    let (end, epoch) = stem.split_once('-')?;
    Some((end.parse().ok()?, epoch.parse().ok()?))
}
