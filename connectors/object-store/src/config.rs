//! The configuration: Confluent's keys for its S3 and HDFS sinks, as far as they have a meaning here, and a few of our own
//! (`max.buffer.bytes`, `worker.max.buffer.bytes`, `intents.enable`, `flush.bytes`, `rotate.idle.interval.ms`). What would change where or whether data lands, and is not
//! supported, is refused rather than ignored.

mod definition;
mod formats;
mod partitioning;
mod target;

use std::borrow::Cow;

use forebay_connect_api::{Error, config::Properties};

pub(crate) use definition::definition;
pub(crate) use target::{S3Options, Target};

use crate::{format::Format, name::Layout, partitioner::Partitioner, rotation::Rotation};

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
    pub(crate) partitioner: Partitioner,
    /// `rotate.file.on.partition.change`.
    pub(crate) rotate_on_change: bool,
    /// `partitioner.max.open.files`, of one partition of a topic.
    pub(crate) open_files_max: Option<usize>,
    pub(crate) format: Format,
    pub(crate) rotation: Rotation,
    /// `intents.enable`.
    pub(crate) intents: bool,
    pub(crate) on_null: OnNull,
    pub(crate) retry_backoff_ms: u64,
    /// What all open files of the task may take.
    pub(crate) buffer_bytes_max: usize,
    /// What all open files of the worker may take.
    pub(crate) worker_bytes_max: usize,
}

impl Config {
    /// Reads and checks everything, also what concerns several keys.
    pub(crate) fn parse(properties: &Properties) -> Result<Self, Error> {
        let properties = &*filled(properties);
        let parsed = definition().parse(properties)?;
        let format = formats::format(&parsed, properties)?;
        let positive = |key: &str| parsed.get_optional::<i64>(key).filter(|number| *number > 0);
        let number =
            |key: &str| usize::try_from(parsed.get_long(key)).expect("the validator wants no negative ones");
        Ok(Self {
            target: target::parse(&parsed)?,
            layout: Layout {
                topics_dir: parsed.get_string("topics.dir").trim_matches('/').to_owned(),
                directory_delimiter: parsed.get_string("directory.delim").to_owned(),
                file_delimiter: parsed.get_string("file.delim").to_owned(),
                pad_width: usize::try_from(parsed.get_int("filename.offset.zero.pad.width"))
                    .expect("the validator wants no negative ones"),
                extension: format.extension(),
            },
            partitioner: partitioning::parse(&parsed)?,
            rotate_on_change: parsed.get_boolean("rotate.file.on.partition.change"),
            open_files_max: usize::try_from(parsed.get_int("partitioner.max.open.files"))
                .ok()
                .filter(|max| *max > 0),
            format,
            rotation: Rotation {
                records_max: u64::try_from(parsed.get_int("flush.size"))
                    .expect("the validator wants it positive"),
                bytes_max: positive("flush.bytes").and_then(|bytes| usize::try_from(bytes).ok()),
                interval_ms: positive("rotate.interval.ms"),
                schedule_ms: positive("rotate.schedule.interval.ms"),
                idle_ms: positive("rotate.idle.interval.ms"),
                zone: partitioning::zone(&parsed),
            },
            intents: parsed.get_boolean("intents.enable"),
            on_null: match parsed.get_string("behavior.on.null.values") {
                "ignore" => OnNull::Ignore,
                "write" => OnNull::Write,
                _ => OnNull::Fail,
            },
            retry_backoff_ms: parsed.get_long("retry.backoff.ms").unsigned_abs(),
            buffer_bytes_max: number("max.buffer.bytes"),
            worker_bytes_max: number("worker.max.buffer.bytes"),
        })
    }
}

/// With what is a default of Confluent's HDFS sinks, and not of its S3 sink.
pub(crate) fn filled(properties: &Properties) -> Cow<'_, Properties> {
    let class = properties.get("connector.class").map(|class| simple_name(class));
    let is_hdfs = class.is_some_and(|class| class.to_ascii_lowercase().starts_with("hdfs"));
    if !is_hdfs || properties.contains_key("format.class") {
        return Cow::Borrowed(properties);
    }
    let mut filled = properties.clone();
    filled.insert("format.class".to_owned(), "AvroFormat".to_owned());
    Cow::Owned(filled)
}

/// The last part of a class name.
fn simple_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

#[cfg(test)]
mod tests;
