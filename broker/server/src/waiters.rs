//! Who waits for a partition to move (Kafka's purgatory, without its polling): a fetch registers at its partitions, then
//! looks once more, then sleeps until an append, a deletion or a shutdown wakes it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// One waiting request; it may be registered at many partitions.
#[derive(Debug, Default)]
pub(crate) struct Waiter {
    notify: Notify,
}

impl Waiter {
    /// Waits for the next wake-up since the last one that was waited for; one that came in between is not lost.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn wake(&self) {
        self.notify.notify_one();
    }
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Vec<Arc<Waiter>>>);

impl Waiters {
    /// Registers `waiter` until the returned guard is dropped.
    pub(crate) fn register(self: &Arc<Self>, waiter: &Arc<Waiter>) -> Registration {
        self.lock().push(Arc::clone(waiter));
        Registration {
            waiters: Arc::clone(self),
            waiter: Arc::clone(waiter),
        }
    }

    /// Wakes everyone; they stay registered.
    pub(crate) fn wake_all(&self) {
        for waiter in self.lock().iter() {
            waiter.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the waiters of a partition; dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Registration {
    waiters: Arc<Waiters>,
    waiter: Arc<Waiter>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut waiters = self.waiters.lock();
        if let Some(index) = waiters.iter().position(|one| Arc::ptr_eq(one, &self.waiter)) {
            waiters.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_before_the_wait_is_not_lost() {
        let partitions = [Arc::new(Waiters::default()), Arc::new(Waiters::default())];
        let waiter = Arc::new(Waiter::default());
        let registrations: Vec<Registration> = partitions.iter().map(|one| one.register(&waiter)).collect();
        partitions[1].wake_all();
        waiter.woken().await;
        drop(registrations);
        assert!(partitions.iter().all(|one| one.lock().is_empty()));
    }
}
