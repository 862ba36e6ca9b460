//! What can go wrong with a file, by meaning: each error names the operation and the path.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What was attempted, for messages and for [`crate::Fault`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Opening or creating a file.
    Open,
    /// Reading bytes of a file.
    Read,
    /// Writing bytes of a file.
    Write,
    /// Making a file's bytes durable.
    Sync,
    /// Changing a file's length.
    SetLength,
    /// Asking for a file's length or kind.
    Inspect,
    /// Creating a directory.
    CreateDirectory,
    /// Listing a directory.
    ReadDirectory,
    /// Making a directory's names durable.
    SyncDirectory,
    /// Removing a file or directory.
    Remove,
    /// Renaming a file or directory.
    Rename,
    /// Locking a directory.
    Lock,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Operation::Open => "open",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Sync => "sync",
            Operation::SetLength => "set the length of",
            Operation::Inspect => "inspect",
            Operation::CreateDirectory => "create directory",
            Operation::ReadDirectory => "list directory",
            Operation::SyncDirectory => "sync directory",
            Operation::Remove => "remove",
            Operation::Rename => "rename",
            Operation::Lock => "lock",
        })
    }
}

/// An error of the file seam.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at the path.
    #[error("{}: no such file or directory", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something is at the path, where something new was to be made.
    #[error("{} already exists", path.display())]
    AlreadyExists {
        /// The path in the way.
        path: PathBuf,
    },
    /// Somebody else, perhaps another process, holds the lock.
    #[error("{} is locked: another process, or another part of this one, uses its directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The device or the quota is full; it may work again once there is space.
    #[error("no space left to {operation} {}", path.display())]
    NoSpace {
        /// What was attempted.
        operation: Operation,
        /// The file or directory.
        path: PathBuf,
    },
    /// A file ends before the bytes that were to be read from it.
    #[error("{} ends before {length} bytes at position {position}", path.display())]
    UnexpectedEnd {
        /// The file.
        path: PathBuf,
        /// Where the read began.
        position: u64,
        /// How many bytes were wanted.
        length: usize,
    },
    /// A file is larger than the caller was ready to read.
    #[error("{} has {length} bytes, more than the {limit} that are read of such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
        /// The caller's bound.
        limit: u64,
    },
    /// Any other answer of the operating system.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        operation: Operation,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// The result of a file operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The operating system's answer, sorted by meaning.
    pub(crate) fn from_io(operation: Operation, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path },
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { operation, path },
            _ => Error::Io {
                operation,
                path,
                source,
            },
        }
    }

    /// Whether there is nothing at the path.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// Whether the same call can succeed later without repair: only lack of space, of memory or of file descriptors, and
    /// a held lock.
    pub fn is_retriable(&self) -> bool {
        match self {
            Error::NoSpace { .. } | Error::Locked { .. } => true,
            Error::Io { source, .. } => matches!(
                Errno::from_io_error(source),
                Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
            ),
            _ => false,
        }
    }

    /// The file or directory concerned.
    pub fn path(&self) -> &Path {
        match self {
            Error::NotFound { path }
            | Error::AlreadyExists { path }
            | Error::Locked { path }
            | Error::NoSpace { path, .. }
            | Error::UnexpectedEnd { path, .. }
            | Error::TooLarge { path, .. }
            | Error::Io { path, .. } => path,
        }
    }
}
