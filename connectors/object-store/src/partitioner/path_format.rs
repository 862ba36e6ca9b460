//! `path.format`: patterns of Joda-Time's `DateTimeFormat` such as `'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH`.

use std::fmt::{Display, Write};

use chrono::{DateTime, Datelike, FixedOffset, Timelike};

use super::zone::Zone;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// How often a letter may stand in a row.
const WIDTH_MAX: usize = 20;

/// A pattern, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathFormat(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

impl PathFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\'' if characters.peek() == Some(&'\'') => {
                    characters.next();
                    push(&mut parts, '\'');
                }
                '\'' => loop {
                    match characters.next() {
                        Some('\'') if characters.peek() == Some(&'\'') => {
                            characters.next();
                            push(&mut parts, '\'');
                        }
                        Some('\'') | None => break,
                        Some(character) => push(&mut parts, character),
                    }
                },
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while characters.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    parts.push(field(letter, count)?);
                }
                other => push(&mut parts, other),
            }
        }
        if parts.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self(parts))
    }

    /// Whether it writes names, which are a matter of language.
    pub(crate) fn has_names(&self) -> bool {
        self.0.iter().any(|part| {
            matches!(part, Part::Field('E' | 'a' | 'G', _)) || matches!(part, Part::Field('M', 3..))
        })
    }

    /// Writes a moment.
    pub(crate) fn format(&self, moment: &DateTime<FixedOffset>, zone: &Zone) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(letter, count) => write_field(&mut out, *letter, *count, moment, zone),
            }
        }
        out
    }
}

fn push(parts: &mut Vec<Part>, character: char) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(character),
        _ => parts.push(Part::Text(character.into())),
    }
}

fn field(letter: char, count: usize) -> Result<Part, String> {
    match letter {
        _ if count > WIDTH_MAX => Err(format!("{letter} stands there more than {WIDTH_MAX} times")),
        'z' if count >= 4 => {
            Err("full names of time zones (zzzz) are not known here; use z or ZZZ".to_owned())
        }
        'G' | 'C' | 'Y' | 'x' | 'w' | 'e' | 'E' | 'y' | 'D' | 'M' | 'd' | 'a' | 'K' | 'h' | 'H' | 'k'
        | 'm' | 's' | 'S' | 'z' | 'Z' => Ok(Part::Field(letter, count)),
        other => Err(format!("Illegal pattern component: {other}")),
    }
}

fn write_field(out: &mut String, letter: char, count: usize, moment: &DateTime<FixedOffset>, zone: &Zone) {
    let common_era = moment.year_ce();
    let named = |name: &'static str| if count >= 4 { name } else { &name[..3] };
    let hour = moment.hour();
    match letter {
        'G' => out.push_str(if common_era.0 { "AD" } else { "BC" }),
        'C' => number(out, common_era.1 / 100, count),
        'Y' => year(out, i64::from(common_era.1), count),
        'y' => year(out, i64::from(moment.year()), count),
        'x' => year(out, i64::from(moment.iso_week().year()), count),
        'w' => number(out, moment.iso_week().week(), count),
        'e' => number(out, moment.weekday().number_from_monday(), count),
        'E' => out.push_str(named(WEEKDAYS[moment.weekday().num_days_from_monday() as usize])),
        'D' => number(out, moment.ordinal(), count),
        'M' if count >= 3 => out.push_str(named(MONTHS[moment.month0() as usize])),
        'M' => number(out, moment.month(), count),
        'd' => number(out, moment.day(), count),
        'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'K' => number(out, hour % 12, count),
        'h' => number(out, if hour.is_multiple_of(12) { 12 } else { hour % 12 }, count),
        'H' => number(out, hour, count),
        'k' => number(out, if hour == 0 { 24 } else { hour }, count),
        'm' => number(out, moment.minute(), count),
        's' => number(out, moment.second(), count),
        'S' => {
            let digits = format!(
                "{:03}{:0width$}",
                moment.timestamp_subsec_millis(),
                0,
                width = WIDTH_MAX
            );
            out.push_str(&digits[..count]);
        }
        'z' => out.push_str(&zone.abbreviation(moment)),
        'Z' if count >= 3 => out.push_str(&zone.name()),
        'Z' => {
            let text = moment.format(if count == 1 { "%z" } else { "%:z" });
            let _ = write!(out, "{text}"); // Writing to a string does not fail.
        }
        _ => unreachable!("the pattern was read"),
    }
}

fn number(out: &mut String, number: impl Display, width: usize) {
    let _ = write!(out, "{number:0width$}"); // Writing to a string does not fail.
}

/// Two letters are the last two digits.
fn year(out: &mut String, year: i64, count: usize) {
    match count {
        2 => number(out, year.rem_euclid(100), 2),
        _ => number(out, year, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_jodas() {
        // 2024-02-05T13:07:09.042+01:00, a Monday.
        let moment = DateTime::parse_from_rfc3339("2024-02-05T13:07:09.042+01:00").expect("a time");
        let paris = Zone::parse("Europe/Paris").expect("known");
        let cases = [
            (
                "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
                "year=2024/month=02/day=05/hour=13",
            ),
            ("'dt'=YYYY-MM-dd", "dt=2024-02-05"),
            ("yyyyMMdd'T'HHmmss.SSS", "20240205T130709.042"),
            ("YY-M-d h a", "24-2-5 1 PM"),
            ("'it''s' ''EEE EEEE MMM MMMM", "it's 'Mon Monday Feb February"),
            ("xxxx-'W'ww-e D DDD", "2024-W06-1 36 036"),
            ("K k SSSSS C G", "1 13 04200 20 AD"),
            ("Z ZZ ZZZ z", "+0100 +01:00 Europe/Paris CET"),
            ("'open", "open"),
        ];
        for (pattern, expected) in cases {
            let format = PathFormat::parse(pattern).expect(pattern);
            assert_eq!(format.format(&moment, &paris), expected, "{pattern}");
        }
        let midnight = DateTime::parse_from_rfc3339("2024-02-05T00:00:00+00:00").expect("a time");
        let format = PathFormat::parse("K h k H").expect("sound");
        let utc = Zone::parse("UTC").expect("known");
        assert_eq!(format.format(&midnight, &utc), "0 12 24 0");
        for (wrong, reason) in [
            ("", "empty"),
            ("b", "Illegal pattern component: b"),
            ("year=YYYY", "Illegal pattern component: r"),
            ("YYYYYYYYYYYYYYYYYYYYY", "more than 20"),
            ("zzzz", "use z"),
        ] {
            assert!(
                PathFormat::parse(wrong).expect_err(wrong).contains(reason),
                "{wrong}"
            );
        }
        assert!(PathFormat::parse("MMM").expect("sound").has_names());
        assert!(!PathFormat::parse("MM/'E'").expect("sound").has_names());
    }
}
