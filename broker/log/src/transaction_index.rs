//! The aborted transactions of a segment (Kafka's `TransactionIndex`, `.txnindex`): written when an abort marker is
//! appended, read for consumers that skip what was aborted. Most segments have none, and then no file either.

use std::path::PathBuf;
use std::sync::Arc;

use forebay_disk::{Disk, DiskExt, File, FileExt, OpenOptions};
use forebay_records::{Offset, ProducerId};

use crate::error::Result;

/// Version, producer id, first, last and last stable offset.
const ENTRY_BYTES: usize = 34;
const CURRENT_VERSION: i16 = 0;
/// So many entries are read at once.
const ENTRIES_PER_BLOCK: usize = 256;

/// A transaction whose records a consumer of committed records skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the marker that aborted it.
    pub last_offset: Offset,
    /// The last stable offset when the marker was appended.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..2].copy_from_slice(&CURRENT_VERSION.to_be_bytes());
        let fields = [
            self.producer_id.value(),
            self.first_offset.value(),
            self.last_offset.value(),
            self.last_stable_offset.value(),
        ];
        for (place, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// The whole entries of `bytes`, or the version of the first that is not ours.
    pub(crate) fn decode_all(bytes: &[u8]) -> std::result::Result<Vec<AbortedTransaction>, i16> {
        let entry = |bytes: &[u8]| {
            AbortedTransaction::decode(bytes).ok_or_else(|| i16::from_be_bytes([bytes[0], bytes[1]]))
        };
        bytes.chunks_exact(ENTRY_BYTES).map(entry).collect()
    }

    /// `None` if the version is not ours.
    fn decode(bytes: &[u8]) -> Option<AbortedTransaction> {
        let (version, fields) = bytes.split_first_chunk::<2>()?;
        if i16::from_be_bytes(*version) != CURRENT_VERSION {
            return None;
        }
        let mut fields = fields
            .as_chunks::<8>()
            .0
            .iter()
            .map(|field| i64::from_be_bytes(*field));
        Some(AbortedTransaction {
            producer_id: ProducerId(fields.next()?),
            first_offset: Offset(fields.next()?),
            last_offset: Offset(fields.next()?),
            last_stable_offset: Offset(fields.next()?),
        })
    }
}

#[derive(Debug)]
pub(crate) struct TransactionIndex {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Open for good, once its name has gone to another file.
    pinned: Option<Arc<dyn File>>,
    /// Open as long as something was written that is not synced: the kernel tells of a failed write-back only those who had it open.
    unsynced: Option<Arc<dyn File>>,
    count: usize,
}

