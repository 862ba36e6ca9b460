//! Compaction of one log (Kafka's `Cleaner.doClean`): notes the newest offset of each key in the dirty part, then writes
//! the segments from the log's start anew, without what is outdated, and puts each in the place of the old ones. Appends
//! and reads go on meanwhile; what readers hold of an old segment stays readable.
//!
//! The order makes crashes harmless: a segment is replaced only after all before it, so that a tombstone never goes before
//! the records that it deletes; and the checkpoint that says how far the log is clean is written last.

mod group;
mod plan;
mod rest;
mod swap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError};

use forebay_records::{Offset, Timestamp};

use super::Log;
use crate::cleaner::{
    BatchReader, Cleaned, CleanerOptions, Error, Filter, Marker, OffsetMap, Pace, Result, Spend, Transactions,
};
use crate::config::LogConfig;
use crate::locks::{lock, read_lock, write_lock};
use crate::segment::Segment;
use crate::transaction_index::AbortedTransaction;

pub(crate) use plan::Plan;
pub(super) use rest::Rest;

#[cfg(test)]
pub(super) use group::GROUP_SEGMENTS_MAX;

/// What a cleaning of one log goes by.
struct Cleaning<'a> {
    log: &'a Log,
    options: &'a CleanerOptions,
    config: Arc<LogConfig>,
    spend: &'a Spend<'a>,
    now: Timestamp,
    cleaned: Cleaned,
}

impl Log {
    /// Compacts the log as far as `plan` says, or as the options' memory allows: then the rest is for the next time.
    ///
    /// # Errors
    /// [`Error`]. Segments that were replaced before it stay so; the others are as they were.
    pub(crate) fn clean(
        &self,
        options: &CleanerOptions,
        plan: &Plan,
        now: Timestamp,
        pace: &dyn Pace,
    ) -> Result<Cleaned> {
        let _cleaning = match self.cleaning.try_lock() {
            Ok(cleaning) => cleaning,
            Err(TryLockError::WouldBlock) => return Err(Error::Interrupted),
            Err(TryLockError::Poisoned(_)) => {
                self.set_uncleanable("a cleaner has failed while it compacted it".into());
                return Err(Error::Interrupted);
            }
        };
        let _busy = Busy::begin(&self.being_cleaned);
        if lock(&self.writer).closed {
            // Since it was chosen; its folder may belong to another log by now.
            return Err(Error::Interrupted);
        }
        // Who deletes the log waits for its cleaner.
        let goes_on = || !lock(&self.writer).closed;
        let spend = |bytes| goes_on() && pace.spend(bytes, &goes_on) && goes_on();
        let cleaning = Cleaning {
            log: self,
            options,
            config: self.config(),
            spend: &spend,
            now,
            cleaned: Cleaned::default(),
        };
        cleaning.run(plan).map_err(|error| {
            // Its files go away under the cleaner's hands.
            let closed = lock(&self.writer).closed;
            if closed { Error::Interrupted } else { error }
        })
    }

    /// Why the log is not compacted any more, if it is not.
    pub fn uncleanable_reason(&self) -> Option<Arc<str>> {
        read_lock(&self.uncleanable).clone()
    }

    /// It is not compacted any more, until it is opened anew.
    pub(crate) fn set_uncleanable(&self, reason: Arc<str>) {
        *write_lock(&self.uncleanable) = Some(reason);
    }

    /// Whether somebody compacts it at this moment.
    pub fn is_being_cleaned(&self) -> bool {
        self.being_cleaned.load(Ordering::Acquire)
    }
}

