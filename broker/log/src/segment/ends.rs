//! Where slices of a segment have ended: a consumer that reads on begins there, and needs no index to find the place. Each reader that reads
//! on needs one place, however fast it is and however many others there are; those who jump about, and those whom nothing was given, take
//! nobody's.

use std::sync::{Mutex, TryLockError};

use forebay_records::Offset;

use crate::locks::lock;

/// Readers of one segment that are remembered: some three kilobytes.
pub(crate) const REMEMBERED_MAX: usize = 128;

/// A few positions with the offset at which the batch there is to be read.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    places: Vec<Place>,
    /// Counts what was remembered.
    clock: u64,
    /// How often the segment was cut: what was found before it may be false after.
    cuts: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: Offset,
    position: u64,
    worth: Worth,
}

/// The least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// A reader has gone on from here at this time. Another one may come by.
    Left(u64),
    /// A read has ended here then.
    Reached(u64),
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
            .find(|place| place.offset == offset)
            .map(|place| place.position)
    }

    /// A read from `from` has ended: the first batch with `end` or a later offset begins at `position`, or will. Found when the
    /// segment had been cut `cuts` times.
    pub(super) fn remember(&self, from: Offset, (end, position): (Offset, u64), cuts: u32) {
        let mut remembered = lock(&self.0);
        let remembered = &mut *remembered;
        if remembered.cuts != cuts {
            return;
        }
        remembered.clock += 1;
        let now = remembered.clock;
        let places = &mut remembered.places;
        let reached = Place {
            offset: end,
            position,
            worth: Worth::Reached(now),
        };
        if from != end
            && let Some(left) = places.iter_mut().find(|place| place.offset == from)
        {
            left.worth = Worth::Left(now);
        }
        if let Some(known) = places.iter_mut().find(|place| place.offset == end) {
            *known = reached;
        } else if from == end {
            // Nothing was given: who asks here again may as well look for it again.
        } else if places.len() < REMEMBERED_MAX {
            places.push(reached);
        } else if let Some(least) = places.iter_mut().min_by_key(|place| place.worth) {
            *least = reached;
        }
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

    const READERS: i64 = REMEMBERED_MAX as i64;

    /// A read of one record at `from`; gives whether its place was known.
    fn read_on(ends: &Ends, from: i64) -> bool {
        let known = ends.position_of(Offset(from));
        assert!(known.is_none_or(|position| position == from as u64 * 10));
        ends.remember(
            Offset(from),
            (Offset(from + 1), (from as u64 + 1) * 10),
            ends.cuts(),
        );
        known.is_some()
    }

    #[test]
    fn a_fast_reader_does_not_put_out_slow_ones() {
        let ends = Ends::default();
        // Each far behind the one before; one place is the fast one's.
        let mut slow: Vec<i64> = (1..READERS).map(|number| number * 1_000_000).collect();
        for at in &mut slow {
            assert!(!read_on(&ends, *at));
            *at += 1;
        }
        let mut fast = 0;
        for round in 0..50 {
            for _ in 0..10 * READERS {
                assert!(read_on(&ends, fast) || fast == 0, "{round}");
                fast += 1;
            }
            for at in &mut slow {
                assert!(read_on(&ends, *at), "{round}");
                *at += 1;
            }
        }
    }

    #[test]
    fn two_readers_share_their_places() {
        let ends = Ends::default();
        for at in 0..1000 {
            for reader in 0..2 {
                assert!(read_on(&ends, at) || at == 0, "{at}, {reader}");
            }
        }
    }

    #[test]
    fn who_is_given_nothing_takes_nobodys_place() {
        let ends = Ends::default();
        for at in 0..READERS {
            read_on(&ends, at * 100);
        }
        for at in 0..10 * READERS {
            ends.remember(Offset(at * 7), (Offset(at * 7), at as u64 * 70), ends.cuts());
        }
        for at in 0..READERS {
            assert!(read_on(&ends, at * 100 + 1), "{at}");
        }
    }

    #[test]
    fn the_oldest_place_goes_and_all_of_them_at_a_cut() {
        let ends = Ends::default();
        for at in 0..=READERS {
            read_on(&ends, at * 100);
        }
        assert_eq!(ends.position_of(Offset(1)), None, "the oldest has made room");
        assert_eq!(ends.position_of(Offset(101)), Some(1010));
        ends.remember(Offset(100), (Offset(101), 11), ends.cuts());
        assert_eq!(ends.position_of(Offset(101)), Some(11), "the later one counts");
        let before = ends.cuts();
        ends.forget();
        assert_eq!(ends.position_of(Offset(101)), None);
        ends.remember(Offset(100), (Offset(101), 11), before);
        assert_eq!(ends.position_of(Offset(101)), None, "found before the cut");
    }
}
