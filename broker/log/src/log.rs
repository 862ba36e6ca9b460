//! The log of one partition. One thread at a time writes; any number read. What readers see is a small view behind a lock
//! that is never held during I/O, so that a read from memory never waits for a disk.

mod append;
mod clean;
mod load;
mod lookup;
mod producers;
mod read;
mod retention;
mod sync;
mod truncate;
mod zeros;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use forebay_disk::Disk;
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use crate::checkpoint;
use crate::config::LogConfig;
use crate::directory_state::DirectoryState;
use crate::error::{Error, Result};
use crate::file_name;
use crate::leader_epochs::LeaderEpochs;
use crate::locks::{lock, read_lock, write_lock};
use crate::log_directory::deleted_folder_name;
use crate::partition_metadata;
use crate::producer_state::{ProducerStates, Undecided};
use crate::segment::{Segment, SegmentOptions};
use crate::tail_cache::{TailBudget, TailCache};
use crate::topic_partition::TopicPartition;
use crate::uuid::TopicId;

pub(crate) use clean::Plan;
pub(crate) use load::LoadOptions;
pub use load::LoadReport;
pub(crate) use sync::RecoveryPoint;

/// A partition's log.
#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    directory: Arc<DirectoryState>,
    topic_id: RwLock<TopicId>,
    config: RwLock<Arc<LogConfig>>,
    epochs: RwLock<LeaderEpochs>,
    view: RwLock<View>,
    /// Held by whoever compacts the log, for as long as that takes.
    cleaning: Mutex<()>,
    /// Somebody does.
    being_cleaned: AtomicBool,
    /// For how many rounds the cleaners pass it over, because there was no room for it.
    rest: Mutex<clean::Rest>,
    /// Why the log is not compacted any more.
    uncleanable: RwLock<Option<Arc<str>>>,
    /// Held by whoever takes segments away or replaces them. Taken before `syncing`.
    replacing: Mutex<()>,
    /// Held by whoever syncs files or names of the log: the kernel tells of a failed write-back only once, so of two syncs at a time one
    /// might be told of success. Taken before `writer`, and that before `view`.
    syncing: Mutex<()>,
    writer: Mutex<Writer>,
    ahead: Mutex<zeros::Ahead>,
}

/// What a log belongs to.
#[derive(Debug, Clone)]
pub(crate) struct LogOptions {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) partition: TopicPartition,
    /// The partition's folder.
    pub(crate) folder: PathBuf,
    pub(crate) directory: Arc<DirectoryState>,
    pub(crate) config: Arc<LogConfig>,
    /// The most bytes that the log keeps in memory.
    pub(crate) tail_bytes_max: usize,
    pub(crate) tail_budget: Arc<TailBudget>,
}

/// What readers see. Invariants: log start offset <= high watermark <= log end offset, synced offset <= log end offset. Nobody who looks
/// waits for the disk, nor for who writes.
#[derive(Debug)]
struct View {
    segments: BTreeMap<Offset, Arc<Segment>>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    synced_offset: Offset,
    high_watermark: Offset,
    undecided: Undecided,
    tail: TailCache,
    names: Names,
    /// How often the log was cut: what was said of its end before it may be false after.
    cuts: u64,
}

/// Changes of names in the folder, counted, and up to which they are synced. One is counted no later than it is seen, and only by who has
/// the writer.
#[derive(Debug, Default, Clone, Copy)]
struct Names {
    changed: u64,
    synced: u64,
}

impl Names {
    fn are_synced(self) -> bool {
        self.changed == self.synced
    }
}

/// What only the writer touches.
#[derive(Debug)]
struct Writer {
    /// The folder is there, with the topic's id in it.
    folder_exists: bool,
    producers: ProducerStates,
    /// Closed segments whose batches are not synced yet.
    unsynced: Vec<Arc<Segment>>,
    /// Something was written since the log was closed properly the last time.
    touched: bool,
    /// When the oldest batch that is not synced was appended.
    unsynced_since: Option<Timestamp>,
    /// Files that were renamed for deletion, and when they may go.
    doomed: Vec<(Timestamp, PathBuf)>,
    closed: bool,
}