impl TransactionIndex {
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<TransactionIndex> {
        let count = match disk.metadata(&path) {
            Ok(metadata) => usize::try_from(metadata.length).unwrap_or(usize::MAX) / ENTRY_BYTES,
            Err(error) if error.is_not_found() => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(TransactionIndex {
            disk,
            path,
            pinned: None,
            unsynced: None,
            count,
        })
    }

    /// Opens the file and keeps it open, whatever becomes of its name.
    pub(crate) fn pin(&mut self) -> Result<()> {
        if self.count > 0 && self.pinned.is_none() {
            self.pinned = Some(self.disk.open(&self.path, OpenOptions::read())?);
        }
        Ok(())
    }

    pub(crate) fn unpin(&mut self) {
        self.pinned = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn append(&mut self, aborted: &AbortedTransaction) -> Result<()> {
        let file = match &self.unsynced {
            Some(file) => Arc::clone(file),
            None => self.disk.open(&self.path, OpenOptions::create())?,
        };
        self.unsynced = Some(Arc::clone(&file));
        file.write_all_at(&aborted.encode(), (self.count * ENTRY_BYTES) as u64)?;
        self.count += 1;
        Ok(())
    }

    /// The aborted transactions that overlap `from..up_to`, added to `found`; true if later segments can have no more
    /// of them.
    pub(crate) fn collect(
        &self,
        from: Offset,
        up_to: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> Result<bool> {
        let mut complete = false;
        self.for_each(|aborted| {
            if aborted.last_offset >= from && aborted.first_offset < up_to {
                found.push(aborted);
            }
            complete = aborted.last_stable_offset >= up_to;
            !complete
        })?;
        Ok(complete)
    }

    /// Whether every entry makes sense for a segment that begins at `base_offset` and ends before `next_offset`.
    pub(crate) fn is_sane(&self, base_offset: Offset, next_offset: Offset) -> Result<bool> {
        match self.disk.metadata(&self.path) {
            Ok(metadata) if metadata.length.is_multiple_of(ENTRY_BYTES as u64) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let mut sane = true;
        let mut previous = base_offset - 1;
        let mut read = 0;
        self.for_each(|aborted| {
            sane = aborted.last_offset > previous
                && aborted.last_offset < next_offset
                && aborted.first_offset <= aborted.last_offset
                && aborted.first_offset.is_some()
                && aborted.producer_id.is_some()
                && aborted.last_stable_offset <= aborted.last_offset.next();
            previous = aborted.last_offset;
            read += 1;
            sane
        })?;
        Ok(sane && read == self.count)
    }

    /// Cuts the entries whose marker is at or behind `offset`.
    pub(crate) fn truncate_to(&mut self, offset: Offset) -> Result<()> {
        let mut kept = 0;
        self.for_each(|aborted| {
            let keep = aborted.last_offset < offset;
            kept += usize::from(keep);
            keep
        })?;
        self.cut(kept)
    }

    /// Puts these entries in the place of those that there are, durably and in one step: whenever that is interrupted, the old ones
    /// or the new ones are there, all of them.
    pub(crate) fn replace(&mut self, entries: &[AbortedTransaction]) -> Result<()> {
        if entries.is_empty() {
            if self.disk.exists(&self.path)? {
                self.disk.remove_file(&self.path)?;
                self.path
                    .parent()
                    .map_or(Ok(()), |folder| self.disk.sync_dir(folder))?;
            }
        } else {
            let bytes: Vec<u8> = entries.iter().flat_map(AbortedTransaction::encode).collect();
            self.disk.write_atomically(&self.path, &bytes)?;
        }
        self.unsynced = None;
        self.count = entries.len();
        Ok(())
    }

    /// What is to be synced so that all that was written is on the disk; whoever takes it does that. The name of a new file is not synced.
    pub(crate) fn take_unsynced(&mut self) -> Option<Arc<dyn File>> {
        self.unsynced.take()
    }

    fn cut(&mut self, count: usize) -> Result<()> {
        if count < self.count {
            let file = self.disk.open(&self.path, OpenOptions::write())?;
            self.unsynced = Some(Arc::clone(&file));
            file.set_len((count * ENTRY_BYTES) as u64)?;
            self.count = count;
        }
        Ok(())
    }

    /// Visits the entries in order until `visit` says no or one has an unknown version.
    fn for_each(&self, mut visit: impl FnMut(AbortedTransaction) -> bool) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let file = match &self.pinned {
            Some(file) => Arc::clone(file),
            None => self.disk.open(&self.path, OpenOptions::read())?,
        };
        let mut first = 0;
        while first < self.count {
            let count = ENTRIES_PER_BLOCK.min(self.count - first);
            let mut bytes = vec![0; count * ENTRY_BYTES];
            file.read_exact_at(&mut bytes, (first * ENTRY_BYTES) as u64, &self.path)?;
            for entry in bytes.chunks_exact(ENTRY_BYTES) {
                let Some(aborted) = AbortedTransaction::decode(entry) else {
                    return Ok(());
                };
                if !visit(aborted) {
                    return Ok(());
                }
            }
            first += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use forebay_disk::MemoryDisk;

    use super::*;

    fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(stable),
        }
    }

    #[test]
    fn entries_are_kafkas_and_come_back() {
        let disk = MemoryDisk::new();
        let path = PathBuf::from("/00000000000000000000.txnindex");
        let open = || TransactionIndex::open(Arc::new(disk.clone()), path.clone()).expect("open");
        let mut index = open();
        assert!(
            index.is_empty() && disk.read_dir(Path::new("/")).expect("list").is_empty(),
            "no file without need"
        );
        let entries = [
            aborted(5, 0, 10, 11),
            aborted(6, 5, 15, 12),
            aborted(6, 20, 30, 31),
        ];
        for entry in &entries {
            index.append(entry).expect("append");
        }
        let bytes = disk.read(&path, 1000).expect("read");
        assert_eq!(bytes.len(), 3 * 34);
        assert_eq!(
            &bytes[..18],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        for (from, up_to, expected, complete) in [
            (0, 100, &entries[..], false),
            (0, 5, &entries[..1], true),
            (11, 20, &entries[1..2], true),
            (16, 20, &[], true),
            (16, 21, &entries[2..], true),
            (31, 100, &[], false),
        ] {
            let mut found = vec![];
            let is_complete = open()
                .collect(Offset(from), Offset(up_to), &mut found)
                .expect("collect");
            assert_eq!((&found[..], is_complete), (expected, complete), "{from}..{up_to}");
        }
        assert!(open().is_sane(Offset(0), Offset(31)).expect("sane"));
        assert!(!open().is_sane(Offset(0), Offset(30)).expect("behind the end"));
        assert!(!open().is_sane(Offset(11), Offset(31)).expect("before the base"));
        index.truncate_to(Offset(15)).expect("cut");
        assert_eq!(disk.read(&path, 1000).expect("read"), &bytes[..34]);
        disk.open(&path, OpenOptions::write())
            .expect("open")
            .set_len(33)
            .expect("torn");
        let mut torn = open();
        assert!(torn.is_empty());
        torn.replace(&entries).expect("replaced");
        assert_eq!(disk.read(&path, 1000).expect("read"), bytes);
        torn.replace(&[]).expect("none");
        assert!(torn.is_empty() && !disk.exists(&path).expect("exists"));
    }
}
