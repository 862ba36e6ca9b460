//! What is known of a file: up to where it was read, and how to know it again, by another name, as a copy, after a restart.
//!
//! A file is known by its inode (number and time of birth) as long as it holds what was read of it, as far as its first
//! bytes tell and, up to some size, all of them. A file that follows another as a copy of it is known by every byte that was
//! read. Both survive a restart, since source offsets have it all.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use forebay_connect_api::{Error, OffsetMap, OffsetValue};

use super::{
    content::{Content, HEAD_BYTES},
    listing::Identity,
};

/// The field of a source partition: the path by which the file was first known.
pub(super) const FILENAME: &str = "filename";
/// The field of a source partition: the inode, its birth, and how often the file was begun anew.
pub(super) const IDENTITY: &str = "identity";
/// The field of a source offset: how many bytes, decompressed, or rows are done.
pub(super) const POSITION: &str = "position";
/// The field of a source offset: what the file begins with.
const FINGERPRINT: &str = "fingerprint";
/// The field of a source offset: CRC-32C over every byte before the position.
const CHECKSUM: &str = "checksum";
/// The field of a source offset: the inode of the file now.
const INODE: &str = "inode";
/// The field of a source offset: the birth of that inode.
const BORN: &str = "born";
/// The field of a source offset: what reading on from the position needs to know.
const STATE: &str = "state";

/// The state of a file whose position counts rows: it is known by its whole beginning, and complete.
pub(super) const ROWS: &str = "rows";

/// Up to here every byte is looked at when a file is met again.
const VERIFY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Fewer bytes in common than these prove nothing of a file of another name: they may be a heading that many have.
pub(super) const PROOF_BYTES_MIN: u64 = 256;

/// How far a file was read, and what was there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub(super) position: u64,
    /// CRC-32C over the first [`HEAD_BYTES`] before the position; `None`: a user set the offset.
    pub(super) fingerprint: Option<u32>,
    pub(super) checksum: Option<u32>,
    pub(super) state: Option<Arc<str>>,
}

/// A file's history: one source partition.
#[derive(Debug, Clone)]
pub(super) struct Lineage {
    pub(super) partition: Arc<OffsetMap>,
    /// The path by which it was last known here, or first known at all.
    pub(super) path: PathBuf,
    /// The inode, without a device, as devices have other numbers after a restart.
    pub(super) inode: Option<(u64, Option<i64>)>,
    pub(super) mark: Mark,
}

/// The names of a source offset's fields, shared by all.
#[derive(Debug, Clone)]
pub(super) struct Names {
    position: Arc<str>,
    fingerprint: Arc<str>,
    checksum: Arc<str>,
    inode: Arc<str>,
    born: Arc<str>,
    state: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            position: POSITION.into(),
            fingerprint: FINGERPRINT.into(),
            checksum: CHECKSUM.into(),
            inode: INODE.into(),
            born: BORN.into(),
            state: STATE.into(),
        }
    }
}

impl Names {
    /// A source offset, its fields in the order in which they are kept: one is made for each record.
    pub(super) fn offset(&self, mark: &Mark, identity: Identity) -> OffsetMap {
        let mut offset = OffsetMap::new();
        if let Some(born) = identity.born {
            offset = offset.with(Arc::clone(&self.born), born);
        }
        for (name, number) in [
            (&self.checksum, mark.checksum),
            (&self.fingerprint, mark.fingerprint),
        ] {
            if let Some(number) = number {
                offset = offset.with(Arc::clone(name), i64::from(number));
            }
        }
        offset = offset
            .with(Arc::clone(&self.inode), identity.number.cast_signed())
            .with(Arc::clone(&self.position), mark.position.cast_signed());
        if let Some(state) = &mark.state {
            offset = offset.with(Arc::clone(&self.state), Arc::clone(state));
        }
        offset
    }
}

impl Lineage {
    /// It is read up to there, in this file.
    pub(super) fn is_done(&mut self, mark: Mark, identity: Identity) {
        self.mark = mark;
        self.inode = Some((identity.number, identity.born));
    }

    /// The history of a file that nobody knows, which begins.
    pub(super) fn begin(path: &Path, identity: Identity, generation: u32) -> Self {
        let born = identity.born.unwrap_or(0);
        let text = format!("{}-{born}-{generation}", identity.number);
        let partition = OffsetMap::new()
            .with(FILENAME, &*path.to_string_lossy())
            .with(IDENTITY, text.as_str());
        Self {
            partition: Arc::new(partition),
            path: path.to_path_buf(),
            inode: Some((identity.number, identity.born)),
            mark: Mark {
                fingerprint: Some(0),
                checksum: Some(0),
                ..Mark::default()
            },
        }
    }

