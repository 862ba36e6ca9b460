//! One converted record, and which partition it is from.

use std::{fmt, sync::Arc};

use crate::{Headers, Offset, SchemaAndValue, Timestamp, TimestampType};

/// A partition of a topic; `Display` is `topic-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// That partition of that topic.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A record as it came out of converters and transforms. Its place in the log (Kafka's `originalTopic`, `originalKafkaPartition`)
/// is the batch's partition and `offset`; transforms change `topic` and `partition` only.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRecord {
    /// The topic it is for: its own, unless a transform (RegexRouter) changed it.
    pub topic: Arc<str>,
    /// The partition it is for: its own, unless a transform changed it.
    pub partition: i32,
    /// Its offset in the batch's partition.
    pub offset: Offset,
    /// Its timestamp, or [`crate::NO_TIMESTAMP`].
    pub timestamp: Timestamp,
    /// Whose clock that was.
    pub timestamp_type: TimestampType,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// The headers.
    pub headers: Headers,
}
