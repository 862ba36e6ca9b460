//! What becomes of a batch when its log is compacted (Kafka's `Cleaner.cleanInto` and `MemoryRecords.filterTo`).

use std::collections::HashMap;

use forebay_records::{Offset, ProducerId, RecordBatch, RecordRef, RewriteError, Timestamp};

use super::{Broken, OffsetMap};
use crate::producer_state::LastRecord;

/// By what batches are judged in one cleaning.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    /// The newest offset of each key, of the records before `mapped_end`.
    pub(crate) map: &'a OffsetMap,
    /// Records from here on are not in the map and stay.
    pub(crate) mapped_end: Offset,
    /// What the log knew of its producers when the cleaning began: the last batch of each stays, as it has its sequence.
    pub(crate) producers: &'a HashMap<ProducerId, LastRecord>,
    /// When the cleaning began.
    pub(crate) now: Timestamp,
    /// `delete.retention.ms`.
    pub(crate) delete_retention_ms: i64,
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It stays as it is.
    All,
    /// This takes its place.
    Rewritten(RecordBatch),
    /// It goes.
    Nothing,
}

/// What is known of a batch besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Of a transaction that was aborted, or a marker that decides nothing any more.
    pub(crate) discardable: bool,
    /// The last batch of its segment, which says where that ends: it stays, be it empty.
    pub(crate) ends_segment: bool,
}

/// Records of a batch that were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) read: u64,
    pub(crate) kept: u64,
    pub(crate) without_key: u64,
}

impl Filter<'_> {
    /// Judges a batch.
    ///
    /// # Errors
    /// If its records cannot be read.
    pub(crate) fn judge(
        &self,
        batch: &RecordBatch,
        circumstances: Circumstances,
        counts: &mut Counts,
    ) -> Result<Kept, RewriteError> {
        let header = batch.header();
        let is_control = header.is_control();
        let horizon = header.delete_horizon();
        // A marker is kept for as long as a tombstone, from when nothing was left that it decides.
        let discarded = (circumstances.discardable
            && (!is_control || horizon.is_some_and(|horizon| horizon <= self.now)))
            || (is_control && Broken::MarkersAtOnce.is_on());
        let mut kept = Vec::new();
        let mut has_tombstones = false;
        let mut records = batch.records()?;
        while let Some(record) = records.next_ref() {
            let record = record?;
            let keep = !discarded && (is_control || self.keeps(&record, horizon, counts));
            has_tombstones |= keep && record.value.is_none();
            kept.push(keep);
        }
        let count = kept.iter().filter(|keep| **keep).count();
        counts.read += kept.len() as u64;
        counts.kept += count as u64;
        if count == 0 {
            return Ok(self.without_records(batch, circumstances));
        }
        // The time begins when a tombstone has been through the map: only from then on are its key's older records gone.
        let begins =
            (has_tombstones && header.last_offset() < self.mapped_end && !Broken::TombstonesForEver.is_on())
                || (is_control && circumstances.discardable);
        let new_horizon = (begins && horizon.is_none()).then(|| self.now + self.delete_retention_ms);
        if count == kept.len() && new_horizon.is_none() {
            return Ok(Kept::All);
        }
        let rewritten = batch.retain(new_horizon.or(horizon), |index| kept[index])?;
        Ok(Kept::Rewritten(rewritten))
    }

    /// Whether a record stays.
    fn keeps(&self, record: &RecordRef<'_>, horizon: Option<Timestamp>, counts: &mut Counts) -> bool {
        if record.offset >= self.mapped_end {
            return true;
        }
        let Some(key) = record.key else {
            counts.without_key += 1;
            return false;
        };
        let is_newest = self.map.get(key).is_none_or(|newest| record.offset >= newest);
        let is_young = horizon.is_none_or(|horizon| self.now < horizon);
        is_newest && (record.value.is_some() || is_young && !Broken::TombstonesAtOnce.is_on())
    }

    /// A batch of which no record stays.
    fn without_records(&self, batch: &RecordBatch, circumstances: Circumstances) -> Kept {
        if !circumstances.ends_segment && !self.is_last_of_producer(batch) {
            Kept::Nothing
        } else if batch.header().count == 0 {
            Kept::All
        } else {
            Kept::Rewritten(batch.without_records())
        }
    }

    /// Whether a producer's sequence, or if it has none in its epoch that epoch, is known by this batch.
    fn is_last_of_producer(&self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        if !header.has_producer_id() || Broken::ProducersForgotten.is_on() {
            return false;
        }
        self.producers
            .get(&header.producer_id)
            .is_some_and(|last| match last.data_offset {
                Some(offset) => header.last_offset() == offset,
                None => header.is_control() && header.producer_epoch == last.epoch,
            })
    }
}
