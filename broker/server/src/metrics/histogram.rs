//! Times in buckets that never grow: an addition to two counters each.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets in microseconds, from 50 microseconds to 10 seconds; what takes longer counts in the last one.
const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 10_000_000,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }

    /// Its lines in Prometheus' text form, in milliseconds; `labels` without braces.
    pub(crate) fn render(&self, name: &str, labels: &str, text: &mut String) {
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS_US.iter().map(Some).chain([None])) {
            count += bucket.load(Ordering::Relaxed);
            let _ = match bound {
                Some(us) => writeln!(text, "{name}_bucket{{{labels},le=\"{}\"}} {count}", Ms(*us)),
                None => writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}"),
            };
        }
        let total = Ms(self.total_us.load(Ordering::Relaxed));
        let _ = writeln!(
            text,
            "{name}_sum{{{labels}}} {total}\n{name}_count{{{labels}}} {count}"
        );
    }
}

/// Microseconds, shown as milliseconds.
struct Ms(u64);

impl std::fmt::Display for Ms {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(us) = self;
        if us % 1000 == 0 {
            write!(formatter, "{}", us / 1000)
        } else {
            write!(formatter, "{}.{:03}", us / 1000, us % 1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_counts_in_the_buckets_that_hold_it() {
        let histogram = Histogram::default();
        for us in [0, 50, 51, 1_000, 20_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.render("t", "a=\"b\"", &mut text);
        let line = |wanted: &str| text.lines().any(|line| line == wanted);
        assert!(line("t_bucket{a=\"b\",le=\"0.050\"} 2"), "{text}");
        assert!(line("t_bucket{a=\"b\",le=\"0.100\"} 3"), "{text}");
        assert!(line("t_bucket{a=\"b\",le=\"1\"} 4"), "{text}");
        assert!(line("t_bucket{a=\"b\",le=\"10000\"} 4"), "{text}");
        assert!(line("t_bucket{a=\"b\",le=\"+Inf\"} 5"), "{text}");
        assert!(line("t_sum{a=\"b\"} 20001.101"), "{text}");
        assert!(line("t_count{a=\"b\"} 5"), "{text}");
        assert_eq!(histogram.count(), 5);
    }
}
