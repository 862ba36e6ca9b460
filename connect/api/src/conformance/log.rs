//! The topic from which the kit feeds a sink: a few partitions, with gaps where control batches and filtered records are.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_records::{BatchBuilder, BatchOptions, Compression, CompressionType, RecordBatch};

use crate::{
    Headers, Offset, RawRecords, SchemaAndValue, SinkBatch, SinkRecord, SinkRecords, Timestamp,
    TimestampType, TopicPartition, ValueFormat,
};

/// Partitions of the kit's topic.
pub const PARTITIONS: i32 = 3;

/// In which form a sink is fed. Values are texts that say where they are from: `topic-0@17`.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// As converted records with values of STRING.
    Converted,
    /// As raw batches, of which the values are to be read like this.
    Raw(ValueFormat),
}

/// The time of the record at offset 0; each offset is a second later.
const FIRST_TIMESTAMP: i64 = 1_700_000_000_000;

/// What the kit's topic holds.
#[derive(Debug)]
pub(super) struct Log {
    /// The first offset after each partition.
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
}

impl Log {
    pub(super) fn new(topic: &str, records_per_partition: i64) -> Self {
        let ends = (0..PARTITIONS).map(|partition| {
            let topic_partition = TopicPartition::new(topic, partition);
            (
                topic_partition,
                Offset(records_per_partition + i64::from(partition)),
            )
        });
        Self { ends: ends.collect() }
    }

    /// Whether a record is at that offset. Where there is none, there was a control batch or a record that a transform took.
    fn has(offset: i64) -> bool {
        offset % 11 != 7 && offset % 50 < 47
    }

    pub(super) fn value(topic_partition: &TopicPartition, offset: i64) -> String {
        format!("{topic_partition}@{offset}")
    }

    /// The values of a range.
    pub(super) fn values(topic_partition: &TopicPartition, range: std::ops::Range<i64>) -> Vec<String> {
        range
            .filter(|offset| Self::has(*offset))
            .map(|offset| Self::value(topic_partition, offset))
            .collect()
    }

    /// What a worker would deliver of that range.
    pub(super) fn batch(
        delivery: &Delivery,
        topic_partition: &TopicPartition,
        range: std::ops::Range<i64>,
    ) -> SinkBatch {
        let offsets = range.clone().filter(|offset| Self::has(*offset));
        let records = match delivery {
            Delivery::Converted => {
                SinkRecords::Converted(offsets.map(|offset| converted(topic_partition, offset)).collect())
            }
            Delivery::Raw(format) => {
                // Batches begin before the position and end behind it, as those of a fetch may.
                let around = (range.start / 10 * 10..range.start).filter(|offset| Self::has(*offset));
                let batches = raw(topic_partition, around.chain(offsets));
                let (first, next) = (Offset(range.start), Offset(range.end));
                SinkRecords::Raw(RawRecords::new(format.clone(), first, next, batches))
            }
        };
        SinkBatch {
            topic_partition: topic_partition.clone(),
            first_offset: Offset(range.start),
            next_offset: Offset(range.end),
            records,
        }
    }
}

fn converted(topic_partition: &TopicPartition, offset: i64) -> SinkRecord {
    SinkRecord {
        topic: topic_partition.topic.clone(),
        partition: topic_partition.partition,
        offset: Offset(offset),
        timestamp: Timestamp(FIRST_TIMESTAMP + offset * 1000),
        timestamp_type: TimestampType::CreateTime,
        key: SchemaAndValue::default(),
        value: SchemaAndValue::string(Log::value(topic_partition, offset)),
        headers: Headers::new(),
    }
}

/// Batches of five records, every other one compressed.
fn raw(topic_partition: &TopicPartition, offsets: impl Iterator<Item = i64>) -> Vec<RecordBatch> {
    let offsets: Vec<i64> = offsets.collect();
    let batches = offsets.chunks(5).enumerate().map(|(index, offsets)| {
        let compression = match index % 2 {
            0 => Compression::NONE,
            _ => Compression::of(CompressionType::Lz4),
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            compression,
            base_offset: Offset(offsets[0]),
            ..BatchOptions::default()
        });
        for offset in offsets {
            let value = Bytes::from(Log::value(topic_partition, *offset));
            let record = forebay_records::Record {
                offset: Offset(*offset),
                timestamp: Timestamp(FIRST_TIMESTAMP + offset * 1000),
                value: Some(value),
                ..forebay_records::Record::default()
            };
            builder
                .append_record(&record.as_ref())
                .expect("offsets grow and the batch has room");
        }
        builder.build().expect("records were appended")
    });
    batches.collect()
}
