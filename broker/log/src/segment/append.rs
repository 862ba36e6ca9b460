//! Appending to a segment, and when it is full.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay_disk::File;
use forebay_records::{Offset, Timestamp};

use super::{Known, Segment};
use crate::error::{Error, Result};
use crate::index::{OffsetEntry, TimeEntry};
use crate::locks::{lock, read_lock, write_lock};

/// What the indexes need to know of an appended batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) size: u64,
}

/// What a segment is compared with before an append (`RollParams`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct RollLimits {
    pub(crate) segment_bytes: u64,
    /// `segment.ms` less its jitter.
    pub(crate) segment_ms: i64,
    pub(crate) segment_index_bytes: u64,
    pub(crate) now: Timestamp,
}

/// A failed append. Nothing of it is in the segment's logical part.
#[derive(Debug)]
pub(crate) struct AppendFailure {
    pub(crate) error: Error,
    /// Whether the file was cut back, so that the next append finds a clean end.
    pub(crate) cut_back: bool,
}

impl Segment {
    /// Whether the segment must be closed before `next` is appended behind `planned`, what is about to be written.
    pub(crate) fn should_roll(&self, limits: &RollLimits, planned: &[Place], next: &[Place]) -> bool {
        let bytes = |places: &[Place]| places.iter().map(|place| place.size).sum::<u64>();
        let size = self.size() + bytes(planned);
        let last_offset = next.last().map_or(self.base_offset, |place| place.last_offset);
        if last_offset - self.base_offset > i64::from(i32::MAX) {
            return true;
        }
        if size == 0 {
            return false;
        }
        let max_timestamp = next.iter().map(|place| place.max_timestamp).max();
        let waited = max_timestamp.map_or(0, |newest| self.time_waited(planned, newest, limits.now));
        let offset_index_bytes = read_lock(&self.offset_index).size_in_bytes();
        let time_index_bytes = read_lock(&self.time_index).size_in_bytes();
        size + bytes(next) > limits.segment_bytes
            || waited > limits.segment_ms
            || offset_index_bytes + 8 > limits.segment_index_bytes
            // One entry is kept free: the last timestamp, when the segment closes.
            || time_index_bytes + 2 * 12 > limits.segment_index_bytes
    }

    /// How much time the segment spans with a record of `newest`; since its creation if its records have no time.
    fn time_waited(&self, planned: &[Place], newest: Timestamp, now: Timestamp) -> i64 {
        let growth = *lock(&self.growth);
        let first = growth
            .first_timestamp
            .or_else(|| planned.first().map(|place| place.max_timestamp));
        match first {
            Some(first) if first.is_some() => newest - first,
            _ => now - growth.created,
        }
    }

    /// Writes batches behind the last one, all or none, and then lets readers and indexes know.
    pub(crate) fn append(
        &self,
        buffers: &mut [IoSlice<'_>],
        places: &[Place],
    ) -> std::result::Result<(), AppendFailure> {
        let size = self.size();
        let file = self.prepare().map_err(|error| AppendFailure {
            error,
            cut_back: true,
        })?;
        let written: u64 = places.iter().map(|place| place.size).sum();
        let mut zeros = self.beyond_zeros(size + written);
        // Before and after: a sync in between may or may not cover the write.
        self.unsynced.store(true, Ordering::Release);
        let outcome = file.write_all_vectored_at(buffers, size);
        self.unsynced.store(true, Ordering::Release);
        if let Err(error) = outcome {
            let zeros = zeros.get_or_insert_with(|| lock(&self.zeros));
            let cut_back = match self.cut_file(zeros, &*file, size) {
                Ok(()) => true,
                Err(second) => {
                    tracing::error!(segment = %self.path.display(), %second, "a torn write cannot be cut off");
                    false
                }
            };
            return Err(AppendFailure {
                error: error.into(),
                cut_back,
            });
        }
        self.size.store(size + written, Ordering::Release);
        self.note(size, places);
        Ok(())
    }

    /// Everything that can fail besides the write itself.
    fn prepare(&self) -> Result<Arc<dyn File>> {
        self.max_timestamp()?;
        write_lock(&self.time_index).prepare()?;
        self.file()
    }

    /// Index entries and timestamps of batches that lie from `position` on.
    fn note(&self, mut position: u64, places: &[Place]) {
        let mut growth = lock(&self.growth);
        if position == 0 {
            growth.first_timestamp = places.first().map(|place| place.max_timestamp);
        }
        let Known::Is(mut max) = growth.max_timestamp else {
            unreachable!("prepare was called")
        };
        for place in places {
            if place.max_timestamp.is_some() && max.is_none_or(|max| place.max_timestamp > max.timestamp) {
                max = Some(TimeEntry {
                    timestamp: place.max_timestamp,
                    offset: place.last_offset,
                });
            }
            if growth.bytes_since_index_entry > self.index_interval_bytes {
                let entry = OffsetEntry {
                    last_offset: place.last_offset,
                    position,
                };
                write_lock(&self.offset_index).append(entry);
                if let Some(max) = max {
                    write_lock(&self.time_index).maybe_append(max);
                }
                growth.bytes_since_index_entry = 0;
            }
            position += place.size;
            growth.bytes_since_index_entry += place.size;
        }
        growth.max_timestamp = Known::Is(max);
    }
}
