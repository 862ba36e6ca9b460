//! One segment: a file of batches and its indexes. The writer appends to the last one; readers share all of them. The
//! logical size is what was appended; the file may be longer (space filled ahead), and is cut to it when it closes.

mod append;
mod ends;
mod read;
mod rebuild;
mod scan;
mod zeros;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use forebay_disk::{Disk, DiskExt, File, OpenOptions};
use forebay_records::{Offset, Timestamp};

use crate::error::{Error, Result};
use crate::file_name;
use crate::index::{OffsetIndex, TimeEntry, TimeIndex};
use crate::locks::{lock, read_lock, write_lock};
use crate::transaction_index::{AbortedTransaction, TransactionIndex};

pub(crate) use append::{Place, RollLimits};
use ends::Ends;
pub(crate) use read::Slice;
pub use read::TimestampOffset;
pub(crate) use rebuild::Recovered;
pub(crate) use scan::{BatchAt, Found, Scan, only_zeros};
pub use zeros::Filled;
use zeros::Zeros;

#[derive(Debug)]
pub(crate) struct Segment {
    disk: Arc<dyn Disk>,
    /// The partition's folder.
    folder: PathBuf,
    base_offset: Offset,
    path: PathBuf,
    /// Open while it is in use; [`Segment::close_if_idle`] lets go of it.
    file: Mutex<Option<Arc<dyn File>>>,
    used: AtomicBool,
    /// Its names have gone to other files: what is open stays open.
    pinned: AtomicBool,
    /// Something was written that is not synced. The file stays open as long: the kernel tells of a failed write-back only
    /// those who had it open.
    unsynced: AtomicBool,
    /// The logical size in bytes; grows after the bytes are written.
    size: AtomicU64,
    /// Behind the logical size there are zeros up to here, on the disk; 0: none.
    zeroed_to: AtomicU64,
    zeros: Mutex<Zeros>,
    index_interval_bytes: u64,
    offset_index: RwLock<OffsetIndex>,
    time_index: RwLock<TimeIndex>,
    transaction_index: RwLock<TransactionIndex>,
    growth: Mutex<Growth>,
    ends: Ends,
}

/// What the writer remembers of the segment that it appends to.
#[derive(Debug, Clone, Copy)]
struct Growth {
    /// When the segment was created or opened: what its age is counted from if its records have no timestamps.
    created: Timestamp,
    /// The greatest timestamp of the first batch, once known: what its age is counted from.
    first_timestamp: Option<Timestamp>,
    /// The greatest timestamp so far, once known; none if no record has one.
    max_timestamp: Known,
    bytes_since_index_entry: u64,
}

/// Whether the greatest timestamp has been looked up, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    NotYet,
    Is(Option<TimeEntry>),
}

impl Segment {
    /// A new segment. Its files are created; the names are not synced.
    pub(crate) fn create(options: &SegmentOptions<'_>, now: Timestamp) -> Result<Segment> {
        for kind in file_name::SEGMENT_KINDS {
            options.disk.remove_file_if_exists(&options.path(kind))?;
        }
        let segment = Segment::new(options, 0, now)?;
        write_lock(&segment.offset_index).clear()?;
        write_lock(&segment.time_index).clear()?;
        // The last: were the disk full before it, no segment is left that begins where another one goes on.
        options.disk.open(&segment.path, OpenOptions::create_new())?;
        lock(&segment.growth).max_timestamp = Known::Is(None);
        Ok(segment)
    }

    /// A segment that is on the disk; its logical size is taken to be the file's.
    pub(crate) fn open(options: &SegmentOptions<'_>, now: Timestamp) -> Result<Segment> {
        let size = options.disk.metadata(&options.path(file_name::LOG))?.length;
        Segment::new(options, size, now)
    }

