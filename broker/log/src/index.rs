//! Sparse indexes of a segment in Kafka's formats. Both are files of fixed entries that only grow at the end; here is
//! what they share: new entries wait in memory for a page to fill, closed indexes are searched where they lie, and no
//! index is held in memory as a whole. An index is derived: whoever uses an entry compares it with the batch that it
//! points to, and rebuilds the index if they differ.

mod offset_index;
mod time_index;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use forebay_disk::{Disk, File, FileExt, OpenOptions};

pub use offset_index::OffsetEntry;
pub(crate) use offset_index::{OffsetIndex, offset_entries};
pub use time_index::TimeEntry;
pub(crate) use time_index::{TimeIndex, time_entries};

use crate::error::Result;

/// So many entries wait in memory before they are written; a search reads so many at once.
const ENTRIES_PER_PAGE: usize = 512;

/// An entry of fixed size.
pub(crate) trait Entry: Copy {
    /// Its size in the file.
    const BYTES: usize;

    /// Reads it from exactly [`Entry::BYTES`] bytes.
    fn decode(bytes: &[u8]) -> Self;

    /// Writes its [`Entry::BYTES`] bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

pub(crate) const OFFSET_ENTRY_BYTES: usize = offset_index::ENTRY_BYTES;
pub(crate) const TIME_ENTRY_BYTES: usize = time_index::ENTRY_BYTES;

/// The whole entries of `bytes`.
fn entries<E: Entry>(bytes: &[u8]) -> impl Iterator<Item = E> {
    bytes.chunks_exact(E::BYTES).map(E::decode)
}

/// The entries of an index: the first `written` of them in the file, the rest in memory.
#[derive(Debug)]
pub(crate) struct IndexFile<E> {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Open while the index grows; a closed index is opened for each search.
    file: Option<Arc<dyn File>>,
    /// Its name has gone to another file: it stays open.
    pinned: bool,
    written: usize,
    pending: Vec<E>,
    entry: PhantomData<E>,
}

impl<E: Entry> IndexFile<E> {
    /// The index file at `path`, with as many whole entries as it has; none if it is missing.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<IndexFile<E>> {
        let written = match disk.metadata(&path) {
            Ok(metadata) => usize::try_from(metadata.length).unwrap_or(usize::MAX) / E::BYTES,
            Err(error) if error.is_not_found() => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(IndexFile {
            disk,
            path,
            file: None,
            pinned: false,
            written,
            pending: Vec::new(),
            entry: PhantomData,
        })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.written + self.pending.len()
    }

    /// What the entries take in the file.
    pub(crate) fn size_in_bytes(&self) -> u64 {
        (self.len() * E::BYTES) as u64
    }

    /// Adds an entry. If it is time to write and that fails, the entries go on waiting: the disk is full or broken, so
    /// that there will not be many more.
    pub(crate) fn push(&mut self, entry: E) {
        self.pending.push(entry);
        if self.pending.len().is_multiple_of(ENTRIES_PER_PAGE)
            && let Err(error) = self.write_pending()
        {
            tracing::warn!(index = %self.path.display(), %error, "index entries wait to be written");
        }
    }

    pub(crate) fn last(&self) -> Result<Option<E>> {
        match self.pending.last() {
            Some(entry) => Ok(Some(*entry)),
            None if self.written == 0 => Ok(None),
            None => Ok(self.read_page(&self.reading()?, self.written - 1, 1)?.pop()),
        }
    }

    /// The last entry for which `before` holds. It must hold for all entries up to some place and for none after.
    pub(crate) fn last_where(&self, before: impl Fn(&E) -> bool) -> Result<Option<E>> {
        if self.pending.first().is_some_and(&before) {
            let count = self.pending.partition_point(&before);
            return Ok(Some(self.pending[count - 1]));
        }
        if self.written == 0 {
            return Ok(None);
        }
        let file = self.reading()?;
        let (mut low, mut high) = (0, self.written.div_ceil(ENTRIES_PER_PAGE));
        let mut found = None;
        while low < high {
            let page = low.midpoint(high);
            let entries = self.read_page(&file, page * ENTRIES_PER_PAGE, ENTRIES_PER_PAGE)?;
            let count = entries.partition_point(&before);
            if count == 0 {
                high = page;
            } else {
                found = Some(entries[count - 1]);
                if count < entries.len() {
                    break;
                }
                low = page + 1;
            }
        }
        Ok(found)
    }

    /// Writes what waits in memory.
    pub(crate) fn write_pending(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.pending.len() * E::BYTES);
        for entry in &self.pending {
            entry.encode(&mut bytes);
        }
        let position = (self.written * E::BYTES) as u64;
        self.growing()?.write_all_at(&bytes, position)?;
        self.written += self.pending.len();
        self.pending.clear();
        Ok(())
    }

    /// Writes what waits, cuts whatever lies behind (Kafka gives a growing index its full size), and makes it
    /// durable. The file exists after this, also without entries.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.write_pending()?;
        let length = (self.written * E::BYTES) as u64;
        let file = self.growing()?;
        if file.len()? != length {
            file.set_len(length)?;
        }
        file.sync_data()?;
        if !self.pinned {
            self.file = None;
        }
        Ok(())
    }

    /// Opens the file and keeps it open, whatever becomes of its name.
    pub(crate) fn pin(&mut self) -> Result<()> {
        self.growing()?;
        self.pinned = true;
        Ok(())
    }

    /// It may be closed again; one that does not grow is closed already.
    pub(crate) fn unpin(&mut self) {
        self.pinned = false;
        if self.pending.is_empty() {
            self.file = None;
        }
    }

    /// Throws all entries away.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.pending.clear();
        self.written = 0;
        self.growing()?.set_len(0)?;
        Ok(())
    }

    fn growing(&mut self) -> Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&self.path, OpenOptions::create())?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn reading(&self) -> Result<Arc<dyn File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(self.disk.open(&self.path, OpenOptions::read())?),
        }
    }

    /// Up to `count` entries from number `first` on.
    fn read_page(&self, file: &Arc<dyn File>, first: usize, count: usize) -> Result<Vec<E>> {
        let count = count.min(self.written - first);
        let mut bytes = vec![0; count * E::BYTES];
        file.read_exact_at(&mut bytes, (first * E::BYTES) as u64, &self.path)?;
        Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
    }
}

#[cfg(test)]
mod tests;
