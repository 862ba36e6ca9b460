//! When the active segment is filled ahead with zeros: where every append waits for a sync (`flush.messages=1`), once some
//! have, and while one sync covers little. Large syncs gain nothing from it, and it would double what they write.

use forebay_records::{Offset, Timestamp};

use super::Log;
use crate::error::Result;
use crate::locks::lock;
use crate::segment::{Filled, Segment};

/// Bytes that are filled ahead, at least and at most; more the faster they are used up.
const AHEAD_BYTES_MIN: u64 = 1024 * 1024;
const AHEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A sync that covers more, on the average, needs no zeros.
const SYNC_BYTES_MAX: u64 = 1024 * 1024;
/// Syncs that a log must have seen: most partitions are written now and then, and their files stay as small as they are.
const SYNCS_MIN: u32 = 8;
/// Zeros that were used up sooner are doubled the next time, and halved if they last longer.
const TOO_SOON_MS: i64 = 5_000;
const TOO_LONG_MS: i64 = 60_000;

/// What a log remembers of its syncs.
#[derive(Debug)]
pub(super) struct Ahead {
    syncs: u32,
    /// The average of what the last few covered.
    sync_bytes: u64,
    /// Where the last one ended: the segment's base offset, and the size it had.
    synced: (Offset, u64),
    ahead_bytes: u64,
    filled_at: Timestamp,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead {
            syncs: 0,
            sync_bytes: 0,
            synced: (Offset::ZERO, 0),
            ahead_bytes: AHEAD_BYTES_MIN,
            filled_at: Timestamp(0),
        }
    }
}

impl Ahead {
    fn note_sync(&mut self, base_offset: Offset, size: u64) {
        let (before, start) = self.synced;
        self.synced = (base_offset, size);
        if before != base_offset || size <= start {
            return;
        }
        let covered = size - start;
        self.sync_bytes = (self.sync_bytes * 7 + covered) / 8;
        self.syncs = self.syncs.saturating_add(1);
    }

    fn wants(&self, segment: &Segment, segment_bytes: u64) -> bool {
        let left = segment.zeros_left();
        self.syncs >= SYNCS_MIN
            && self.sync_bytes <= SYNC_BYTES_MAX
            && left < self.ahead_bytes / 2
            && segment.size() + left < segment_bytes
            && segment.takes_zeros()
    }

    fn note_fill(&mut self, now: Timestamp) {
        let lasted = now - self.filled_at;
        self.filled_at = now;
        let bytes = match lasted {
            ..TOO_SOON_MS => self.ahead_bytes * 2,
            TOO_LONG_MS.. => self.ahead_bytes / 2,
            _ => self.ahead_bytes,
        };
        self.ahead_bytes = bytes.clamp(AHEAD_BYTES_MIN, AHEAD_BYTES_MAX);
    }
}

impl Log {
    /// Whether [`Log::fill_ahead`] would make the next syncs shorter.
    pub fn wants_zeros(&self) -> bool {
        let config = self.config();
        if config.flush_messages != 1 {
            return false;
        }
        let active = self.active();
        active.is_some_and(|active| lock(&self.ahead).wants(&active, config.segment_bytes))
    }

    /// Fills the active segment ahead with zeros, in the background of appends: they go on, while a sync waits for this one's.
    ///
    /// # Errors
    /// As [`Log::sync`]. Lack of space is none.
    pub fn fill_ahead(&self, now: Timestamp) -> Result<Filled> {
        let _syncing = lock(&self.syncing);
        self.check(&lock(&self.writer))?;
        let Some(active) = self.active() else {
            return Ok(Filled::Nothing);
        };
        let file = active.file().map_err(|error| self.directory.judge(error))?;
        let ahead_bytes = {
            let mut ahead = lock(&self.ahead);
            ahead.note_fill(now);
            ahead.ahead_bytes
        };
        match active.fill_ahead(&*file, ahead_bytes, self.config().segment_bytes) {
            Ok(filled) => {
                // Another log of the directory may have failed meanwhile.
                self.directory.check()?;
                Ok(filled)
            }
            Err(error) => {
                // A deletion meanwhile has taken the folder away: no fault of the disk's.
                self.check(&lock(&self.writer))?;
                Err(self.directory.fail(&error))
            }
        }
    }

    /// A sync has covered the active segment up to `size`.
    pub(super) fn note_sync(&self, base_offset: Offset, size: u64) {
        lock(&self.ahead).note_sync(base_offset, size);
    }
}
