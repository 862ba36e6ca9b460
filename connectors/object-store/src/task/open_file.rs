//! One file that takes records, and the open files of one partition.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{Error, NO_TIMESTAMP, Offset, Timestamp};

use crate::{
    format::Writer,
    rotation::{Opened, Rotation},
};

/// Files of different kinds that one encoded partition may have open.
const KINDS_MAX: usize = 4;

/// A file that is open.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) writer: Box<dyn Writer>,
    pub(super) records: u64,
    /// Where its range begins.
    pub(super) start: Offset,
    /// The offsets of its first and last record.
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) opened: Opened,
    /// The writer's memory when it was looked at last.
    pub(super) bytes: usize,
    /// Whether it took records since.
    pub(super) has_grown: bool,
    /// What tells its records from those of its siblings.
    pub(super) kind: Option<String>,
    /// Whether another file of its encoded partition was open at the same time, for records of another schema.
    pub(super) has_sibling: bool,
}

/// By encoded partition, and there by schema.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    by_partition: BTreeMap<Arc<str>, Vec<OpenFile>>,
    count: usize,
    bytes: usize,
    /// No file is due before, by the wall clock.
    deadline: Option<Timestamp>,
    /// No file is due before, by the time of records.
    due_at: Option<Timestamp>,
}

/// Which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileKey {
    pub(super) encoded: Arc<str>,
    index: usize,
}

impl OpenFiles {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &OpenFile> {
        self.by_partition.values().flatten()
    }

    fn entries(&self) -> impl Iterator<Item = (FileKey, &OpenFile)> {
        self.by_partition.iter().flat_map(|(encoded, files)| {
            files.iter().enumerate().map(move |(index, file)| {
                let encoded = Arc::clone(encoded);
                (FileKey { encoded, index }, file)
            })
        })
    }

    /// The files of an encoded partition.
    pub(super) fn of(&mut self, encoded: &str) -> &mut [OpenFile] {
        self.by_partition.get_mut(encoded).map_or(&mut [], |files| files)
    }

    pub(super) fn get(&self, key: &FileKey) -> Option<&OpenFile> {
        self.by_partition.get(&key.encoded)?.get(key.index)
    }

    pub(super) fn get_mut(&mut self, key: &FileKey) -> Option<&mut OpenFile> {
        self.by_partition.get_mut(&key.encoded)?.get_mut(key.index)
    }

    /// The time of records before which no file is due by it.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }

    pub(super) fn key(encoded: &Arc<str>, index: usize) -> FileKey {
        FileKey {
            encoded: Arc::clone(encoded),
            index,
        }
    }

    /// One more file. Its siblings are not the only one of their encoded partition any more.
    pub(super) fn add(&mut self, encoded: &Arc<str>, mut file: OpenFile, rotation: &Rotation) -> FileKey {
        let earlier = |known: Option<Timestamp>, other: Option<Timestamp>| match (known, other) {
            (Some(known), Some(other)) => Some(known.min(other)),
            (known, other) => known.or(other),
        };
        self.deadline = earlier(self.deadline, rotation.deadline(file.opened));
        self.due_at = earlier(self.due_at, rotation.due_at(file.opened));
        let files = self.by_partition.entry(Arc::clone(encoded)).or_default();
        for sibling in files.iter_mut() {
            sibling.has_sibling = true;
            file.has_sibling = true;
        }
        self.count += 1;
        self.bytes += file.bytes;
        files.push(file);
        Self::key(encoded, files.len() - 1)
    }

    pub(super) fn remove(&mut self, key: &FileKey) -> Option<OpenFile> {
        let files = self.by_partition.get_mut(&key.encoded)?;
        if key.index >= files.len() {
            return None;
        }
        let file = files.remove(key.index);
        if files.is_empty() {
            self.by_partition.remove(&key.encoded);
        }
        self.count -= 1;
        self.bytes -= file.bytes;
        if self.count == 0 {
            (self.deadline, self.due_at) = (None, None);
        }
        Some(file)
    }

