//! The configuration: Confluent's keys for its S3 and HDFS sinks, as far as they have a meaning here, and one of our own
//! (`max.buffer.bytes`). What would change where or whether data lands, and is not supported, is refused rather than ignored.

mod definition;
mod formats;
mod target;

use forebay_connect_api::{Error, config::Properties};

pub(crate) use definition::definition;
pub(crate) use target::{S3Options, Target};

use crate::{format::Format, name::Layout, rotation::Rotation};

/// What becomes of records without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnNull {
    /// The task fails, or the record goes to the dead letter queue.
    Fail,
    /// They are left out.
    Ignore,
    /// They are written as null.
    Write,
}

/// A configuration in its types.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) target: Target,
    pub(crate) layout: Layout,
    pub(crate) format: Format,
    pub(crate) rotation: Rotation,
    pub(crate) on_null: OnNull,
    pub(crate) retry_backoff_ms: u64,
    /// What all open files of the task may take.
    pub(crate) buffer_bytes_max: usize,
}

impl Config {
    /// Reads and checks everything, also what concerns several keys.
    pub(crate) fn parse(properties: &Properties) -> Result<Self, Error> {
        let parsed = definition().parse(properties)?;
        let format = formats::format(&parsed);
        let positive = |key: &str| parsed.get_optional::<i64>(key).filter(|number| *number > 0);
        let number =
            |key: &str| usize::try_from(parsed.get_long(key)).expect("the validator wants no negative ones");
        Ok(Self {
            target: target::parse(&parsed)?,
            layout: Layout {
                topics_dir: parsed.get_string("topics.dir").trim_matches('/').to_owned(),
                file_delimiter: parsed.get_string("file.delim").to_owned(),
                pad_width: usize::try_from(parsed.get_int("filename.offset.zero.pad.width"))
                    .expect("the validator wants no negative ones"),
                extension: format.extension(),
            },
            format,
            rotation: Rotation {
                records_max: u64::try_from(parsed.get_int("flush.size"))
                    .expect("the validator wants it positive"),
                interval_ms: positive("rotate.interval.ms"),
                schedule_ms: positive("rotate.schedule.interval.ms"),
                zone_ms: zone_ms(parsed.get_string("timezone")),
            },
            on_null: match parsed.get_string("behavior.on.null.values") {
                "ignore" => OnNull::Ignore,
                "write" => OnNull::Write,
                _ => OnNull::Fail,
            },
            retry_backoff_ms: parsed.get_long("retry.backoff.ms").unsigned_abs(),
            buffer_bytes_max: number("max.buffer.bytes"),
        })
    }
}

/// The last part of a class name.
fn simple_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// What a zone adds to UTC: `UTC`, `GMT`, `Z`, `+02:00`, `GMT-05:30`. Zones by place are not known, and have been warned of; they only
/// say when the day begins at which scheduled rotation starts to count.
fn zone_ms(zone: &str) -> i64 {
    known_zone_ms(zone).unwrap_or_else(|| {
        tracing::warn!(zone, "timezone: only UTC and offsets such as +02:00 are known; scheduled rotation counts from midnight in UTC");
        0
    })
}

fn known_zone_ms(zone: &str) -> Option<i64> {
    let offset = zone.trim_start_matches("UTC").trim_start_matches("GMT");
    if matches!(offset, "" | "Z") {
        return Some(0);
    }
    let (sign, offset) = match offset.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=18).contains(&hours) && (0..60).contains(&minutes);
    in_range.then_some(sign * (hours * 60 + minutes) * 60_000)
}

#[cfg(test)]
mod tests;
