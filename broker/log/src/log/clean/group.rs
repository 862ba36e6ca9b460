//! Some segments that follow each other, written anew as one: so that a compacted log does not fall apart into many small
//! files (Kafka's `groupSegmentsBySize` and `cleanSegments`).

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use forebay_records::{Offset, RecordBatch};

use super::{Cleaning, check_marker, unreadable};
use crate::cleaner::{Circumstances, Counts, Error, Filter, Kept, Marker, Result, Transactions};
use crate::config::LogConfig;
use crate::file_name;
use crate::segment::{Place, Segment, SegmentOptions};
use crate::transaction_index::AbortedTransaction;

/// Groups that fit into one segment each: by their size, by the size of their indexes, and by the offsets they span.
pub(super) fn by_size<'s>(
    segments: &'s [Arc<Segment>],
    end: Offset,
    config: &LogConfig,
) -> Vec<&'s [Arc<Segment>]> {
    let mut groups = Vec::new();
    let mut first = 0;
    let mut sizes = (0, 0, 0);
    for (index, segment) in segments.iter().enumerate() {
        let (offset_index, time_index) = segment.index_sizes();
        let together = (
            sizes.0 + segment.size(),
            sizes.1 + offset_index,
            sizes.2 + time_index,
        );
        let segment_end = segments.get(index + 1).map_or(end, |next| next.base_offset());
        let span = segment_end - 1 - segments[first].base_offset();
        let fits = together.0 <= config.segment_bytes
            && together.1 <= config.segment_index_bytes
            && together.2 <= config.segment_index_bytes
            && (segment.size() == 0 || span <= i64::from(i32::MAX));
        if index > first && !fits {
            groups.push(&segments[first..index]);
            first = index;
            sizes = (segment.size(), offset_index, time_index);
        } else {
            sizes = together;
        }
    }
    if first < segments.len() {
        groups.push(&segments[first..]);
    }
    groups
}

/// Takes a batch, what becomes of it, and the aborted transaction that its marker ends, if that stays.
type Visit<'a> = dyn FnMut(&RecordBatch, Kept, Option<AbortedTransaction>) -> Result<bool> + 'a;

/// The segment that is being written, and what waits to be written at once.
struct Output {
    segment: Segment,
    parts: Vec<Bytes>,
    places: Vec<Place>,
    bytes: usize,
}

