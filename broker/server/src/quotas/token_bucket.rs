//! A budget that refills (Kafka's `TokenBucket`, KIP-599): bursts are paid off at the rate, not kept in memory until they expire.
//! Pure: the time comes in.

use std::time::Duration;

use forebay_records::Timestamp;

use super::rate::{Windows, milliseconds};

/// What is left of a budget.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    windows: Windows,
    tokens: f64,
    updated: Timestamp,
}

impl TokenBucket {
    /// A bucket that is full whatever it holds.
    pub(crate) fn new(windows: Windows, now: Timestamp) -> Self {
        Self {
            windows,
            tokens: f64::MAX,
            updated: now,
        }
    }

    /// Takes `count` out, also of an empty bucket.
    pub(crate) fn take(&mut self, count: f64, rate: f64, now: Timestamp) {
        let burst = self.refill(rate, now);
        self.tokens = (self.tokens - count).min(burst);
    }

    /// Whether more has been taken than there was.
    pub(crate) fn is_exhausted(&mut self, rate: f64, now: Timestamp) -> bool {
        self.refill(rate, now);
        self.tokens < 0.0
    }

    /// How long until it is no longer exhausted.
    pub(crate) fn throttle_time(&mut self, rate: f64, now: Timestamp) -> Duration {
        self.refill(rate, now);
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        milliseconds(-self.tokens / rate * 1000.0)
    }

    /// When it was looked at last.
    pub(crate) fn updated(&self) -> Timestamp {
        self.updated
    }

    fn refill(&mut self, rate: f64, now: Timestamp) -> f64 {
        let burst = (self.windows.full_seconds() + self.window_seconds()) * rate;
        let elapsed = Duration::from_millis(u64::try_from(now.0 - self.updated.0).unwrap_or(0));
        self.tokens = (self.tokens + rate * elapsed.as_secs_f64()).min(burst);
        self.updated = self.updated.max(now);
        burst
    }

    fn window_seconds(&self) -> f64 {
        Duration::from_millis(self.windows.size_ms.unsigned_abs()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_paid_off_at_the_rate() {
        // Kafka's own example: 5 a second over 100 windows, and a burst of 560.
        let windows = Windows {
            count: 100,
            size_ms: 1000,
        };
        let start = Timestamp(0);
        let mut bucket = TokenBucket::new(windows, start);
        assert!(!bucket.is_exhausted(5.0, start));
        bucket.take(560.0, 5.0, start);
        assert_eq!(bucket.throttle_time(5.0, start), Duration::from_secs(12));
        assert!(bucket.is_exhausted(5.0, Timestamp(11_999)));
        assert!(!bucket.is_exhausted(5.0, Timestamp(12_000)));
        // It never holds more than a burst.
        bucket.take(501.0, 5.0, Timestamp(10_000_000));
        assert!(bucket.is_exhausted(5.0, Timestamp(10_000_000)));
    }

    #[test]
    fn what_is_given_back_counts() {
        let windows = Windows {
            count: 11,
            size_ms: 1000,
        };
        let mut bucket = TokenBucket::new(windows, Timestamp(0));
        bucket.take(12.0, 1.0, Timestamp(0));
        assert!(bucket.is_exhausted(1.0, Timestamp(0)));
        bucket.take(-1.0, 1.0, Timestamp(0));
        assert!(!bucket.is_exhausted(1.0, Timestamp(0)));
    }
}
