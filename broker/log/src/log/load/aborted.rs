//! Transaction indexes of segments that were closed properly. They have no checksum, so they are compared with the batches, and made
//! anew from them where they are wrong; but batches are believed only with a right checksum, as a bit may have flipped there just as
//! well. What is read for that does not grow with the length of transactions: a small segment is gone through once; of a
//! large one, two batches are looked at for each entry, that with which the transaction begins, and its marker.

use std::sync::Arc;

use forebay_records::{Offset, RecordBatch};

use super::Loader;
use super::recover::replay_batch;
use crate::error::{Error, Result};
use crate::producer_state::{Marker, ProducerStates};
use crate::segment::{Found, Scan, Segment};
use crate::transaction_index::AbortedTransaction;

/// Segments up to this size are gone through.
const REPLAYED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What there is at an offset.
enum Look {
    Batch(RecordBatch),
    /// No batch has it.
    Nothing,
    /// What is there cannot be believed.
    Damaged,
}

impl Loader {
    /// Makes the transaction index of a segment that ends before `next_offset` anew if it cannot be right.
    pub(super) fn check_transaction_index(
        &mut self,
        segment: &Arc<Segment>,
        next_offset: Offset,
    ) -> Result<()> {
        let is_sane = segment.transaction_index_is_sane(next_offset)?;
        if !is_sane || !self.transaction_index_agrees(segment, next_offset)? {
            self.rebuild_transaction_index(segment, next_offset)?;
        }
        let mut stable = self.aborted_stable_offset;
        for aborted in segment.all_aborted()? {
            if aborted.first_offset < stable {
                // What an entry before it says of the transactions that were open then is wrong.
                self.rebuild_transaction_indexes_before(segment)?;
            }
            stable = stable.max(aborted.last_stable_offset);
        }
        self.aborted_stable_offset = stable;
        Ok(())
    }

    fn rebuild_transaction_indexes_before(&mut self, segment: &Arc<Segment>) -> Result<()> {
        for index in 0..self.segments.len() - 1 {
            let (earlier, next) = (Arc::clone(&self.segments[index]), &self.segments[index + 1]);
            let next_offset = next.base_offset();
            if earlier.base_offset() <= segment.base_offset() && earlier.has_aborted() {
                self.rebuild_transaction_index(&earlier, next_offset)?;
            }
        }
        Ok(())
    }

    /// From the batches, if all of them that it takes are whole; otherwise it stays as it is.
    fn rebuild_transaction_index(&mut self, segment: &Arc<Segment>, next_offset: Offset) -> Result<()> {
        let path = segment.path().display();
        let before = self
            .segments
            .partition_point(|other| other.base_offset() < segment.base_offset());
        let replayed = match self.producers_at(segment)? {
            Some(mut producers) => self.replay_intact(segment, &mut producers, next_offset)?,
            None => {
                let mut producers = ProducerStates::default();
                let mut ends = self.segments[1..].iter().map(|next| next.base_offset());
                let mut aborted = Some(Vec::new());
                for earlier in &self.segments[..before] {
                    let end = ends.next().unwrap_or(next_offset);
                    aborted = aborted.and(self.replay_intact(earlier, &mut producers, end)?);
                    if aborted.is_none() {
                        break;
                    }
                }
                match aborted {
                    Some(_) => self.replay_intact(segment, &mut producers, next_offset)?,
                    None => None,
                }
            }
        };
        let Some(replayed) = replayed else {
            tracing::error!(segment = %path, "the transaction index is not what the batches say, of which some are damaged; it stays as it is");
            return Ok(());
        };
        if replayed == segment.all_aborted()? && segment.transaction_index_is_sane(next_offset)? {
            return Ok(());
        }
        tracing::warn!(segment = %path, "rebuilding the transaction index");
        segment.replace_aborted(&replayed)?;
        self.report.rebuilt_indexes += 1;
        Ok(())
    }

