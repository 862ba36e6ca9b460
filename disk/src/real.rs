//! The operating system's disk, through `rustix`, without unsafe code.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;

use crate::{
    DirectoryEntry, Disk, Error, File, FileKind, Lock, Metadata, OpenOptions, Operation, Result, Space,
};

/// How many buffers one system call takes (`IOV_MAX` on Linux and macOS).
const BUFFERS_PER_WRITE_MAX: usize = 1024;

/// The operating system's files and directories.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(options.write)
            .create(options.create && !options.exclusive)
            .create_new(options.exclusive)
            .truncate(options.truncate)
            .open(path)
            .map_err(|source| Error::from_io(Operation::Open, path, source))?;
        Ok(Arc::new(RealFile {
            file,
            path: path.to_path_buf(),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        create_dir_all(path, &|parent| self.sync_dir(parent))
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirectoryEntry>> {
        let failed = |source| Error::from_io(Operation::ReadDirectory, path, source);
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let mut kind = entry.file_type().map_err(failed)?;
            if kind.is_symlink() {
                match fs::metadata(entry.path()) {
                    Ok(metadata) => kind = metadata.file_type(),
                    // It points nowhere: it stays a link, FileKind::Other.
                    Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(failed(source)),
                }
            }
            entries.push(DirectoryEntry {
                name: entry.file_name(),
                kind: file_kind(kind),
            });
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|source| Error::from_io(Operation::Remove, path, source))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path).map_err(|source| Error::from_io(Operation::Remove, path, source))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|source| Error::from_io(Operation::Rename, from, source))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let failed = |source| Error::from_io(Operation::SyncDirectory, path, source);
        // Not sync_data: some file systems count a directory's entries as its metadata.
        fs::File::open(path).map_err(failed)?.sync_all().map_err(failed)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        let found = fs::metadata(path).map_err(|source| Error::from_io(Operation::Inspect, path, source))?;
        let modified = found
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Metadata {
            kind: file_kind(found.file_type()),
            length: found.len(),
            modified_ms: modified
                .and_then(|since| i64::try_from(since.as_millis()).ok())
                .unwrap_or(0),
        })
    }

    fn space(&self, path: &Path) -> Result<Option<Space>> {
        let found = rustix::fs::statvfs(path)
            .map_err(|errno| Error::from_io(Operation::Inspect, path, errno.into()))?;
        Ok(Some(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            usable: found.f_bavail.saturating_mul(found.f_frsize),
        }))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.map_err(|source| Error::from_io(Operation::Lock, path, source))?;
        // flock excludes other Forebays, in this process too; the record lock excludes a JVM, whose
        // FileChannel.tryLock takes that kind. On Linux neither sees the other.
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
        match taken {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Err(Error::Locked {
                path: path.to_path_buf(),
            }),
            Err(errno) => Err(Error::from_io(Operation::Lock, path, errno.into())),
        }
    }
}

/// Creates a directory and its missing parents; `sync` makes the names in one durable.
fn create_dir_all(path: &Path, sync: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.ok_or_else(|| Error::from_io(Operation::CreateDirectory, path, source))?;
            create_dir_all(parent, sync)?;
            return create_dir_all(path, sync);
        }
        Err(source) => return Err(Error::from_io(Operation::CreateDirectory, path, source)),
    }
    let synced = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync(Path::new(".")),
        Some(parent) => sync(parent),
        None => Ok(()),
    };
    // Who tries again must not find it and take its name for durable.
    synced.inspect_err(|_| drop(fs::remove_dir(path)))
}

