//! Reading: from memory if the wanted batches were appended lately, else as a range of a segment's file.

use std::ops::Bound;
use std::sync::Arc;

use forebay_records::Offset;

use super::{Log, View};
use crate::error::{Error, Result};
use crate::locks::{read_lock, write_lock};
use crate::read::{Chunk, Read, ReadResult};
use crate::segment::{Segment, Slice};
use crate::transaction_index::AbortedTransaction;

impl Log {
    /// What can be read at once, from memory or where an earlier read has ended in a file that the page cache holds; none if
    /// that is not enough to answer. Never waits for the disk.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] and [`Error::Offline`].
    pub fn read_cached(&self, read: &Read) -> Option<Result<ReadResult>> {
        if let Err(error) = self.directory.check() {
            return Some(Err(error));
        }
        let view = read_lock(&self.view);
        match self.clamp(&view, read) {
            Err(error) => Some(Err(error)),
            Ok(None) => Some(Ok(nothing_at(read.offset))),
            Ok(Some(read)) => {
                let cached = view.tail.read(&read);
                let segment = view.segment_of(read.offset);
                drop(view);
                cached
                    .or_else(|| Some(of_slice(segment?.slice_now(&read)?)))
                    .map(Ok)
            }
        }
    }

    /// Reads whole batches. May wait for the disk.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] below the log's start or above its end, [`Error::Corrupt`], or a storage error.
    pub fn read(&self, read: &Read) -> Result<ReadResult> {
        loop {
            if let Some(answer) = self.read_cached(read) {
                return answer;
            }
            let view = read_lock(&self.view);
            let Some(clamped) = self.clamp(&view, read)? else {
                return Ok(nothing_at(read.offset));
            };
            let Some(segment) = view.segment_of(clamped.offset) else {
                return Ok(nothing_at(read.offset));
            };
            drop(view);
            match self.read_from(segment, &clamped) {
                Err(error) if self.was_deleted(&error, read.offset) => {}
                answer => return answer,
            }
        }
    }

    /// Reads from the first segment that has something at or after the offset.
    fn read_from(&self, mut segment: Arc<Segment>, read: &Read) -> Result<ReadResult> {
        loop {
            if let Some(slice) = segment.slice(read)? {
                return Ok(of_slice(slice));
            }
            match read_lock(&self.view).segment_after(segment.base_offset()) {
                Some(next) => segment = next,
                None => return Ok(nothing_at(read.offset)),
            }
        }
    }

    /// Whether a read failed because its segment was deleted under it: then another try tells what there is now.
    pub(super) fn was_deleted(&self, error: &Error, offset: Offset) -> bool {
        matches!(error, Error::Storage(cause) if cause.is_not_found()) && offset < self.log_start_offset()
    }

    /// The read as far as the log goes; none if nothing is to be had at its offset.
    fn clamp(&self, view: &View, read: &Read) -> Result<Option<Read>> {
        if read.offset < view.log_start_offset || read.offset > view.log_end_offset {
            return Err(Error::OffsetOutOfRange {
                partition: self.partition.clone(),
                offset: read.offset,
                log_start_offset: view.log_start_offset,
                log_end_offset: view.log_end_offset,
            });
        }
        let up_to = read.up_to.min(view.log_end_offset);
        Ok((read.offset < up_to).then_some(Read { up_to, ..*read }))
    }

    /// Tells how far the log is replicated; gives the last stable offset, before which every transaction is decided.
    /// Never goes back, and never waits for a write.
    pub fn update_high_watermark(&self, high_watermark: Offset) -> Offset {
        let mut view = write_lock(&self.view);
        view.high_watermark = view.high_watermark.max(high_watermark.min(view.log_end_offset));
        let high_watermark = view.high_watermark;
        view.undecided.on_high_watermark(high_watermark);
        view.last_stable_offset()
    }

    /// The offset before which every transaction is decided and replicated.
    pub fn last_stable_offset(&self) -> Offset {
        read_lock(&self.view).last_stable_offset()
    }

    /// Whether [`Log::aborted_transactions`] may find any at or after `from`. Never blocks.
    pub fn may_have_aborted_transactions(&self, from: Offset) -> bool {
        let view = read_lock(&self.view);
        let first = view
            .segment_of(from)
            .map_or(from, |segment| segment.base_offset());
        view.segments
            .range(first..)
            .any(|(_, segment)| segment.may_have_aborted())
    }

    /// The aborted transactions that overlap `from..up_to`, sorted by their first offset: what a consumer of committed
    /// records needs with these records. Complete if the log does not begin behind `from` afterwards: what is known of records
    /// goes with them. May wait for the disk if there are any.
    ///
    /// # Errors
    /// Storage errors.
    pub fn aborted_transactions(&self, from: Offset, up_to: Offset) -> Result<Vec<AbortedTransaction>> {
        let mut found = Vec::new();
        // At one moment: compaction may put two segments in the place of one another meanwhile.
        let segments = read_lock(&self.view).segments_from(from);
        for segment in segments {
            if segment.collect_aborted(from, up_to, &mut found)? {
                break;
            }
        }
        found.sort_by_key(|aborted| aborted.first_offset);
        Ok(found)
    }
}

impl View {
    fn last_stable_offset(&self) -> Offset {
        let first_unstable = self.undecided.first_offset().unwrap_or(Offset::MAX);
        self.high_watermark.min(first_unstable.max(self.log_start_offset))
    }

    /// The segment in which `offset` is, or the first one if it lies before.
    pub(super) fn segment_of(&self, offset: Offset) -> Option<Arc<Segment>> {
        let mut up_to = self.segments.range(..=offset);
        let found = up_to.next_back().or_else(|| self.segments.first_key_value());
        found.map(|(_, segment)| Arc::clone(segment))
    }

    /// That segment, and all behind it.
    fn segments_from(&self, offset: Offset) -> Vec<Arc<Segment>> {
        let first = self
            .segment_of(offset)
            .map_or(offset, |first| first.base_offset());
        let found = self.segments.range(first..);
        found.map(|(_, segment)| Arc::clone(segment)).collect()
    }

    pub(super) fn segment_after(&self, base_offset: Offset) -> Option<Arc<Segment>> {
        let mut after = self
            .segments
            .range((Bound::Excluded(base_offset), Bound::Unbounded));
        after.next().map(|(_, segment)| Arc::clone(segment))
    }
}

fn of_slice(slice: Slice) -> ReadResult {
    let size_in_bytes = slice.range.length;
    let mut chunks = Vec::new();
    if size_in_bytes > 0 {
        chunks.push(Chunk::File(slice.range));
    }
    ReadResult {
        chunks,
        size_in_bytes,
        next_offset: slice.next_offset,
    }
}

fn nothing_at(offset: Offset) -> ReadResult {
    ReadResult {
        next_offset: offset,
        ..ReadResult::default()
    }
}
