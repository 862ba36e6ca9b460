//! Cutting the end of a log, as a follower does when its leader has other records there. What is cut is gone: a real
//! truncation, synced, never a moved cursor behind which old batches would wait to come back.

use forebay_records::{Offset, Timestamp};

use super::{Log, View, Writer, load};
use crate::error::Result;
use crate::locks::{lock, read_lock, write_lock};
use crate::producer_state::{ProducerStates, Undecided};

impl Log {
    /// Cuts all records at and after `offset`. Who calls this has lowered the recovery point on the disk first, so that
    /// a crash in the middle is not taken for lost data. Gives whether there was anything to cut.
    ///
    /// # Errors
    /// [`crate::Error::Offline`]: a log that is half cut is not used any more.
    pub(crate) fn truncate_to(&self, offset: Offset, now: Timestamp) -> Result<bool> {
        let _replacing = lock(&self.replacing);
        let _syncing = lock(&self.syncing);
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        writer.touched = true;
        let end = self.log_end_offset();
        if offset >= end {
            write_lock(&self.epochs).truncate_from_end(end);
            return Ok(false);
        }
        let boundary = self.batch_boundary(offset)?;
        let view = read_lock(&self.view);
        let log_start_offset = view.log_start_offset;
        let first = view.segments.keys().next().copied();
        drop(view);
        let truncated = if first.is_none_or(|first| offset < first) {
            self.restart_at(&mut writer, offset, now)
        } else if boundary < log_start_offset && offset >= log_start_offset {
            // The batch that goes as a whole has the first records, of which the first are deleted already.
            self.restart_at(&mut writer, log_start_offset, now)
        } else {
            self.cut(&mut writer, boundary, now)
        };
        truncated
            .map(|()| true)
            .map_err(|error| self.directory.fail(&error))
    }

    /// Deletes all records and starts at `offset`; as [`Log::truncate_to`].
    pub(crate) fn truncate_fully_and_start_at(&self, offset: Offset, now: Timestamp) -> Result<()> {
        let _replacing = lock(&self.replacing);
        let _syncing = lock(&self.syncing);
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        writer.touched = true;
        self.restart_at(&mut writer, offset, now)
            .map_err(|error| self.directory.fail(&error))
    }

    /// Where the log ends if it is cut at `offset`: a batch goes as a whole.
    pub(crate) fn batch_boundary(&self, offset: Offset) -> Result<Offset> {
        let segment = read_lock(&self.view).segment_of(offset);
        let first_cut = segment.map_or(Ok(None), |segment| segment.locate(offset))?;
        Ok(first_cut.map_or(offset, |batch| offset.min(batch.header.base_offset)))
    }

    fn cut(&self, writer: &mut Writer, offset: Offset, now: Timestamp) -> Result<()> {
        let mut view = write_lock(&self.view);
        let mut later = view.segments.split_off(&offset.next());
        view.note_cut();
        view.log_end_offset = offset;
        view.synced_offset = view.synced_offset.min(offset);
        view.high_watermark = view.high_watermark.min(offset);
        view.log_start_offset = view.log_start_offset.min(offset);
        view.tail.clear();
        drop(view);
        let due = now + self.config().file_delete_delay_ms;
        // From the end, so that what is left is the log's beginning at each moment.
        while let Some((_, segment)) = later.pop_last() {
            writer
                .unsynced
                .retain(|unsynced| !std::sync::Arc::ptr_eq(unsynced, &segment));
            self.rename_deleted(writer, &[segment], Offset::ZERO, due)?;
        }
        self.disk.sync_dir(&self.folder)?;
        if let Some(active) = self.active() {
            active.cut(offset)?;
        }
        write_lock(&self.epochs).truncate_from_end(offset);
        let log_start_offset = self.log_start_offset();
        writer.producers.set_time(now);
        writer
            .producers
            .load_snapshot(&*self.disk, &self.folder, log_start_offset, offset)?;
        load::replay_producers(&self.partition, &self.segments(), &mut writer.producers, offset)?;
        let mut view = write_lock(&self.view);
        view.undecided = Undecided::default();
        writer.producers.tell(&mut view.undecided);
        Ok(())
    }

    fn restart_at(&self, writer: &mut Writer, offset: Offset, now: Timestamp) -> Result<()> {
        let mut view = write_lock(&self.view);
        let deleted: Vec<_> = std::mem::take(&mut view.segments).into_values().collect();
        view.note_cut();
        view.log_start_offset = offset;
        view.log_end_offset = offset;
        view.synced_offset = offset;
        view.high_watermark = offset;
        view.undecided = Undecided::default();
        view.tail.clear();
        drop(view);
        let had_segments = !deleted.is_empty();
        let due = now + self.config().file_delete_delay_ms;
        writer.unsynced.clear();
        for segment in deleted.into_iter().rev() {
            self.rename_deleted(writer, &[segment], Offset::ZERO, due)?;
        }
        if writer.folder_exists {
            writer.producers.clear(&*self.disk, &self.folder, offset)?;
        } else {
            writer.producers = ProducerStates::default();
            writer.producers.set_end_offset(offset);
        }
        write_lock(&self.epochs).clear();
        if had_segments {
            self.begin_segment(writer, offset, now)?;
            self.disk.sync_dir(&self.folder)?;
        }
        Ok(())
    }
}

impl View {
    /// What is said of the log's end is another matter from here on, and files are about to be renamed.
    fn note_cut(&mut self) {
        self.cuts += 1;
        self.names.changed += 1;
    }
}
