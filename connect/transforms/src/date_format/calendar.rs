//! Days of Java's `GregorianCalendar` in UTC: Julian before 1582-10-15, Gregorian from there on.

pub(super) const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// 1582-10-15 in days since 1970-01-01: the first Gregorian day.
const CUTOVER: i64 = -141_427;

/// From the first day of the proleptic Julian year 0, in March, to 1970-01-01.
const JULIAN_EPOCH: i64 = 719_470;

/// From the first day of the proleptic Gregorian year 0, in March, to 1970-01-01.
const GREGORIAN_EPOCH: i64 = 719_468;

/// A day; the year before 1 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
}

impl Day {
    /// The day of that many days since 1970-01-01.
    pub(super) fn of(days: i64) -> Self {
        let (years, day_of_year) = if days >= CUTOVER {
            let days = days + GREGORIAN_EPOCH;
            let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
            let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
            (year + era * 400, day - (365 * year + year / 4 - year / 100))
        } else {
            let days = days + JULIAN_EPOCH;
            let (era, day) = (days.div_euclid(1461), days.rem_euclid(1461));
            let year = (day - day / 1460) / 365;
            (year + era * 4, day - 365 * year)
        };
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: years + i64::from(month <= 2),
            month,
            day,
        }
    }

    /// The days since 1970-01-01; months and days may be beyond their bounds, and then count on.
    pub(super) fn days(self) -> i64 {
        let months = self.year.saturating_mul(12).saturating_add(self.month - 1);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        // Years that begin in March.
        let year = if month <= 2 { year - 1 } else { year };
        let march_month = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * march_month + 2) / 5;
        let of_year = |leap_days: i64, epoch: i64| {
            year.saturating_mul(365)
                .saturating_add(leap_days + day_of_year + self.day - 1 - epoch)
        };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let gregorian = of_year(leap_days, GREGORIAN_EPOCH);
        if gregorian >= CUTOVER {
            gregorian
        } else {
            of_year(year.div_euclid(4), JULIAN_EPOCH)
        }
    }

    /// Its number in its year, from 1.
    pub(super) fn day_of_year(self) -> i64 {
        let first = Self {
            month: 1,
            day: 1,
            ..self
        };
        self.days() - first.days() + 1
    }
}

/// The weekday of that many days since 1970-01-01, from 0 for Sunday.
pub(super) fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// The same moment eighty years earlier.
pub(super) fn eighty_years_before(now: i64) -> i64 {
    let day = Day::of(now.div_euclid(MILLISECONDS_PER_DAY));
    let earlier = Day {
        year: day.year - 80,
        ..day
    };
    earlier.days() * MILLISECONDS_PER_DAY + now.rem_euclid(MILLISECONDS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_there_and_back_and_ten_of_them_are_missing() {
        for (days, year, month, day) in [
            (0, 1970, 1, 1),
            (19_782, 2024, 2, 29),
            (-1, 1969, 12, 31),
            (CUTOVER, 1582, 10, 15),
            (CUTOVER - 1, 1582, 10, 4),
            (-719_164, 1, 1, 1),
            (-719_165, 0, 12, 31),
            (2_932_896, 9999, 12, 31),
        ] {
            let expected = Day { year, month, day };
            assert_eq!(Day::of(days), expected);
            assert_eq!(expected.days(), days);
        }
        for days in (-800_000..40_000).step_by(37) {
            assert_eq!(Day::of(days).days(), days);
        }
        let beyond = |year, month, day| Day { year, month, day }.days();
        assert_eq!(beyond(2023, 13, 32), beyond(2024, 2, 1));
        assert_eq!(beyond(2024, 0, 1), beyond(2023, 12, 1));
        assert_eq!(weekday(0), 4);
    }
}