    fn new(options: &SegmentOptions<'_>, size: u64, now: Timestamp) -> Result<Segment> {
        let SegmentOptions {
            disk,
            folder,
            base_offset,
            index_interval_bytes,
            ..
        } = options;
        let path = |kind| options.path(kind);
        let offset_index = OffsetIndex::open(Arc::clone(disk), path(file_name::OFFSET_INDEX), *base_offset)?;
        let time_index = TimeIndex::open(Arc::clone(disk), path(file_name::TIME_INDEX), *base_offset)?;
        let transaction_index = TransactionIndex::open(Arc::clone(disk), path(file_name::TRANSACTION_INDEX))?;
        Ok(Segment {
            disk: Arc::clone(disk),
            folder: folder.to_path_buf(),
            base_offset: *base_offset,
            path: path(file_name::LOG),
            file: Mutex::new(None),
            used: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
            size: AtomicU64::new(size),
            zeroed_to: AtomicU64::new(0),
            zeros: Mutex::default(),
            index_interval_bytes: *index_interval_bytes,
            offset_index: RwLock::new(offset_index),
            time_index: RwLock::new(time_index),
            transaction_index: RwLock::new(transaction_index),
            growth: Mutex::new(Growth {
                created: now,
                first_timestamp: None,
                max_timestamp: Known::NotYet,
                bytes_since_index_entry: 0,
            }),
            ends: Ends::default(),
        })
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The segment file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Logical size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// The open file.
    pub(crate) fn file(&self) -> Result<Arc<dyn File>> {
        self.used.store(true, Ordering::Relaxed);
        let mut file = lock(&self.file);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        // Also for writing: the last segment is opened like the others and then appended to.
        let opened = self.disk.open(&self.path, OpenOptions::write())?;
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The file, if it is open and nobody is about to open or close it.
    fn open_file(&self) -> Option<Arc<dyn File>> {
        self.used.store(true, Ordering::Relaxed);
        self.file.try_lock().ok()?.clone()
    }

    /// Lets go of the file if nobody has asked for it since the last call, and all of it is synced.
    pub(crate) fn close_if_idle(&self) {
        let mut file = lock(&self.file);
        let needed = self.unsynced.load(Ordering::Acquire) || self.pinned.load(Ordering::Relaxed);
        if !self.used.swap(false, Ordering::Relaxed) && !needed {
            *file = None;
        }
    }

    /// Opens all its files and keeps them open: their names are about to be given to others, while readers may go on.
    pub(crate) fn pin(&self) -> Result<()> {
        self.pinned.store(true, Ordering::Relaxed);
        self.file()?;
        write_lock(&self.offset_index).pin()?;
        write_lock(&self.time_index).pin()?;
        write_lock(&self.transaction_index).pin()
    }

    /// Whether its batches' file is open.
    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.file).is_some()
    }

    /// Its names stay its own after all: its files may be closed again.
    pub(crate) fn unpin(&self) {
        self.pinned.store(false, Ordering::Relaxed);
        write_lock(&self.offset_index).unpin();
        write_lock(&self.time_index).unpin();
        write_lock(&self.transaction_index).unpin();
    }

    /// The greatest timestamp of its first batch, if that is known: how old it is.
    pub(crate) fn first_timestamp(&self) -> Option<Timestamp> {
        lock(&self.growth).first_timestamp
    }

    /// Bytes of the offset index and of the time index.
    pub(crate) fn index_sizes(&self) -> (u64, u64) {
        let offset_index = read_lock(&self.offset_index).size_in_bytes();
        (offset_index, read_lock(&self.time_index).size_in_bytes())
    }

    /// Closes the segment to appends: cuts the file to its logical size and writes its indexes. What is in the file
    /// may not be synced yet; the indexes are.
    pub(crate) fn finish(&self) -> Result<()> {
        self.close_zeros(&*self.file()?)?;
        let max = self.max_timestamp()?;
        write_lock(&self.offset_index).close()?;
        let mut time_index = write_lock(&self.time_index);
        time_index.prepare()?;
        if let Some(max) = max {
            time_index.maybe_append(max);
        }
        time_index.close()?;
        drop(time_index);
        self.sync_aborted()
    }

    /// Makes the batches durable, and which of their transactions are aborted: if a marker is damaged later, nothing else tells.
    pub(crate) fn sync(&self) -> Result<()> {
        let file = self.file()?;
        // Before the sync: what is written from here on is not covered by it.
        self.unsynced.store(false, Ordering::Release);
        file.sync_data()?;
        self.sync_aborted()
    }

    /// Renames its files so that they are no longer part of the log; gives their new names.
    pub(crate) fn mark_deleted(&self) -> Result<Vec<PathBuf>> {
        self.rename_files(file_name::DELETED, file_name::SEGMENT_KINDS)
    }

