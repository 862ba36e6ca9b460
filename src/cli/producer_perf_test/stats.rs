//! What was acknowledged, how fast, and after how long.

use std::time::{Duration, Instant};

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// Latencies beyond so many milliseconds count as so many.
const LATENCY_MAX_MS: usize = 60_000;

/// Counts since it was made, and since the last line it gave.
#[derive(Debug)]
pub(super) struct Stats {
    began: Instant,
    interval: Duration,
    is_steady: bool,
    is_silent: bool,
    total: Sum,
    window: Sum,
    window_began: Instant,
    /// How many records took so many milliseconds.
    latencies: Vec<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    count: u64,
    bytes: u64,
    latency_ms: u64,
    latency_ms_max: u32,
}

impl Sum {
    fn add(&mut self, latency_ms: u32, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
        self.latency_ms += u64::from(latency_ms);
        self.latency_ms_max = self.latency_ms_max.max(latency_ms);
    }

    fn rates(&self, elapsed: Duration) -> (f64, f64) {
        let seconds = elapsed.as_secs_f64().max(0.001);
        (
            self.count as f64 / seconds,
            self.bytes as f64 / seconds / MEBIBYTE,
        )
    }

    fn average(&self) -> f64 {
        self.latency_ms as f64 / self.count.max(1) as f64
    }
}

impl Stats {
    pub(super) fn new(interval: Duration, is_steady: bool) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            interval,
            is_steady,
            is_silent: false,
            total: Sum::default(),
            window: Sum::default(),
            window_began: now,
            latencies: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.total.count
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Gives no lines any more.
    pub(super) fn silence(&mut self) {
        self.is_silent = true;
    }

    /// Counts a record; gives a line when it is time for one.
    pub(super) fn record(&mut self, latency_ms: u32, bytes: usize) -> Option<String> {
        self.total.add(latency_ms, bytes);
        self.window.add(latency_ms, bytes);
        let slot = usize::try_from(latency_ms)
            .unwrap_or(LATENCY_MAX_MS)
            .min(LATENCY_MAX_MS);
        if self.latencies.len() <= slot {
            self.latencies.resize(slot + 1, 0);
        }
        self.latencies[slot] += 1;
        let elapsed = self.window_began.elapsed();
        if elapsed < self.interval {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        self.window_began = Instant::now();
        let begin = if self.is_steady && self.total.count == window.count {
            "In steady state.\n"
        } else {
            ""
        };
        (!self.is_silent).then(|| format!("{begin}{}", line(&window, elapsed)))
    }

    /// The last line.
    pub(super) fn total(&self, elapsed: Duration) -> String {
        let (records, mebibytes) = self.total.rates(elapsed);
        let steady = if self.is_steady { " steady state" } else { "" };
        let [half, most, nearly, all] = [0.5, 0.95, 0.99, 0.999].map(|share| self.percentile(share));
        format!(
            "{}{steady} records sent, {records:.6} records/sec ({mebibytes:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max latency, \
             {half} ms 50th, {most} ms 95th, {nearly} ms 99th, {all} ms 99.9th.",
            self.total.count,
            self.total.average(),
            f64::from(self.total.latency_ms_max),
        )
    }

    fn percentile(&self, share: f64) -> usize {
        let rank = (self.total.count as f64 * share) as u64;
        let mut seen = 0;
        for (latency, count) in self.latencies.iter().enumerate() {
            seen += count;
            if seen > rank {
                return latency;
            }
        }
        self.latencies.len().saturating_sub(1)
    }
}

fn line(window: &Sum, elapsed: Duration) -> String {
    let (records, mebibytes) = window.rates(elapsed);
    format!(
        "{} records sent, {records:.1} records/sec ({mebibytes:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.",
        window.count,
        window.average(),
        f64::from(window.latency_ms_max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let mut stats = Stats::new(Duration::from_secs(3600), false);
        for latency in 1..=100 {
            assert_eq!(stats.record(latency, 1_048_576), None);
        }
        assert_eq!(
            stats.total(Duration::from_secs(4)),
            "100 records sent, 25.000000 records/sec (25.00 MB/sec), 50.50 ms avg latency, 100.00 ms max latency, 51 ms 50th, 96 ms \
             95th, 100 ms 99th, 100 ms 99.9th."
        );
        let mut eager = Stats::new(Duration::ZERO, true);
        let line = eager.record(4, 10).expect("at once");
        assert!(line.starts_with("In steady state.\n1 records sent, "), "{line}");
        assert!(
            line.ends_with(" 4.0 ms avg latency, 4.0 ms max latency."),
            "{line}"
        );
        eager.silence();
        assert_eq!(eager.record(4, 10), None);
        assert!(
            eager
                .total(Duration::from_secs(1))
                .starts_with("2 steady state records sent, ")
        );
    }
}