    /// Looks at a file's memory again.
    pub(super) fn look_at(&mut self, key: &FileKey) {
        let files = self.by_partition.get_mut(&key.encoded);
        if let Some(file) = files.and_then(|files| files.get_mut(key.index)) {
            look(file, &mut self.bytes);
        }
    }

    /// Looks at the memory of all files that took records.
    pub(super) fn look_at_all(&mut self) {
        for file in self
            .by_partition
            .values_mut()
            .flatten()
            .filter(|file| file.has_grown)
        {
            look(file, &mut self.bytes);
        }
    }

    /// A file of an encoded partition that has to go before one of this kind is opened there.
    pub(super) fn in_the_way(&self, encoded: &Arc<str>, kind: Option<&str>) -> Option<FileKey> {
        let files = self.by_partition.get(encoded)?;
        let same = files
            .iter()
            .position(|file| file.kind.is_none() || kind.is_none() || file.kind.as_deref() == kind);
        let is_full = files.len() >= KINDS_MAX;
        same.or(is_full.then_some(0))
            .map(|index| Self::key(encoded, index))
    }

    /// The largest one.
    pub(super) fn largest(&self) -> Option<(FileKey, usize)> {
        let sizes = self.entries().map(|(key, file)| (key, file.bytes));
        sizes
            .max_by_key(|(_, bytes)| *bytes)
            .filter(|(_, bytes)| *bytes > 0)
    }

    /// The one whose last record is the oldest.
    pub(super) fn longest_unused(&self) -> Option<FileKey> {
        let oldest = self.entries().min_by_key(|(_, file)| file.last);
        oldest.map(|(key, _)| key)
    }

    /// Any file that is not of this encoded partition.
    pub(super) fn elsewhere(&self, encoded: &str) -> Option<FileKey> {
        let mut others = self.entries().filter(|(key, _)| *key.encoded != *encoded);
        others.next().map(|(key, _)| key)
    }

    /// Not before this time a file is due by the wall clock.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// A file whose time has come by the wall clock.
    pub(super) fn due_by_clock(&mut self, rotation: &Rotation, now: Timestamp) -> Option<FileKey> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        let due = self.first_due(|file| rotation.deadline(file.opened));
        self.deadline = due.as_ref().map(|(deadline, _)| *deadline);
        due.filter(|(deadline, _)| *deadline <= now).map(|(_, key)| key)
    }

    /// A file whose time has come as the partition's records are that far.
    pub(super) fn due_by_records(&mut self, rotation: &Rotation, watermark: Timestamp) -> Option<FileKey> {
        if watermark == NO_TIMESTAMP || self.due_at.is_none_or(|due_at| due_at > watermark) {
            return None;
        }
        let due = self.first_due(|file| rotation.due_at(file.opened));
        self.due_at = due.as_ref().map(|(due_at, _)| *due_at);
        due.filter(|(due_at, _)| *due_at <= watermark).map(|(_, key)| key)
    }

    fn first_due(&self, due_at: impl Fn(&OpenFile) -> Option<Timestamp>) -> Option<(Timestamp, FileKey)> {
        let due = self
            .entries()
            .filter_map(|(key, file)| Some((due_at(file)?, key)));
        due.min_by_key(|(due_at, _)| *due_at)
    }
}

fn look(file: &mut OpenFile, sum: &mut usize) {
    *sum -= file.bytes;
    file.bytes = file.writer.bytes();
    file.has_grown = false;
    *sum += file.bytes;
}

impl OpenFile {
    /// What its objects' name says of its schema, if it has to.
    pub(super) fn schema(&self) -> Option<String> {
        self.kind.clone().filter(|_| self.has_sibling)
    }

    /// A record more is in it.
    pub(super) fn took(&mut self, offset: Offset, now: Timestamp) {
        self.records += 1;
        self.last = offset;
        self.opened.touched = now;
        self.has_grown = true;
    }

    /// The whole content.
    pub(super) fn finish(self) -> Result<bytes::Bytes, Error> {
        self.writer.finish()
    }
}
