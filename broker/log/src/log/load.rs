//! Opening a log (Kafka's `LogLoader`). After a clean shutdown what the files say is believed, after a look at where they
//! end. Otherwise every segment from the recovery point on is read through, cut where its batches end, and all that
//! is derived from it made anew. What cannot be explained by a crash is an error, and nothing is deleted for it.

mod aborted;
mod check;
mod epochs;
mod files;
mod marker;
mod recover;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, RwLock};

use forebay_records::{Offset, Timestamp};

use super::{Log, LogOptions, Names, View, Writer};
use crate::error::{Error, Result};
use crate::leader_epochs::LeaderEpochs;
use crate::locks::{lock, write_lock};
use crate::partition_metadata;
use crate::producer_state::{ProducerStates, Undecided};
use crate::segment::{Segment, SegmentOptions};
use crate::tail_cache::TailCache;
use crate::uuid::TopicId;

pub(super) use recover::replay_producers;

/// How to open a log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadOptions {
    /// The process ended properly the last time.
    pub(crate) clean: bool,
    /// Offsets below it were synced, by the checkpoint; 0 if that says nothing.
    pub(crate) recovery_point: Offset,
    /// The log's start by the checkpoint; 0 if that says nothing.
    pub(crate) log_start_offset: Offset,
    /// Offsets below it have been compacted, by the checkpoint; 0 if that says nothing.
    pub(crate) cleaned_to: Offset,
    pub(crate) now: Timestamp,
}

/// What opening a log has found and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Segments of the log.
    pub segments: usize,
    /// Segments that were read through.
    pub recovered_segments: usize,
    /// Bytes cut off after the last good batch.
    pub truncated_bytes: u64,
    /// Segments that went because they lay behind a cut or a gap.
    pub deleted_segments: usize,
    /// Segments whose indexes were missing or wrong.
    pub rebuilt_indexes: usize,
    /// Batches with a wrong checksum in data that had been synced; they are kept.
    pub damaged_batches: usize,
}

/// A log while it is being opened.
struct Loader {
    log: LogOptions,
    load: LoadOptions,
    segments: Vec<Arc<Segment>>,
    producers: ProducerStates,
    epochs: LeaderEpochs,
    report: LoadReport,
    /// Segments that are still to be read through.
    remaining: Arc<AtomicUsize>,
    /// Transactions that began before it had ended by the last abort that was looked at.
    aborted_stable_offset: Offset,
}

impl Log {
    /// Opens the log in a folder. `remaining` is told how many segments are still to be read through.
    ///
    /// # Errors
    /// [`Error::Hole`], [`Error::Corrupt`], [`Error::UnsupportedFormat`], [`Error::InvalidFile`] or a storage error: then
    /// this partition stays offline. What recovery had done until then stays done, and may be done again; that it was not
    /// finished nobody can tell from the files, so whoever opens them next must recover again.
    pub(crate) fn load(
        options: LogOptions,
        load: LoadOptions,
        remaining: Arc<AtomicUsize>,
    ) -> Result<(Log, LoadReport)> {
        let topic_id = partition_metadata::read(&*options.disk, &options.folder)?;
        let files = files::tidy(&*options.disk, &options.folder)?;
        let mut producers = ProducerStates::new(files.snapshots);
        producers.set_time(load.now);
        let mut loader = Loader {
            producers,
            segments: Vec::with_capacity(files.segments.len()),
            epochs: LeaderEpochs::default(),
            report: LoadReport::default(),
            remaining,
            aborted_stable_offset: Offset::ZERO,
            log: options,
            load,
        };
        for base_offset in files.segments {
            let segment = Segment::open(&loader.segment_options(base_offset), load.now)?;
            loader.segments.push(Arc::new(segment));
        }
        let end = loader.check_and_recover()?;
        let (start, end) = loader.reconcile(end)?;
        loader.load_epochs(start, end)?;
        loader.load_producers(start, end)?;
        let report = LoadReport {
            segments: loader.segments.len(),
            ..loader.report
        };
        Ok((
            loader.into_log(topic_id.unwrap_or(TopicId::NONE), start, end),
            report,
        ))
    }