    /// What a committed offset says.
    ///
    /// # Errors
    /// If it says nothing of the kind.
    pub(super) fn read(partition: &OffsetMap, offset: &OffsetMap) -> Result<Self, Error> {
        let wrong = || {
            Error::fatal(format!(
                "the source offset of {partition} is {offset}, which has no position"
            ))
        };
        let path = partition.get_str(FILENAME).ok_or_else(wrong)?;
        let position = match offset.get(POSITION) {
            None | Some(OffsetValue::Null) => 0,
            Some(OffsetValue::Int64(position)) => u64::try_from(*position).map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        let number = |field| {
            offset
                .get_int64(field)
                .and_then(|number| u32::try_from(number).ok())
        };
        let inode = offset.get_int64(INODE).map(i64::cast_unsigned);
        Ok(Self {
            partition: Arc::new(partition.clone()),
            path: path.into(),
            inode: inode.map(|inode| (inode, offset.get_int64(BORN))),
            mark: Mark {
                position,
                fingerprint: number(FINGERPRINT),
                checksum: number(CHECKSUM),
                state: offset.get_str(STATE).map(Arc::from),
            },
        })
    }

    /// The number of the inode with which it began; of an offset that a user set there is none.
    pub(super) fn first_inode(&self) -> Option<u64> {
        first_inode(&self.partition)
    }

    /// Whether it is of the inode with which it began.
    pub(super) fn is_where_it_began(&self) -> bool {
        let first = self.first_inode();
        first.is_some() && first == self.inode.map(|(number, _)| number)
    }

    /// How often the file was begun anew.
    pub(super) fn generation(&self) -> u32 {
        generation(&self.partition)
    }

    /// The task that reads it, of so many.
    pub(super) fn task(&self, tasks: u32) -> u32 {
        match self.first_inode() {
            Some(inode) => task_of(inode, tasks),
            None => crc32c::crc32c(self.path.as_os_str().as_encoded_bytes()) % tasks,
        }
    }

    /// Whether it was last seen as this file, going by the inode, or by the path where a user set the offset.
    pub(super) fn points_to(&self, path: &Path, identity: Identity) -> bool {
        match self.inode {
            Some((number, born)) => {
                let same_birth = born.zip(identity.born).is_none_or(|(one, other)| one == other);
                number == identity.number && same_birth
            }
            None => self.path == path,
        }
    }
}

/// See [`Lineage::first_inode`].
pub(super) fn first_inode(partition: &OffsetMap) -> Option<u64> {
    let text = partition.get_str(IDENTITY)?;
    text.split('-').next()?.parse().ok()
}

/// See [`Lineage::generation`].
pub(super) fn generation(partition: &OffsetMap) -> u32 {
    let text = partition.get_str(IDENTITY).unwrap_or_default();
    text.rsplit('-')
        .next()
        .and_then(|part| part.parse().ok())
        .unwrap_or(0)
}

/// The task that begins a file of that inode.
pub(super) fn task_of(inode: u64, tasks: u32) -> u32 {
    crc32c::crc32c(&inode.to_le_bytes()) % tasks
}

impl Mark {
    /// Whether a file holds what was read, as far as its length and beginning tell, and, up to a bound, all of it.
    pub(super) fn is_of(&self, content: &mut Content, thoroughly: bool) -> io::Result<bool> {
        if self.state.as_deref() == Some(ROWS) {
            return Ok(Some(crc32c::crc32c(&content.head()?)) == self.fingerprint);
        }
        if self.position == 0 || self.fingerprint.is_none() {
            return Ok(content.is_compressed() || content.file().metadata()?.len() >= self.position);
        }
        if !content.is_compressed() && content.file().metadata()?.len() < self.position {
            return Ok(false);
        }
        if fingerprint(&content.head()?, self.position) != self.fingerprint {
            return Ok(false);
        }
        match self.checksum {
            Some(checksum) if thoroughly && self.position <= VERIFY_BYTES_MAX => {
                Ok(content.checksum(self.position)? == Some(checksum))
            }
            _ => Ok(true),
        }
    }

    /// Whether a file is a copy: it holds every byte that was read.
    pub(super) fn is_copied_in(&self, content: &mut Content) -> io::Result<bool> {
        Ok(self.checksum.is_some() && content.checksum(self.position)? == self.checksum)
    }
}

/// The checksum over what of the head lies before `position`; `None` if the file is shorter than that.
pub(super) fn fingerprint(head: &[u8], position: u64) -> Option<u32> {
    let length = usize::try_from(position).unwrap_or(usize::MAX).min(HEAD_BYTES);
    head.get(..length).map(crc32c::crc32c)
}

/// Histories by what their files begin with.
#[derive(Debug, Default)]
pub(super) struct Beginnings(BTreeMap<usize, BTreeMap<u32, Vec<usize>>>);

impl Beginnings {
    /// Adds a history by its place in some list.
    pub(super) fn add(&mut self, place: usize, mark: &Mark) {
        if let (Some(fingerprint), 1..) = (mark.fingerprint, mark.position) {
            let length = usize::try_from(mark.position)
                .unwrap_or(usize::MAX)
                .min(HEAD_BYTES);
            self.0
                .entry(length)
                .or_default()
                .entry(fingerprint)
                .or_default()
                .push(place);
        }
    }

    /// The places of those with which a file begins.
    pub(super) fn of(&self, head: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let (mut checksum, mut done) = (0, 0);
        for (length, known) in self.0.range(..=head.len()) {
            checksum = crc32c::crc32c_append(checksum, &head[done..*length]);
            done = *length;
            found.extend(known.get(&checksum).into_iter().flatten());
        }
        found
    }
}
