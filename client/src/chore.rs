//! Things that are done in the background, again after a pause if they fail, and the next moment to look after them.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// As good as for ever, and yet a moment that the clock can name.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Something that is done in the background, and again after a pause if it fails.
#[derive(Debug, Default)]
pub(crate) struct Chore {
    pub(crate) under_way: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Chore {
    /// Whether to begin now; else notes when.
    pub(crate) fn begin(&mut self, now: Instant, next: &mut Option<Instant>) -> bool {
        if self.under_way {
            return false;
        }
        match self.not_before.filter(|not_before| *not_before > now) {
            Some(not_before) => {
                sooner(next, not_before);
                false
            }
            None => {
                self.under_way = true;
                true
            }
        }
    }

    /// Until when it must not begin.
    pub(crate) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|not_before| *not_before > now)
    }

    /// Whether it has failed since it last succeeded: then another failure is no news.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Puts off the next time.
    pub(crate) fn pause(&mut self, pause: Duration) {
        self.not_before = Some(Instant::now() + pause);
    }

    pub(crate) fn ended(&mut self, succeeded: bool, pause: impl FnOnce(u32) -> Duration) {
        self.under_way = false;
        self.failures = if succeeded {
            0
        } else {
            self.failures.saturating_add(1)
        };
        self.not_before = (!succeeded).then(|| Instant::now() + pause(self.failures));
    }
}

/// Brings the next moment to look forward.
pub(crate) fn sooner(next: &mut Option<Instant>, moment: Instant) {
    *next = Some(next.map_or(moment, |next| next.min(moment)));
}

/// Waits for a moment, or for ever.
pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
