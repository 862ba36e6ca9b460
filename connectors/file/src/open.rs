//! Opening a file that a user named: a regular one, and one that the worker allows.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use forebay_connect_api::{Access, Error};
use rustix::fs::OFlags;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

impl From<&Metadata> for Inode {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
        }
    }
}

/// Opens the regular file at `path`, symbolic links followed as Kafka does, if `access` allows where they lead. `Ok(None)`: there is
/// none. Blocks on the file system only: a FIFO does not make it wait.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, access: &Access) -> Result<Option<File>, Error> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) => check_kind(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot_open(path, error)),
    }
    access.check_path(path)?;
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("a small flag");
    let file = match options.custom_flags(nonblocking).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_open(path, error)),
    };
    let opened = file.metadata().map_err(|error| cannot_open(path, error))?;
    check_kind(path, &opened)?;
    // Whoever can write to the directory may have put a link there between the check and the opening.
    access.check_path(path)?;
    let named = std::fs::metadata(path).map_err(|error| cannot_open(path, error))?;
    if Inode::from(&opened) != Inode::from(&named) {
        return Err(Error::retriable(format!(
            "{shown} was replaced while it was being opened"
        )));
    }
    Ok(Some(file))
}

/// Only a regular file can be read again from a position, or cut back to whole lines.
fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Error::fatal(format!(
        "{} is {what}; the file connectors read and write regular files only (leave `file` out for standard input and output)",
        path.display()
    )))
}

fn cannot_open(path: &Path, error: io::Error) -> Error {
    Error::fatal(format!("cannot open {}", path.display())).with_source(error)
}