impl Log {
    /// A log without records that starts at offset 0. Nothing is on disk until the first append.
    pub(crate) fn create(options: LogOptions, topic_id: TopicId) -> Log {
        let writer = Writer {
            folder_exists: false,
            producers: ProducerStates::default(),
            unsynced: Vec::new(),
            touched: false,
            unsynced_since: None,
            doomed: Vec::new(),
            closed: false,
        };
        let view = View {
            segments: BTreeMap::new(),
            log_start_offset: Offset::ZERO,
            log_end_offset: Offset::ZERO,
            synced_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            undecided: Undecided::default(),
            tail: TailCache::new(options.tail_bytes_max, options.tail_budget),
            names: Names::default(),
            cuts: 0,
        };
        Log {
            partition: options.partition,
            folder: options.folder,
            disk: options.disk,
            directory: options.directory,
            topic_id: RwLock::new(topic_id),
            config: RwLock::new(options.config),
            epochs: RwLock::default(),
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

    /// Whose log it is.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The partition's folder; there since the first append.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The topic's id; [`TopicId::NONE`] if nobody has said.
    pub fn topic_id(&self) -> TopicId {
        *read_lock(&self.topic_id)
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&read_lock(&self.config))
    }

    /// Changes the configuration from the next operation on.
    pub fn set_config(&self, config: Arc<LogConfig>) {
        *write_lock(&self.config) = config;
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> Offset {
        read_lock(&self.view).log_start_offset
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        read_lock(&self.view).log_end_offset
    }

    /// Records before this offset survive a loss of power.
    pub fn synced_offset(&self) -> Offset {
        read_lock(&self.view).synced_offset
    }

    /// The log's start, if it must be remembered elsewhere: because it is not the first segment's, or because the names of those
    /// that were before it may come back with a loss of power. Does not wait for who writes.
    pub(crate) fn start_to_checkpoint(&self) -> Option<Offset> {
        let view = read_lock(&self.view);
        let first = view
            .segments
            .first_key_value()
            .map_or(Offset::ZERO, |(first, _)| *first);
        let first = if view.names.are_synced() {
            first
        } else {
            Offset::ZERO
        };
        Some(view.log_start_offset).filter(|start| *start > first)
    }

    /// The first offset of the oldest open transaction.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        read_lock(&self.view).undecided.first_offset()
    }

    /// The leader epochs that have records, each with the offset where it begins.
    pub fn epoch_entries(&self) -> Vec<(LeaderEpoch, Offset)> {
        let epochs = read_lock(&self.epochs);
        epochs
            .entries()
            .iter()
            .map(|(epoch, start)| (*epoch, *start))
            .collect()
    }

    /// Bytes of all segments, not counting space filled ahead.
    pub fn size_in_bytes(&self) -> u64 {
        read_lock(&self.view)
            .segments
            .values()
            .map(|segment| segment.size())
            .sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        read_lock(&self.view).segments.len()
    }

    /// The newest leader epoch of which the log knows.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        read_lock(&self.epochs).latest()
    }

    /// Lets go of what has not been used lately: batches in memory that were appended before `time`, and open files
    /// that nobody asked for since the last call. Call it now and then.
    pub fn release_idle(&self, time: Timestamp) {
        write_lock(&self.view).tail.evict_before(time);
        for segment in self.segments() {
            segment.close_if_idle();
        }
    }

    /// Whether the log can be used.
    fn check(&self, writer: &Writer) -> Result<()> {
        self.directory.check()?;
        if writer.closed {
            Err(Error::Closed {
                partition: self.partition.clone(),
            })
        } else {
            Ok(())
        }
    }

