//! Windows of time: a feed that is asked for what happened from one moment until another. A window is asked for once it is over, so
//! that it is the same whenever it is asked for again.

use crate::moment;

/// How long windows are, and when they can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// In milliseconds, greater than 0.
    pub(super) length: i64,
    /// How long after its end a window is complete, in milliseconds.
    pub(super) delay: i64,
    /// How requests write moments.
    pub(super) format: Format,
}

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, forebay_connect_api::config::Setting)]
#[config(ignore_case)]
pub(super) enum Format {
    /// Milliseconds since 1970.
    Milliseconds,
    /// Seconds since 1970.
    Seconds,
    /// As RFC 3339 has it, in UTC.
    Iso8601,
}

impl Windows {
    /// The end of the window that begins then, which belongs to the next.
    pub(super) fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.length)
    }

    /// How long the window is not complete yet, in milliseconds.
    pub(super) fn wait(&self, start: i64, now: i64) -> u64 {
        let complete = self.end(start).saturating_add(self.delay);
        u64::try_from(complete.saturating_sub(now)).unwrap_or(0)
    }

    /// A moment as requests have it.
    pub(super) fn text(&self, moment: i64) -> String {
        match self.format {
            Format::Milliseconds => moment.to_string(),
            Format::Seconds => moment.div_euclid(1000).to_string(),
            Format::Iso8601 => moment::rfc_3339_text(moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_and_are_waited_for() {
        let windows = Windows {
            length: 60_000,
            delay: 5_000,
            format: Format::Iso8601,
        };
        assert_eq!(windows.end(0), 60_000);
        assert_eq!(windows.wait(0, 0), 65_000);
        assert_eq!(
            (
                windows.wait(0, 64_999),
                windows.wait(0, 65_000),
                windows.wait(0, i64::MAX)
            ),
            (1, 0, 0)
        );
        assert_eq!(windows.text(61_500), "1970-01-01T00:01:01.500Z");
        let seconds = Windows {
            format: Format::Seconds,
            ..windows
        };
        assert_eq!(seconds.text(61_500), "61");
    }
}