/// Says that somebody compacts the log, for as long as it lives.
struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    fn begin(busy: &'a AtomicBool) -> Busy<'a> {
        busy.store(true, Ordering::Release);
        Busy(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Cleaning<'_> {
    fn run(mut self, plan: &Plan) -> Result<Cleaned> {
        let mut segments = self.log.segments();
        let end = segments.partition_point(|segment| segment.base_offset() < plan.first_uncleanable_offset);
        segments.truncate(end);
        self.log.remove_all_cleaned()?;
        let (map, mapped_end) = self
            .map_keys(&segments, plan)
            .map_err(|error| self.unless_gone(&segments, error))?;
        self.cleaned.first_dirty_offset = mapped_end;
        self.cleaned.buffer_utilization = map.utilization();
        let affected = segments.partition_point(|segment| segment.base_offset() < mapped_end);
        segments.truncate(affected);
        // Once: a producer that has written since is known by a batch that is not looked at.
        let producers = lock(&self.log.writer).producers.last_records();
        let filter = Filter {
            map: &map,
            mapped_end,
            producers: &producers,
            now: self.now,
            delete_retention_ms: self.config.delete_retention_ms,
        };
        let mut transactions = Transactions::of_log(self.log.log_start_offset());
        // Each is let go of when it is done: those that were replaced keep their files open as long.
        for group in group::by_size(segments, plan.first_uncleanable_offset, &self.config) {
            transactions = self.clean_group(&group, &filter, transactions)?;
        }
        Ok(self.cleaned)
    }

    /// An error means nothing if retention or DeleteRecords has taken one of the segments away meanwhile, with its files and its
    /// aborted transactions, or somebody the whole log.
    fn unless_gone(&self, segments: &[Arc<Segment>], error: Error) -> Error {
        let is_there = |segment| self.log.has(segment);
        if segments.iter().all(is_there) && !lock(&self.log.writer).closed {
            error
        } else {
            Error::Interrupted
        }
    }

    /// Notes the newest offset of each key from the plan's first dirty offset on, until there is no more room; and the
    /// offset up to which this was done. Records of aborted transactions do not count.
    fn map_keys(&self, segments: &[Arc<Segment>], plan: &Plan) -> Result<(OffsetMap, Offset)> {
        let (start, end) = (plan.first_dirty_offset, plan.first_uncleanable_offset);
        let keys_max = u64::try_from(end - start).unwrap_or(0);
        let mut map = OffsetMap::new(
            keys_max,
            self.options.dedupe_buffer_bytes,
            self.options.load_factor,
        );
        let mut transactions = Transactions::of_log(self.log.log_start_offset());
        let first = segments
            .partition_point(|segment| segment.base_offset() <= start)
            .saturating_sub(1);
        for segment in &segments[first..] {
            // Of those that ended before, no marker will come.
            transactions.add_aborted(self.aborted_in(segment, start, end)?);
            if let Some(full_at) = self.map_segment(segment, start, &mut transactions, &mut map)? {
                return Ok((map, full_at));
            }
        }
        Ok((map, end))
    }

    /// Gives the offset of the first record for which there was no room, if there is one.
    fn map_segment(
        &self,
        segment: &Segment,
        start: Offset,
        transactions: &mut Transactions,
        map: &mut OffsetMap,
    ) -> Result<Option<Offset>> {
        let first = segment.locate(start.max(segment.base_offset()))?;
        let Some(first) = first else { return Ok(None) };
        let mut batches = self.batches(segment, first.position)?;
        while let Some((position, batch)) = batches.next()? {
            let corrupt = |error: forebay_records::Error| unreadable(segment, position, &error);
            if batch.header().is_control() {
                let marker = transactions.on_control_batch(&batch).map_err(corrupt)?;
                check_marker(segment, position, marker)?;
                continue;
            }
            if transactions.on_batch(batch.header()) {
                continue;
            }
            let mut records = batch.records().map_err(corrupt)?;
            while let Some(record) = records.next_ref() {
                let record = record.map_err(corrupt)?;
                if let Some(key) = record.key
                    && record.offset >= start
                    && !map.put(key, record.offset)
                {
                    return Ok(Some(record.offset));
                }
            }
        }
        Ok(None)
    }

    /// The batches of a segment from a position on.
    fn batches<'s>(&'s self, segment: &'s Segment, position: u64) -> Result<BatchReader<'s>> {
        Ok(BatchReader::new(
            segment.file()?,
            segment.path(),
            position..segment.size(),
            self.options.io_buffer_bytes,
            self.spend,
        ))
    }

    /// The aborted transactions that overlap the part of a segment that is read: all from `start` on.
    fn aborted_in(
        &self,
        segment: &Segment,
        start: Offset,
        round_end: Offset,
    ) -> Result<Vec<AbortedTransaction>> {
        let next = read_lock(&self.log.view).segment_after(segment.base_offset());
        let end = next.map_or(round_end, |next| next.base_offset());
        let from = segment.base_offset().max(start);
        Ok(self.log.aborted_transactions(from, end)?)
    }
}

/// Nothing is compacted by a transaction index that is wrong: what was aborted would take the place of what was committed.
fn check_marker(segment: &Segment, position: u64, marker: Marker) -> Result<()> {
    if marker == Marker::Contradicts {
        let reason = "it aborts a transaction that the transaction index does not have";
        Err(unreadable(segment, position, &reason))
    } else {
        Ok(())
    }
}

fn unreadable(segment: &Segment, position: u64, reason: &dyn std::fmt::Display) -> Error {
    Error::Log(crate::Error::Corrupt {
        path: segment.path().to_path_buf(),
        position,
        reason: reason.to_string().into(),
    })
}
