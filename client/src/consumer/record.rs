//! What comes out of a consumer: whole batches, or records one by one.

use forebay_protocol::{TopicPartition, Utf8Bytes};
use forebay_records::{Error as RecordsError, LeaderEpoch, Offset, Record, RecordBatch, RecordIterator};

/// A batch as the broker gave it: its bytes are shared with the answer they came in.
#[derive(Debug, Clone)]
pub struct FetchedBatch {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The batch. It may begin before [`FetchedBatch::first_offset`].
    pub batch: RecordBatch,
    /// The first offset to look at: the broker gives whole batches, also where the position lies inside one.
    pub first_offset: Offset,
    /// The partition's high watermark when it was fetched.
    pub high_watermark: Offset,
    /// The partition's last stable offset when it was fetched.
    pub last_stable_offset: Offset,
    /// The partition's first offset when it was fetched.
    pub log_start_offset: Offset,
}

impl FetchedBatch {
    /// The position after this batch.
    pub fn next_offset(&self) -> Offset {
        self.batch.next_offset()
    }

    /// The records from [`FetchedBatch::first_offset`] on.
    ///
    /// # Errors
    /// If the batch is in a compression that nobody knows or its header is unsound; the iterator's, if it cannot be read on.
    pub fn records(&self) -> Result<FetchedRecords, RecordsError> {
        Ok(FetchedRecords {
            records: self.batch.records()?,
            first_offset: self.first_offset,
        })
    }
}

/// The records of a batch that lie at or behind the position.
#[derive(Debug)]
pub struct FetchedRecords {
    records: RecordIterator,
    first_offset: Offset,
}

impl Iterator for FetchedRecords {
    type Item = Result<Record, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first_offset = self.first_offset;
        self.records.find(|record| {
            record
                .as_ref()
                .map_or(true, |record| record.offset >= first_offset)
        })
    }
}

/// One record and where it was (Kafka's `ConsumerRecord`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: Utf8Bytes,
    /// The partition.
    pub partition: i32,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// Offset, timestamp, key, value, headers.
    pub record: Record,
}

impl ConsumerRecord {
    /// The partition it was in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.clone(),
            partition: self.partition,
        }
    }
}

/// A committed offset: the position from which to go on (Kafka's `OffsetAndMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to read.
    pub offset: Offset,
    /// The leader epoch of the record before it, if known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Anything the member wants to find again.
    pub metadata: String,
}

impl From<Offset> for OffsetAndMetadata {
    fn from(offset: Offset) -> Self {
        Self {
            offset,
            leader_epoch: None,
            metadata: String::new(),
        }
    }
}
