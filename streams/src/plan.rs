//! Which offsets an epoch reads, and when epochs start.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_records::Offset;

use crate::Error;

/// The next offset to read of each partition of the topic.
pub type Offsets = BTreeMap<i32, Offset>;

/// Where a query without a checkpoint begins (Spark's `startingOffsets`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartingOffsets {
    /// With the first record there is.
    #[default]
    Earliest,
    /// With the next record that comes.
    Latest,
}

/// When the next epoch starts (Spark's `Trigger`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// `ProcessingTime`: at each multiple of the interval; at once where the last epoch took longer. Zero: as soon as there
    /// is something to read.
    ProcessingTime(Duration),
    /// `AvailableNow`: all that is there at the start, then the end.
    AvailableNow,
}

impl Trigger {
    /// Reads Spark's interval texts, such as `1s`, `500ms`, `1 second`, `2 minutes`.
    pub fn parse_interval(text: &str) -> Option<Duration> {
        let text = text.trim();
        let digits = text.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let milliseconds = match text[digits..].trim() {
            "ms" | "milliseconds" | "millisecond" => number,
            "s" | "seconds" | "second" => number.checked_mul(1_000)?,
            "m" | "min" | "minutes" | "minute" => number.checked_mul(60_000)?,
            "h" | "hours" | "hour" => number.checked_mul(3_600_000)?,
            _ => return None,
        };
        Some(Duration::from_millis(milliseconds))
    }
}

/// One epoch's work: from `start` up to, not including, `end` in each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) epoch: u64,
    pub(crate) start: Offsets,
    pub(crate) end: Offsets,
}

impl Plan {
    /// How many offsets are in it; some may have no record (control batches, compaction).
    pub(crate) fn offset_count(&self) -> u64 {
        let ranges = self.end.iter().map(|(partition, end)| {
            let start = self.start.get(partition).copied().unwrap_or(Offset(0));
            u64::try_from(end.0 - start.0).unwrap_or(0)
        });
        ranges.sum()
    }

    /// Cuts `latest` so that the epoch has about `offsets_max` offsets (Spark's `maxOffsetsPerTrigger`): each partition gets
    /// its share of what waits, rounded up so that a small one never starves.
    pub(crate) fn limited(epoch: u64, start: Offsets, latest: &Offsets, offsets_max: u64) -> Self {
        let whole = Self {
            epoch,
            start,
            end: latest.clone(),
        };
        let waiting = whole.offset_count();
        if waiting <= offsets_max {
            return whole;
        }
        let end = latest.iter().map(|(partition, latest)| {
            let start = whole.start.get(partition).copied().unwrap_or(Offset(0));
            let own = u128::try_from(latest.0 - start.0).unwrap_or(0);
            let share = (own * u128::from(offsets_max)).div_ceil(u128::from(waiting));
            (
                *partition,
                Offset(start.0 + i64::try_from(share.min(own)).unwrap_or(0)),
            )
        });
        let end = end.collect();
        Self { end, ..whole }
    }
}

/// The offsets that Spark writes into its log: `{"topic":{"0":23}}`.
pub(crate) fn to_json(topic: &str, offsets: &Offsets) -> serde_json::Value {
    let of_topic: serde_json::Map<String, serde_json::Value> = offsets
        .iter()
        .map(|(partition, offset)| (partition.to_string(), offset.0.into()))
        .collect();
    serde_json::json!({ topic: of_topic })
}

pub(crate) fn from_json(topic: &str, json: &serde_json::Value) -> Option<Offsets> {
    let of_topic = json.get(topic)?.as_object()?;
    of_topic
        .iter()
        .map(|(partition, offset)| Some((partition.parse().ok()?, Offset(offset.as_i64()?))))
        .collect()
}

/// No partition's end may lie before where the query already is: that would be another topic, or records taken back.
pub(crate) fn check_not_backwards(topic: &str, start: &Offsets, latest: &Offsets) -> Result<(), Error> {
    for (partition, from) in start {
        let latest = latest.get(partition).copied().unwrap_or(Offset(0));
        if latest < *from {
            let partition = forebay_protocol::TopicPartition::new(topic, *partition);
            return Err(Error::DataLoss {
                partition,
                from: latest,
                to: *from,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_shared_by_what_waits_and_starves_nobody() {
        let start: Offsets = [(0, Offset(0)), (1, Offset(10)), (2, Offset(5))].into();
        let latest: Offsets = [(0, Offset(1_000)), (1, Offset(11)), (2, Offset(5))].into();
        let plan = Plan::limited(3, start.clone(), &latest, 100);
        assert_eq!(plan.end[&1], Offset(11));
        assert_eq!(plan.end[&2], Offset(5));
        assert!((99..=101).contains(&plan.offset_count()), "{plan:?}");
        assert_eq!(Plan::limited(3, start, &latest, 1_001).end, latest);
    }

    #[test]
    fn intervals_are_read_as_spark_writes_them() {
        for (text, milliseconds) in [
            ("1s", 1_000),
            ("500ms", 500),
            ("1 second", 1_000),
            ("2 minutes", 120_000),
            (" 0 seconds ", 0),
        ] {
            assert_eq!(
                Trigger::parse_interval(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "1", "s", "1 fortnight", "-1s", "99999999999999999999s"] {
            assert_eq!(Trigger::parse_interval(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_are_written_as_spark_writes_them() {
        let offsets: Offsets = [(0, Offset(23)), (1, Offset(7))].into();
        let json = to_json("t", &offsets);
        assert_eq!(json.to_string(), r#"{"t":{"0":23,"1":7}}"#);
        assert_eq!(from_json("t", &json), Some(offsets));
        assert_eq!(from_json("other", &json), None);
    }
}
