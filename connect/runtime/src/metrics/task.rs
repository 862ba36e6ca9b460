//! What one task counts.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use forebay_connect_api::Progress;
use forebay_metrics::Sampled;

/// Which way a task's records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Into topics.
    Source,
    /// Out of topics.
    Sink,
}

/// How an attempt to commit offsets ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// They are written.
    Done,
    /// They are not; they are tried again.
    Failed,
}

/// One task's counters (Kafka's `connector-task-metrics`, `source-task-metrics`, `sink-task-metrics`, `task-error-metrics`).
#[derive(Debug)]
pub(crate) struct TaskMetrics {
    side: Side,
    /// Which classes the task is made of.
    pub(super) made_of: OnceLock<Option<Parts>>,
    counted: Mutex<Counted>,
    /// What went wrong with single records.
    pub(crate) errors: Arc<ErrorMetrics>,
}

/// The classes that a task is made of, which Kafka has among its metrics as words.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The version of each: they come together.
    pub(crate) version: &'static str,
    /// By the name of the metric that has the class; those that end with `_class` have one for the version, too.
    pub(crate) classes: Vec<(&'static str, String)>,
}

/// Everything that changes by the batch.
#[derive(Debug)]
pub(super) struct Counted {
    /// Records from the source system, or from topics; before transformations.
    pub(super) taken: Counter,
    /// Records that are acknowledged, or were given to the sink; after transformations.
    pub(super) given: Counter,
    /// Records of a batch.
    pub(super) batch: Sampled,
    /// Milliseconds of a poll, or of a put.
    pub(super) work_ms: Sampled,
    /// Records that are taken and not done with.
    pub(super) active: Gauge,
    /// Milliseconds of a commit.
    pub(super) commit_ms: Sampled,
    /// 1 for a commit that succeeded, 0 for one that failed.
    pub(super) commit_succeeded: Sampled,
    pub(super) commits: Counter,
    /// Records of a transaction.
    pub(super) transaction: Sampled,
    pub(super) partitions: usize,
    /// The most records that the task is behind the end of one of its partitions.
    pub(super) lag_max: Option<u64>,
    /// How far a source is that has an end.
    pub(super) progress: Option<Progress>,
    running: Stopwatch,
    paused: Stopwatch,
    began: Instant,
}

/// A total and what it grew by lately.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) total: u64,
    pub(super) recent: Sampled,
}

impl Counter {
    fn new(now: Instant) -> Self {
        Self {
            total: 0,
            recent: Sampled::new(now),
        }
    }

    fn add(&mut self, count: u64, now: Instant) {
        self.total += count;
        self.recent.record(count as f64, now);
    }
}

/// A value and what it was lately.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) now: u64,
    pub(super) recent: Sampled,
}

/// Time spent in one state.
#[derive(Debug, Default)]
struct Stopwatch {
    spent: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    fn set(&mut self, runs: bool, now: Instant) {
        self.spent = self.total(now);
        self.since = runs.then_some(now);
    }

    fn total(&self, now: Instant) -> Duration {
        let since = self.since.map(|since| now.saturating_duration_since(since));
        self.spent + since.unwrap_or_default()
    }
}

impl TaskMetrics {
    pub(super) fn new(side: Side) -> Self {
        let now = Instant::now();
        let sampled = || Sampled::new(now);
        let counted = Counted {
            taken: Counter::new(now),
            given: Counter::new(now),
            batch: sampled(),
            work_ms: sampled(),
            active: Gauge {
                now: 0,
                recent: sampled(),
            },
            commit_ms: sampled(),
            commit_succeeded: sampled(),
            commits: Counter::new(now),
            transaction: sampled(),
            partitions: 0,
            lag_max: None,
            progress: None,
            running: Stopwatch::default(),
            paused: Stopwatch::default(),
            began: now,
        };
        Self {
            side,
            made_of: OnceLock::new(),
            counted: Mutex::new(counted),
            errors: Arc::default(),
        }
    }

