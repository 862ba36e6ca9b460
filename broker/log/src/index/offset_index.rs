//! Offset to position in the segment file (Kafka's `OffsetIndex`): 4 bytes of offset relative to the segment's base, 4
//! bytes of position. An entry names the LAST offset of the batch that begins at its position.

use std::path::PathBuf;
use std::sync::Arc;

use forebay_disk::Disk;
use forebay_records::Offset;

use super::{Entry, IndexFile};
use crate::error::Result;

/// Where a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The batch's last offset.
    pub last_offset: Offset,
    /// Its position in the segment file.
    pub position: u64,
}

#[derive(Debug, Clone, Copy)]
struct RawOffsetEntry {
    relative_offset: u32,
    position: u32,
}

impl Entry for RawOffsetEntry {
    const BYTES: usize = 8;

    fn decode(bytes: &[u8]) -> RawOffsetEntry {
        let (offset, position) = bytes.split_first_chunk().expect("8 bytes");
        let position = position.first_chunk().expect("8 bytes");
        RawOffsetEntry {
            relative_offset: u32::from_be_bytes(*offset),
            position: u32::from_be_bytes(*position),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative_offset.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }
}

pub(super) const ENTRY_BYTES: usize = RawOffsetEntry::BYTES;

/// What an index file of the segment that begins at `base_offset` holds.
pub(crate) fn offset_entries(bytes: &[u8], base_offset: Offset) -> Vec<OffsetEntry> {
    let entry = |raw: RawOffsetEntry| OffsetEntry {
        last_offset: base_offset + i64::from(raw.relative_offset),
        position: u64::from(raw.position),
    };
    super::entries(bytes).map(entry).collect()
}

#[derive(Debug)]
pub(crate) struct OffsetIndex {
    base_offset: Offset,
    entries: IndexFile<RawOffsetEntry>,
}

impl OffsetIndex {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf, base_offset: Offset) -> Result<OffsetIndex> {
        Ok(OffsetIndex {
            base_offset,
            entries: IndexFile::open(disk, path)?,
        })
    }

    pub(crate) fn size_in_bytes(&self) -> u64 {
        self.entries.size_in_bytes()
    }

    /// Adds an entry. Segments hold no offset beyond `i32::MAX` of their base and no position beyond `segment.bytes`.
    pub(crate) fn append(&mut self, entry: OffsetEntry) {
        let relative_offset =
            u32::try_from(entry.last_offset - self.base_offset).expect("the segment was rolled in time");
        let position = u32::try_from(entry.position).expect("segment.bytes is an INT");
        self.entries.push(RawOffsetEntry {
            relative_offset,
            position,
        });
    }

    /// The last entry whose offset is not greater than `offset`.
    pub(crate) fn lookup(&self, offset: Offset) -> Result<Option<OffsetEntry>> {
        let relative = offset - self.base_offset;
        let found = self
            .entries
            .last_where(|entry| i64::from(entry.relative_offset) <= relative)?;
        Ok(found.map(|entry| self.entry(entry)))
    }

    /// The last entry whose position is not greater than `position` and whose offset is less than `up_to`.
    pub(crate) fn lookup_position(&self, position: u64, up_to: Offset) -> Result<Option<OffsetEntry>> {
        let relative = up_to - self.base_offset;
        let found = self.entries.last_where(|entry| {
            u64::from(entry.position) <= position && i64::from(entry.relative_offset) < relative
        })?;
        Ok(found.map(|entry| self.entry(entry)))
    }

    pub(crate) fn last(&self) -> Result<Option<OffsetEntry>> {
        Ok(self.entries.last()?.map(|entry| self.entry(entry)))
    }

    pub(crate) fn clear(&mut self) -> Result<()> {
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

    fn entry(&self, raw: RawOffsetEntry) -> OffsetEntry {
        OffsetEntry {
            last_offset: self.base_offset + i64::from(raw.relative_offset),
            position: u64::from(raw.position),
        }
    }
}