    fn segment_options(&self, base_offset: Offset, config: &LogConfig) -> SegmentOptions<'_> {
        let index_interval_bytes = config.index_interval_bytes;
        SegmentOptions {
            disk: &self.disk,
            folder: &self.folder,
            base_offset,
            suffix: "",
            index_interval_bytes,
        }
    }

    /// The segment that is appended to; the log has one since its first append.
    fn active(&self) -> Option<Arc<Segment>> {
        read_lock(&self.view)
            .segments
            .values()
            .next_back()
            .map(Arc::clone)
    }

    /// Makes the folder, writes the topic's id into it, and begins the first segment, as far as that is not done.
    fn ensure_created(&self, writer: &mut Writer, now: Timestamp) -> Result<Arc<Segment>> {
        writer.touched = true;
        if let Some(active) = self.active() {
            return Ok(active);
        }
        if !writer.folder_exists {
            // Were the data directory gone, it would be made anew: with this folder, but without all else.
            if let Some(directory) = self.folder.parent() {
                self.disk.metadata(directory)?;
                self.set_leftovers_aside(directory, now)?;
            }
            self.disk.create_dir_all(&self.folder)?;
            let topic_id = self.topic_id();
            if topic_id != TopicId::NONE {
                partition_metadata::write(&*self.disk, &self.folder, topic_id)?;
            }
            writer.folder_exists = true;
        }
        self.begin_segment(writer, self.log_end_offset(), now)
    }

    /// If nothing of the log is on the disk yet, neither is anything of another one of its name afterwards.
    pub(crate) fn make_way(&self, now: Timestamp) -> Result<()> {
        let writer = lock(&self.writer);
        match self.folder.parent() {
            Some(directory) if !writer.folder_exists && !writer.closed => {
                self.set_leftovers_aside(directory, now)
            }
            _ => Ok(()),
        }
    }

    /// A folder that was there before this log, with records or the id of another topic, is that of a deleted topic, whose deletion had no
    /// room: it gets out of the way, for the next start to remove.
    fn set_leftovers_aside(&self, directory: &Path, now: Timestamp) -> Result<()> {
        let names = match self.disk.read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let has_records = names.iter().any(|entry| {
            let name = entry.name.to_string_lossy();
            file_name::parse(&name).is_some_and(|(_, kind)| kind == file_name::LOG)
        });
        let own = self.topic_id();
        let is_of_another = || match partition_metadata::read(&*self.disk, &self.folder) {
            Ok(found) => Ok(found.is_some_and(|found| found != own && own != TopicId::NONE)),
            Err(Error::InvalidFile { .. }) => Ok(true),
            Err(error) => Err(error),
        };
        if has_records || is_of_another()? {
            let unique = u128::from(now.value().unsigned_abs());
            let aside = directory.join(deleted_folder_name(&self.partition, unique));
            tracing::warn!(folder = %self.folder.display(), aside = %aside.display(), "what a deleted topic has left gets out of the way");
            self.disk.rename(&self.folder, &aside)?;
        }
        Ok(())
    }

    /// Creates a segment and shows it to readers.
    fn begin_segment(
        &self,
        _writer: &mut Writer,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<Arc<Segment>> {
        let config = self.config();
        let segment = Segment::create(&self.segment_options(base_offset, &config), now)?;
        let segment = Arc::new(segment);
        let mut view = write_lock(&self.view);
        view.names.changed += 1;
        view.segments.insert(base_offset, Arc::clone(&segment));
        Ok(segment)
    }

    /// Closes the active segment and begins the next one at `base_offset`.
    fn roll(&self, writer: &mut Writer, base_offset: Offset, now: Timestamp) -> Result<Arc<Segment>> {
        let Some(old) = self.active() else {
            return self.begin_segment(writer, base_offset, now);
        };
        if old.size() == 0 && old.base_offset() == base_offset {
            return Ok(old);
        }
        if old.size() == 0 {
            // Offsets were skipped: an empty segment before the gap would look like a hole.
            let new = self.begin_segment(writer, base_offset, now)?;
            write_lock(&self.view).remove(&old);
            self.rename_deleted(writer, &[old], Offset::ZERO, now)?;
            return Ok(new);
        }
        old.finish()?;
        writer.producers.set_end_offset(base_offset);
        writer.producers.take_snapshot(&*self.disk, &self.folder)?;
        let new = self.begin_segment(writer, base_offset, now)?;
        writer.unsynced.push(old);
        Ok(new)
    }

    /// Writes the leader epochs if they have changed; durable when this returns. The writer calls it, so that the file is
    /// never older than what was written before.
    fn write_epochs(&self, _writer: &Writer) -> Result<()> {
        let mut epochs = write_lock(&self.epochs);
        if !epochs.take_dirty() {
            return Ok(());
        }
        let entries = epochs.entries().clone();
        drop(epochs);
        let path = self.folder.join(checkpoint::LEADER_EPOCHS);
        let written = checkpoint::write_epochs(&*self.disk, &path, &entries);
        if written.is_err() {
            write_lock(&self.epochs).mark_dirty();
        }
        written
    }
}

#[cfg(test)]
impl Log {
    /// Closes the active segment.
    fn roll_for_test(&self, offset: Offset, now: Timestamp) {
        let mut writer = lock(&self.writer);
        self.roll(&mut writer, offset, now).expect("rolled");
    }
}

#[cfg(test)]
mod tests;
