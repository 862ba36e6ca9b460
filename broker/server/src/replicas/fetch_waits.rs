//! Fetches that wait for records: the purgatory of `forebay-broker-partition` behind a lock, and whom to wake.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use forebay_broker_partition::{FetchPurgatory, FetchWaiter};
use tokio::sync::oneshot;

/// All fetches that wait on this broker. Its lock is taken while a partition's is held, never the other way round.
#[derive(Debug, Default)]
pub(crate) struct FetchWaits(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    purgatory: FetchPurgatory,
    wakers: HashMap<FetchWaiter, oneshot::Sender<()>>,
}

impl FetchWaits {
    /// A fetch begins to wait for `min_bytes` from its partitions; the receiver hears when there are so many. Its time limit
    /// is the caller's to watch.
    pub(crate) fn register(&self, min_bytes: u64, partitions: usize) -> (FetchWaiter, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut waits = self.lock();
        let waiter = waits.purgatory.register(min_bytes, partitions);
        waits.wakers.insert(waiter, sender);
        (waiter, receiver)
    }

    /// The partition at `index` of a fetch can give so many bytes.
    pub(crate) fn progress(&self, waiter: FetchWaiter, index: usize, available_bytes: u64) {
        let mut waits = self.lock();
        if waits.purgatory.progress(waiter, index, available_bytes) {
            waits.wake(waiter);
        }
    }

    /// A partition of a fetch has something else to say.
    pub(crate) fn wake(&self, waiter: FetchWaiter) {
        let mut waits = self.lock();
        if waits.purgatory.wake(waiter) {
            waits.wake(waiter);
        }
    }

    /// The fetch no longer waits.
    pub(crate) fn cancel(&self, waiter: FetchWaiter) {
        let mut waits = self.lock();
        waits.purgatory.cancel(waiter);
        waits.wakers.remove(&waiter);
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    fn wake(&mut self, waiter: FetchWaiter) {
        if let Some(sender) = self.wakers.remove(&waiter) {
            // The fetch may have given up a moment ago.
            let _gone = sender.send(());
        }
    }
}
