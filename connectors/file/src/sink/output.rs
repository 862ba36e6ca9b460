//! The end of a file of lines. Everything here blocks.

use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use forebay_connect_api::{Access, Error};

use crate::open::{self, Inode};

/// Read at once when the last end of a line is looked for.
const SEARCH_BYTES: u64 = 64 * 1024;

/// What the name of the file of torn lines ends with.
const TORN: &str = ".torn";

/// What was at the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Something was committed, so it most likely belongs to a record that was not and comes again: cut it off, but keep it in
    /// another file. Offsets are the connector's: it may have been given this file since.
    Ours,
    /// Nothing was ever committed, so it may be anything: end the line.
    Unknown,
}

/// Where lines go.
#[derive(Debug)]
pub(super) enum Output {
    /// Standard output.
    Stdout,
    /// A file that is locked.
    File(LockedFile),
}

/// A file that this task alone writes.
#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
    path: PathBuf,
    /// Something was written that is not synced.
    unsynced: bool,
}

impl Output {
    /// Whole lines. On an error none of them counts: the file is as it was, if the disk lets us.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Error> {
        match self {
            Self::Stdout => {
                let written = io::stdout().lock().write_all(lines);
                written.map_err(|error| Error::fatal("cannot write to standard output").with_source(error))
            }
            Self::File(file) => file.write(lines),
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        match self {
            Self::Stdout => io::stdout()
                .lock()
                .flush()
                .map_err(|error| Error::fatal("cannot write to standard output").with_source(error)),
            Self::File(file) => file.sync(),
        }
    }
}

impl LockedFile {
    /// Opens or creates the file, and takes it for this task alone.
    pub(super) fn open(path: &Path, access: &Access) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let file = open::open(
            path,
            options.read(true).write(true).create(true).truncate(false),
            access,
        )?;
        let file = file.ok_or_else(|| {
            Error::fatal(format!(
                "cannot create {}: its directory does not exist",
                path.display()
            ))
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::retriable(format!(
                    "{} is being written by another task; a file has one connector",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", path, error)),
        }
        sync_directory(path)?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            unsynced: true,
        })
    }

    /// Puts right a last line that has no end.
    pub(super) fn repair(&mut self, tail: Tail, access: &Access) -> Result<(), Error> {
        let length = self.metadata()?.len();
        let end = self
            .end_of_last_line(length)
            .map_err(|error| failed("read", &self.path, error))?;
        let torn_bytes = length - end;
        if torn_bytes == 0 {
            return Ok(());
        }
        let file = self.path.display().to_string();
        match tail {
            Tail::Ours => {
                let kept = self.keep(end, length, access)?;
                tracing::warn!(
                    file,
                    torn_bytes,
                    kept = %kept.display(),
                    "the last line was torn, by a kill or a full disk; cutting it off, as its record comes again"
                );
                self.cut(end).map_err(|error| failed("cut", &self.path, error))
            }
            Tail::Unknown => {
                tracing::warn!(
                    file,
                    torn_bytes,
                    "the last line has no end; ending it, as it may not be ours"
                );
                self.write(b"\n")
            }
        }
    }

    /// Puts what is about to be cut off behind what `FILE.torn` has, durably, and ends the line there.
    fn keep(&self, start: u64, end: u64, access: &Access) -> Result<PathBuf, Error> {
        let mut kept = self.path.clone().into_os_string();
        kept.push(TORN);
        let kept = PathBuf::from(kept);
        let mut options = OpenOptions::new();
        let opened = open::open(&kept, options.append(true).create(true), access)?;
        let mut into = opened.ok_or_else(|| Error::fatal(format!("cannot create {}", kept.display())))?;
        let copied = self.copy(start..end, &mut into).and_then(|()| into.sync_all());
        copied.map_err(|error| failed("write to", &kept, error))?;
        sync_directory(&kept)?;
        Ok(kept)
    }

    fn copy(&self, range: Range<u64>, into: &mut File) -> io::Result<()> {
        let mut buffer = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let count = (range.end - position).min(SEARCH_BYTES);
            buffer.resize(usize::try_from(count).expect("a few thousand"), 0);
            self.file.read_exact_at(&mut buffer, position)?;
            into.write_all(&buffer)?;
            position += count;
        }
        into.write_all(b"\n")
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        self.file
            .metadata()
            .map_err(|error| failed("inspect", &self.path, error))
    }

    fn end_of_last_line(&self, length: u64) -> io::Result<u64> {
        let mut end = length;
        let mut buffer = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(SEARCH_BYTES);
            buffer.resize(usize::try_from(end - start).expect("a few thousand"), 0);
            self.file.read_exact_at(&mut buffer, start)?;
            if let Some(found) = memchr::memrchr(b'\n', &buffer) {
                return Ok(start + found as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// Appends behind what is there now: someone may have truncated the file, having copied it.
    fn write(&mut self, lines: &[u8]) -> Result<(), Error> {
        let length = self.metadata()?.len();
        self.unsynced = true;
        self.file.write_all_at(lines, length).map_err(|error| {
            // If this fails, too, the next task cuts off what is torn.
            let _ = self.cut(length);
            failed("write to", &self.path, error)
        })
    }

    /// A failed sync is not tried again: what the disk has then, nobody knows. No offset is committed, and the task fails.
    fn sync(&mut self) -> Result<(), Error> {
        if !self.unsynced {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|error| failed("sync", &self.path, error))?;
        self.unsynced = false;
        let ours = self.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) if Inode::from(&named) == Inode::from(&ours) => Ok(()),
            _ => Err(Error::fatal(format!(
                "{} was removed or replaced while it was being written; restart the task, and the records since the last commit \
                 go into the new file",
                self.path.display()
            ))),
        }
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_data()
    }
}

/// Makes the name of a new file durable.
fn sync_directory(path: &Path) -> Result<(), Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed("sync the directory", parent, error))
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let cure = if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) {
        "; make room and restart the task, nothing is lost"
    } else {
        ""
    };
    Error::fatal(format!("cannot {what} {}{cure}", path.display())).with_source(error)
}
