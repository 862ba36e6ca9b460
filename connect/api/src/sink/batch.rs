//! What a sink task is given at once: records of one partition, converted or as the log has them.

use super::format::ValueFormat;
use crate::{Error, Offset, RecordBatch, RecordRef, SinkRecord, TopicPartition};

/// Records of one partition, and the range of offsets that they stand for.
///
/// The range covers more than the records: control batches, records of aborted transactions, records that a transform filtered
/// and offsets that compaction emptied are in it, too. So a file that is named by offsets leaves no hole.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkBatch {
    /// Where the records are from.
    pub topic_partition: TopicPartition,
    /// The position at which this batch begins: the `next_offset` of the batch before.
    pub first_offset: Offset,
    /// The position after this batch; `next_offset - 1` is the last offset consumed.
    pub next_offset: Offset,
    /// The records, possibly none.
    pub records: SinkRecords,
}

/// The records of a batch in one of two forms.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkRecords {
    /// Out of converters and transforms.
    Converted(Vec<SinkRecord>),
    /// As the log has them, for tasks that asked by [`crate::SinkTask::takes_raw`].
    Raw(RawRecords),
}

impl SinkRecords {
    /// An upper bound of the number of records: raw ones are not counted before they are read.
    pub fn len_max(&self) -> usize {
        match self {
            Self::Converted(records) => records.len(),
            Self::Raw(records) => records
                .batches
                .iter()
                .map(|batch| usize::try_from(batch.header().count).unwrap_or(0))
                .sum(),
        }
    }
}

/// Whole record batches, still compressed if they came so, of which the records from some offset on count.
#[derive(Debug, Clone)]
pub struct RawRecords {
    format: ValueFormat,
    first_offset: Offset,
    next_offset: Offset,
    batches: Vec<RecordBatch>,
}

/// By what they hold, not by how it is to be read.
impl PartialEq for RawRecords {
    fn eq(&self, other: &Self) -> bool {
        (self.first_offset, self.next_offset, &self.batches)
            == (other.first_offset, other.next_offset, &other.batches)
    }
}

impl RawRecords {
    /// Takes batches as a fetch gave them, without those of aborted transactions. The first may begin before `first_offset` and
    /// the last end after `next_offset`: records outside of them are skipped, and control batches are, too.
    pub fn new(
        format: ValueFormat,
        first_offset: Offset,
        next_offset: Offset,
        batches: Vec<RecordBatch>,
    ) -> Self {
        Self {
            format,
            first_offset,
            next_offset,
            batches,
        }
    }

    /// How many records the batches say that they have, skipped ones among them.
    pub fn batches_count(&self) -> usize {
        let counts = self.batches.iter().map(|batch| batch.header().count);
        counts.map(|count| usize::try_from(count).unwrap_or(0)).sum()
    }

    /// How values are to be read.
    pub fn format(&self) -> &ValueFormat {
        &self.format
    }

    /// Gives each record to `visit`, in order, borrowed from its batch; ends early with `visit`'s error. Timestamps are the
    /// append time where the topic says so.
    ///
    /// # Errors
    /// `visit`'s, or a fatal one if a batch is damaged or decompresses to more than is allowed.
    pub fn try_for_each<E: From<Error>>(
        &self,
        mut visit: impl FnMut(RecordRef<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for batch in &self.batches {
            if batch.header().attributes.is_control() || batch.next_offset() <= self.first_offset {
                continue;
            }
            let mut records = batch.records().map_err(|error| damaged(batch, error))?;
            while let Some(record) = records.next_ref() {
                let record = record.map_err(|error| damaged(batch, error))?;
                if record.offset >= self.next_offset {
                    return Ok(());
                }
                if record.offset >= self.first_offset {
                    visit(record)?;
                }
            }
        }
        Ok(())
    }
}

fn damaged(batch: &RecordBatch, error: forebay_records::Error) -> Error {
    Error::fatal(format!(
        "the record batch at offset {} cannot be read",
        batch.base_offset()
    ))
    .with_source(error)
}
