//! Figures over a moving time (Kafka's `SampledStat` with its two samples of 30 s).

use std::time::{Duration, Instant};

/// Of one sample.
const WINDOW: Duration = Duration::from_secs(30);
/// A rate is over no less than this: what has just begun has no rate of thousands.
const SHORTEST: Duration = Duration::from_secs(1);

/// What was recorded in the last 30 to 60 seconds.
#[derive(Debug, Clone)]
pub struct Sampled {
    now: Window,
    before: Option<Window>,
}

#[derive(Debug, Clone)]
struct Window {
    began: Instant,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self {
            began,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Sampled {
    /// Nothing was recorded yet.
    pub fn new(now: Instant) -> Self {
        Self {
            now: Window::new(now),
            before: None,
        }
    }

    /// Records a value.
    pub fn record(&mut self, value: f64, now: Instant) {
        self.roll(now);
        self.now.count += 1;
        self.now.sum += value;
        self.now.min = self.now.min.min(value);
        self.now.max = self.now.max.max(value);
    }

    /// The sum of the values by seconds.
    pub fn rate(&mut self, now: Instant) -> f64 {
        self.roll(now);
        let began = self.before.as_ref().map_or(self.now.began, |before| before.began);
        let elapsed = now.saturating_duration_since(began).max(SHORTEST);
        self.windows().map(|window| window.sum).sum::<f64>() / elapsed.as_secs_f64()
    }

    /// The mean of the values; `None` without any.
    pub fn average(&mut self, now: Instant) -> Option<f64> {
        self.roll(now);
        let count: u64 = self.windows().map(|window| window.count).sum();
        let sum: f64 = self.windows().map(|window| window.sum).sum();
        (count > 0).then(|| sum / count as f64)
    }

    /// The smallest of the values; `None` without any.
    pub fn min(&mut self, now: Instant) -> Option<f64> {
        self.roll(now);
        let min = self
            .windows()
            .map(|window| window.min)
            .fold(f64::INFINITY, f64::min);
        min.is_finite().then_some(min)
    }

    /// The largest of the values; `None` without any.
    pub fn max(&mut self, now: Instant) -> Option<f64> {
        self.roll(now);
        let max = self
            .windows()
            .map(|window| window.max)
            .fold(f64::NEG_INFINITY, f64::max);
        max.is_finite().then_some(max)
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        std::iter::once(&self.now).chain(&self.before)
    }

    /// Begins the next window where this one is over.
    fn roll(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.now.began);
        if age < WINDOW {
            return;
        }
        let over = std::mem::replace(&mut self.now, Window::new(now));
        // After a pause nothing of it is recent.
        self.before = (age < 2 * WINDOW).then_some(over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_last_windows() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sampled = Sampled::new(start);
        assert_eq!(
            (sampled.rate(start), sampled.average(start), sampled.max(start)),
            (0.0, None, None)
        );
        sampled.record(100.0, start);
        assert_eq!(sampled.rate(start), 100.0, "no less than a second");
        sampled.record(300.0, at(9));
        assert_eq!(sampled.rate(at(10)), 40.0);
        assert_eq!(sampled.average(at(10)), Some(200.0));
        assert_eq!(
            (sampled.min(at(10)), sampled.max(at(10))),
            (Some(100.0), Some(300.0))
        );
        // The window before still counts.
        sampled.record(20.0, at(30));
        assert_eq!(sampled.rate(at(42)), 10.0);
        assert_eq!(sampled.max(at(42)), Some(300.0));
        // And the one before that does not.
        assert_eq!(sampled.max(at(60)), Some(20.0));
        assert_eq!(sampled.rate(at(60)), 20.0 / 30.0);
        // After a pause there is nothing.
        assert_eq!((sampled.rate(at(500)), sampled.max(at(500))), (0.0, None));
    }
}
