//! What everybody who shares a quota has used of it. Bounded: who has been quiet for all windows is as good as new and is
//! forgotten; beyond the bound nothing new is counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_records::Timestamp;

/// How many of one kind are counted at once.
const SENSORS_MAX: usize = 10_000;

/// Something that can be forgotten.
pub(crate) trait Idle {
    /// When it was used last.
    fn last_used(&self) -> Timestamp;
}

impl Idle for super::rate::Rate {
    fn last_used(&self) -> Timestamp {
        self.last_event()
    }
}

impl Idle for super::token_bucket::TokenBucket {
    fn last_used(&self) -> Timestamp {
        self.updated()
    }
}

/// Counters by who shares them.
#[derive(Debug)]
pub(crate) struct Sensors<K, S> {
    span_ms: i64,
    all: Mutex<All<K, S>>,
}

#[derive(Debug)]
struct All<K, S> {
    sensors: HashMap<K, Arc<Mutex<S>>>,
    /// When they are full, none can be forgotten before.
    full_until: Timestamp,
}

impl<K: Eq + Hash, S: Idle> Sensors<K, S> {
    /// None yet; one that was quiet for `span_ms` may be forgotten.
    pub(crate) fn new(span_ms: i64) -> Self {
        Self {
            span_ms,
            all: Mutex::new(All {
                sensors: HashMap::new(),
                full_until: Timestamp(i64::MIN),
            }),
        }
    }

    /// Uses the counter of `key`, made by `new` if there is none. `None` if there are too many.
    pub(crate) fn with<T>(
        &self,
        key: K,
        now: Timestamp,
        new: impl FnOnce() -> S,
        use_it: impl FnOnce(&mut S) -> T,
    ) -> Option<T> {
        let sensor = {
            let mut all = lock(&self.all);
            if all.sensors.len() >= SENSORS_MAX && !all.sensors.contains_key(&key) {
                self.make_room(&mut all, now);
                if all.sensors.len() >= SENSORS_MAX {
                    return None;
                }
            }
            Arc::clone(
                all.sensors
                    .entry(key)
                    .or_insert_with(|| Arc::new(Mutex::new(new()))),
            )
        };
        Some(use_it(&mut lock(&sensor)))
    }

    /// Forgets who has been quiet. All are looked at only when the one that was quiet for the longest may be forgotten.
    fn make_room(&self, all: &mut All<K, S>, now: Timestamp) {
        if now < all.full_until {
            return;
        }
        let mut first = now;
        all.sensors.retain(|_, sensor| {
            let last_used = lock(sensor).last_used();
            let stays = now.0 - last_used.0 < self.span_ms;
            if stays {
                first = first.min(last_used);
            }
            stays
        });
        all.full_until = Timestamp(first.0.saturating_add(self.span_ms));
    }
}

/// The counters stay good if a holder panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Touched(Timestamp);

    impl Idle for Touched {
        fn last_used(&self) -> Timestamp {
            self.0
        }
    }

    #[test]
    fn the_quiet_make_room_and_beyond_the_bound_nobody_is_counted() {
        let sensors = Sensors::new(1000);
        let touch = |key: usize, now: i64| {
            sensors
                .with(
                    key,
                    Timestamp(now),
                    || Touched(Timestamp(now)),
                    |one: &mut Touched| one.0 = Timestamp(now),
                )
                .is_some()
        };
        for key in 0..SENSORS_MAX {
            assert!(touch(key, 0));
        }
        assert!(!touch(SENSORS_MAX, 999), "all of them are in use");
        assert_eq!(
            lock(&sensors.all).full_until,
            Timestamp(1000),
            "not to be looked at before"
        );
        assert!(touch(0, 999), "who is known is counted on");
        assert!(touch(SENSORS_MAX, 1000), "all but one have been quiet");
        assert_eq!(lock(&sensors.all).sensors.len(), 2);
    }
}