    /// Says which classes the task is made of, if they are known.
    pub(crate) fn made_of(&self, parts: impl FnOnce() -> Option<Parts>) {
        self.made_of.get_or_init(parts);
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// A batch came from the source system, after so long, or from topics.
    pub(crate) fn took(&self, records: usize, after: Duration) {
        if records == 0 {
            return;
        }
        let now = Instant::now();
        let mut counted = self.lock();
        counted.taken.add(records as u64, now);
        counted.batch.record(records as f64, now);
        if self.side == Side::Source {
            counted.work_ms.record(milliseconds(after), now);
            // Until it is known how many of them are still on their way.
            counted.active.now += records as u64;
        }
    }

    /// Records are acknowledged, or the sink has taken them.
    pub(crate) fn gave(&self, records: usize) {
        if records == 0 {
            return;
        }
        self.lock().given.add(records as u64, Instant::now());
    }

    /// The sink has put a batch.
    pub(crate) fn put(&self, took: Duration) {
        self.lock().work_ms.record(milliseconds(took), Instant::now());
    }

    /// So many records are under way.
    pub(crate) fn active(&self, records: u64) {
        let mut counted = self.lock();
        counted.active.now = records;
        counted.active.recent.record(records as f64, Instant::now());
    }

    /// An attempt to commit offsets has ended.
    pub(crate) fn committed(&self, took: Duration, commit: Commit) {
        let now = Instant::now();
        let is_done = commit == Commit::Done;
        let mut counted = self.lock();
        counted.commit_ms.record(milliseconds(took), now);
        counted.commit_succeeded.record(f64::from(u8::from(is_done)), now);
        if is_done {
            counted.commits.add(1, now);
        }
    }

    /// A transaction of so many records is committed.
    pub(crate) fn transaction(&self, records: usize) {
        self.lock().transaction.record(records as f64, Instant::now());
    }

    /// What a sink task has, and how far behind the worst of it is.
    pub(crate) fn assigned(&self, partitions: usize, lag_max: Option<u64>) {
        let mut counted = self.lock();
        (counted.partitions, counted.lag_max) = (partitions, lag_max);
    }

    /// A source that has an end is so far.
    pub(crate) fn progress(&self, progress: Progress) {
        self.lock().progress = Some(progress);
    }

    /// The task runs, or is paused.
    pub(crate) fn runs(&self, is_running: bool) {
        let now = Instant::now();
        let mut counted = self.lock();
        counted.running.set(is_running, now);
        counted.paused.set(!is_running, now);
    }

    /// Nothing in here panics while it holds the lock.
    pub(super) fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// The shares of its life in which the task ran, and in which it was paused.
    pub(super) fn ratios(&self, now: Instant) -> (f64, f64) {
        let life = now.saturating_duration_since(self.began).as_secs_f64();
        let share = |watch: &Stopwatch| match life {
            0.0 => 0.0,
            life => (watch.total(now).as_secs_f64() / life).min(1.0),
        };
        (share(&self.running), share(&self.paused))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Kafka's `task-error-metrics`.
#[derive(Debug, Default)]
pub(crate) struct ErrorMetrics {
    pub(super) failures: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) logged: AtomicU64,
    pub(super) dead_letters: AtomicU64,
    pub(super) dead_letters_failed: AtomicU64,
    pub(super) last_ms: AtomicI64,
}

impl ErrorMetrics {
    /// A record could not be processed, at so many milliseconds since 1970.
    pub(crate) fn failed(&self, timestamp_ms: i64) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.last_ms.store(timestamp_ms, Ordering::Relaxed);
    }

    /// An attempt failed, and another is made.
    pub(crate) fn retried(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// The record was left out.
    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// The error is in the log.
    pub(crate) fn logged(&self) {
        self.logged.fetch_add(1, Ordering::Relaxed);
    }

    /// A record goes to the dead letter queue.
    pub(crate) fn dead_letter(&self) {
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
    }

    /// The dead letter queue did not take it.
    pub(crate) fn dead_letter_failed(&self) {
        self.dead_letters_failed.fetch_add(1, Ordering::Relaxed);
    }
}
