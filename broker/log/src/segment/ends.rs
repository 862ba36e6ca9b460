//! Where the last slices of a segment have ended: a consumer that reads on begins there, and needs no index to find the place.

use std::collections::VecDeque;
use std::sync::{Mutex, TryLockError};

use forebay_records::Offset;

use crate::locks::lock;

/// Consumers of one segment that are remembered.
const REMEMBERED_MAX: usize = 16;

/// A few positions with the offset at which the batch there is to be read.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    places: VecDeque<(Offset, u64)>,
    /// How often the segment was cut: what was found before it may be false after.
    cuts: u32,
}

impl Ends {
    /// What [`Ends::remember`] asks for, from before the search.
    pub(super) fn cuts(&self) -> u32 {
        lock(&self.0).cuts
    }

    /// Where the first batch with `offset` or a later one begins, if that is remembered.
    pub(super) fn position_of(&self, offset: Offset) -> Option<u64> {
        let remembered = match self.0.try_lock() {
            Ok(remembered) => remembered,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return None,
        };
        let mut places = remembered.places.iter();
        places
            .find(|(at, _)| *at == offset)
            .map(|(_, position)| *position)
    }

    /// The first batch with `offset` or a later one begins at `position`, or will: found when the segment had been cut `cuts` times.
    pub(super) fn remember(&self, offset: Offset, position: u64, cuts: u32) {
        let mut remembered = lock(&self.0);
        if remembered.cuts != cuts {
            return;
        }
        remembered.places.retain(|(at, _)| *at != offset);
        remembered.places.truncate(REMEMBERED_MAX - 1);
        remembered.places.push_front((offset, position));
    }

    /// The segment is cut.
    pub(super) fn forget(&self) {
        let mut remembered = lock(&self.0);
        remembered.cuts = remembered.cuts.wrapping_add(1);
        remembered.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_until_a_cut() {
        let ends = Ends::default();
        let last = i64::try_from(REMEMBERED_MAX).expect("small");
        for offset in 0..=last {
            ends.remember(Offset(offset), offset as u64 * 10, ends.cuts());
        }
        assert_eq!(ends.position_of(Offset(0)), None, "the oldest has made room");
        assert_eq!(ends.position_of(Offset(1)), Some(10));
        ends.remember(Offset(1), 11, ends.cuts());
        assert_eq!(ends.position_of(Offset(1)), Some(11), "the later one counts");
        assert_eq!(ends.position_of(Offset(2)), Some(20), "and takes nobody's place");
        let before = ends.cuts();
        ends.forget();
        assert_eq!(ends.position_of(Offset(2)), None);
        ends.remember(Offset(2), 20, before);
        assert_eq!(ends.position_of(Offset(2)), None, "found before the cut");
    }
}
