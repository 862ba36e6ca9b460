//! Reading a snapshot (Kafka's `RecordsSnapshotReader`, KIP-630): a control batch that says so, metadata records, a control batch that says
//! that this was all. Batch by batch, so that no more is in memory than one of them. Whatever is not so to the last byte is damage.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use forebay_broker_controller::{self as controller, Record};
use forebay_disk::{Disk, File, FileExt as _, OpenOptions};
use forebay_protocol::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use forebay_protocol::{Message as _, Reader, decode};
use forebay_records::{
    BatchHeader, ControlRecordType, HEADER_BYTES, Offset, Record as LogRecord, RecordBatch, Timestamp,
};

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk does not give it.
    #[error(transparent)]
    Disk(#[from] forebay_disk::Error),
    /// It is torn, or its bytes are others than were written.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A record is of a kind that is not known here.
    #[error("{}: record {number} is one that this version does not understand: {source}", path.display())]
    Record {
        /// Where it is.
        path: PathBuf,
        /// Which record, from 0.
        number: u64,
        /// What is wrong.
        source: decode::Error,
    },
    /// The records do not make sense together.
    #[error("{}: {source}", path.display())]
    Replay {
        /// Where it is.
        path: PathBuf,
        /// What does not fit.
        source: controller::Error,
    },
}

/// What the quorum itself has to say (KIP-853), as it was found: nothing here decides by it, but snapshots hand it on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QuorumRecords {
    /// The value of the last `KRaftVersionRecord`.
    pub(crate) version: Option<Bytes>,
    /// The value of the last `VotersRecord`.
    pub(crate) voters: Option<Bytes>,
}

impl QuorumRecords {
    /// Notes a control record, if it is about the quorum.
    ///
    /// # Errors
    /// If its key is none.
    pub(crate) fn note(&mut self, record: &LogRecord) -> Result<(), forebay_records::Error> {
        let value = || record.value.as_deref().map(Bytes::copy_from_slice);
        match ControlRecordType::parse(record.key.as_deref().unwrap_or_default())? {
            ControlRecordType::KraftVersion => self.version = value(),
            ControlRecordType::KraftVoters => self.voters = value(),
            _ => {}
        }
        Ok(())
    }
}

/// What a snapshot is beside its records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// When the last record was appended that it stands for.
    pub(super) timestamp: Timestamp,
    pub(super) quorum: QuorumRecords,
    pub(super) bytes: u64,
}

/// Reads a snapshot through and gives its metadata records to `take`, numbered from 0.
///
/// # Errors
/// [`Error`]; what `take` was given so far is then of no use.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    take: &mut dyn FnMut(u64, &Record) -> Result<(), controller::Error>,
) -> Result<Contents, Error> {
    let file = disk.open(path, OpenOptions::read())?;
    let bytes = file.len()?;
    let mut reading = Reading {
        path,
        file: &*file,
        bytes,
        position: 0,
        next_offset: Offset::ZERO,
        timestamp: None,
        quorum: QuorumRecords::default(),
        ended: false,
        number: 0,
    };
    while let Some(batch) = reading.next_batch()? {
        if batch.header().is_control() {
            reading.control(&batch)?;
        } else {
            reading.data(&batch, take)?;
        }
    }
    match reading.timestamp {
        Some(timestamp) if reading.ended => Ok(Contents {
            timestamp,
            quorum: reading.quorum,
            bytes,
        }),
        Some(_) => Err(reading.damaged("it ends without a footer: it was not written to its end")),
        None => Err(reading.damaged("it is empty")),
    }
}

/// A snapshot that is being read.
struct Reading<'a> {
    path: &'a Path,
    file: &'a dyn File,
    bytes: u64,
    position: u64,
    /// Batches of a snapshot are numbered without a gap.
    next_offset: Offset,
    /// The header's, once it was there.
    timestamp: Option<Timestamp>,
    quorum: QuorumRecords,
    /// The footer was there.
    ended: bool,
    number: u64,
}

impl Reading<'_> {
    fn damaged(&self, reason: impl std::fmt::Display) -> Error {
        Error::Damaged {
            path: self.path.to_path_buf(),
            reason: format!("{reason} (at byte {} of {})", self.position, self.bytes),
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        let left = self.bytes - self.position;
        if left == 0 {
            return Ok(None);
        }
        if self.ended {
            return Err(self.damaged("there is more behind the footer"));
        }
        let mut head = [0; HEADER_BYTES];
        let read = self.file.read_up_to_at(&mut head, self.position)?;
        let header = BatchHeader::parse(&head[..read]).map_err(|error| self.damaged(error))?;
        let size = header.size_in_bytes();
        // Only what the file has is reserved.
        if size as u64 > left {
            return Err(self.damaged(format_args!("a batch of {size} bytes is cut off")));
        }
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, self.position, self.path)?;
        let batch = RecordBatch::new(bytes.into()).map_err(|error| self.damaged(error))?;
        batch.ensure_valid().map_err(|error| self.damaged(error))?;
        if batch.base_offset() != self.next_offset {
            let (found, expected) = (batch.base_offset(), self.next_offset);
            return Err(self.damaged(format_args!("record {found} follows where {expected} should")));
        }
        self.next_offset = batch.next_offset();
        self.position += size as u64;
        Ok(Some(batch))
    }

    fn control(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        for record in batch.records().map_err(|error| self.damaged(error))? {
            let record = record.map_err(|error| self.damaged(error))?;
            let key = record.key.as_deref().unwrap_or_default();
            let kind = ControlRecordType::parse(key).map_err(|error| self.damaged(error))?;
            let value = record.value.clone().unwrap_or_default();
            match (kind, self.timestamp) {
                (ControlRecordType::SnapshotHeader, None) => {
                    let header = SnapshotHeaderRecord::decode(&mut Reader::new(value), 0)
                        .map_err(|error| self.damaged(error))?;
                    self.timestamp = Some(Timestamp(header.last_contained_log_timestamp));
                }
                (ControlRecordType::SnapshotFooter, Some(_)) => {
                    SnapshotFooterRecord::decode(&mut Reader::new(value), 0)
                        .map_err(|error| self.damaged(error))?;
                    self.ended = true;
                }
                (_, None) => return Err(self.damaged("it does not begin with a header")),
                (ControlRecordType::SnapshotHeader, Some(_)) => {
                    return Err(self.damaged("it has a second header"));
                }
                _ => self.quorum.note(&record).map_err(|error| self.damaged(error))?,
            }
        }
        Ok(())
    }

    fn data(
        &mut self,
        batch: &RecordBatch,
        take: &mut dyn FnMut(u64, &Record) -> Result<(), controller::Error>,
    ) -> Result<(), Error> {
        if self.timestamp.is_none() {
            return Err(self.damaged("it does not begin with a header"));
        }
        for record in batch.records().map_err(|error| self.damaged(error))? {
            let record = record.map_err(|error| self.damaged(error))?;
            let number = self.number;
            let decoded = Record::from_bytes(record.value.unwrap_or_default()).map_err(|source| {
                let path = self.path.to_path_buf();
                Error::Record { path, number, source }
            })?;
            take(number, &decoded).map_err(|source| {
                let path = self.path.to_path_buf();
                Error::Replay { path, source }
            })?;
            self.number += 1;
        }
        Ok(())
    }
}
