//! One log line in a while about what happens with every request: a full disk refuses each append until there is room.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// When the last line was written, and how many were not since.
#[derive(Debug)]
pub(super) struct LineLimit(Mutex<(Option<Instant>, u64)>);

impl LineLimit {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How many lines were left out before this one; `None` if this one is left out too.
    pub(super) fn allows(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            state.1 += 1;
            return None;
        }
        *state = (Some(now), 0);
        Some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted() {
        let (limit, start) = (LineLimit::new(), Instant::now());
        let said = [0, 1, 9_999, 10_000, 10_001, 30_000]
            .map(|milliseconds| limit.allows(start + Duration::from_millis(milliseconds)));
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
