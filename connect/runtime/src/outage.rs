//! Says once that something does not work, and once that it works again, however often it is tried in between.

use std::time::Duration;

use tokio::time::Instant;

/// Whether something works.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
}

impl Outage {
    /// It has failed; `true`: for the first time since it worked, and so worth a warning.
    pub(crate) fn begins(&mut self) -> bool {
        let is_first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        is_first
    }

    /// It works; gives for how long it did not, if that has to be told.
    pub(crate) fn ends(&mut self) -> Option<Duration> {
        self.since.take().map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_outage_is_told_once() {
        let mut outage = Outage::default();
        assert_eq!(outage.ends(), None);
        for _ in 0..2 {
            assert!(outage.begins());
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(!outage.begins());
            assert_eq!(outage.ends(), Some(Duration::from_secs(60)));
            assert_eq!(outage.ends(), None);
        }
    }
}
