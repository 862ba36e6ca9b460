//! How long to wait before trying again: doubling from `initial` to `max`, a fifth more or less by chance, so that clients
//! that lost the same broker do not all come back at once (Kafka's `ExponentialBackoff`).

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    const JITTER: f64 = 0.2;

    /// The wait after the given number of failures; none after none.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        let Some(exponent) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_f64.powi(exponent.min(31).cast_signed());
        let delay = (self.initial.as_secs_f64() * factor).min(self.max.as_secs_f64());
        let jittered = delay * (1.0 + Self::JITTER * (2.0 * random_unit() - 1.0));
        Duration::from_secs_f64(jittered.min(self.max.as_secs_f64()))
    }
}

/// A number from 0 to below 1, by chance.
pub(crate) fn random_unit() -> f64 {
    // 53 bits are what an f64 holds exactly.
    #[allow(clippy::cast_precision_loss)]
    let unit = (random() >> 11) as f64 / (1_u64 << 53) as f64;
    unit
}

/// A number below `bound`, by chance. `bound` must not be zero.
pub(crate) fn random_below(bound: usize) -> usize {
    (random() % bound as u64) as usize
}

#[cfg(not(test))]
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState has keys of its own; the hash of a constant under them is as good as they are.
    RandomState::new().hash_one(0)
}

/// In tests, chance is the same in every run (splitmix64).
#[cfg(test)]
fn random() -> u64 {
    thread_local!(static STATE: std::cell::Cell<u64> = const { std::cell::Cell::new(1) });
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_maximum() {
        let backoff = Backoff {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        assert_eq!(backoff.delay(0), Duration::ZERO);
        for (failures, expected) in [
            (1, 100.0),
            (2, 200.0),
            (3, 400.0),
            (4, 800.0),
            (5, 1000.0),
            (u32::MAX, 1000.0),
        ] {
            for _ in 0..100 {
                let delay = backoff.delay(failures).as_secs_f64() * 1000.0;
                assert!(delay >= expected * 0.8 - 0.001 && delay <= (expected * 1.2_f64).min(1000.0) + 0.001);
            }
        }
    }

    #[test]
    fn chance_has_its_bounds() {
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&random_unit()));
            assert!(random_below(3) < 3);
        }
    }
}
