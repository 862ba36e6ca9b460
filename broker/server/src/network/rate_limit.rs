//! At most one log line a second and peer, whatever a peer sends (faults B26): bounded memory, no lock.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Slots; peers whose addresses share one also share its line a second.
const SLOTS: usize = 1024;

/// Remembers, for each hash of an address, the second of its last line.
#[derive(Debug)]
pub(crate) struct LogLimit {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    start: Instant,
}

impl LogLimit {
    /// Nothing has been logged yet. `start` is the moment that seconds are counted from.
    pub(crate) fn new(start: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self {
            slots,
            hasher: RandomState::new(),
            start,
        }
    }

    /// Whether a line about `peer` may be written at `now`; taking it uses it up.
    pub(crate) fn allows(&self, peer: IpAddr, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.start).as_secs() + 1;
        let index = usize::try_from(self.hasher.hash_one(peer) % SLOTS as u64).unwrap_or(0);
        self.slots[index].swap(second, Ordering::Relaxed) != second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_line_a_second_for_a_peer() {
        let start = Instant::now();
        let limit = LogLimit::new(start);
        let peer = IpAddr::from([127, 0, 0, 1]);
        let allowed: Vec<bool> = [0, 1, 999, 1000, 1500, 3000]
            .into_iter()
            .map(|ms| limit.allows(peer, start + Duration::from_millis(ms)))
            .collect();
        assert_eq!(allowed, [true, false, false, true, false, true]);
    }
}
