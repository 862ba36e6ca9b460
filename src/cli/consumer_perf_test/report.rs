//! The figures: of the whole, and of each interval.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use std::time::Instant;

const MEBIBYTE: f64 = 1024.0 * 1024.0;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The line that names them.
pub(super) fn header(is_detailed: bool) -> String {
    let times = if is_detailed {
        "time, threadId"
    } else {
        "start.time, end.time"
    };
    format!(
        "{times}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, \
         fetch.nMsg.sec"
    )
}

/// What has been read so far.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The time that went into joining the group.
    pub(super) rebalanced: Duration,
    began: (Instant, i64),
    ended: (Instant, i64),
}

fn now() -> (Instant, i64) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (
        Instant::now(),
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
    )
}

impl Report {
    pub(super) fn new() -> Self {
        let now = now();
        Self {
            records: 0,
            bytes: 0,
            rebalanced: Duration::ZERO,
            began: now,
            ended: now,
        }
    }

    /// No more is read.
    pub(super) fn end(&mut self) {
        self.ended = now();
    }

    pub(super) fn total(&self, format: &DateFormat) -> String {
        let elapsed = self.ended.0.duration_since(self.began.0);
        let fetching = elapsed.saturating_sub(self.rebalanced);
        let mebibytes = self.bytes as f64 / MEBIBYTE;
        format!(
            "{}, {}, {mebibytes:.4}, {}, {}, {}, {}, {}, {}, {}",
            format.text(self.began.1),
            format.text(self.ended.1),
            rate(mebibytes, elapsed),
            self.records,
            rate(self.records as f64, elapsed),
            self.rebalanced.as_millis(),
            fetching.as_millis(),
            rate(mebibytes, fetching),
            rate(self.records as f64, fetching)
        )
    }
}

/// So much in a second, as Java writes it.
fn rate(value: f64, time: Duration) -> String {
    let rate = value / (time.as_millis() as f64 / 1000.0);
    if rate.is_infinite() {
        "Infinity".to_owned()
    } else {
        format!("{rate:.4}")
    }
}

/// An interval.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) began: Instant,
    pub(super) rebalanced: Duration,
    records: u64,
    bytes: u64,
}

impl Progress {
    /// One that begins with what has been read.
    pub(super) fn new(report: &Report) -> Self {
        Self {
            began: Instant::now(),
            rebalanced: Duration::ZERO,
            records: report.records,
            bytes: report.bytes,
        }
    }

    pub(super) fn line(&self, report: &Report, format: &DateFormat) -> String {
        let elapsed = self.began.elapsed();
        let fetching = elapsed.saturating_sub(self.rebalanced);
        let mebibytes = (report.bytes - self.bytes) as f64 / MEBIBYTE;
        let records = (report.records - self.records) as f64;
        // While the group is joined nothing is fetched.
        let of_fetching = |value| {
            if fetching.as_millis() == 0 {
                "0.0000".to_owned()
            } else {
                rate(value, fetching)
            }
        };
        format!(
            "{}, 0, {:.4}, {}, {}, {}, {}, {}, {}, {}",
            format.text(now().1),
            report.bytes as f64 / MEBIBYTE,
            rate(mebibytes, elapsed),
            report.records,
            rate(records, elapsed),
            self.rebalanced.as_millis(),
            fetching.as_millis(),
            of_fetching(mebibytes),
            of_fetching(records)
        )
    }
}

/// A pattern of Java's `SimpleDateFormat`: numbers of the date and the time, in UTC, and text between quotes.
#[derive(Debug)]
pub(super) struct DateFormat(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Number(char, usize),
}

impl DateFormat {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                let quoted: String = letters.by_ref().take_while(|letter| *letter != '\'').collect();
                parts.push(Part::Text(if quoted.is_empty() {
                    "'".to_owned()
                } else {
                    quoted
                }));
            } else if letter.is_ascii_alphabetic() {
                let mut count = 1;
                while letters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                let is_name = letter == 'M' && count > 2;
                if !"yMdHmsS".contains(letter) || is_name {
                    return Err(format!("Illegal pattern character '{letter}'"));
                }
                parts.push(Part::Number(letter, count));
            } else {
                parts.push(Part::Text(letter.to_string()));
            }
        }
        Ok(Self(parts))
    }

    /// A time in milliseconds since 1970.
    pub(super) fn text(&self, time_ms: i64) -> String {
        let (days, of_day) = (time_ms.div_euclid(DAY_MS), time_ms.rem_euclid(DAY_MS));
        let (year, month, day) = date(days);
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Number('y', 2) => format!("{:02}", year % 100),
            Part::Number(letter, width) => {
                let number = match letter {
                    'y' => year,
                    'M' => month,
                    'd' => day,
                    'H' => of_day / 3_600_000,
                    'm' => of_day / 60_000 % 60,
                    's' => of_day / 1000 % 60,
                    _ => of_day % 1000,
                };
                format!("{number:0width$}")
            }
        };
        self.0.iter().map(part).collect()
    }
}

/// The date so many days after the first of 1970 (after Howard Hinnant's `civil_from_days`).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year_of_era + era * 400 + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_java_writes_them() {
        let cases = [
            ("yyyy-MM-dd HH:mm:ss:SSS", 0, "1970-01-01 00:00:00:000"),
            (
                "yyyy-MM-dd HH:mm:ss:SSS",
                1_795_287_213_932,
                "2026-11-21 18:53:33:932",
            ),
            ("yy/M/d 'at' H''m", 951_782_400_000, "00/2/29 at 0'0"),
            ("yyyy-MM-dd", -1, "1969-12-31"),
        ];
        for (pattern, time, expected) in cases {
            assert_eq!(DateFormat::new(pattern).expect("a pattern").text(time), expected);
        }
        let error = DateFormat::new("yyyy b").expect_err("no letter");
        assert_eq!(error, "Illegal pattern character 'b'");
    }

    #[test]
    fn figures_are_kafkas() {
        let mut report = Report::new();
        let before = Progress::new(&report);
        report.records = 501;
        report.bytes = 1 << 20;
        report.rebalanced = Duration::from_millis(1500);
        report.ended = (report.began.0 + Duration::from_secs(2), report.began.1 + 2000);
        let format = DateFormat::new("'t'").expect("a pattern");
        assert_eq!(
            report.total(&format),
            "t, t, 1.0000, 0.5000, 501, 250.5000, 1500, 500, 2.0000, 1002.0000"
        );
        let line = before.line(&report, &format);
        assert!(
            line.starts_with("t, 0, 1.0000, ") && line.split(", ").count() == 10,
            "{line}"
        );
        assert_eq!(header(false).split(", ").count(), 10);
        assert_eq!(header(true).split(", ").count(), 10);
    }
}
