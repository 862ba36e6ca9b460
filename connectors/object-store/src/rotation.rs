//! When a file is closed. None of these rules decides whether records are lost or repeated: names do that.

use chrono::DateTime;
use forebay_connect_api::{NO_TIMESTAMP, Timestamp};

use crate::partitioner::Zone;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The rules of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// `flush.size`: so many records at most.
    pub(crate) records_max: u64,
    /// `flush.bytes`: so many bytes, or a little more.
    pub(crate) bytes_max: Option<usize>,
    /// `rotate.interval.ms`: records within so much of each other, by their own timestamps, and until the partition has gone on by
    /// so much; and, so that nothing is stuck when no more records come, a file is open no longer than this by the wall clock.
    pub(crate) interval_ms: Option<i64>,
    /// `rotate.schedule.interval.ms`: at these times of the day, by the wall clock.
    pub(crate) schedule_ms: Option<i64>,
    /// `rotate.idle.interval.ms`: so long after its last record, by the wall clock.
    pub(crate) idle_ms: Option<i64>,
    /// `timezone`: where the day begins.
    pub(crate) zone: Zone,
}

/// What the rules look at in an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The time of its first record.
    pub(crate) first: Timestamp,
    /// How far the partition had come by its records' times. A file of late records counts from there, or it would be
    /// closed as soon as it is open.
    pub(crate) watermark: Timestamp,
    /// When its first record was written, by the wall clock.
    pub(crate) at: Timestamp,
    /// When its last record was written, by the wall clock.
    pub(crate) touched: Timestamp,
}

impl Rotation {
    /// Whether a record with this time belongs into the next file. Times that go backwards never close a file.
    pub(crate) fn is_due_before(&self, opened: Opened, time: Timestamp) -> bool {
        let known = opened.first != NO_TIMESTAMP && time != NO_TIMESTAMP;
        let apart_ms = time.value().saturating_sub(opened.first.value());
        known
            && self
                .interval_ms
                .is_some_and(|interval_ms| apart_ms >= interval_ms)
    }

    /// The time of records at which a file is closed, whichever file of the partition they go into.
    pub(crate) fn due_at(&self, opened: Opened) -> Option<Timestamp> {
        let from = opened.first.max(opened.watermark);
        let interval_ms = self.interval_ms.filter(|_| from != NO_TIMESTAMP)?;
        Some(Timestamp(from.value().saturating_add(interval_ms)))
    }

    /// Times before this one leave a file open: see [`Rotation::is_due_before`]. `None`: any does.
    pub(crate) fn due_before_from(&self, opened: Opened) -> Option<Timestamp> {
        let interval_ms = self.interval_ms.filter(|_| opened.first != NO_TIMESTAMP)?;
        Some(Timestamp(opened.first.value().saturating_add(interval_ms)))
    }

    /// Whether a file with so many records and bytes is full.
    pub(crate) fn is_full(&self, records: u64, bytes: usize) -> bool {
        records >= self.records_max || self.bytes_max.is_some_and(|bytes_max| bytes >= bytes_max)
    }

    /// When the wall clock closes the file.
    pub(crate) fn deadline(&self, opened: Opened) -> Option<Timestamp> {
        let (at, touched) = (opened.at.value(), opened.touched.value());
        let open = self.interval_ms.map(|interval_ms| at.saturating_add(interval_ms));
        let idle = self.idle_ms.map(|idle_ms| touched.saturating_add(idle_ms));
        let scheduled = self.schedule_ms.map(|schedule_ms| {
            let scheduled = scheduled(at, schedule_ms, &self.zone);
            scheduled.unwrap_or_else(|| at.saturating_add(schedule_ms))
        });
        open.into_iter().chain(idle).chain(scheduled).min().map(Timestamp)
    }
}

