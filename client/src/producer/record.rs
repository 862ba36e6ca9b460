//! What goes into a producer and what comes back for it.

use forebay_protocol::TopicPartition;
use forebay_records::{Headers, Offset, Timestamp};

/// A record to send. Everything is borrowed: sending copies it once, into its batch.
#[derive(Debug, Clone, Copy)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None`: by the key, or spread evenly without one.
    pub partition: Option<i32>,
    /// When it happened; `None`: now.
    pub timestamp: Option<Timestamp>,
    /// The key; records with equal keys go to one partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` deletes the key in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Further pairs, carried along.
    pub headers: &'a Headers,
}

static NO_HEADERS: Headers = Headers::EMPTY;

impl<'a> ProducerRecord<'a> {
    /// A record of key and value.
    pub fn new(topic: &'a str, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self {
            topic,
            partition: None,
            timestamp: None,
            key,
            value,
            headers: &NO_HEADERS,
        }
    }

    /// To this partition.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self {
            partition: Some(partition),
            ..self
        }
    }

    /// With this timestamp.
    #[must_use]
    pub fn timestamp(self, timestamp: Timestamp) -> Self {
        Self {
            timestamp: Some(timestamp),
            ..self
        }
    }

    /// With these headers.
    #[must_use]
    pub fn headers(self, headers: &'a Headers) -> Self {
        Self { headers, ..self }
    }
}

/// Where a record ended up (Kafka's `RecordMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordMetadata {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The offset in it; `None` with `acks=0`, and where the broker only knows that it has the record already.
    pub offset: Option<Offset>,
    /// The record's timestamp, or the broker's if the topic has LogAppendTime.
    pub timestamp: Timestamp,
}
