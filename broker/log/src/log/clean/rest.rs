//! When there is little room to compact a log: what there is belongs to those who append, but for what a group needs whose replaced segments
//! go at once. Where there is none the log lets others have their turn, which may make some.

use forebay_disk::{Error as DiskError, Operation};
use forebay_records::Timestamp;

use crate::error::Result;
use crate::locks::lock;
use crate::log::Log;

/// For how long a log is passed over that found no room, doubled each time.
const REST_MS_MIN: i64 = 15_000;
const REST_MS_MAX: i64 = 15 * 60_000;
/// What a cleaner leaves of the disk: so many bytes, but of a small one only this part.
const ROOM_BYTES_MIN: u64 = 64 * 1024 * 1024;
const ROOM_PART_MIN: u64 = 20;
/// Where there is no more than that anyway: this part of it.
const SHORT_PART_MIN: u64 = 4;

/// Until when a log is passed over.
#[derive(Debug, Default)]
pub(in crate::log) struct Rest {
    until: Option<Timestamp>,
    next_ms: i64,
}

impl Log {
    /// Whether it is passed over, as there was no room to compact it.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        lock(&self.rest).until.is_some_and(|until| now < until)
    }

    /// There was no room to compact it: of disk, memory or descriptors.
    pub(crate) fn rest(&self, now: Timestamp) {
        let mut rest = lock(&self.rest);
        rest.next_ms = (rest.next_ms * 2).clamp(REST_MS_MIN, REST_MS_MAX);
        rest.until = Some(now + rest.next_ms);
    }

    /// It was compacted.
    pub(crate) fn end_rest(&self) {
        *lock(&self.rest) = Rest::default();
    }

    /// Whether a cleaner may write so many bytes; `is_short`: that are all that a group needs, whose space then is free at once.
    ///
    /// # Errors
    /// Lack of space, before those who append notice it.
    pub(super) fn ensure_room(&self, bytes: u64, is_short: bool) -> Result<()> {
        // Who cannot say how much there is says so when there is none.
        let Ok(Some(space)) = self.disk.space(&self.folder) else {
            return Ok(());
        };
        let left = if is_short {
            space.usable / SHORT_PART_MIN
        } else {
            ROOM_BYTES_MIN.min(space.total / ROOM_PART_MIN)
        };
        if space.usable >= left.saturating_add(bytes) {
            return Ok(());
        }
        let (operation, path) = (Operation::Write, self.folder.clone());
        Err(DiskError::NoSpace { operation, path }.into())
    }
}
