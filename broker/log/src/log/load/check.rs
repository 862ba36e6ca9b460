//! Looks at segments that were closed properly: are their indexes there, do they end where they should, does the next one
//! follow. Their transaction indexes: `aborted.rs`.

use std::sync::Arc;

use forebay_records::Offset;

use super::Loader;
use crate::error::{Error, Result};
use crate::segment::{Found, Scan, Segment};

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
