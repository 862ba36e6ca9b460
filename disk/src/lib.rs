//! The file seam: every byte that Forebay keeps on disk goes through [`Disk`] and [`File`]. Knows files and
//! directories, never what is in them. Everything here blocks: callers run it on an I/O thread, never on an
//! asynchronous worker. [`RealDisk`] is the operating system, [`MemoryDisk`] a model of it that can lose
//! power, [`FaultyDisk`] a wrapper that fails or freezes where a test says.

mod error;
mod extension;
mod faulty;
mod memory;
mod options;
mod real;

#[cfg(test)]
mod conformance;

use std::fmt::Debug;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

pub use error::{Error, Operation, Result};
pub use extension::{DiskExt, FileExt};
pub use faulty::{Effect, Fault, FaultyDisk};
pub use memory::{MemoryDisk, Survivors};
pub use options::{DirectoryEntry, FileKind, Metadata, OpenOptions, Space};
pub use real::RealDisk;

/// A tree of directories and files.
///
/// # Contract
///
/// - A call that returned `Ok` has happened for every later call of this process; it survives a loss of power
///   only after the sync that covers it: [`File::sync_data`] for a file's bytes and length, [`Disk::sync_dir`]
///   for the names in a directory (created, renamed, removed).
/// - A failed sync says nothing about what is on disk, and a later one that succeeds does not either: the
///   caller gives up on the directory and never retries.
/// - Paths are taken as they are. An implementation does not follow Forebay's naming rules; callers do.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for positioned reads, and writes if `options` say so.
    fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn File>>;

    /// Creates a directory and its missing parents, and syncs the name of each new one into its parent, so
    /// that they survive a loss of power when this returns. Fine if it is there already.
    fn create_dir_all(&self, path: &Path) -> Result<()>;

    /// The entries of a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> Result<Vec<DirectoryEntry>>;

    /// Removes a file. Whoever holds it open keeps reading it.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes a directory and everything below it.
    fn remove_dir_all(&self, path: &Path) -> Result<()>;

    /// Renames a file or directory; a file (not a directory) that is already at `to` is replaced in one step.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// What is at `path`.
    fn metadata(&self, path: &Path) -> Result<Metadata>;

    /// How much room there is where `path` is; `None` where nobody can say (in memory).
    fn space(&self, _path: &Path) -> Result<Option<Space>> {
        Ok(None)
    }

    /// Takes an exclusive lock by the file at `path`, created if it is missing, and holds it until the returned
    /// [`Lock`] is dropped. Never waits: while someone else, of this process or another, holds it, this is
    /// [`Error::Locked`] at once.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;
}

/// An open file: reads and writes at positions, no cursor, shared freely between threads.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file is not a collection; nobody asks"
)]
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `position`; 0 means that `position` is at or behind the end.
    /// May return fewer bytes than there are; [`FileExt::read_exact_at`] does not.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize>;

    /// As [`File::read_at`], but only what the page cache holds (`preadv2` with `RWF_NOWAIT`): `None` if
    /// nothing can be had without waiting for the device, or if the system cannot say.
    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>>;

    /// Writes all of `buffers`, one behind the other, at `position`. Short writes are continued. On an error any
    /// part may have been written: the caller decides where the file is cut.
    fn write_all_vectored_at(&self, buffers: &mut [IoSlice<'_>], position: u64) -> Result<()>;

    /// Writes all of `buffer` at `position`, as [`File::write_all_vectored_at`] does.
    fn write_all_at(&self, buffer: &[u8], position: u64) -> Result<()> {
        self.write_all_vectored_at(&mut [IoSlice::new(buffer)], position)
    }

    /// Makes the file's bytes and length durable (`fdatasync`).
    fn sync_data(&self) -> Result<()>;

    /// Cuts the file, or extends it with zeros that cost no space.
    fn set_len(&self, length: u64) -> Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// The file's descriptor for `sendfile` and the like; `None` where there is no such thing (in memory).
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A lock held on a directory; dropping it gives it back.
pub trait Lock: Debug + Send + Sync {}
