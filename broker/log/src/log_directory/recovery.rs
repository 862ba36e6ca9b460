//! How far the loading of logs is, for whoever asks while it goes on (`remainingLogsToRecover` and `remainingSegmentsToRecover` of
//! Kafka's `LogManager`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::locks::lock;

/// What is left to do. Whoever opens a directory makes it, and looks at it as long as the loading takes.
#[derive(Debug, Default)]
pub struct Recovery {
    logs: AtomicUsize,
    threads: Mutex<Vec<Thread>>,
}

/// A thread that loads one log after the other.
#[derive(Debug, Default)]
struct Thread {
    is_busy: bool,
    segments: Arc<AtomicUsize>,
}

impl Recovery {
    /// Logs that are not loaded yet.
    pub fn remaining_logs(&self) -> usize {
        self.logs.load(Ordering::Relaxed)
    }

    /// Of each thread, the segments that it has still to read through of the log that it is at.
    pub fn remaining_segments(&self) -> Vec<usize> {
        let threads = lock(&self.threads);
        threads
            .iter()
            .map(|thread| thread.segments.load(Ordering::Relaxed))
            .collect()
    }

    /// So many logs are to be loaded, on so many threads.
    pub(super) fn begin(&self, logs: usize, threads: usize) {
        self.logs.store(logs, Ordering::Relaxed);
        lock(&self.threads).resize_with(threads.min(logs), Thread::default);
    }

    /// One of the threads turns to its next log.
    pub(super) fn next_log(&self) -> AtLog<'_> {
        let mut threads = lock(&self.threads);
        let index = match threads.iter().position(|thread| !thread.is_busy) {
            Some(index) => index,
            None => {
                threads.push(Thread::default());
                threads.len() - 1
            }
        };
        threads[index].is_busy = true;
        AtLog {
            recovery: self,
            index,
            segments: Arc::clone(&threads[index].segments),
        }
    }
}

/// A thread is at a log, until this is dropped.
#[derive(Debug)]
pub(super) struct AtLog<'a> {
    recovery: &'a Recovery,
    index: usize,
    segments: Arc<AtomicUsize>,
}

impl AtLog<'_> {
    /// Where the segments that are left of the log are counted.
    pub(super) fn segments(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.segments)
    }
}

impl Drop for AtLog<'_> {
    fn drop(&mut self) {
        self.segments.store(0, Ordering::Relaxed);
        lock(&self.recovery.threads)[self.index].is_busy = false;
        self.recovery.logs.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_becomes_less() {
        let recovery = Recovery::default();
        recovery.begin(3, 2);
        assert_eq!(
            (recovery.remaining_logs(), recovery.remaining_segments()),
            (3, vec![0, 0])
        );
        let (first, second) = (recovery.next_log(), recovery.next_log());
        first.segments().store(4, Ordering::Relaxed);
        second.segments().store(9, Ordering::Relaxed);
        assert_eq!(recovery.remaining_segments(), [4, 9]);
        drop(first);
        assert_eq!(
            (recovery.remaining_logs(), recovery.remaining_segments()),
            (2, vec![0, 9])
        );
        recovery.next_log().segments().store(1, Ordering::Relaxed);
        drop(second);
        assert_eq!(
            (recovery.remaining_logs(), recovery.remaining_segments()),
            (0, vec![0, 0])
        );
        recovery.begin(1, 8);
        assert_eq!(recovery.remaining_segments(), [0], "no more threads than logs");
    }
}
