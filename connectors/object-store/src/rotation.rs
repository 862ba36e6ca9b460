//! When a file is closed. None of these rules decides whether records are lost or repeated: names do that.

use forebay_connect_api::{NO_TIMESTAMP, Timestamp};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The rules of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// `flush.size`: so many records at most.
    pub(crate) records_max: u64,
    /// `rotate.interval.ms`: records within so much of each other, by their own timestamps; and, so that nothing is stuck when no
    /// more records come, a file is open no longer than this by the wall clock.
    pub(crate) interval_ms: Option<i64>,
    /// `rotate.schedule.interval.ms`: at these times of the day, by the wall clock.
    pub(crate) schedule_ms: Option<i64>,
    /// What `timezone` adds to UTC.
    pub(crate) zone_ms: i64,
}

/// What the rules look at in an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The timestamp of its first record.
    pub(crate) first: Timestamp,
    /// When that was written, by the wall clock.
    pub(crate) at: Timestamp,
}

impl Rotation {
    /// Whether a record with this timestamp belongs into the next file. Timestamps that go backwards never close a file.
    pub(crate) fn is_due_before(&self, opened: Opened, timestamp: Timestamp) -> bool {
        let known = opened.first != NO_TIMESTAMP && timestamp != NO_TIMESTAMP;
        let apart_ms = timestamp.value().saturating_sub(opened.first.value());
        known
            && self
                .interval_ms
                .is_some_and(|interval_ms| apart_ms >= interval_ms)
    }

    /// Whether a file with so many records is full.
    pub(crate) fn is_full(&self, records: u64) -> bool {
        records >= self.records_max
    }

    /// When the wall clock closes the file.
    pub(crate) fn deadline(&self, opened: Opened) -> Option<Timestamp> {
        let at = opened.at.value();
        let idle = self.interval_ms.map(|interval_ms| at.saturating_add(interval_ms));
        let scheduled = self.schedule_ms.map(|schedule_ms| {
            let local = at.saturating_add(self.zone_ms);
            let midnight = local.div_euclid(DAY_MS).saturating_mul(DAY_MS);
            let times = (local - midnight) / schedule_ms + 1;
            // The first time of a day is its midnight, whether the interval divides a day or not.
            let next = midnight.saturating_add(times.saturating_mul(schedule_ms));
            let next = if schedule_ms < DAY_MS {
                next.min(midnight.saturating_add(DAY_MS))
            } else {
                next
            };
            next.saturating_sub(self.zone_ms)
        });
        idle.into_iter().chain(scheduled).min().map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1000;

    #[test]
    fn the_clock_closes_files_at_times_of_the_day_and_after_the_interval() {
        let rotation = |interval_ms, schedule_ms, zone_ms| Rotation {
            records_max: 3,
            interval_ms,
            schedule_ms,
            zone_ms,
        };
        let cases = [
            (rotation(None, None, 0), 5, None),
            (rotation(Some(10), None, 0), 5, Some(15)),
            (rotation(None, Some(10), 0), 5, Some(10)),
            (rotation(None, Some(10), 0), 10, Some(20)),
            (rotation(Some(3), Some(10), 0), 5, Some(8)),
            (
                rotation(None, Some(7 * HOUR_MS), 0),
                22 * HOUR_MS,
                Some(24 * HOUR_MS),
            ),
            (rotation(None, Some(DAY_MS), 2 * HOUR_MS), 0, Some(22 * HOUR_MS)),
            (rotation(None, Some(DAY_MS), -2 * HOUR_MS), 0, Some(2 * HOUR_MS)),
            (
                rotation(Some(i64::MAX), Some(i64::MAX), 0),
                i64::MAX,
                Some(i64::MAX),
            ),
        ];
        for (rotation, at, expected) in cases {
            let opened = Opened {
                first: Timestamp(0),
                at: Timestamp(at),
            };
            assert_eq!(
                rotation.deadline(opened),
                expected.map(Timestamp),
                "{rotation:?} at {at}"
            );
        }
    }

    #[test]
    fn records_close_files_by_count_and_time_but_never_backwards() {
        let rotation = Rotation {
            records_max: 3,
            interval_ms: Some(10),
            schedule_ms: None,
            zone_ms: 0,
        };
        assert_eq!(
            [2, 3, 4].map(|records| rotation.is_full(records)),
            [false, true, true]
        );
        let opened = Opened {
            first: Timestamp(100),
            at: Timestamp(0),
        };
        for (timestamp, due) in [
            (109, false),
            (110, true),
            (0, false),
            (-1, false),
            (i64::MIN, false),
            (i64::MAX, true),
        ] {
            assert_eq!(
                rotation.is_due_before(opened, Timestamp(timestamp)),
                due,
                "{timestamp}"
            );
        }
    }
}