    /// Takes over the topic's id if the folder has none, and refuses the log of another topic.
    pub(crate) fn claim(&self, topic_id: TopicId) -> Result<()> {
        if self.topic_id() == topic_id || topic_id == TopicId::NONE {
            return Ok(());
        }
        let writer = lock(&self.writer);
        let mut claimed = write_lock(&self.topic_id);
        if *claimed != TopicId::NONE && *claimed != topic_id {
            let (path, found) = (self.folder.clone(), *claimed);
            let expected = topic_id;
            return Err(Error::InconsistentTopicId {
                path,
                expected,
                found,
            });
        }
        if writer.folder_exists {
            partition_metadata::write(&*self.disk, &self.folder, topic_id)?;
        }
        *claimed = topic_id;
        Ok(())
    }
}

impl Loader {
    fn folder(&self) -> &Path {
        &self.log.folder
    }

    fn segment_options(&self, base_offset: Offset) -> SegmentOptions<'_> {
        SegmentOptions {
            disk: &self.log.disk,
            folder: &self.log.folder,
            base_offset,
            suffix: "",
            index_interval_bytes: self.log.config.index_interval_bytes,
        }
    }

    /// Checks the segments before the recovery point (all but the last after a clean shutdown) and recovers the others.
    /// Gives the log's end.
    fn check_and_recover(&mut self) -> Result<Offset> {
        let Some(last) = self.segments.len().checked_sub(1) else {
            return Ok(self.load.log_start_offset);
        };
        let first_unsynced = if self.load.clean {
            last
        } else {
            let recovery_point = self.load.recovery_point;
            self.segments
                .partition_point(|segment| segment.base_offset() <= recovery_point)
                .saturating_sub(1)
        };
        for index in 0..first_unsynced {
            self.check_closed(index)?;
        }
        if self.load.clean
            && let Some(end) = self.check_last()?
        {
            return Ok(end);
        }
        self.recover_from(first_unsynced)
    }

    /// The log's start and end, given where its batches end.
    fn reconcile(&mut self, end: Offset) -> Result<(Offset, Offset)> {
        let first = self.segments.first().map(|segment| segment.base_offset());
        let start = first.map_or(end, |first| first.max(self.load.log_start_offset));
        if self.load.recovery_point > start.max(end) {
            return Err(self.hole(end, self.load.recovery_point));
        }
        if start <= end {
            return Ok((start, end));
        }
        // Deleted records came back as less than they were: all of them go.
        tracing::warn!(partition = %self.log.partition, %start, %end, "the log ends before its start and begins anew");
        self.delete_from(0)?;
        let segment = Segment::create(&self.segment_options(start), self.load.now)?;
        self.segments.push(Arc::new(segment));
        self.log.disk.sync_dir(self.folder())?;
        Ok((start, start))
    }

    /// Whether compaction may have removed what was before `offset`. The policy may be another one by now, or not be known yet.
    fn may_be_compacted_before(&self, offset: Offset) -> bool {
        self.log.config.compact || offset <= self.load.cleaned_to
    }

    fn hole(&self, first_missing: Offset, end: Offset) -> Error {
        Error::Hole {
            partition: self.log.partition.clone(),
            path: self.log.folder.clone(),
            first_missing,
            last_missing: end - 1,
        }
    }

    /// Removes the files of the segments from `index` on, the last first.
    fn delete_from(&mut self, index: usize) -> Result<()> {
        while let Some(segment) = self.pop_from(index) {
            for path in segment.mark_deleted()? {
                self.log.disk.remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Takes the segments from `index` on out of the log, the last first, but keeps their files.
    fn set_aside_from(&mut self, index: usize) -> Result<()> {
        while let Some(segment) = self.pop_from(index) {
            for path in segment.set_aside()? {
                tracing::error!(file = %path.display(), "set aside: what should be before it is missing");
            }
        }
        Ok(())
    }

    fn pop_from(&mut self, index: usize) -> Option<Arc<Segment>> {
        if self.segments.len() <= index {
            return None;
        }
        let segment = self.segments.pop()?;
        let offset = segment.base_offset().value();
        tracing::warn!(partition = %self.log.partition, offset, "a segment behind the log's end goes");
        self.report.deleted_segments += 1;
        Some(segment)
    }

    fn load_producers(&mut self, start: Offset, end: Offset) -> Result<()> {
        let (disk, folder) = (Arc::clone(&self.log.disk), self.log.folder.clone());
        // Recovery has left the state at the end already.
        if self.report.recovered_segments == 0 || self.producers.end_offset() != end {
            self.producers.load_snapshot(&*disk, &folder, start, end)?;
            replay_producers(&self.log.partition, &self.segments, &mut self.producers, end)?;
        }
        self.producers.set_end_offset(end);
        self.age_producers()?;
        if let Some((offset, producer_id)) = self.producers.oldest_open_transaction() {
            let partition = &self.log.partition;
            tracing::warn!(%partition, %offset, %producer_id, "an open transaction: consumers of committed records wait for its end");
        }
        let base_offsets = self
            .segments
            .iter()
            .map(|segment| segment.base_offset())
            .collect();
        self.producers
            .remove_stray_snapshots(&*disk, &folder, &base_offsets)
    }

    /// Nobody knows when a producer was heard of, but that its last batch's segment was written no earlier: a broker that is started more
    /// often than producers expire forgets them, too. One whose batches are deleted was heard of before the first segment was written.
    fn age_producers(&mut self) -> Result<()> {
        if self.producers.len() == 0 {
            return Ok(());
        }
        let mut written = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let modified = self.log.disk.metadata(segment.path())?.modified_ms;
            written.push((segment.base_offset(), Timestamp(modified)));
        }
        self.producers.heard_no_later(|offset| {
            let up_to = written.partition_point(|(first, _)| *first <= offset);
            let index = match up_to.checked_sub(1) {
                None => 0,
                // The last segment is written still, and after a loss of power its time may be that of an earlier write.
                Some(last) if last + 1 == written.len() => return None,
                Some(index) => index,
            };
            let (_, modified) = *written.get(index)?;
            (modified.0 > 0).then_some(modified)
        });
        Ok(())
    }

    fn into_log(mut self, topic_id: TopicId, start: Offset, end: Offset) -> Log {
        for segment in &self.segments {
            // Twice: the first call forgets that it was used just now.
            segment.close_if_idle();
            segment.close_if_idle();
        }
        let untouched = LoadReport {
            segments: self.report.segments,
            ..LoadReport::default()
        };
        let touched = self.report != untouched || self.epochs.is_dirty() || !self.producers.is_snapshotted();
        let mut undecided = Undecided::default();
        self.producers.tell(&mut undecided);
        let view = View {
            segments: self
                .segments
                .into_iter()
                .map(|segment| (segment.base_offset(), segment))
                .collect(),
            log_start_offset: start,
            log_end_offset: end,
            synced_offset: end,
            high_watermark: start,
            undecided,
            tail: TailCache::new(self.log.tail_bytes_max, self.log.tail_budget),
            names: Names::default(),
            cuts: 0,
        };
        let writer = Writer {
            folder_exists: true,
            producers: self.producers,
            unsynced: Vec::new(),
            touched,
            unsynced_since: None,
            doomed: Vec::new(),
            closed: false,
        };
        Log {
            partition: self.log.partition,
            folder: self.log.folder,
            disk: self.log.disk,
            directory: self.log.directory,
            topic_id: RwLock::new(topic_id),
            config: RwLock::new(self.log.config),
            epochs: RwLock::new(self.epochs),
            view: RwLock::new(view),
            cleaning: Mutex::default(),
            being_cleaned: AtomicBool::new(false),
            rest: Mutex::default(),
            uncleanable: RwLock::default(),
            replacing: Mutex::default(),
            syncing: Mutex::default(),
            writer: Mutex::new(writer),
            ahead: Mutex::default(),
        }
    }
}
