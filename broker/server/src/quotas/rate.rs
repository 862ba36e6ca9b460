//! How fast something goes: samples of a window each, the oldest of which fall away (Kafka's `Rate` over a `SampledStat`), and how
//! long to wait until it is slow enough (`QuotaUtils.throttleTime`). Pure: the time comes in.

use std::time::Duration;

use forebay_records::Timestamp;

/// `quota.window.num` samples of `quota.window.size.seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// How many.
    pub(crate) count: usize,
    /// How long each is, in milliseconds.
    pub(crate) size_ms: i64,
}

impl Windows {
    /// After so long without a record nothing is remembered of those before.
    pub(crate) fn span_ms(self) -> i64 {
        self.size_ms
            .saturating_mul(i64::try_from(self.count).unwrap_or(i64::MAX))
    }

    /// The time over which a rate is an average at least: all windows but the one that has just begun.
    pub(crate) fn full_seconds(self) -> f64 {
        seconds(self.span_ms() - self.size_ms)
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    value: f64,
    started: Timestamp,
    last_event: Timestamp,
}

impl Sample {
    fn new(now: Timestamp) -> Self {
        Self {
            value: 0.0,
            started: now,
            last_event: now,
        }
    }
}

/// The rate of something, per second.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    windows: Windows,
    samples: Vec<Sample>,
    current: usize,
}

impl Rate {
    /// Nothing has happened yet.
    pub(crate) fn new(windows: Windows, now: Timestamp) -> Self {
        Self {
            windows,
            samples: vec![Sample::new(now)],
            current: 0,
        }
    }

    /// So much has happened; a negative value takes back.
    pub(crate) fn record(&mut self, value: f64, now: Timestamp) {
        if now.0 - self.samples[self.current].started.0 >= self.windows.size_ms {
            self.advance(now);
        }
        let sample = &mut self.samples[self.current];
        sample.value += value;
        sample.last_event = now;
    }

    /// One sample more than there are windows: the oldest may have begun before the first of them.
    fn advance(&mut self, now: Timestamp) {
        self.current = (self.current + 1) % (self.windows.count + 1);
        match self.samples.get_mut(self.current) {
            Some(oldest) => *oldest = Sample::new(now),
            None => self.samples.push(Sample::new(now)),
        }
    }

    /// When something happened last.
    pub(crate) fn last_event(&self) -> Timestamp {
        self.samples[self.current].last_event
    }

    /// What it is now, per second, and the milliseconds that it is an average of.
    pub(crate) fn measure(&mut self, now: Timestamp) -> (f64, i64) {
        let span = self.windows.span_ms();
        for sample in &mut self.samples {
            if now.0 - sample.last_event.0 >= span {
                *sample = Sample::new(now);
            }
        }
        let oldest = self.samples.iter().map(|sample| sample.started.0).min();
        let mut elapsed = now.0 - oldest.unwrap_or(now.0);
        // Of a rate that has just begun one second says little: it is taken over all windows but one at least.
        let full = elapsed / self.windows.size_ms;
        let full_min = i64::try_from(self.windows.count).unwrap_or(i64::MAX) - 1;
        if full < full_min {
            elapsed += (full_min - full) * self.windows.size_ms;
        }
        let elapsed = elapsed.max(1);
        let total: f64 = self.samples.iter().map(|sample| sample.value).sum();
        (total / seconds(elapsed), elapsed)
    }

    /// How long nothing may happen for the rate to come down to `bound`; zero if it is there.
    pub(crate) fn throttle_time(&mut self, bound: f64, now: Timestamp) -> Duration {
        let (rate, window) = self.measure(now);
        if rate <= bound {
            return Duration::ZERO;
        }
        milliseconds((rate - bound) / bound * window_as_float(window))
    }
}

#[expect(clippy::cast_precision_loss, reason = "windows are minutes at most")]
fn window_as_float(milliseconds: i64) -> f64 {
    milliseconds as f64
}

fn seconds(milliseconds: i64) -> f64 {
    window_as_float(milliseconds) / 1000.0
}

/// Rounded as Kafka rounds; at most what a response can say.
pub(crate) fn milliseconds(value: f64) -> Duration {
    let rounded = value.round().clamp(0.0, f64::from(i32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    Duration::from_millis(rounded as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        size_ms: 1000,
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    #[test]
    fn the_first_second_counts_as_ten() {
        let mut rate = Rate::new(WINDOWS, at(0));
        rate.record(2000.0, at(0));
        assert_eq!(rate.measure(at(0)), (200.0, 10_000));
        assert_eq!(rate.measure(at(500)), (2000.0 / 10.5, 10_500));
    }

    #[test]
    fn throttling_is_as_long_as_the_excess_takes() {
        // Kafka's own example: (O - T) / T * W.
        let cases = [
            (1000.0, 0),
            (2000.0, 10_000),
            (1500.0, 5_000),
            (999.0, 0),
            (1e12, 2_147_483_647),
        ];
        for (bytes, throttle) in cases {
            let mut rate = Rate::new(WINDOWS, at(0));
            rate.record(bytes, at(0));
            assert_eq!(
                rate.throttle_time(100.0, at(0)),
                Duration::from_millis(throttle),
                "{bytes}"
            );
        }
    }

    #[test]
    fn after_the_throttle_time_the_rate_is_what_it_may_be() {
        let mut rate = Rate::new(WINDOWS, at(0));
        let mut now = 0;
        let mut sent = 0.0;
        while now < 60_000 {
            rate.record(700.0, at(now));
            sent += 700.0;
            let wait = rate.throttle_time(1000.0, at(now)).as_millis();
            now += i64::try_from(wait).expect("small").max(100);
        }
        let average = sent / (f64::from(i32::try_from(now).expect("small")) / 1000.0);
        assert!((900.0..=1250.0).contains(&average), "{average} bytes/s");
    }

    #[test]
    fn what_is_older_than_all_windows_is_forgotten() {
        let mut rate = Rate::new(WINDOWS, at(0));
        rate.record(5000.0, at(0));
        assert!(rate.measure(at(10_999)).0 > 0.0);
        assert_eq!(rate.measure(at(11_000)).0, 0.0);
        rate.record(10.0, at(12_000));
        assert_eq!(
            rate.measure(at(12_000)).0,
            1.0,
            "ten seconds are the least that it is an average of"
        );
    }

    #[test]
    fn samples_are_bounded_and_what_is_taken_back_is_gone() {
        let mut rate = Rate::new(WINDOWS, at(0));
        for second in 0..100 {
            rate.record(1.0, at(second * 1000));
        }
        assert_eq!(rate.samples.len(), WINDOWS.count + 1);
        rate.record(50.0, at(99_500));
        rate.record(-50.0, at(99_500));
        let (value, _) = rate.measure(at(99_500));
        assert!((0.9..=1.1).contains(&value), "{value}");
    }
}