impl Cleaning<'_> {
    /// Cleans a group; `transactions` as they are at its beginning are given, as they are at its end given back.
    pub(super) fn clean_group(
        &mut self,
        group: &[Arc<Segment>],
        filter: &Filter<'_>,
        transactions: Transactions,
    ) -> Result<Transactions> {
        let mut after = transactions.clone();
        let mut counts = Counts::default();
        // Most of a log is clean already: a single segment is written only if something in it changes.
        let is_unchanged = match group {
            [single] => self
                .changes_nothing(single, filter, &mut after, &mut counts)
                .map_err(|error| self.unless_gone(group, error))?,
            _ => false,
        };
        let segment = if is_unchanged {
            None
        } else {
            (after, counts) = (transactions, Counts::default());
            Some(self.rewrite(group, filter, &mut after, &mut counts)?)
        };
        self.cleaned.bytes_read += group.iter().map(|segment| segment.size()).sum::<u64>();
        self.cleaned.records_read += counts.read;
        self.cleaned.records_kept += counts.kept;
        self.cleaned.records_without_key += counts.without_key;
        if let Some(cleaned) = segment {
            self.cleaned.bytes_written += cleaned.size();
            self.cleaned.segments_replaced += group.len();
            self.log.swap(group, &cleaned, &self.config, self.now)?;
        }
        Ok(after)
    }

    fn changes_nothing(
        &self,
        segment: &Arc<Segment>,
        filter: &Filter<'_>,
        transactions: &mut Transactions,
        counts: &mut Counts,
    ) -> Result<bool> {
        let single = std::slice::from_ref(segment);
        self.for_each(single, filter, transactions, counts, &mut |_, kept, _| {
            Ok(matches!(kept, Kept::All))
        })
    }

    /// Writes a group into a new segment beside it, and makes that durable. Nothing of it is left if that fails.
    fn rewrite(
        &self,
        group: &[Arc<Segment>],
        filter: &Filter<'_>,
        transactions: &mut Transactions,
        counts: &mut Counts,
    ) -> Result<Segment> {
        let log = self.log;
        let options = SegmentOptions {
            suffix: file_name::CLEANED,
            ..log.segment_options(group[0].base_offset(), &self.config)
        };
        let segment = Segment::create(&options, self.now);
        let segment = segment.map_err(|error| self.judge(group, error.into()))?;
        let mut output = Output {
            segment,
            parts: Vec::new(),
            places: Vec::new(),
            bytes: 0,
        };
        let written = self
            .for_each(
                group,
                filter,
                transactions,
                counts,
                &mut |batch, kept, aborted| {
                    match kept {
                        Kept::All => output.push(batch),
                        Kept::Rewritten(rewritten) => output.push(&rewritten),
                        Kept::Nothing => {}
                    }
                    if let Some(aborted) = aborted {
                        output.segment.append_aborted(&aborted)?;
                    }
                    if output.bytes >= self.options.io_buffer_bytes {
                        self.write(&mut output)?;
                    }
                    Ok(true)
                },
            )
            .and_then(|_| self.write(&mut output))
            .and_then(|()| Ok(output.segment.finish()?))
            .and_then(|()| Ok(output.segment.sync()?));
        match written {
            Ok(()) => Ok(output.segment),
            Err(error) => {
                log.remove_cleaned(group[0].base_offset());
                Err(self.judge(group, error))
            }
        }
    }

    /// What an error of writing means, and for the whole directory.
    fn judge(&self, group: &[Arc<Segment>], error: Error) -> Error {
        match self.unless_gone(group, error) {
            Error::Log(error) => Error::Log(self.log.directory.judge(error)),
            Error::Interrupted => Error::Interrupted,
        }
    }

    fn write(&self, output: &mut Output) -> Result<()> {
        let bytes = std::mem::take(&mut output.bytes);
        output.flush()?;
        if self.pace.spend(bytes) {
            Ok(())
        } else {
            Err(Error::Interrupted)
        }
    }

    /// Judges each batch of a group and shows it to `visit` until that says false; gives whether it never did.
    fn for_each(
        &self,
        group: &[Arc<Segment>],
        filter: &Filter<'_>,
        transactions: &mut Transactions,
        counts: &mut Counts,
        visit: &mut Visit<'_>,
    ) -> Result<bool> {
        let last = group.iter().rposition(|segment| segment.size() > 0);
        for (index, segment) in group.iter().enumerate() {
            transactions.add_aborted(self.aborted_in(segment, Offset::ZERO, filter.mapped_end)?);
            let mut batches = self.batches(segment, 0)?;
            while let Some((position, batch)) = batches.next()? {
                let end = position + batch.size_in_bytes() as u64;
                let mut circumstances = Circumstances {
                    discardable: false,
                    ends_segment: last == Some(index) && end == segment.size(),
                };
                let mut aborted = None;
                if batch.header().is_control() {
                    let marker = transactions.on_control_batch(&batch);
                    let marker = marker.map_err(|error| unreadable(segment, position, &error))?;
                    check_marker(segment, position, marker)?;
                    circumstances.discardable = marker == Marker::Needless;
                    if let Marker::Needed(transaction) = marker {
                        aborted = transaction;
                    }
                } else {
                    circumstances.discardable = transactions.on_batch(batch.header());
                }
                let kept = filter.judge(&batch, circumstances, counts);
                let kept = kept.map_err(|error| unreadable(segment, position, &error))?;
                if !visit(&batch, kept, aborted)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Output {
    fn push(&mut self, batch: &RecordBatch) {
        let header = batch.header();
        self.bytes += batch.size_in_bytes();
        self.places.push(Place {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            size: batch.size_in_bytes() as u64,
        });
        self.parts.push(batch.bytes().clone());
    }

    fn flush(&mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let mut buffers: Vec<IoSlice<'_>> = self.parts.iter().map(|part| IoSlice::new(part)).collect();
        self.segment
            .append(&mut buffers, &self.places)
            .map_err(|failure| failure.error)?;
        drop(buffers);
        self.parts.clear();
        self.places.clear();
        Ok(())
    }
}
