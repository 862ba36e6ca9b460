//! One memory budget for all open files of the process, whatever task has them (`worker.max.buffer.bytes`): beyond it, tasks that have
//! more than their share give back until it is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

/// The budget of this process.
pub(crate) static WORKER: LazyLock<Arc<Budget>> = LazyLock::new(Arc::default);

/// Who has how much.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Shares>);

#[derive(Debug, Default)]
struct Shares {
    next: u64,
    tasks: BTreeMap<u64, Taken>,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    bytes: usize,
    /// What the task's configuration says of all tasks together; the least of all counts.
    bytes_max: usize,
}

/// What one task takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    number: u64,
}

impl Budget {
    /// One more task.
    pub(crate) fn join(self: &Arc<Self>, bytes_max: usize) -> Share {
        let mut shares = self.lock();
        let number = shares.next;
        shares.next += 1;
        let taken = Taken { bytes: 0, bytes_max };
        shares.tasks.insert(number, taken);
        Share {
            budget: Arc::clone(self),
            number,
        }
    }

    /// What all tasks take.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn bytes(&self) -> usize {
        self.tasks.values().map(|taken| taken.bytes).sum()
    }
}

impl Share {
    /// Says what the task takes now, and hears how much of it is too much: what all take beyond the budget, but no more than
    /// what this one has beyond an equal part of it. Who has the most always has to give.
    pub(crate) fn set(&self, bytes: usize) -> usize {
        let mut shares = self.budget.lock();
        if let Some(taken) = shares.tasks.get_mut(&self.number) {
            taken.bytes = bytes;
        }
        Self::excess_of(&shares, bytes)
    }

    /// How much of what it takes is too much.
    pub(crate) fn excess(&self) -> usize {
        let shares = self.budget.lock();
        let bytes = shares.tasks.get(&self.number).map_or(0, |taken| taken.bytes);
        Self::excess_of(&shares, bytes)
    }

    fn excess_of(shares: &Shares, bytes: usize) -> usize {
        let bytes_max = shares.tasks.values().map(|taken| taken.bytes_max).min();
        let bytes_max = bytes_max.unwrap_or(usize::MAX);
        let equal = bytes_max / shares.tasks.len().max(1);
        let beyond = shares.bytes().saturating_sub(bytes_max);
        beyond.min(bytes.saturating_sub(equal))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().tasks.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_give_back_who_have_more_than_their_part() {
        let budget = Arc::<Budget>::default();
        let (one, two) = (budget.join(100), budget.join(200));
        assert_eq!(
            (one.set(90), two.set(10)),
            (0, 0),
            "the least bound of all is kept exactly"
        );
        assert_eq!(two.set(11), 0, "it has less than its part");
        assert_eq!((one.excess(), budget.bytes()), (1, 101));
        assert_eq!((one.set(80), two.set(70)), (0, 20));
        assert_eq!(one.excess(), 30);
        assert_eq!((one.set(50), two.excess()), (0, 20));
        drop(one);
        assert_eq!(two.excess(), 0, "its own bound counts now");
        assert_eq!(two.set(201), 1);
    }
}