    /// The same, as another segment takes its place: the batches last, so that no index is without them which could be taken for the
    /// other one's.
    pub(crate) fn mark_replaced(&self) -> Result<Vec<PathBuf>> {
        let [batches, offset_index, time_index, transaction_index] = file_name::SEGMENT_KINDS;
        let kinds = [transaction_index, time_index, offset_index, batches];
        self.rename_files(file_name::DELETED, kinds)
    }

    /// Renames its files so that they are no longer part of the log, nor ever removed.
    pub(crate) fn set_aside(&self) -> Result<Vec<PathBuf>> {
        self.rename_files(file_name::STRAY, file_name::SEGMENT_KINDS)
    }

    fn rename_files(&self, suffix: &str, kinds: [&str; 4]) -> Result<Vec<PathBuf>> {
        let mut renamed = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let path = file_name::path(&self.folder, self.base_offset, kind);
            renamed.extend(rename(&*self.disk, &path, suffix)?);
        }
        Ok(renamed)
    }

    pub(crate) fn append_aborted(&self, aborted: &AbortedTransaction) -> Result<()> {
        write_lock(&self.transaction_index).append(aborted)
    }

    /// See [`TransactionIndex::replace`].
    pub(crate) fn replace_aborted(&self, aborted: &[AbortedTransaction]) -> Result<()> {
        write_lock(&self.transaction_index).replace(aborted)
    }

    fn sync_aborted(&self) -> Result<()> {
        // Not with the lock: whoever appends or reads does not wait for the disk.
        let unsynced = write_lock(&self.transaction_index).take_unsynced();
        unsynced.map_or(Ok(()), |file| Ok(file.sync_data()?))
    }

    /// The same without waiting: also if somebody is about to change that.
    pub(crate) fn may_have_aborted(&self) -> bool {
        let index = self.transaction_index.try_read();
        index.map_or(true, |index| !index.is_empty())
    }

    pub(crate) fn has_aborted(&self) -> bool {
        !read_lock(&self.transaction_index).is_empty()
    }

    /// All aborted transactions whose marker it has.
    pub(crate) fn all_aborted(&self) -> Result<Vec<AbortedTransaction>> {
        let mut found = Vec::new();
        self.collect_aborted(Offset::ZERO, Offset::MAX, &mut found)?;
        Ok(found)
    }

    /// See [`TransactionIndex::collect`].
    pub(crate) fn collect_aborted(
        &self,
        from: Offset,
        up_to: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> Result<bool> {
        let index = read_lock(&self.transaction_index);
        if index.is_empty() {
            Ok(false)
        } else {
            index.collect(from, up_to, found)
        }
    }

    /// Runs `work` while the transaction index is being changed.
    #[cfg(test)]
    pub(crate) fn while_index_changes<T>(&self, work: impl FnOnce() -> T) -> T {
        let _changing = write_lock(&self.transaction_index);
        work()
    }

    fn corrupt(&self, position: u64, reason: impl AsRef<str>) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            position,
            reason: Arc::from(reason.as_ref()),
        }
    }
}

/// Which segment, where.
#[derive(Debug, Clone)]
pub(crate) struct SegmentOptions<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) folder: &'a Path,
    pub(crate) base_offset: Offset,
    /// Nothing, or what its files' names end with while it is not part of the log.
    pub(crate) suffix: &'static str,
    pub(crate) index_interval_bytes: u64,
}

impl SegmentOptions<'_> {
    /// The name of one of its files.
    fn path(&self, kind: &str) -> PathBuf {
        let mut path = file_name::path(self.folder, self.base_offset, kind).into_os_string();
        path.push(self.suffix);
        path.into()
    }
}

/// Renames a file so that it is no longer part of the log; gives its new name, or none if it was not there.
pub(crate) fn mark_deleted(disk: &dyn Disk, path: &Path) -> Result<Option<PathBuf>> {
    rename(disk, path, file_name::DELETED)
}

fn rename(disk: &dyn Disk, path: &Path, suffix: &str) -> Result<Option<PathBuf>> {
    let mut renamed = path.as_os_str().to_owned();
    renamed.push(suffix);
    let renamed = PathBuf::from(renamed);
    match disk.rename(path, &renamed) {
        Ok(()) => Ok(Some(renamed)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
