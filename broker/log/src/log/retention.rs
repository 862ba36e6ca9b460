//! Deleting what is too old, too much, or was asked to go: whole segments from the start of the log, whose files are
//! renamed first and removed after `file.delete.delay.ms`.

use std::sync::Arc;

use forebay_records::{Offset, Timestamp};

use super::{Log, View, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file_name;
use crate::locks::{lock, read_lock, write_lock};
use crate::segment::{Segment, mark_deleted};

impl Log {
    /// Deletes the segments that retention no longer keeps: those before the log's start, and if `cleanup.policy` has
    /// `delete`, those beyond `retention.bytes` and `retention.ms`. Never what the high watermark has not passed. If
    /// all records go, an empty segment stays at the log's end. Gives how many were deleted.
    ///
    /// # Errors
    /// Storage errors; what was not deleted is deleted the next time.
    pub fn delete_old_segments(&self, high_watermark: Offset, now: Timestamp) -> Result<usize> {
        self.delete_segments(high_watermark, now, |segments, config| {
            let mut deletable = self.before_log_start(segments);
            if config.delete {
                deletable = deletable.max(beyond_size(segments, config.retention_bytes));
                deletable = deletable.max(self.beyond_time(segments, config.retention_ms, now)?);
            }
            Ok(deletable)
        })
    }

    /// Deletes the segments that lie before the log's start, and no others; as [`Log::delete_old_segments`].
    ///
    /// # Errors
    /// Storage errors; what was not deleted is deleted the next time.
    pub fn delete_segments_before_start(&self, high_watermark: Offset, now: Timestamp) -> Result<usize> {
        self.delete_segments(high_watermark, now, |segments, _| {
            Ok(self.before_log_start(segments))
        })
    }

    /// Deletes so many of the first segments as `choose` says.
    fn delete_segments(
        &self,
        high_watermark: Offset,
        now: Timestamp,
        choose: impl FnOnce(&[Arc<Segment>], &LogConfig) -> Result<usize>,
    ) -> Result<usize> {
        let _replacing = lock(&self.replacing);
        let _syncing = lock(&self.syncing);
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        let config = self.config();
        let segments = self.segments();
        let deletable = choose(&segments, &config)?;
        let deletable = self.below_high_watermark(&segments, deletable, high_watermark);
        self.delete_first(&mut writer, &segments[..deletable], &config, now)
            .map_err(|error| self.directory.judge(error))?;
        Ok(deletable)
    }

    /// Moves the log's start to `offset` (DeleteRecords); the segments before it go with the next
    /// [`Log::delete_segments_before_start`]. Gives the log's start.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] beyond the high watermark.
    pub fn delete_records_before(&self, offset: Offset, high_watermark: Offset) -> Result<Offset> {
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        if offset > high_watermark.min(log_end_offset) {
            let partition = self.partition.clone();
            return Err(Error::OffsetOutOfRange {
                partition,
                offset,
                log_start_offset,
                log_end_offset,
            });
        }
        self.move_log_start(&mut writer, offset);
        Ok(self.log_start_offset())
    }

    /// Removes the files whose delay is over.
    pub fn purge(&self, now: Timestamp) {
        let mut due: Vec<_> = lock(&self.writer)
            .doomed
            .extract_if(.., |(due, _)| *due <= now)
            .collect();
        // Who appends does not wait for it.
        due.retain(|(_, path)| match self.disk.remove_file(path) {
            Ok(()) => false,
            Err(error) if error.is_not_found() => false,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a deleted segment's file stays for now");
                true
            }
        });
        if !due.is_empty() {
            lock(&self.writer).doomed.append(&mut due);
        }
    }

    /// How many of the first segments lie before the log's start.
    fn before_log_start(&self, segments: &[Arc<Segment>]) -> usize {
        let log_start_offset = self.log_start_offset();
        let next = segments.iter().skip(1);
        next.take_while(|segment| segment.base_offset() <= log_start_offset)
            .count()
    }

    /// How many of the first segments are too old.
    fn beyond_time(&self, segments: &[Arc<Segment>], retention_ms: i64, now: Timestamp) -> Result<usize> {
        if retention_ms < 0 {
            return Ok(0);
        }
        for (index, segment) in segments.iter().enumerate() {
            if now - self.largest_timestamp(segment)? <= retention_ms {
                return Ok(index);
            }
        }
        Ok(segments.len())
    }

    /// The greatest timestamp of a segment's records; when the file was last written if they have none.
    fn largest_timestamp(&self, segment: &Segment) -> Result<Timestamp> {
        match segment.max_timestamp()? {
            Some(max) => Ok(max.timestamp),
            None => Ok(Timestamp(self.disk.metadata(segment.path())?.modified_ms)),
        }
    }

    /// How many of these the high watermark has passed. An empty last segment stays.
    fn below_high_watermark(&self, segments: &[Arc<Segment>], count: usize, high_watermark: Offset) -> usize {
        let end = self.log_end_offset();
        let ends = segments
            .iter()
            .skip(1)
            .map(|next| next.base_offset())
            .chain([end]);
        let passed = segments
            .iter()
            .zip(ends)
            .take(count)
            .take_while(|(segment, segment_end)| {
                *segment_end <= high_watermark && (segment.size() > 0 || *segment_end < end)
            });
        passed.count()
    }

    fn delete_first(
        &self,
        writer: &mut Writer,
        deleted: &[Arc<Segment>],
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<()> {
        let Some(last) = deleted.last() else { return Ok(()) };
        let end = self.log_end_offset();
        if deleted.len() == read_lock(&self.view).segments.len() {
            self.roll(writer, end, now)?;
            // The name of the segment that remembers the log's end must not be lost together with the others.
            let synced = self.disk.sync_dir(&self.folder);
            synced.map_err(|error| self.directory.fail(&error.into()))?;
        }
        let next = read_lock(&self.view).segment_after(last.base_offset());
        let new_start = next.map_or(end, |segment| segment.base_offset());
        self.move_log_start(writer, new_start);
        let mut view = write_lock(&self.view);
        deleted.iter().for_each(|segment| view.remove(segment));
        drop(view);
        writer
            .unsynced
            .retain(|segment| !deleted.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        let due = now + config.file_delete_delay_ms;
        self.rename_deleted(writer, deleted, new_start, due)
    }

    /// Renames the files of segments that readers no longer see, as [`View::remove`] has counted.
    pub(super) fn rename_deleted(
        &self,
        writer: &mut Writer,
        deleted: &[Arc<Segment>],
        snapshots_before: Offset,
        due: Timestamp,
    ) -> Result<()> {
        writer.touched = true;
        for segment in deleted {
            tracing::info!(partition = %self.partition, offset = segment.base_offset().value(), "deleting a segment");
            let renamed = segment.mark_deleted()?;
            writer.doomed.extend(renamed.into_iter().map(|path| (due, path)));
        }
        for offset in writer.producers.forget_snapshots_before(snapshots_before) {
            let path = file_name::path(&self.folder, offset, file_name::PRODUCER_SNAPSHOT);
            let renamed = mark_deleted(&*self.disk, &path)?;
            writer.doomed.extend(renamed.map(|path| (due, path)));
        }
        Ok(())
    }

    fn move_log_start(&self, writer: &mut Writer, offset: Offset) {
        let mut view = write_lock(&self.view);
        if offset <= view.log_start_offset {
            return;
        }
        view.log_start_offset = offset;
        view.high_watermark = view.high_watermark.max(offset);
        view.undecided.on_high_watermark(offset);
        drop(view);
        writer.touched = true;
        write_lock(&self.epochs).truncate_from_start(offset);
    }
}

impl View {
    /// Readers no longer see a segment; its files are about to be renamed.
    pub(super) fn remove(&mut self, segment: &Segment) {
        self.names.changed += 1;
        self.segments.remove(&segment.base_offset());
    }
}

/// How many of the first segments can go so that the rest is still as large as `retention_bytes`.
fn beyond_size(segments: &[Arc<Segment>], retention_bytes: i64) -> usize {
    let Ok(retained) = u64::try_from(retention_bytes) else {
        return 0;
    };
    let size: u64 = segments.iter().map(|segment| segment.size()).sum();
    let Some(mut excess) = size.checked_sub(retained) else {
        return 0;
    };
    let mut count = 0;
    for segment in segments {
        let Some(rest) = excess.checked_sub(segment.size()) else {
            break;
        };
        excess = rest;
        count += 1;
    }
    count
}
