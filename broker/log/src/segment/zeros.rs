//! Space filled ahead. Overwriting bytes that are there costs a sync a tenth of what it costs to make the file longer, so
//! the active segment gets zeros behind its logical end: written ones, not a hole, and synced before they count. What lies behind the
//! end is zeros and nothing else at each moment: whatever is cut goes by a real truncation, never by a moved cursor.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use forebay_disk::{File, FileExt};

use super::Segment;
use crate::error::Result;
use crate::locks::lock;

/// What is known of the file behind the logical end. Held by whoever changes the file's length.
#[derive(Debug, Default)]
pub(super) struct Zeros {
    /// No more: the segment is closed, or there was no space.
    refused: bool,
    /// The file was cut, and that is not synced.
    cut_unsynced: bool,
    /// Counts the cuts.
    cuts: u64,
}

/// What became of a wish for zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// So many bytes were added.
    Bytes(u64),
    /// None: there are enough, or the segment takes no more.
    Nothing,
    /// None: the disk has no space. Appends go on without.
    NoSpace,
}

impl Segment {
    /// Zeros behind the logical end that can be overwritten.
    pub(crate) fn zeros_left(&self) -> u64 {
        self.zeroed_to.load(Ordering::Acquire).saturating_sub(self.size())
    }

    /// Whether zeros may be added now. Never waits for those that are being written.
    pub(crate) fn takes_zeros(&self) -> bool {
        self.zeros.try_lock().is_ok_and(|zeros| !zeros.refused)
    }

    /// Fills the file so that `ahead` bytes lie behind the logical end, but not beyond `limit`. Blocks for a sync: whoever calls this
    /// sees to it that nobody else syncs the file meanwhile. Appends go on, but for those beyond the zeros there are, which wait
    /// while zeros are written.
    ///
    /// # Errors
    /// If writing or the sync fails, except for lack of space.
    pub(crate) fn fill_ahead(&self, file: &dyn File, ahead: u64, limit: u64) -> Result<Filled> {
        let mut zeros = lock(&self.zeros);
        if zeros.refused {
            return Ok(Filled::Nothing);
        }
        let length = file.len()?;
        let end = self.size().saturating_add(ahead).min(limit);
        if end <= length {
            return Ok(Filled::Nothing);
        }
        if zeros.cut_unsynced {
            file.sync_data()?;
            zeros.cut_unsynced = false;
        }
        self.unsynced.store(true, Ordering::Release);
        if let Err(error) = file.write_zeros_at(length, end - length) {
            file.set_len(length)?;
            zeros.refused = true;
            return if error.is_retriable() {
                Ok(Filled::NoSpace)
            } else {
                Err(error.into())
            };
        }
        let cuts = zeros.cuts;
        drop(zeros);
        self.sync()?;
        let zeros = lock(&self.zeros);
        if zeros.cuts == cuts {
            self.zeroed_to.store(end, Ordering::Release);
        }
        Ok(Filled::Bytes(end - length))
    }

    /// Keeps zeros from being written while the file is made longer than they reach; none if `end` lies within them.
    pub(super) fn beyond_zeros(&self, end: u64) -> Option<MutexGuard<'_, Zeros>> {
        (end > self.zeroed_to.load(Ordering::Acquire)).then(|| lock(&self.zeros))
    }

    /// Cuts the file at `size`. The cut is not synced.
    pub(super) fn cut_file(&self, zeros: &mut Zeros, file: &dyn File, size: u64) -> Result<()> {
        self.zeroed_to.store(0, Ordering::Release);
        zeros.cuts += 1;
        zeros.cut_unsynced = true;
        Ok(file.set_len(size)?)
    }

    /// Cuts off the zeros, and takes no more.
    pub(super) fn close_zeros(&self, file: &dyn File) -> Result<()> {
        let mut zeros = lock(&self.zeros);
        zeros.refused = true;
        let size = self.size();
        if file.len()? == size {
            return Ok(());
        }
        self.cut_file(&mut zeros, file, size)
    }

    /// The segment is appended to again, after its end was cut and that synced.
    pub(super) fn reopen_zeros(zeros: &mut Zeros) {
        zeros.refused = false;
        zeros.cut_unsynced = false;
    }
}
