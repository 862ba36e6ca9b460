//! The small words of the seam: how a file is opened, what a directory lists.

use std::ffi::OsString;

/// How [`crate::Disk::open`] opens a file. Starts from [`OpenOptions::read`] or [`OpenOptions::write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Whether the file may be written; it can always be read.
    pub write: bool,
    /// Whether a missing file is created, empty.
    pub create: bool,
    /// Whether a file that is already there is an error ([`crate::Error::AlreadyExists`]).
    pub exclusive: bool,
    /// Whether what is in the file is thrown away.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, for reading only.
    pub fn read() -> OpenOptions {
        OpenOptions {
            write: false,
            create: false,
            exclusive: false,
            truncate: false,
        }
    }

    /// An existing file, for reading and writing.
    pub fn write() -> OpenOptions {
        OpenOptions {
            write: true,
            ..OpenOptions::read()
        }
    }

    /// For reading and writing; created if it is missing, kept as it is if not.
    pub fn create() -> OpenOptions {
        OpenOptions {
            create: true,
            ..OpenOptions::write()
        }
    }

    /// For reading and writing; must not exist yet.
    pub fn create_new() -> OpenOptions {
        OpenOptions {
            exclusive: true,
            ..OpenOptions::create()
        }
    }

    /// For reading and writing; created if it is missing, emptied if not.
    pub fn replace() -> OpenOptions {
        OpenOptions {
            truncate: true,
            ..OpenOptions::create()
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: a socket, a device. A symbolic link is what it points to.
    Other,
}

/// What [`crate::Disk::metadata`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// File or directory.
    pub kind: FileKind,
    /// A file's length in bytes; no meaning for a directory.
    pub length: u64,
    /// Last change of the content, in milliseconds since 1970 (UTC); 0 where nobody counts.
    pub modified_ms: i64,
}

/// One line of [`crate::Disk::read_dir`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name within the directory.
    pub name: OsString,
    /// File or directory.
    pub kind: FileKind,
}

/// The room on the device that holds a path, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Of the whole device.
    pub total: u64,
    /// That this process may still use.
    pub usable: u64,
}
