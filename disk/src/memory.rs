//! A disk in memory that keeps apart what a process sees and what a loss of power leaves: bytes written but not
//! synced, and names not synced into their directory, are lost by [`MemoryDisk::crash`].

mod content;
mod tree;

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{DirectoryEntry, Disk, Error, File, Lock, Metadata, OpenOptions, Operation, Result};
use content::Content;
use tree::Tree;

/// What of the unsynced changes is still there after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// The machine lost power and only what was synced is left.
    OnlySynced,
    /// The process died but the machine did not: all writes are there (`kill -9`).
    Everything,
    /// The machine lost power after it had written back some pages, lengths and directories by itself, in no
    /// particular order; the number picks which, the same ones each time.
    Random(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
    locked: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// The disk as the next process finds it if the machine, or for [`Survivors::Everything`] the process,
    /// stops at this moment. This disk goes on as if nothing had happened, so that one run can be examined at
    /// many moments; locks are not held on the new one.
    #[must_use]
    pub fn crash(&self, survivors: Survivors) -> MemoryDisk {
        let tree = self.tree().crash(survivors);
        MemoryDisk {
            tree: Arc::new(Mutex::new(tree)),
            locked: Arc::default(),
        }
    }

    /// Empties the page cache: [`File::read_at_nowait`] finds nothing of a file until its next
    /// [`File::read_at`] or write.
    pub fn evict_page_cache(&self) {
        self.tree().for_each_file(|file| lock(file).cached = false);
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }
}

/// A panic elsewhere in a test must not hide behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn File>> {
        let content = self.tree().open(path, options)?;
        Ok(Arc::new(MemoryFile {
            content,
            path: path.to_path_buf(),
            writable: options.write,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.tree().create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirectoryEntry>> {
        self.tree().read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.tree().remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        self.tree().remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.tree().rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.tree().sync_dir(path)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.tree().metadata(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.tree().open(path, OpenOptions::create())?;
        let path = path.to_path_buf();
        if !lock(&self.locked).insert(path.clone()) {
            return Err(Error::Locked { path });
        }
        Ok(Box::new(MemoryLock {
            locked: Arc::clone(&self.locked),
            path,
        }))
    }
}

#[derive(Debug)]
struct MemoryLock {
    locked: Arc<Mutex<BTreeSet<PathBuf>>>,
    path: PathBuf,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.locked).remove(&self.path);
    }
}

struct MemoryFile {
    content: Arc<Mutex<Content>>,
    path: PathBuf,
    writable: bool,
}

impl std::fmt::Debug for MemoryFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MemoryFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl MemoryFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        lock(&self.content)
    }

    fn check_writable(&self, operation: Operation) -> Result<()> {
        if self.writable {
            return Ok(());
        }
        let source = io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the file is open for reading only",
        );
        Err(Error::from_io(operation, &self.path, source))
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        let mut content = self.content();
        content.cached = true;
        Ok(content.read(buffer, position))
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>> {
        let content = self.content();
        Ok(content.cached.then(|| content.read(buffer, position)))
    }

    fn write_all_vectored_at(&self, buffers: &mut [IoSlice<'_>], position: u64) -> Result<()> {
        self.check_writable(Operation::Write)?;
        let mut content = self.content();
        let mut position = position;
        for buffer in buffers {
            content.write(buffer, position);
            position += buffer.len() as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.content().sync();
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.check_writable(Operation::SetLength)?;
        self.content().set_len(length);
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.content().len())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests;
