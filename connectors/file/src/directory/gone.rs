//! Files that are over: proof that a file is gone for good, so that its source offset may be forgotten.
//!
//! An offset is what keeps a file that was read from being read again, so a file that is out of sight is not enough: its file system may not be
//! mounted, its directory not readable, and who has moved it away may bring it back, with the same inode. Only an inode that has no name left
//! can have none ever again; and what was done to names must outlast a loss of power before the offset is forgotten, as that does.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use forebay_connect_api::OffsetMap;
use rustix::fs::{Mode, OFlags};

use super::listing::Identity;

/// A file, whatever happens to its name.
#[derive(Debug)]
pub(super) struct Held(File);

impl Held {
    /// Holds a file without reading it; of a link the link itself.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self(held.into()))
    }

    /// Which file it is, and its length.
    pub(super) fn identity_and_length(&self) -> io::Result<(Identity, u64)> {
        let metadata = self.0.metadata()?;
        Ok((Identity::of(&metadata), metadata.len()))
    }

    /// How many names it has; `None`: nobody knows, or its inode cannot be told from a later one of the same number.
    pub(super) fn names(&self) -> Option<u64> {
        let metadata = self.0.metadata().ok()?;
        Identity::of(&metadata).born.map(|_| metadata.nlink())
    }
}

/// A source partition whose file is over once what was done in these directories is durable.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) partition: Arc<OffsetMap>,
    pub(super) directories: Vec<PathBuf>,
}

/// The source partitions that may be forgotten. What cannot be made durable stays known.
pub(super) fn durable(over: Vec<Over>) -> Vec<Arc<OffsetMap>> {
    let mut synced: HashMap<PathBuf, bool> = HashMap::new();
    let mut is_synced = |directory: PathBuf| match synced.entry(directory) {
        Entry::Occupied(known) => *known.get(),
        Entry::Vacant(vacant) => {
            let done = File::open(vacant.key()).and_then(|directory| directory.sync_all());
            if let Err(error) = &done {
                let directory = vacant.key().display();
                tracing::warn!(%directory, %error, "a directory cannot be synced; source offsets of files that are gone from it stay");
            }
            *vacant.insert(done.is_ok())
        }
    };
    let over = over.into_iter();
    let durable = over.filter_map(|over| {
        let is_durable = over.directories.into_iter().all(&mut is_synced);
        is_durable.then_some(over.partition)
    });
    durable.collect()
}
