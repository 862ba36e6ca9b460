//! What is appended to a log and what comes of it.

use forebay_records::{AppendOrigin, Offset, RecordBatch, Timestamp, Validated};

use crate::producer_state::TransactionChecks;

/// A batch that [`forebay_records::validate`] has let through, with what it found.
#[derive(Debug, Clone)]
pub struct ValidatedBatch {
    /// The batch as the producer sent it.
    pub batch: RecordBatch,
    /// What to write into its head.
    pub validated: Validated,
}

/// The batches of one request for one partition: all or none of them are appended.
#[derive(Debug, Clone)]
pub struct Append {
    /// Usually one.
    pub batches: Vec<ValidatedBatch>,
    /// A client's idempotent batches are checked for their sequence and recognised when they come again.
    pub origin: AppendOrigin,
    /// For transactional batches and markers.
    pub transaction: TransactionChecks,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; of a repeated batch the offset that it got the first time.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The time of the append with LogAppendTime (of a repeated batch, its timestamp), else none.
    pub log_append_time: Timestamp,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// It was in the log already, and nothing was appended.
    pub duplicate: bool,
}

impl Appended {
    /// The offset up to which the log must be synced or replicated before this append is acknowledged.
    pub fn end_offset(&self) -> Offset {
        self.last_offset.next()
    }
}
