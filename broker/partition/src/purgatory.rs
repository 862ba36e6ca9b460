//! Fetches that wait, each over several partitions: counts what every partition can give and says, exactly once, when a fetch
//! is to be answered (Kafka's `DelayedFetch` and its purgatory).
//!
//! The contract between the driver, this and the partitions:
//! 1. Check and read all partitions of the fetch. Enough bytes, an error, or no wait allowed: answer, nothing is registered.
//! 2. [`FetchPurgatory::register`] it, and only then give each of its partitions a [`Command::AwaitFetch`](crate::Command::AwaitFetch).
//!    A partition that has moved since the read reports at once, so nothing is missed in between.
//! 3. Hand each [`Action::FetchProgress`](crate::Action::FetchProgress) to [`progress`](FetchPurgatory::progress), each
//!    [`Action::WakeFetch`](crate::Action::WakeFetch) to [`wake`](FetchPurgatory::wake). The first that says so completes the
//!    fetch; later ones for it say no. Its time limit is the driver's to watch: [`cancel`](FetchPurgatory::cancel) ends the wait.
//! 4. On completion, give each partition a [`Command::CancelFetch`](crate::Command::CancelFetch), check and read again, and answer.
//!
//! The partitions may be driven by different tasks; this one structure is then behind one lock, held for these calls only.

use std::collections::HashMap;

use crate::FetchWaiter;

/// All fetches that wait on this broker.
#[derive(Debug, Default)]
pub struct FetchPurgatory {
    fetches: HashMap<FetchWaiter, Delayed>,
    next_waiter: u64,
}

#[derive(Debug)]
struct Delayed {
    min_bytes: u64,
    available_bytes: Vec<u64>,
}

impl FetchPurgatory {
    /// Nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A fetch over `partition_count` partitions waits until they can give `min_bytes` together.
    pub fn register(&mut self, min_bytes: u64, partition_count: usize) -> FetchWaiter {
        let waiter = FetchWaiter(self.next_waiter);
        self.next_waiter += 1;
        // With 0 a fetch would not wait at all; here it waits for the first byte.
        let min_bytes = min_bytes.max(1);
        self.fetches.insert(
            waiter,
            Delayed {
                min_bytes,
                available_bytes: vec![0; partition_count],
            },
        );
        waiter
    }

    /// The partition at `index` can give `available_bytes` now. True if that completes the fetch.
    #[must_use = "true means: answer the fetch"]
    pub fn progress(&mut self, waiter: FetchWaiter, index: usize, available_bytes: u64) -> bool {
        let Some(fetch) = self.fetches.get_mut(&waiter) else {
            return false;
        };
        if let Some(available) = fetch.available_bytes.get_mut(index) {
            *available = available_bytes;
        }
        let total = fetch
            .available_bytes
            .iter()
            .fold(0_u64, |total, bytes| total.saturating_add(*bytes));
        total >= fetch.min_bytes && self.remove(waiter)
    }

    /// A partition of it has something else to say. True if the fetch still waited: it is complete now.
    #[must_use = "true means: answer the fetch"]
    pub fn wake(&mut self, waiter: FetchWaiter) -> bool {
        self.remove(waiter)
    }

    /// The fetch's time is over, or its connection gone. True if it still waited.
    pub fn cancel(&mut self, waiter: FetchWaiter) -> bool {
        self.remove(waiter)
    }

    /// How many fetches wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fetches.len()
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    fn remove(&mut self, waiter: FetchWaiter) -> bool {
        self.fetches.remove(&waiter).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_over_two_partitions_completes_once() {
        let mut purgatory = FetchPurgatory::new();
        let waiter = purgatory.register(100, 2);
        assert!(!purgatory.progress(waiter, 0, 60));
        assert!(
            !purgatory.progress(waiter, 0, 99),
            "a report replaces the one before"
        );
        assert!(
            !purgatory.progress(waiter, 9, 99),
            "an index that the fetch does not have counts nothing"
        );
        assert!(purgatory.progress(waiter, 1, 1));
        assert!(!purgatory.progress(waiter, 1, 1000));
        assert!(!purgatory.wake(waiter));
        assert!(!purgatory.cancel(waiter) && purgatory.is_empty());
    }
}