    /// Whether the entries of a transaction index are what the batches say, as far as those can be believed.
    fn transaction_index_agrees(&self, segment: &Arc<Segment>, next_offset: Offset) -> Result<bool> {
        if !segment.has_aborted() {
            return Ok(true);
        }
        let entries = segment.all_aborted()?;
        if segment.size() <= REPLAYED_BYTES_MAX
            && !self.may_be_compacted_before(next_offset)
            && let Some(mut producers) = self.producers_at(segment)?
        {
            let replayed = self.replay_intact(segment, &mut producers, next_offset)?;
            return Ok(replayed.is_none_or(|replayed| replayed == entries));
        }
        for aborted in &entries {
            if !self.is_plausible(aborted)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was known of the producers where a segment begins; none if there is no snapshot of that.
    fn producers_at(&self, segment: &Segment) -> Result<Option<ProducerStates>> {
        let base_offset = segment.base_offset();
        if base_offset == Offset::ZERO {
            return Ok(Some(ProducerStates::default()));
        }
        ProducerStates::at_snapshot(&*self.log.disk, &self.log.folder, base_offset)
    }

    /// The transactions that are aborted in a segment, of which every batch must be whole and follow the one before; none if one is
    /// not. `producers` as they are at its beginning become what they are at its end.
    fn replay_intact(
        &self,
        segment: &Segment,
        producers: &mut ProducerStates,
        next_offset: Offset,
    ) -> Result<Option<Vec<AbortedTransaction>>> {
        let file = segment.file()?;
        let mut scan = Scan::checksums(&*file, segment.path(), 0, segment.size());
        let mut aborted = Vec::new();
        let mut expected = segment.base_offset();
        loop {
            match scan.next()? {
                Found::End => return Ok(Some(aborted)),
                Found::Batch(batch)
                    if batch.header.base_offset >= expected && batch.header.next_offset() <= next_offset =>
                {
                    expected = batch.header.next_offset();
                    let of = (segment, &[][..]);
                    aborted.extend(replay_batch(&self.log.partition, of, &batch, producers)?);
                    producers.set_end_offset(expected);
                }
                _ => return Ok(None),
            }
        }
    }

    /// Whether a transaction of the producer may begin where the entry says, and is aborted where it ends.
    fn is_plausible(&self, aborted: &AbortedTransaction) -> Result<bool> {
        let is_its_end = match self.look_at(aborted.last_offset)? {
            Look::Batch(batch) => {
                let is_abort =
                    Marker::parse(&batch).is_ok_and(|marker| marker.is_some_and(|one| !one.commit));
                is_own(&batch, aborted) && batch.header().is_control() && is_abort
            }
            Look::Nothing => false,
            Look::Damaged => true,
        };
        // What retention or compaction has removed cannot be asked.
        let start = self.segments.first().map(|segment| segment.base_offset());
        if !is_its_end
            || start.is_some_and(|start| aborted.first_offset < start)
            || self.may_be_compacted_before(aborted.first_offset.next())
        {
            return Ok(is_its_end);
        }
        Ok(match self.look_at(aborted.first_offset)? {
            Look::Batch(batch) => is_own(&batch, aborted) && !batch.header().is_control(),
            Look::Nothing => false,
            Look::Damaged => true,
        })
    }

    /// The batch that begins at `offset`.
    fn look_at(&self, offset: Offset) -> Result<Look> {
        let index = self
            .segments
            .partition_point(|segment| segment.base_offset() <= offset)
            .saturating_sub(1);
        let Some(segment) = self.segments.get(index) else {
            return Ok(Look::Nothing);
        };
        let found = segment
            .locate(offset)
            .and_then(|found| found.map(|at| segment.read_batch(&at)).transpose());
        match found {
            Ok(Some(batch)) if batch.ensure_valid().is_err() => Ok(Look::Damaged),
            Ok(Some(batch)) if batch.header().base_offset == offset => Ok(Look::Batch(batch)),
            Ok(_) => Ok(Look::Nothing),
            Err(Error::Corrupt { .. }) => Ok(Look::Damaged),
            Err(error) => Err(error),
        }
    }
}

/// Whether a batch belongs to a transaction of the entry's producer.
fn is_own(batch: &RecordBatch, aborted: &AbortedTransaction) -> bool {
    let header = batch.header();
    header.producer_id == aborted.producer_id && header.is_transactional()
}