/// The first time of its day after `at`, counted from midnight. The first time of a day is its midnight, whether the interval
/// divides a day or not. `None`: beyond all calendars.
fn scheduled(at: i64, schedule_ms: i64, zone: &Zone) -> Option<i64> {
    let local = zone.local(DateTime::from_timestamp_millis(at)?.naive_utc())?;
    let midnight = zone.moment(local.date_naive().and_time(chrono::NaiveTime::MIN))?;
    let midnight = midnight.timestamp_millis();
    let times = (at - midnight) / schedule_ms + 1;
    let next = midnight.saturating_add(times.saturating_mul(schedule_ms));
    if schedule_ms >= DAY_MS {
        return Some(next);
    }
    Some(next.min(zone.midnight_after(&local)?.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 60 * 60 * 1000;

    fn rotation(interval_ms: Option<i64>, schedule_ms: Option<i64>, zone: &str) -> Rotation {
        Rotation {
            records_max: 3,
            bytes_max: Some(100),
            interval_ms,
            schedule_ms,
            idle_ms: None,
            zone: Zone::parse(zone).expect("known"),
        }
    }

    fn opened(at: i64) -> Opened {
        Opened {
            first: Timestamp(0),
            watermark: Timestamp(0),
            at: Timestamp(at),
            touched: Timestamp(at),
        }
    }

    #[test]
    fn the_clock_closes_files_at_times_of_the_day_and_after_the_interval() {
        // The day in 2024 on which Paris goes over to summer time begins at 23:00 UTC and has 23 hours.
        let short_day = 1_711_839_600_000;
        let cases = [
            (rotation(None, None, "UTC"), 5, None),
            (rotation(Some(10), None, "UTC"), 5, Some(15)),
            (rotation(None, Some(10), "UTC"), 5, Some(10)),
            (rotation(None, Some(10), "UTC"), 10, Some(20)),
            (rotation(Some(3), Some(10), "UTC"), 5, Some(8)),
            (
                rotation(None, Some(7 * HOUR_MS), "UTC"),
                22 * HOUR_MS,
                Some(24 * HOUR_MS),
            ),
            (rotation(None, Some(DAY_MS), "+02:00"), 0, Some(22 * HOUR_MS)),
            (rotation(None, Some(DAY_MS), "-02:00"), 0, Some(2 * HOUR_MS)),
            (
                rotation(None, Some(HOUR_MS), "Europe/Paris"),
                short_day,
                Some(short_day + HOUR_MS),
            ),
            (
                rotation(None, Some(23 * HOUR_MS + 1), "Europe/Paris"),
                short_day + HOUR_MS,
                Some(short_day + 23 * HOUR_MS),
            ),
            (
                rotation(Some(i64::MAX), Some(i64::MAX), "UTC"),
                i64::MAX,
                Some(i64::MAX),
            ),
        ];
        for (rotation, at, expected) in cases {
            assert_eq!(
                rotation.deadline(opened(at)),
                expected.map(Timestamp),
                "{rotation:?} at {at}"
            );
        }
        let idle = Rotation {
            idle_ms: Some(7),
            ..rotation(Some(100), None, "UTC")
        };
        let mut file = opened(5);
        assert_eq!(idle.deadline(file), Some(Timestamp(12)));
        file.touched = Timestamp(50);
        assert_eq!(idle.deadline(file), Some(Timestamp(57)));
        file.touched = Timestamp(99);
        assert_eq!(
            idle.deadline(file),
            Some(Timestamp(105)),
            "the interval ends first"
        );
    }

    #[test]
    fn records_close_files_by_count_bytes_and_time_but_never_backwards() {
        let rotation = rotation(Some(10), None, "UTC");
        let full =
            [(2, 99), (3, 0), (4, 0), (1, 100)].map(|(records, bytes)| rotation.is_full(records, bytes));
        assert_eq!(full, [false, true, true, true]);
        let file = Opened {
            first: Timestamp(100),
            ..opened(0)
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
                rotation.is_due_before(file, Timestamp(timestamp)),
                due,
                "{timestamp}"
            );
        }
        assert_eq!(rotation.due_at(file), Some(Timestamp(110)));
        let late = Opened {
            watermark: Timestamp(500),
            ..file
        };
        assert_eq!(
            rotation.due_at(late),
            Some(Timestamp(510)),
            "late records count from where the partition is"
        );
        let unknown = Opened {
            first: NO_TIMESTAMP,
            watermark: NO_TIMESTAMP,
            ..file
        };
        assert_eq!(rotation.due_at(unknown), None);
    }
}
