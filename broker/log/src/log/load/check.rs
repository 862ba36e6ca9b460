//! Looks at segments that were closed properly: are their indexes there, do they end where they should, does the next one
//! follow.

use std::sync::Arc;

use forebay_records::Offset;

use super::Loader;
use crate::error::{Error, Result};
use crate::producer_state::ProducerStates;
use crate::segment::{Found, Scan, Segment};
use crate::transaction_index::AbortedTransaction;

impl Loader {
    /// Checks a segment that is not the last one.
    ///
    /// # Errors
    /// [`Error::Hole`] if the next segment does not follow, unless compaction explains it.
    pub(super) fn check_closed(&mut self, index: usize) -> Result<()> {
        let segment = Arc::clone(&self.segments[index]);
        let next = Arc::clone(&self.segments[index + 1]);
        let end = self.check_end(&segment)?;
        self.check_transaction_index(&segment, next.base_offset())?;
        segment.close_if_idle();
        segment.close_if_idle();
        match end {
            // Damage in the middle of old data is for its readers to see; it does not make a hole.
            None => Ok(()),
            Some(end) if end == next.base_offset() => Ok(()),
            Some(end) if end < next.base_offset() => {
                if self.may_be_compacted_before(next.base_offset())
                    || was_compacted(&segment)?
                    || was_compacted(&next)?
                {
                    Ok(())
                } else {
                    Err(self.hole(end, next.base_offset()))
                }
            }
            Some(end) => {
                let reason = format!("it ends before offset {end}, beyond the next segment's base offset");
                Err(Error::Corrupt {
                    path: segment.path().to_path_buf(),
                    position: segment.size(),
                    reason: reason.into(),
                })
            }
        }
    }

    /// Checks the last segment after a clean shutdown; gives the log's end, or none if it must be recovered.
    pub(super) fn check_last(&mut self) -> Result<Option<Offset>> {
        let Some(last) = self.segments.last().map(Arc::clone) else {
            return Ok(None);
        };
        let Some(end) = self.check_end(&last)? else {
            return Ok(None);
        };
        self.check_transaction_index(&last, end)?;
        last.max_timestamp()?;
        Ok(Some(end))
    }

    /// The offset after a segment's last batch; its indexes are made anew if they are missing or wrong. None if its
    /// batches are damaged.
    fn check_end(&mut self, segment: &Segment) -> Result<Option<Offset>> {
        if segment.indexes_are_sane()?
            && let Some(end) = segment.load_end()?
        {
            return Ok(Some(end));
        }
        self.report.rebuilt_indexes += 1;
        match segment.rebuild_indexes() {
            Ok(()) => segment.load_end(),
            Err(Error::Corrupt {
                path,
                position,
                reason,
            }) => {
                tracing::error!(segment = %path.display(), position, %reason, "a segment is damaged");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the transaction index anew, from the log's beginning, if it cannot be right.
    fn check_transaction_index(&mut self, segment: &Arc<Segment>, next_offset: Offset) -> Result<()> {
        if !segment.transaction_index_is_sane(next_offset)? || !self.transaction_index_agrees(segment)? {
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

    fn rebuild_transaction_index(&mut self, segment: &Arc<Segment>, next_offset: Offset) -> Result<()> {
        tracing::warn!(segment = %segment.path().display(), "rebuilding the transaction index");
        let mut producers = ProducerStates::default();
        let up_to = self
            .segments
            .partition_point(|other| other.base_offset() <= segment.base_offset());
        let before = &self.segments[..up_to - 1];
        super::replay_producers(&self.log.partition, before, &mut producers, segment.base_offset())?;
        segment.clear_aborted()?;
        for aborted in
            super::recover::replay_segment(&self.log.partition, segment, &mut producers, next_offset)?
        {
            segment.append_aborted(&aborted)?;
        }
        self.report.rebuilt_indexes += 1;
        Ok(())
    }

    /// Whether the entries of the transaction index, which has no checksum, are what the batches say.
    fn transaction_index_agrees(&self, segment: &Segment) -> Result<bool> {
        for aborted in segment.all_aborted()? {
            if !self.is_aborted(&aborted)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a transaction of the producer begins where the entry says, and its first marker is where it ends.
    fn is_aborted(&self, aborted: &AbortedTransaction) -> Result<bool> {
        let first = self
            .segments
            .partition_point(|segment| segment.base_offset() <= aborted.first_offset)
            .saturating_sub(1);
        // What retention or compaction has removed cannot be asked.
        let start = self.segments.first().map(|segment| segment.base_offset());
        let mut begins = start.is_some_and(|start| aborted.first_offset < start)
            || self.may_be_compacted_before(aborted.first_offset.next());
        for segment in &self.segments[first..] {
            let Some(batch) = segment.locate(aborted.first_offset.max(segment.base_offset()))? else {
                continue;
            };
            let file = segment.file()?;
            let mut scan = Scan::all_headers(&*file, segment.path(), batch.position, segment.size());
            while let Found::Batch(batch) | Found::Damaged(batch) = scan.next()? {
                let header = &batch.header;
                let is_own = header.producer_id == aborted.producer_id && header.is_transactional();
                if header.base_offset == aborted.first_offset {
                    begins = is_own && !header.is_control();
                }
                if !begins || header.base_offset > aborted.last_offset {
                    return Ok(false);
                }
                if is_own && header.is_control() {
                    return Ok(header.base_offset == aborted.last_offset);
                }
            }
        }
        Ok(false)
    }
}

/// Whether records or batches are missing within a segment: then compaction has removed them, and may have removed what
/// followed too.
pub(super) fn was_compacted(segment: &Segment) -> Result<bool> {
    let file = segment.file()?;
    let mut scan = Scan::all_headers(&*file, segment.path(), 0, segment.size());
    let mut expected = segment.base_offset();
    while let Found::Batch(batch) | Found::Damaged(batch) = scan.next()? {
        let header = &batch.header;
        if header.base_offset > expected || header.count <= header.last_offset_delta {
            return Ok(true);
        }
        expected = header.next_offset();
    }
    Ok(false)
}
