//! What has gone into and out of a partition, or all of them (Kafka's `BrokerTopicMetrics`): counters that only grow, which
//! nobody locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one partition, or of all.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    bytes_in: AtomicU64,
    messages_in: AtomicU64,
    bytes_out: AtomicU64,
    produces: AtomicU64,
    failed_produces: AtomicU64,
    fetches: AtomicU64,
    failed_fetches: AtomicU64,
}

/// What the counters say at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readings {
    /// Bytes of batches that were appended.
    pub(crate) bytes_in: u64,
    /// Records that were appended.
    pub(crate) messages_in: u64,
    /// Bytes that fetches were answered with.
    pub(crate) bytes_out: u64,
    /// Appends that were asked for.
    pub(crate) produces: u64,
    /// Appends that were refused or failed.
    pub(crate) failed_produces: u64,
    /// Reads that were asked for.
    pub(crate) fetches: u64,
    /// Reads that were refused or failed.
    pub(crate) failed_fetches: u64,
}

impl Meters {
    /// So much was appended at once.
    pub(crate) fn appended(&self, bytes: usize, messages: i64) {
        add(&self.produces, 1);
        add(&self.bytes_in, bytes as u64);
        add(&self.messages_in, u64::try_from(messages).unwrap_or(0));
    }

    /// An append was refused or failed.
    pub(crate) fn append_failed(&self) {
        add(&self.produces, 1);
        add(&self.failed_produces, 1);
    }

    /// A fetch was answered with so many bytes.
    pub(crate) fn fetched(&self, bytes: usize) {
        add(&self.fetches, 1);
        add(&self.bytes_out, bytes as u64);
    }

    /// A fetch was refused or failed.
    pub(crate) fn fetch_failed(&self) {
        add(&self.fetches, 1);
        add(&self.failed_fetches, 1);
    }

    /// What they say.
    pub(crate) fn read(&self) -> Readings {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Readings {
            bytes_in: load(&self.bytes_in),
            messages_in: load(&self.messages_in),
            bytes_out: load(&self.bytes_out),
            produces: load(&self.produces),
            failed_produces: load(&self.failed_produces),
            fetches: load(&self.fetches),
            failed_fetches: load(&self.failed_fetches),
        }
    }
}

impl std::ops::AddAssign for Readings {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.messages_in += other.messages_in;
        self.bytes_out += other.bytes_out;
        self.produces += other.produces;
        self.failed_produces += other.failed_produces;
        self.fetches += other.fetches;
        self.failed_fetches += other.failed_fetches;
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
