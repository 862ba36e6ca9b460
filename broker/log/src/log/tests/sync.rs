//! Syncs that meet: of one log, and of two in one directory. The kernel tells of a failed write-back once per open file.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_disk::{DirectoryEntry, Disk, File, Lock, Metadata, OpenOptions, Result as DiskResult};

use super::*;
use crate::TopicPartition;

/// What a sync does before it succeeds or fails.
type Hook = Box<dyn FnOnce() -> DiskResult<()> + Send>;

/// A disk on which a test does something in the middle of the next sync of a segment.
#[derive(Clone)]
struct HookedDisk {
    disk: MemoryDisk,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl HookedDisk {
    fn new() -> HookedDisk {
        HookedDisk {
            disk: MemoryDisk::new(),
            hook: Arc::default(),
        }
    }

    fn at_next_sync(&self, hook: impl FnOnce() -> DiskResult<()> + Send + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }
}

impl std::fmt::Debug for HookedDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HookedDisk").finish_non_exhaustive()
    }
}

impl Disk for HookedDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> DiskResult<Arc<dyn File>> {
        let file = self.disk.open(path, options)?;
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        Ok(if is_segment {
            let disk = self.clone();
            Arc::new(HookedFile { file, disk })
        } else {
            file
        })
    }

    fn create_dir_all(&self, path: &Path) -> DiskResult<()> {
        self.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> DiskResult<Vec<DirectoryEntry>> {
        self.disk.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> DiskResult<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> DiskResult<()> {
        self.disk.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> DiskResult<()> {
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> DiskResult<()> {
        self.disk.sync_dir(path)
    }

    fn metadata(&self, path: &Path) -> DiskResult<Metadata> {
        self.disk.metadata(path)
    }

    fn lock(&self, path: &Path) -> DiskResult<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct HookedFile {
    file: Arc<dyn File>,
    disk: HookedDisk,
}

impl File for HookedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> DiskResult<usize> {
        self.file.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> DiskResult<Option<usize>> {
        self.file.read_at_nowait(buffer, position)
    }

    fn write_all_vectored_at(&self, buffers: &mut [IoSlice<'_>], position: u64) -> DiskResult<()> {
        self.file.write_all_vectored_at(buffers, position)
    }

    fn sync_data(&self) -> DiskResult<()> {
        let hook = self
            .disk
            .hook
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        hook.map_or(Ok(()), |hook| hook())?;
        self.file.sync_data()
    }

    fn set_len(&self, length: u64) -> DiskResult<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> DiskResult<u64> {
        self.file.len()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}

fn input_output_error() -> forebay_disk::Error {
    forebay_disk::Error::Io {
        operation: forebay_disk::Operation::Sync,
        path: PathBuf::from("segment"),
        source: std::io::Error::other("written back in vain"),
    }
}

/// A log with one record that is not synced.
fn log_of(directory: &LogDirectory, index: i32) -> Arc<Log> {
    let partition = TopicPartition::new("topic", index).expect("valid");
    let log = directory
        .log_or_create(&partition, topic_id(), &Arc::new(LogConfig::default()))
        .expect("created");
    append(&log, append_of(1, 1, 10)).expect("appended");
    log
}

/// Upkeep's sync hears of the I/O error, and the writer's, which came while that one was under way, must not be told that
/// its records are on the disk.
#[test]
fn an_error_that_one_sync_is_told_of_is_every_ones() {
    let disk = HookedDisk::new();
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    let log = log_of(&directory, 0);
    let (entered, upkeep_is_inside) = mpsc::channel();
    let (returned, writer_is_back) = mpsc::channel();
    disk.at_next_sync(move || {
        entered.send(()).expect("the test waits");
        // A writer that does not wait for this sync is back at once; one that does never comes.
        let _time_out = writer_is_back.recv_timeout(Duration::from_millis(200));
        Err(input_output_error())
    });
    std::thread::scope(|scope| {
        let upkeep = scope.spawn(|| log.sync(NOW));
        upkeep_is_inside.recv().expect("it syncs");
        let writers = log.sync(NOW);
        // The time may be up.
        let _nobody = returned.send(());
        let upkeeps = upkeep.join().expect("no panic");
        assert!(matches!(upkeeps, Err(Error::Offline { .. })), "{upkeeps:?}");
        assert!(matches!(writers, Err(Error::Offline { .. })), "{writers:?}");
    });
    assert_eq!(log.synced_offset(), Offset(0));
}

/// A sync that succeeds while another one takes the directory offline acknowledges nothing any more.
#[test]
fn no_offset_is_synced_once_the_directory_is_offline() {
    let disk = HookedDisk::new();
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    let (log, other) = (log_of(&directory, 0), log_of(&directory, 1));
    let inner = disk.clone();
    disk.at_next_sync(move || {
        inner.at_next_sync(|| Err(input_output_error()));
        let failed = other.sync(NOW);
        assert!(matches!(failed, Err(Error::Offline { .. })), "{failed:?}");
        Ok(())
    });
    let synced = log.sync(NOW);
    assert!(matches!(synced, Err(Error::Offline { .. })), "{synced:?}");
    assert_eq!(log.synced_offset(), Offset(0));
}

/// Whoever closes or cuts a log syncs its file as well.
#[test]
fn a_log_that_is_closed_or_cut_during_a_failing_sync_does_not_go_on() {
    let closing: fn(&LogDirectory) -> crate::Result<()> = |directory| directory.shutdown(1, -1, NOW);
    let cutting: fn(&LogDirectory) -> crate::Result<()> =
        |directory| directory.truncate_to(&partition(), Offset(1), NOW).map(drop);
    for (end, name) in [(closing, "closed"), (cutting, "cut")] {
        let disk = HookedDisk::new();
        let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
        let log = log_of(&directory, 0);
        append(&log, append_of(2, 1, 10)).expect("appended");
        let (entered, upkeep_is_inside) = mpsc::channel();
        let (returned, other_is_back) = mpsc::channel();
        disk.at_next_sync(move || {
            entered.send(()).expect("the test waits");
            let _time_out = other_is_back.recv_timeout(Duration::from_millis(200));
            Err(input_output_error())
        });
        std::thread::scope(|scope| {
            let upkeep = scope.spawn(|| log.sync(NOW));
            upkeep_is_inside.recv().expect("it syncs");
            let ended = end(&directory);
            let _nobody = returned.send(());
            assert!(upkeep.join().expect("no panic").is_err());
            assert!(matches!(ended, Err(Error::Offline { .. })), "{name}: {ended:?}");
        });
        let marker = PathBuf::from("/data").join(".kafka_cleanshutdown");
        assert!(
            disk.disk.metadata(&marker).is_err(),
            "{name}: not marked as clean"
        );
    }
}
