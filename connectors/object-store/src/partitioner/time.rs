//! `TimeBasedPartitioner`, `HourlyPartitioner`, `DailyPartitioner`: a time of each record, rounded down to a duration and written
//! by a pattern.

use std::sync::Arc;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta};
use forebay_connect_api::{
    Error, Timestamp, Value,
    schema::{Logical, MILLISECONDS_PER_DAY},
};

use super::{FieldPath, PathFormat, Seen, Zone, fields::Found, is_known};

/// The keys of the partitioner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    pub(crate) extractor: Extractor,
    /// `partition.duration.ms`, above 0.
    pub(crate) duration_ms: i64,
    /// `path.format`.
    pub(crate) format: PathFormat,
    /// `timezone`.
    pub(crate) zone: Zone,
}

/// `timestamp.extractor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extractor {
    /// When the record is read: another time when it is read again.
    Wallclock,
    /// The record's own.
    Record,
    /// What is in a field of its value.
    Field(FieldPath),
}

/// A folder, and the local times that go there.
#[derive(Debug)]
pub(super) struct Bucket {
    /// What the zone adds to UTC.
    offset_seconds: i32,
    /// The beginning of its local time, rounded down.
    begin_ms: i64,
    encoded: Arc<str>,
}

impl Time {
    /// The time of a record.
    pub(super) fn extract(&self, seen: Seen<'_>) -> Result<Timestamp, Error> {
        match &self.extractor {
            Extractor::Wallclock => Ok(seen.now),
            Extractor::Record if is_known(seen.timestamp) => Ok(seen.timestamp),
            Extractor::Record => Err(Error::fatal("it has no timestamp")),
            Extractor::Field(path) => {
                let Found { value, schema } = path.find(seen.cell)?;
                let time = match (value, schema.and_then(|schema| schema.logical())) {
                    (Value::Int32(days), Some(Logical::Date)) => {
                        Some(i64::from(*days) * i64::from(MILLISECONDS_PER_DAY))
                    }
                    (_, Some(Logical::Time)) => {
                        let error =
                            "its field is a time of day, which is on no day: a date or a timestamp is needed";
                        return Err(Error::fatal(error));
                    }
                    (Value::Int32(_) | Value::Int64(_), _) => value.as_i64(),
                    (Value::String(text), _) => parse(text),
                    _ => None,
                };
                time.map(Timestamp).ok_or_else(|| {
                    Error::fatal(format!(
                        "{value} in its field is no time: milliseconds since 1970, or a text of ISO 8601 such as 2024-02-05T13:07:09.042Z"
                    ))
                })
            }
        }
    }

    /// The folder of a time.
    pub(super) fn encode(&self, at: Timestamp, recent: &mut Option<Bucket>) -> Result<Arc<str>, Error> {
        let beyond = || Error::fatal(format!("{} ms since 1970 is beyond all calendars", at.value()));
        let utc = DateTime::from_timestamp_millis(at.value()).ok_or_else(beyond)?;
        let local = self.zone.local(utc.naive_utc()).ok_or_else(beyond)?;
        let local_ms = local.naive_local().and_utc().timestamp_millis();
        // As Java divides: towards 1970.
        let begin_ms = local_ms / self.duration_ms * self.duration_ms;
        let offset_seconds = local.offset().local_minus_utc();
        if let Some(recent) = recent
            && (recent.begin_ms, recent.offset_seconds) == (begin_ms, offset_seconds)
        {
            return Ok(Arc::clone(&recent.encoded));
        }
        let begin = DateTime::from_timestamp_millis(begin_ms).ok_or_else(beyond)?;
        let begin: DateTime<FixedOffset> = self.zone.moment(begin.naive_utc()).ok_or_else(beyond)?;
        let encoded: Arc<str> = self.format.format(&begin, &self.zone).into();
        *recent = Some(Bucket {
            offset_seconds,
            begin_ms,
            encoded: Arc::clone(&encoded),
        });
        Ok(encoded)
    }
}

/// A text of ISO 8601: a date, a time of it, an offset; each may be missing from the right. Without an offset it is UTC.
fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let (time, offset_seconds) = split_offset(time)?;
    let mut date = date.splitn(3, '-');
    let mut part = |least: u32| match date.next() {
        Some(digits) => digits.parse::<u32>().ok(),
        None => Some(least),
    };
    let (year, month, day) = (part(0)?, part(1)?, part(1)?);
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let (whole, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
    let mut parts = whole.splitn(3, ':');
    let mut part = || match parts.next() {
        None | Some("") => Some(0),
        Some(digits) => digits.parse::<u32>().ok(),
    };
    let (hour, minute, second) = (part()?, part()?, part()?);
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let milliseconds: u32 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let local: NaiveDateTime = date.and_hms_milli_opt(hour, minute, second, milliseconds)?;
    let utc = local.checked_sub_signed(TimeDelta::seconds(offset_seconds))?;
    Some(utc.and_utc().timestamp_millis())
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(place) = time.rfind(['+', '-']) else {
        return Some((time, 0));
    };
    let (time, offset) = time.split_at(place);
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().ok().filter(|_| matches!(digits.len(), 2 | 4))?;
    let (hours, minutes) = match digits.len() {
        2 => (number, 0),
        _ => (number / 100, number % 100),
    };
    let seconds = (hours * 60 + minutes) * 60;
    Some((
        time,
        if offset.starts_with('-') {
            -seconds
        } else {
            seconds
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_iso_8601_are_times() {
        let cases = [
            ("2024-02-05T13:07:09.042Z", Some(1_707_138_429_042)),
            ("2024-02-05T13:07:09.042+01:00", Some(1_707_134_829_042)),
            ("2024-02-05T13:07:09-0130", Some(1_707_143_829_000)),
            ("2024-02-05T13:07:09.5", Some(1_707_138_429_500)),
            ("2024-02-05 13:07", Some(1_707_138_420_000)),
            ("2024-02-05T13+01", Some(1_707_134_400_000)),
            ("2024-02-05", Some(1_707_091_200_000)),
            ("2024-02", Some(1_706_745_600_000)),
            ("2024", Some(1_704_067_200_000)),
            ("2024-02-30", None),
            ("2024-02-05T25:00", None),
            ("2024-02-05T13:07:09.x", None),
            ("2024-02-05T13+1", None),
            ("5 February", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
