//! A record on its way through transformations: what source and sink records have in common (Kafka's `ConnectRecord`).

use std::sync::Arc;

use forebay_connect_api::{
    Headers, NO_TIMESTAMP, Offset, SchemaAndValue, SinkRecord, SourceRecord, Timestamp,
};

/// What a transformation sees and may change.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The topic that it is for, or from.
    pub topic: Arc<str>,
    /// The partition; `None` where the producer is to choose.
    pub partition: Option<i32>,
    /// The timestamp, if it has one.
    pub timestamp: Option<Timestamp>,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// The headers.
    pub headers: Headers,
    /// Where it is in its partition; `None` before it is produced. Not to be changed.
    pub offset: Option<Offset>,
}

impl Record {
    /// Takes the part of a source's record that transformations may change, leaving nothing behind.
    pub fn of_source(record: &mut SourceRecord) -> Self {
        Self {
            topic: Arc::clone(&record.topic),
            partition: record.partition,
            timestamp: record.timestamp,
            key: std::mem::take(&mut record.key),
            value: std::mem::take(&mut record.value),
            headers: std::mem::take(&mut record.headers),
            offset: None,
        }
    }

    /// Puts it back.
    pub fn into_source(self, record: &mut SourceRecord) {
        record.topic = self.topic;
        record.partition = self.partition;
        record.timestamp = self.timestamp;
        record.key = self.key;
        record.value = self.value;
        record.headers = self.headers;
    }

    /// Takes the part of a sink's record that transformations may change, leaving nothing behind.
    pub fn of_sink(record: &mut SinkRecord) -> Self {
        Self {
            topic: Arc::clone(&record.topic),
            partition: Some(record.partition),
            timestamp: Some(record.timestamp).filter(|timestamp| *timestamp != NO_TIMESTAMP),
            key: std::mem::take(&mut record.key),
            value: std::mem::take(&mut record.value),
            headers: std::mem::take(&mut record.headers),
            offset: Some(record.offset),
        }
    }

    /// Puts it back.
    pub fn into_sink(self, record: &mut SinkRecord) {
        record.topic = self.topic;
        record.partition = self.partition.unwrap_or(record.partition);
        record.timestamp = self.timestamp.unwrap_or(NO_TIMESTAMP);
        record.key = self.key;
        record.value = self.value;
        record.headers = self.headers;
    }
}

/// Whether a transformation works on the key or on the value: `Cast$Key`, `Cast$Value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Key,
    Value,
}

impl Side {
    /// What it works on.
    pub(crate) fn of(self, record: &Record) -> &SchemaAndValue {
        match self {
            Self::Key => &record.key,
            Self::Value => &record.value,
        }
    }

    /// The same, to be changed.
    pub(crate) fn of_mut(self, record: &mut Record) -> &mut SchemaAndValue {
        match self {
            Self::Key => &mut record.key,
            Self::Value => &mut record.value,
        }
    }
}
