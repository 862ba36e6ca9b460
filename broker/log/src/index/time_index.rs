//! Timestamp to offset (Kafka's `TimeIndex`): 8 bytes of timestamp, 4 bytes of offset relative to the segment's base.
//! An entry says that no record up to its offset has a greater timestamp; its offset is the last one of the first
//! batch that has this timestamp as its greatest.

use std::path::PathBuf;
use std::sync::Arc;

use forebay_disk::Disk;
use forebay_records::{Offset, Timestamp};

use super::{Entry, IndexFile};
use crate::error::Result;

/// The greatest timestamp up to an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    /// No record up to the offset has a greater one.
    pub timestamp: Timestamp,
    /// Of the last record of the batch with that timestamp.
    pub offset: Offset,
}

#[derive(Debug, Clone, Copy)]
struct RawTimeEntry {
    timestamp: i64,
    relative_offset: u32,
}

impl Entry for RawTimeEntry {
    const BYTES: usize = 12;

    fn decode(bytes: &[u8]) -> RawTimeEntry {
        let (timestamp, offset) = bytes.split_first_chunk().expect("12 bytes");
        let offset = offset.first_chunk().expect("12 bytes");
        RawTimeEntry {
            timestamp: i64::from_be_bytes(*timestamp),
            relative_offset: u32::from_be_bytes(*offset),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
    }
}

pub(super) const ENTRY_BYTES: usize = RawTimeEntry::BYTES;

/// What a time index file of the segment that begins at `base_offset` holds.
pub(crate) fn time_entries(bytes: &[u8], base_offset: Offset) -> Vec<TimeEntry> {
    let entry = |raw: RawTimeEntry| TimeEntry {
        timestamp: Timestamp(raw.timestamp),
        offset: base_offset + i64::from(raw.relative_offset),
    };
    super::entries(bytes).map(entry).collect()
}

#[derive(Debug)]
pub(crate) struct TimeIndex {
    base_offset: Offset,
    entries: IndexFile<RawTimeEntry>,
    last: Last,
}

/// The last entry, which each append compares with.
#[derive(Debug, Clone, Copy)]
enum Last {
    InFile,
    Is(Option<TimeEntry>),
}

impl TimeIndex {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf, base_offset: Offset) -> Result<TimeIndex> {
        Ok(TimeIndex {
            base_offset,
            entries: IndexFile::open(disk, path)?,
            last: Last::InFile,
        })
    }

    pub(crate) fn size_in_bytes(&self) -> u64 {
        self.entries.size_in_bytes()
    }

    /// Loads what appending needs, so that it cannot fail.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        self.last = Last::Is(self.last()?);
        Ok(())
    }

    /// Adds an entry if its timestamp is greater than the last one's. [`TimeIndex::prepare`] has been called.
    pub(crate) fn maybe_append(&mut self, entry: TimeEntry) {
        let Last::Is(last) = self.last else {
            unreachable!("prepare was called")
        };
        if entry.timestamp.is_none() || last.is_some_and(|last| last.timestamp >= entry.timestamp) {
            return;
        }
        let relative_offset =
            u32::try_from(entry.offset - self.base_offset).expect("the segment was rolled in time");
        self.entries.push(RawTimeEntry {
            timestamp: entry.timestamp.value(),
            relative_offset,
        });
        self.last = Last::Is(Some(entry));
    }

    /// The last entry whose timestamp is less than `timestamp`: all records up to its offset are older.
    pub(crate) fn lookup_before(&self, timestamp: Timestamp) -> Result<Option<TimeEntry>> {
        let found = self
            .entries
            .last_where(|entry| entry.timestamp < timestamp.value())?;
        Ok(found.map(|entry| self.entry(entry)))
    }

    pub(crate) fn last(&self) -> Result<Option<TimeEntry>> {
        match self.last {
            Last::Is(last) => Ok(last),
            Last::InFile => Ok(self.entries.last()?.map(|entry| self.entry(entry))),
        }
    }

    pub(crate) fn clear(&mut self) -> Result<()> {
        self.last = Last::Is(None);
        self.entries.clear()
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.entries.close()
    }

    /// See [`IndexFile::pin`].
    pub(crate) fn pin(&mut self) -> Result<()> {
        self.entries.pin()
    }

    /// See [`IndexFile::unpin`].
    pub(crate) fn unpin(&mut self) {
        self.entries.unpin();
    }

    fn entry(&self, raw: RawTimeEntry) -> TimeEntry {
        TimeEntry {
            timestamp: Timestamp(raw.timestamp),
            offset: self.base_offset + i64::from(raw.relative_offset),
        }
    }
}
