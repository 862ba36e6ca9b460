//! The short way of records that follow each other into one file. Most records are like the one before: with Kafka's own
//! partitions for folders, what decides about a file changes with its count, with the time of records, and when its memory is
//! looked at. As long as none of that comes, a record costs no more than its writing.

use forebay_connect_api::Timestamp;

use super::{
    open_file::{FileKey, OpenFiles},
    partition::RECORDS_PER_LOOK,
    take::Record,
};
use crate::rotation::Rotation;

/// Where records go that come next. It holds for so many of them, and only while nothing else changes their partition.
#[derive(Debug)]
pub(super) struct Lane {
    key: FileKey,
    records: u64,
    /// Records of this time or a later one may close files.
    time_end: Option<Timestamp>,
}

impl Lane {
    /// Into that file, until it is to be looked at. `None` if the next record is the one to look at it.
    pub(super) fn of(key: &FileKey, open: &OpenFiles, rotation: &Rotation) -> Option<Self> {
        let file = open.get(key)?;
        let until_full = rotation.records_max.checked_sub(file.records)?;
        let until_look = RECORDS_PER_LOOK - file.records % RECORDS_PER_LOOK;
        // Of all files, as a record closes those of other schemas, too.
        let ends = open
            .iter()
            .filter_map(|file| rotation.due_before_from(file.opened));
        Some(Self {
            key: key.clone(),
            records: until_full
                .min(until_look)
                .checked_sub(1)
                .filter(|records| *records > 0)?,
            time_end: ends.chain(open.due_at()).min(),
        })
    }

    pub(super) fn key(&self) -> &FileKey {
        &self.key
    }

    /// Whether the next record goes there, if its file takes it. It then counts.
    pub(super) fn takes(&mut self, record: Record<'_>) -> bool {
        let in_time = self.time_end.is_none_or(|end| record.timestamp < end);
        let takes = in_time && self.records > 0 && !record.cell.is_null();
        self.records -= u64::from(takes);
        takes
    }
}
