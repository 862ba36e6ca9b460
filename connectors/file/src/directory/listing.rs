//! What is in the directory. Everything here blocks.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use forebay_connect_api::Error;

use super::config::{Cleanup, Config, Order};

/// Files that a listing has, at most.
const FILES_MAX: usize = 500_000;
/// How deep directories may lie in each other.
const DEPTH_MAX: usize = 64;

/// Which file it is, whatever its name: its number, and when that was given to it, as numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) number: u64,
    /// Microseconds since 1970; `None` where the file system does not tell.
    pub(super) born: Option<i64>,
    pub(super) device: u64,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    /// Whether it is one that the configuration asks for; others only tell where a file has gone that was one.
    pub(super) wanted: bool,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let since = metadata
            .created()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self {
            number: metadata.ino(),
            born: since.and_then(|since| i64::try_from(since.as_micros()).ok()),
            device: metadata.dev(),
        }
    }
}

impl Found {
    fn new(path: PathBuf, metadata: &Metadata, wanted: bool) -> Self {
        Self {
            path,
            identity: Identity::of(metadata),
            length: metadata.len(),
            modified: metadata.modified().unwrap_or(UNIX_EPOCH),
            wanted,
        }
    }
}

/// All regular files, in the order in which they are to be read; a file of several names once. A symbolic link counts as
/// the file it leads to if that is below the root, too; what leads out is left out, as are links to directories.
///
/// # Errors
/// A retriable one if the directory itself cannot be read.
pub(super) fn list(config: &Config) -> Result<Vec<Found>, Error> {
    let cannot = |error: io::Error| {
        Error::retriable(format!("cannot list {}", config.root.display())).with_source(error)
    };
    let mut walk = Walk {
        config,
        root: config.root.canonicalize().map_err(cannot)?,
        own: own_directories(config),
        files: Vec::new(),
    };
    walk.directory(&config.root, 0).map_err(cannot)?;
    let mut files = walk.files;
    sort(&mut files, &config.sort);
    let mut seen = std::collections::HashSet::new();
    // Of two names the first stays, and a name that is asked for rather than another.
    files.sort_by_key(|file| !file.wanted);
    files.retain(|file| seen.insert(file.identity));
    Ok(files)
}

/// Where files are moved to, which is not read.
fn own_directories(config: &Config) -> Vec<PathBuf> {
    let finished = match &config.cleanup {
        Cleanup::Move { to, .. } => Some(to),
        _ => None,
    };
    let own = finished.into_iter().chain(&config.error_path);
    own.filter_map(|path| path.canonicalize().ok()).collect()
}

fn sort(files: &mut [Found], orders: &[Order]) {
    files.sort_by(|one, other| {
        let by = orders.iter().map(|order| {
            let (ordering, descending) = match order {
                Order::Name { descending } => (one.path.cmp(&other.path), *descending),
                Order::Length { descending } => (one.length.cmp(&other.length), *descending),
                Order::LastModified { descending } => (one.modified.cmp(&other.modified), *descending),
            };
            if descending { ordering.reverse() } else { ordering }
        });
        by.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            .then_with(|| one.path.cmp(&other.path))
    });
}

struct Walk<'a> {
    config: &'a Config,
    root: PathBuf,
    own: Vec<PathBuf>,
    files: Vec<Found>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        for entry in std::fs::read_dir(directory)? {
            if self.files.len() >= FILES_MAX {
                tracing::warn!(root = %self.root.display(), FILES_MAX, "there are more files than are looked at");
                return Ok(());
            }
            // What vanishes meanwhile is not there.
            let Ok(entry) = entry else { continue };
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else {
                continue;
            };
            if kind.is_dir() && self.config.recursively && depth < DEPTH_MAX {
                if path.canonicalize().is_ok_and(|real| self.own.contains(&real)) {
                    continue;
                }
                if let Err(error) = self.directory(&path, depth + 1) {
                    tracing::warn!(directory = %path.display(), %error, "a directory cannot be listed; its files are not read");
                }
            } else if kind.is_file() {
                if let Ok(metadata) = entry.metadata() {
                    self.add(path, &metadata);
                }
            } else if kind.is_symlink() {
                self.link(path);
            }
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf) {
        let Ok(real) = path.canonicalize() else { return };
        let Ok(metadata) = std::fs::metadata(&real) else {
            return;
        };
        if !metadata.is_file() {
            return;
        }
        let is_own = self.own.iter().any(|own| real.starts_with(own));
        if real.starts_with(&self.root) && !is_own {
            self.add(path, &metadata);
        } else {
            tracing::debug!(link = %path.display(), to = %real.display(), "a link that leads out of the directory is not followed");
        }
    }

    fn add(&mut self, path: PathBuf, metadata: &Metadata) {
        let below = path.strip_prefix(&self.config.root).unwrap_or(&path);
        let wanted = self.config.names.take(&below.to_string_lossy());
        self.files.push(Found::new(path, metadata, wanted));
    }
}
