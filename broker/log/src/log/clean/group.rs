//! Some segments that follow each other, written anew as one: so that a compacted log does not fall apart into many small
//! files (Kafka's `groupSegmentsBySize` and `cleanSegments`).

use std::io::IoSlice;
use std::sync::Arc;

use forebay_records::{Offset, RecordBatch};

use super::{Cleaning, check_marker, unreadable};
use crate::cleaner::{Circumstances, Counts, Error, Filter, Kept, Marker, Result, Transactions};
use crate::config::LogConfig;
use crate::file_name;
use crate::segment::{Place, Segment, SegmentOptions};
use crate::transaction_index::AbortedTransaction;

/// No group has more segments: all files of a group are open while another one takes its place.
pub(in crate::log) const GROUP_SEGMENTS_MAX: usize = 32;
/// What is written is synced each time that so much of it waits: neither the end of a large segment, for which a deletion has to
/// wait, nor those who sync meanwhile have all of it before them.
const SYNCED_BYTES: usize = 16 * 1024 * 1024;

/// Groups that fit into one segment each: by their size, by the size of their indexes, and by the offsets they span.
pub(super) fn by_size(
    segments: Vec<Arc<Segment>>,
    end: Offset,
    config: &LogConfig,
) -> Vec<Vec<Arc<Segment>>> {
    let next_offsets = segments.iter().skip(1).map(|next| next.base_offset());
    let ends: Vec<Offset> = next_offsets.chain([end]).collect();
    let mut groups: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut sizes = (0, 0, 0);
    for (segment, segment_end) in segments.into_iter().zip(ends) {
        let size = segment.size();
        let (offset_index, time_index) = segment.index_sizes();
        let together = (sizes.0 + size, sizes.1 + offset_index, sizes.2 + time_index);
        let fitting = groups.last_mut().filter(|group| {
            let span = segment_end - 1 - group[0].base_offset();
            group.len() < GROUP_SEGMENTS_MAX
                && together.0 <= config.segment_bytes
                && together.1 <= config.segment_index_bytes
                && together.2 <= config.segment_index_bytes
                && (size == 0 || span <= i64::from(i32::MAX))
        });
        match fitting {
            Some(group) => {
                sizes = together;
                group.push(segment);
            }
            None => {
                sizes = (size, offset_index, time_index);
                groups.push(vec![segment]);
            }
        }
    }
    groups
}

/// Takes a batch, what becomes of it, and the aborted transaction that its marker ends, if that stays.
type Visit<'a> = dyn FnMut(&RecordBatch, Kept, Option<AbortedTransaction>) -> Result<bool> + 'a;

/// The segment that is being written, and what waits to be written at once.
struct Output {
    segment: Segment,
    /// A copy: what is kept of a block would keep all of it in memory.
    batches: Vec<u8>,
    places: Vec<Place>,
    unsynced_bytes: usize,
    /// What is still to be written, where there is little room.
    needed: Option<u64>,
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
        let needed = if is_unchanged {
            None
        } else {
            self.needed(group, filter, &transactions)?
        };
        let segment = if is_unchanged {
            None
        } else {
            (after, counts) = (transactions, Counts::default());
            Some(self.rewrite(group, filter, &mut after, &mut counts, needed)?)
        };
        self.cleaned.bytes_read += group.iter().map(|segment| segment.size()).sum::<u64>();
        self.cleaned.records_read += counts.read;
        self.cleaned.records_kept += counts.kept;
        self.cleaned.records_without_key += counts.without_key;
        if let Some(cleaned) = segment {
            self.cleaned.bytes_written += cleaned.size();
            self.cleaned.segments_replaced += group.len();
            if needed.is_some() {
                // What is to make room is not kept for a while; whoever reads it has it open.
                let config = LogConfig {
                    file_delete_delay_ms: 0,
                    ..(*self.config).clone()
                };
                self.log.swap(group, &cleaned, &config, self.now)?;
                self.log.purge(self.now);
            } else {
                self.log.swap(group, &cleaned, &self.config, self.now)?;
            }
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

    /// How many bytes a group needs, if there is so little room that this matters.
    fn needed(
        &self,
        group: &[Arc<Segment>],
        filter: &Filter<'_>,
        transactions: &Transactions,
    ) -> Result<Option<u64>> {
        let all = group.iter().map(|segment| segment.size()).sum();
        if self.log.ensure_room(all, false).is_ok() {
            return Ok(None);
        }
        let (mut transactions, mut counts) = (transactions.clone(), Counts::default());
        let mut needed = 0;
        let mut add = |batch: &RecordBatch, kept: Kept, _| {
            needed += match kept {
                Kept::All => batch.size_in_bytes() as u64,
                Kept::Rewritten(rewritten) => rewritten.size_in_bytes() as u64,
                Kept::Nothing => 0,
            };
            Ok(true)
        };
        self.for_each(group, filter, &mut transactions, &mut counts, &mut add)
            .map_err(|error| self.unless_gone(group, error))?;
        self.log.ensure_room(needed, true)?;
        Ok(Some(needed))
    }

    /// Writes a group into a new segment beside it, and makes that durable. Nothing of it is left if that fails.
    fn rewrite(
        &self,
        group: &[Arc<Segment>],
        filter: &Filter<'_>,
        transactions: &mut Transactions,
        counts: &mut Counts,
        needed: Option<u64>,
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
            batches: Vec::new(),
            places: Vec::new(),
            unsynced_bytes: 0,
            needed,
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
                    if output.batches.len() >= self.options.io_buffer_bytes {
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
        let bytes = output.batches.len();
        match &mut output.needed {
            None => self.log.ensure_room(bytes as u64, false)?,
            Some(needed) => {
                self.log.ensure_room(*needed, true)?;
                *needed = needed.saturating_sub(bytes as u64);
            }
        }
        output.flush()?;
        if (self.spend)(bytes) {
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
        self.places.push(Place {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            size: batch.size_in_bytes() as u64,
        });
        self.batches.extend_from_slice(batch.bytes());
    }

    fn flush(&mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.batches);
        self.segment
            .append(&mut [IoSlice::new(&batches)], &self.places)
            .map_err(|failure| failure.error)?;
        self.places.clear();
        self.unsynced_bytes += batches.len();
        if self.unsynced_bytes >= SYNCED_BYTES {
            self.unsynced_bytes = 0;
            self.segment.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use forebay_disk::{Disk, MemoryDisk};
    use forebay_records::{BatchBuilder, BatchOptions, Headers};

    use super::*;
    use crate::testing::NOW;

    #[test]
    fn what_is_kept_of_a_block_does_not_keep_the_block() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let options = SegmentOptions {
            disk: &disk,
            folder: Path::new("/"),
            base_offset: Offset(0),
            suffix: file_name::CLEANED,
            index_interval_bytes: 4096,
        };
        let mut output = Output {
            segment: Segment::create(&options, NOW).expect("created"),
            batches: Vec::new(),
            places: Vec::new(),
            unsynced_bytes: 0,
            needed: None,
        };
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder
            .append(NOW, Some(b"k"), Some(b"v"), &Headers::EMPTY)
            .expect("fits");
        let small = builder.build().expect("builds").into_bytes();
        let mut block = small.to_vec();
        block.resize(512 * 1024, 0);
        let block = Bytes::from(block);
        let batch = RecordBatch::new(block.slice(..small.len())).expect("a batch");
        output.push(&batch);
        drop(batch);
        assert!(block.is_unique(), "nobody has any of it");
        output.flush().expect("written");
        assert_eq!(output.segment.size(), small.len() as u64);
    }
}
