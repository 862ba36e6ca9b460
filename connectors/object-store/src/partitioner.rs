//! Into which folder a record goes: Confluent's partitioners. What they give is called the encoded partition, such as
//! `partition=0` or `year=2024/month=02`.

mod fields;
mod path_format;
mod time;
mod zone;

use std::sync::Arc;

use forebay_connect_api::{Error, NO_TIMESTAMP, Timestamp, TopicPartition};

pub(crate) use fields::{FieldPath, Fields};
pub(crate) use path_format::PathFormat;
pub(crate) use time::{Extractor, Time};
pub(crate) use zone::Zone;

use crate::format::Cell;

/// How long an encoded partition may be: S3's keys have 1,024 bytes.
const BYTES_MAX: usize = 800;

/// The partitioner of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Partitioner {
    /// Kafka's partition.
    Default,
    /// What is in some fields of the value.
    Fields(Fields),
    /// A time.
    Time(Time),
}

/// What a partitioner may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The record's own time.
    pub(crate) timestamp: Timestamp,
    /// Its value.
    pub(crate) cell: Cell<'a>,
    /// The wall clock.
    pub(crate) now: Timestamp,
}

/// Where a record belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its folder.
    pub(crate) encoded: Arc<str>,
    /// The time by which its file is rotated, if it has one.
    pub(crate) time: Timestamp,
}

/// Remembers what was encoded last, as most records are like the one before.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_partition: Option<Arc<str>>,
    by_time: Option<time::Bucket>,
    by_fields: Option<Arc<str>>,
}

impl Partitioner {
    /// Whether it is Kafka's partition alone that counts, so that one file follows the other.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    /// Whether it looks into values, which therefore have to be converted.
    pub(crate) fn needs_value(&self) -> bool {
        match self {
            Self::Default => false,
            Self::Fields(_) => true,
            Self::Time(time) => matches!(time.extractor, Extractor::Field(_)),
        }
    }

    /// The folder of a record, and its time.
    ///
    /// # Errors
    /// If the record has not what it is encoded from.
    pub(crate) fn place(
        &self,
        of: &TopicPartition,
        seen: Seen<'_>,
        recent: &mut Recent,
    ) -> Result<Place, Error> {
        match self {
            Self::Default => {
                let encoded = recent
                    .by_partition
                    .get_or_insert_with(|| default_partition(of).into());
                Ok(Place {
                    encoded: Arc::clone(encoded),
                    time: seen.timestamp,
                })
            }
            Self::Fields(fields) => {
                let encoded = fields.encode(seen.cell)?;
                check_length(&encoded)?;
                let same = recent.by_fields.take_if(|recent| **recent == *encoded);
                let encoded = same.unwrap_or_else(|| encoded.into());
                recent.by_fields = Some(Arc::clone(&encoded));
                Ok(Place {
                    encoded,
                    time: seen.timestamp,
                })
            }
            Self::Time(time) => {
                let at = time.extract(seen)?;
                let encoded = time.encode(at, &mut recent.by_time)?;
                check_length(&encoded)?;
                Ok(Place { encoded, time: at })
            }
        }
    }
}

/// Confluent's default: `partition=0`.
pub(crate) fn default_partition(of: &TopicPartition) -> String {
    format!("partition={}", of.partition)
}

fn check_length(encoded: &str) -> Result<(), Error> {
    if encoded.len() <= BYTES_MAX {
        return Ok(());
    }
    Err(Error::fatal(format!(
        "its folder would have a name of {} bytes, and {BYTES_MAX} is the most",
        encoded.len()
    )))
}

fn is_known(timestamp: Timestamp) -> bool {
    timestamp != NO_TIMESTAMP
}

#[cfg(test)]
mod tests;
