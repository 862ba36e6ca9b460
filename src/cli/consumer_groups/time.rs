//! Points in time as `--to-datetime` and `--by-duration` give them: ISO 8601 as Java reads it (`Utils.getDateTime`, `Duration.parse`).

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// `YYYY-MM-DDThh:mm:ss.sss`, with `Z`, `+hh`, `+hhmm` or `+hh:mm` behind it, or in UTC; as milliseconds since 1970.
pub(super) fn timestamp(text: &str) -> Result<i64, String> {
    let (date, time) = text.split_once('T').filter(|(_, time)| !time.is_empty()).ok_or(
        "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
    )?;
    let zone_at = time.find(['+', '-', 'Z']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    // Without a zone Kafka reads it as if one stood behind it, and tells of it so.
    let assumed = if zone.is_empty() { "Z" } else { "" };
    let unparseable = || format!("java.text.ParseException: Unparseable date: \"{text}{assumed}\"");
    let parsed = || {
        let date = numbers(date, '-', 3)?;
        let (clock, fraction) = time.split_once('.')?;
        let clock = numbers(clock, ':', 3)?;
        let (hour, minute, second) = (clock[0], clock[1], clock[2]);
        // As Java reads it, .5 are five milliseconds.
        let milliseconds = number(fraction)?;
        let in_range = hour < 24 && minute < 60 && second < 60 && milliseconds < SECOND_MS;
        let days = days(date[0], date[1], date[2])?;
        let of_day = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + milliseconds;
        in_range.then_some(())?;
        Some(days * DAY_MS + of_day - offset(zone)?)
    };
    parsed().ok_or_else(unparseable)
}

fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn numbers(text: &str, separator: char, count: usize) -> Option<Vec<i64>> {
    let numbers: Option<Vec<i64>> = text.split(separator).map(number).collect();
    numbers.filter(|numbers| numbers.len() == count)
}

/// What a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first() {
        None => return Some(0),
        Some(b'Z') => return (zone == "Z").then_some(0),
        Some(b'-') => (-1, zone.get(1..)?),
        Some(_) => (1, zone.get(1..)?),
    };
    let digits = rest.replacen(':', "", 1);
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits)?, 0),
        4 => (number(digits.get(..2)?)?, number(digits.get(2..)?)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR_MS + minutes * MINUTE_MS))
}

/// Days from 1970 to a date that there is (after Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year > 9999 || !(1..=of_month).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// `PnDTnHnMn.nS`, each with a sign if need be; as milliseconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    let parsed = || {
        let upper = text.to_ascii_uppercase();
        let (negative, rest) = match upper.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, upper.strip_prefix('+').unwrap_or(&upper)),
        };
        let rest = rest.strip_prefix('P')?;
        let (days, time) = match rest.split_once('T') {
            Some((_, "")) => return None,
            Some((days, time)) => (days, time),
            None => (rest, ""),
        };
        if days.is_empty() && time.is_empty() {
            return None;
        }
        let of_days = parts(days, &[('D', DAY_MS)])?;
        let of_time = parts(time, &[('H', HOUR_MS), ('M', MINUTE_MS), ('S', SECOND_MS)])?;
        let sum = of_days.checked_add(of_time)?;
        Some(if negative { -sum } else { sum })
    };
    parsed().ok_or_else(|| "Text cannot be parsed to a Duration".to_owned())
}

/// `1H30M`: numbers with units, each unit at most once and in this order; only seconds may have a fraction.
fn parts(mut text: &str, mut units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0_i64;
    while !text.is_empty() {
        let at = text.find(|letter: char| letter.is_ascii_alphabetic())?;
        let unit = text[at..].chars().next()?;
        let index = units.iter().position(|(known, _)| *known == unit)?;
        let (value, size) = (&text[..at], units[index].1);
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        if value.contains('.') && unit != 'S' {
            return None;
        }
        let (sign, digits) = match whole.as_bytes().first()? {
            b'-' => (-1, &whole[1..]),
            b'+' => (1, &whole[1..]),
            _ => (1, whole),
        };
        let milliseconds: String = fraction.chars().chain("000".chars()).take(3).collect();
        let of_part = number(digits)?.checked_mul(size)? + number(&milliseconds)?;
        sum = sum.checked_add(sign * of_part)?;
        text = &text[at + 1..];
        units = &units[index + 1..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_java_reads_them() {
        let cases = [
            ("1970-01-01T00:00:00.000", 0),
            ("2020-02-29T12:30:15.250", 1_582_979_415_250),
            ("2020-01-01T00:00:00.000+0100", 1_577_833_200_000),
            ("2020-01-01T00:00:00.000+01:00", 1_577_833_200_000),
            ("2020-01-01T00:00:00.000-01", 1_577_840_400_000),
            ("2020-01-01T00:00:00.000Z", 1_577_836_800_000),
            ("1969-12-31T23:59:59.999", -1),
            ("2020-01-01T00:00:00.5", 1_577_836_800_005),
        ];
        for (text, expected) in cases {
            assert_eq!(timestamp(text), Ok(expected), "{text}");
        }
        let without = "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        assert_eq!(timestamp("2020-01-01"), Err(without.to_owned()));
        for (text, told) in [
            ("2020-01-01T00:00:00", "2020-01-01T00:00:00Z"),
            ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
            ("2021-02-29T00:00:00.000", "2021-02-29T00:00:00.000Z"),
            ("2020-13-01T00:00:00.000", "2020-13-01T00:00:00.000Z"),
            ("2020-01-01T24:00:00.000", "2020-01-01T24:00:00.000Z"),
            ("2020-01-01T00:00:00.000+1é2", "2020-01-01T00:00:00.000+1é2"),
            ("2020-01-01T00:00:00.000é", "2020-01-01T00:00:00.000éZ"),
            ("xTy", "xTyZ"),
        ] {
            assert_eq!(
                timestamp(text),
                Err(format!("java.text.ParseException: Unparseable date: \"{told}\""))
            );
        }
    }

    #[test]
    fn durations_are_read_as_java_reads_them() {
        let cases = [
            ("PT10H", 10 * HOUR_MS),
            ("P1DT1H1M1.5S", DAY_MS + HOUR_MS + MINUTE_MS + 1500),
            ("pt0s", 0),
            ("P0D", 0),
            ("-PT1M", -MINUTE_MS),
            ("PT-1M", -MINUTE_MS),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in [
            "", "P", "PT", "P1DT", "10H", "P1H", "PT1D", "PT1M1H", "PT1.5H", "PT1", "P1Y",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
