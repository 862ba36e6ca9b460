//! When the log has said of somebody that he is slowed down: again only when the time that the quota's windows span is over.

use forebay_records::Timestamp;

use super::sensors::Idle;

/// What the log has said of one who shares a quota.
#[derive(Debug)]
pub(crate) struct Told {
    last_said: Option<Timestamp>,
    /// How often it was not said since.
    unsaid: u64,
    last_used: Timestamp,
}

impl Told {
    /// Nothing yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            last_said: None,
            unsaid: 0,
            last_used: now,
        }
    }

    /// It happens again: how often it was not said before, if it is to be said now.
    pub(crate) fn again(&mut self, now: Timestamp, span_ms: i64) -> Option<u64> {
        self.last_used = now;
        if self.last_said.is_some_and(|last| now - last < span_ms) {
            self.unsaid += 1;
            return None;
        }
        self.last_said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Idle for Told {
    fn last_used(&self) -> Timestamp {
        self.last_used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_span() {
        let mut told = Told::new(Timestamp(0));
        let said = [0, 1, 999, 1000, 1001, 5000].map(|now| told.again(Timestamp(now), 1000));
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
