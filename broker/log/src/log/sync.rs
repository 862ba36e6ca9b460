//! When and how a log reaches the disk. One sync covers everything that was appended before it; a failed one takes the
//! directory offline for ever. There is one at a time: the kernel tells of a failed write-back once, and whoever would
//! sync beside the one that is told must not take its own success for an answer.

use std::sync::{Arc, MutexGuard, PoisonError};

use forebay_records::{Offset, Timestamp};

use super::Log;
use crate::error::{Error, Result};
use crate::locks::{lock, read_lock, write_lock};
use crate::segment::Segment;

/// Up to where recovery need not look, as long as the log is not cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecoveryPoint {
    pub(crate) offset: Offset,
    cuts: u64,
}

impl Log {
    /// Whether the records that wait for a sync have reached `flush.messages`: then none of them may be acknowledged,
    /// nor seen by consumers, before [`Log::sync`] has returned.
    pub fn sync_required(&self) -> bool {
        let flush_messages = self.config().flush_messages;
        let view = read_lock(&self.view);
        view.log_end_offset - view.synced_offset >= flush_messages
    }

    /// Whether a sync is due that nobody waits for: `flush.ms` is over, or a segment was closed. Without it the
    /// recovery point stays behind and the next start after a crash takes longer.
    pub fn sync_due(&self, now: Timestamp) -> bool {
        let flush_ms = self.config().flush_ms;
        let writer = lock(&self.writer);
        !writer.closed
            && (!writer.unsynced.is_empty()
                || writer.unsynced_since.is_some_and(|since| now - since >= flush_ms))
    }

    /// Makes everything that has been appended durable; gives the offset up to which it is. Blocks for a disk's sync, and
    /// for one that is under way, but not those who append or read meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Offline`], now and for every later use of this log and all others in its directory: after a
    /// failed sync it is unknown what is on the disk.
    pub fn sync(&self, now: Timestamp) -> Result<Offset> {
        self.sync_alone(&lock(&self.syncing), now)
    }

    fn sync_alone(&self, _syncing: &MutexGuard<'_, ()>, now: Timestamp) -> Result<Offset> {
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        let end = self.log_end_offset();
        let active = self.active();
        let (closed, names) = (writer.unsynced.clone(), read_lock(&self.view).names);
        let names_synced = names.are_synced();
        if end == self.synced_offset() && closed.is_empty() && names_synced {
            return Ok(end);
        }
        let synced_size = active.as_ref().map_or(0, |active| active.size());
        // What is appended from here on waits for the next sync.
        writer.unsynced_since = None;
        drop(writer);

        // The closed ones first: whatever is on the disk then follows something that is.
        let mut synced = closed
            .iter()
            .chain(&active)
            .try_for_each(|segment| self.sync_segment(segment));
        if !names_synced {
            synced = synced.and_then(|()| Ok(self.disk.sync_dir(&self.folder)?));
        }
        if let Err(error) = synced {
            // A deletion meanwhile has taken the folder away: no fault of the disk's.
            self.check(&lock(&self.writer))?;
            return Err(self.directory.fail(&error));
        }

        if let Some(active) = &active {
            self.note_sync(active.base_offset(), synced_size);
        }
        let mut writer = lock(&self.writer);
        // Another log of the directory may have failed meanwhile.
        self.directory.check()?;
        writer
            .unsynced
            .retain(|segment| !closed.iter().any(|done| Arc::ptr_eq(done, segment)));
        let mut view = write_lock(&self.view);
        view.names.synced = view.names.synced.max(names.changed);
        // Nothing was cut meanwhile: that would have had to wait.
        view.synced_offset = view.synced_offset.max(end);
        let synced_offset = view.synced_offset;
        drop(view);
        if synced_offset < self.log_end_offset() {
            writer.unsynced_since.get_or_insert(now);
        }
        Ok(synced_offset)
    }

    /// Syncs a segment; one that was deleted meanwhile needs none.
    fn sync_segment(&self, segment: &Arc<Segment>) -> Result<()> {
        match segment.sync() {
            Err(Error::Storage(cause)) if cause.is_not_found() && !self.has(segment) => Ok(()),
            synced => synced,
        }
    }

    /// Whether a segment is part of the log still.
    pub(super) fn has(&self, segment: &Arc<Segment>) -> bool {
        let view = read_lock(&self.view);
        let there = view.segments.get(&segment.base_offset());
        there.is_some_and(|there| Arc::ptr_eq(there, segment))
    }

    /// Makes durable what recovery does not find in the segments after the recovery point, and gives that point. May wait for the disk,
    /// and for who writes.
    pub(crate) fn prepare_checkpoint(&self) -> Result<RecoveryPoint> {
        let writer = lock(&self.writer);
        self.check(&writer)?;
        let view = read_lock(&self.view);
        let (offset, cuts) = (view.synced_offset, view.cuts);
        drop(view);
        if writer.folder_exists {
            self.write_epochs(&writer)?;
        }
        Ok(RecoveryPoint { offset, cuts })
    }

    /// Whether a recovery point holds still: not if the log was cut since.
    pub(crate) fn holds(&self, point: &RecoveryPoint) -> bool {
        read_lock(&self.view).cuts == point.cuts
    }

    /// Writes everything so that the next start finds nothing to do, and refuses everything from then on.
    pub(crate) fn close(&self, now: Timestamp) -> Result<Offset> {
        if lock(&self.writer).closed {
            return Ok(self.log_end_offset());
        }
        let _replacing = lock(&self.replacing);
        let syncing = lock(&self.syncing);
        self.sync_alone(&syncing, now)?;
        let mut writer = lock(&self.writer);
        let end = self.log_end_offset();
        if let Some(active) = self.active().filter(|_| writer.touched) {
            let closed = active.finish().and_then(|()| active.sync()).and_then(|()| {
                writer.producers.take_snapshot(&*self.disk, &self.folder)?;
                self.write_epochs(&writer)?;
                Ok(self.disk.sync_dir(&self.folder)?)
            });
            closed.map_err(|error| self.directory.fail(&error))?;
        }
        let mut view = write_lock(&self.view);
        view.synced_offset = end;
        writer.closed = true;
        view.tail.clear();
        Ok(end)
    }

    /// Refuses everything from now on, without writing anything: the log is being deleted.
    pub(crate) fn abandon(&self) {
        lock(&self.writer).closed = true;
        write_lock(&self.view).tail.clear();
    }

    /// Waits until nobody compacts it: after [`Log::abandon`], before its folder goes.
    pub(crate) fn await_cleaner(&self) {
        // One that has failed does not come back.
        drop(self.cleaning.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