fn file_kind(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

/// Both locks end with the descriptor.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    fn failed(&self, operation: Operation, source: impl Into<io::Error>) -> Error {
        Error::from_io(operation, &self.path, source.into())
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        loop {
            match self.file.read_at(buffer, position) {
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|source| self.failed(Operation::Read, source)),
            }
        }
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>> {
        match read_nowait(&self.file, buffer, position) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(errno) => Err(self.failed(Operation::Read, errno)),
        }
    }

    fn write_all_vectored_at(&self, buffers: &mut [IoSlice<'_>], position: u64) -> Result<()> {
        write_fully(buffers, position, |buffers, position| {
            rustix::io::pwritev(&self.file, buffers, position)
        })
        .map_err(|source| self.failed(Operation::Write, source))
    }

    fn sync_data(&self) -> Result<()> {
        sync_data(&self.file).map_err(|source| self.failed(Operation::Sync, source))
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.file
            .set_len(length)
            .map_err(|source| self.failed(Operation::SetLength, source))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self
            .file
            .metadata()
            .map_err(|source| self.failed(Operation::Inspect, source))?;
        Ok(metadata.len())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

#[cfg(target_os = "linux")]
fn read_nowait(file: &fs::File, buffer: &mut [u8], position: u64) -> rustix::io::Result<usize> {
    rustix::io::preadv2(
        file,
        &mut [IoSliceMut::new(buffer)],
        position,
        rustix::io::ReadWriteFlags::NOWAIT,
    )
}

#[cfg(not(target_os = "linux"))]
fn read_nowait(_file: &fs::File, _buffer: &mut [u8], _position: u64) -> rustix::io::Result<usize> {
    Err(Errno::NOSYS)
}

/// On macOS `fsync` leaves the bytes in the drive's cache; std's `sync_data` asks for `F_FULLFSYNC` there.
fn sync_data(file: &fs::File) -> io::Result<()> {
    file.sync_data()
}

/// Calls `write` until all of `buffers` is written; a write that takes nothing is [`io::ErrorKind::WriteZero`].
fn write_fully(
    mut buffers: &mut [IoSlice<'_>],
    mut position: u64,
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> rustix::io::Result<usize>,
) -> io::Result<()> {
    // advance_slices(0) drops leading empty buffers, so that nothing left means nothing to do.
    IoSlice::advance_slices(&mut buffers, 0);
    while !buffers.is_empty() {
        let at_once = &buffers[..buffers.len().min(BUFFERS_PER_WRITE_MAX)];
        match write(at_once, position) {
            Ok(0) if at_once.iter().any(|buffer| !buffer.is_empty()) => {
                return Err(io::ErrorKind::WriteZero.into());
            }
            Ok(written) => {
                IoSlice::advance_slices(&mut buffers, written);
                position += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_whose_name_was_not_synced_is_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a").join("b");
        let synced = std::cell::RefCell::new(Vec::new());
        let sync = |parent: &Path| {
            synced.borrow_mut().push(parent.to_path_buf());
            match synced.borrow().len() {
                // The name of `b`, for the first time.
                2 => Err(Error::from_io(
                    Operation::SyncDirectory,
                    parent,
                    Errno::MFILE.into(),
                )),
                _ => Ok(()),
            }
        };
        assert!(create_dir_all(&path, &sync).is_err_and(|error| error.is_retriable()));
        create_dir_all(&path, &sync).expect("now it works");
        assert!(path.is_dir());
        let parent = folder.path().join("a");
        assert_eq!(*synced.borrow(), [folder.path(), &parent, &parent]);
    }

    #[test]
    fn short_and_interrupted_writes_are_continued() {
        let (one, two, three) = (vec![1_u8; 10], vec![2_u8; 7], vec![3_u8; 5]);
        for step in 1..=22 {
            let mut buffers = [&[][..], &one, &[], &two, &three, &[]].map(IoSlice::new);
            let mut written = vec![];
            let mut calls = 0;
            write_fully(&mut buffers, 100, |buffers, position| {
                calls += 1;
                if calls % 3 == 0 {
                    return Err(Errno::INTR);
                }
                assert_eq!(
                    position,
                    100 + written.len() as u64,
                    "each write goes on where the last one ended"
                );
                let flat: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                let taken = flat.len().min(step);
                written.extend_from_slice(&flat[..taken]);
                Ok(taken)
            })
            .expect("no write fails");
            assert_eq!(written, [&one[..], &two, &three].concat(), "step {step}");
        }
    }

    #[test]
    fn a_write_that_takes_nothing_is_an_error() {
        let error = write_fully(&mut [IoSlice::new(b"x")], 0, |_, _| Ok(0)).expect_err("no progress");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        write_fully(&mut [IoSlice::new(b"")], 0, |_, _| Ok(0)).expect("nothing to write");
    }
}
