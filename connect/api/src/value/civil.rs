//! Days and times of the Gregorian calendar, proleptic and in UTC.

use std::fmt::Write;

use crate::schema::MILLISECONDS_PER_DAY;

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `java.util.Date.toString` in UTC: `Thu Jan 01 00:00:00 UTC 1970`.
pub(crate) fn java_date(milliseconds: i64) -> String {
    let per_day = i64::from(MILLISECONDS_PER_DAY);
    let days = milliseconds.div_euclid(per_day);
    let seconds = milliseconds.rem_euclid(per_day) / 1000;
    let (year, month, day) = from_days(days);
    let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).expect("0 to 6")];
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{weekday} {} {day:02} ", MONTHS[month - 1]);
    let _ = write!(text, "{hours:02}:{minutes:02}:{seconds:02} UTC {year}"); // Writing to a string does not fail.
    text
}

/// As ISO 8601 has it: `1970-01-01`.
pub(crate) fn iso_date(days: i64) -> String {
    let (year, month, day) = from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// As ISO 8601 has it, of milliseconds since midnight: `23:59:59.999`.
pub(crate) fn iso_time(milliseconds: i64) -> String {
    let (seconds, milliseconds) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}")
}

/// As ISO 8601 has it, in UTC: `1970-01-01T00:00:00.000Z`.
pub(crate) fn iso_timestamp(milliseconds: i64) -> String {
    let per_day = i64::from(MILLISECONDS_PER_DAY);
    let (days, time) = (milliseconds.div_euclid(per_day), milliseconds.rem_euclid(per_day));
    format!("{}T{}Z", iso_date(days), iso_time(time))
}

/// Year, month (1 to 12) and day of a count of days since 1970-01-01: years that begin in March, in eras of 400.
fn from_days(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, usize::try_from(month).expect("1 to 12"), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_javas() {
        let cases = [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (951_782_399_999, "Mon Feb 28 23:59:59 UTC 2000"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (1_709_251_200_000, "Fri Mar 01 00:00:00 UTC 2024"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
            (253_402_300_799_000, "Fri Dec 31 23:59:59 UTC 9999"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(java_date(milliseconds), expected);
        }
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_709_251_200_042, "2024-03-01T00:00:00.042Z"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(iso_timestamp(milliseconds), expected);
        }
        iso_timestamp(i64::MIN);
        java_date(i64::MAX);
        java_date(i64::MIN);
    }
}
