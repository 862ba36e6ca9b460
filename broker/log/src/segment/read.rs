//! Finding batches in a segment: by offset, by size, by timestamp. An index entry is believed only if the batch that
//! it points to says the same; otherwise both indexes are rebuilt from the batches.

use std::sync::Arc;

use bytes::Bytes;
use forebay_disk::{File, FileExt};
use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, Offset, RecordBatch, Timestamp};

use super::{BatchAt, Found, Known, Scan, Segment};
use crate::error::Result;
use crate::index::TimeEntry;
use crate::locks::{lock, read_lock};
use crate::read::{FileRange, Read};

/// Some whole batches of a segment.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) range: FileRange,
    pub(crate) next_offset: Offset,
}

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it; none if the batch has none.
    pub leader_epoch: LeaderEpoch,
}

/// Where a slice ends, and the offset after it.
#[derive(Debug, Clone, Copy)]
struct End {
    position: u64,
    next_offset: Offset,
}

impl End {
    fn of(batch: &BatchAt) -> End {
        End {
            position: batch.end(),
            next_offset: batch.header.next_offset(),
        }
    }

    /// Takes one of the next batches in, if it lies before `limit` and `up_to`. What lies between is taken in any case.
    fn extend(&mut self, batch: &BatchAt, limit: u64, up_to: Offset) -> bool {
        if batch.position > self.position {
            self.position = batch.position;
            self.next_offset = batch.header.base_offset;
        }
        let fits = batch.end() <= limit && batch.header.next_offset() <= up_to;
        if fits {
            *self = End::of(batch);
        }
        fits
    }
}

/// Where in the file a slice that begins with `first` ends at the latest.
fn limit(first: &BatchAt, read: &Read) -> u64 {
    first.position.saturating_add(read.max_bytes as u64)
}

/// The end, where the first batch alone decides it: nothing, or that batch.
fn within_first(first: &BatchAt, read: &Read) -> Option<End> {
    let fits = first.end() <= limit(first, read);
    if first.header.next_offset() > read.up_to || (!fits && !read.min_one_batch) {
        return Some(End {
            position: first.position,
            next_offset: read.offset,
        });
    }
    (!fits).then(|| End::of(first))
}

impl Segment {
    /// The first batch that has `offset` or a later one.
    pub(crate) fn locate(&self, offset: Offset) -> Result<Option<BatchAt>> {
        if let Some(found) = self.locate_by_index(offset)? {
            return Ok(found);
        }
        self.rebuild_indexes()?;
        let found = self.locate_by_index(offset)?;
        found.ok_or_else(|| {
            self.corrupt(
                0,
                "its index does not match its batches even when it is made anew",
            )
        })
    }

    /// `None` if the index turns out to be wrong.
    fn locate_by_index(&self, offset: Offset) -> Result<Option<Option<BatchAt>>> {
        let size = self.size();
        let entry = read_lock(&self.offset_index).lookup(offset)?;
        let start = entry.map_or(0, |entry| entry.position);
        if start >= size && entry.is_some() {
            return Ok(None);
        }
        let file = self.file()?;
        let mut scan = Scan::headers(&*file, &self.path, start, size);
        let mut first = true;
        loop {
            match scan.next()? {
                Found::Batch(batch) | Found::Damaged(batch) => {
                    let expected = entry.filter(|_| first);
                    if expected.is_some_and(|entry| entry.last_offset != batch.last_offset()) {
                        return Ok(None);
                    }
                    if batch.last_offset() >= offset {
                        return Ok(Some(Some(batch)));
                    }
                    first = false;
                }
                Found::End => return Ok(Some(None)),
                Found::Broken { .. } if first && entry.is_some() => return Ok(None),
                Found::Broken { position, reason, .. } => return Err(self.corrupt(position, reason)),
            }
        }
    }

    /// The batches that a read asks for; none if the segment ends before its offset.
    pub(crate) fn slice(&self, read: &Read) -> Result<Option<Slice>> {
        let cuts = self.ends.cuts();
        let Some(first) = self.locate(read.offset)? else {
            return Ok(None);
        };
        let end = match within_first(&first, read) {
            Some(end) => end,
            None => self.end_of_slice(&first, limit(&first, read), read.up_to)?,
        };
        Ok(Some(self.slice_to(end, &first, read.offset, cuts, self.file()?)))
    }

    /// The same without waiting for anything, where an earlier slice has ended at the offset and the page cache has what
    /// tells how far this one goes: so it is with a consumer that reads on. None says nothing but that [`Segment::slice`] may wait.
    pub(crate) fn slice_now(&self, read: &Read) -> Option<Slice> {
        let cuts = self.ends.cuts();
        let position = self.ends.position_of(read.offset)?;
        let file = self.open_file()?;
        let mut scan = Scan::warm_headers(&*file, &self.path, position, self.size());
        let Found::Batch(first) = scan.next().ok()? else {
            return None;
        };
        if first.last_offset() < read.offset {
            return None;
        }
        let end = match within_first(&first, read) {
            Some(end) => end,
            None => {
                let limit = limit(&first, read);
                let mut end = End::of(&first);
                while let Found::Batch(batch) = scan.next().ok()?
                    && end.extend(&batch, limit, read.up_to)
                {}
                end
            }
        };
        Some(self.slice_to(end, &first, read.offset, cuts, file))
    }

    fn slice_to(&self, end: End, first: &BatchAt, from: Offset, cuts: u32, file: Arc<dyn File>) -> Slice {
        let position = first.position;
        let length = usize::try_from(end.position - position).expect("a segment fits into memory addresses");
        let range = FileRange {
            file,
            position,
            length,
        };
        self.ends.remember(from, (end.next_offset, end.position), cuts);
        Slice {
            range,
            next_offset: end.next_offset,
        }
    }

    /// Where the last batch ends that lies before `limit` and `up_to`, and the offset after it.
    fn end_of_slice(&self, first: &BatchAt, limit: u64, up_to: Offset) -> Result<End> {
        let size = self.size();
        let mut end = End::of(first);
        let far = limit.min(size.saturating_sub(1));
        let entry = read_lock(&self.offset_index).lookup_position(far, up_to)?;
        let entry = entry.filter(|entry| entry.position > first.position);
        let file = self.file()?;
        let mut scan = Scan::headers(
            &*file,
            &self.path,
            entry.map_or(end.position, |entry| entry.position),
            size,
        );
        let mut expected = entry;
        loop {
            let found = match scan.next()? {
                Found::Batch(batch) | Found::Damaged(batch) => Some(batch),
                Found::End => break,
                Found::Broken { .. } => None,
            };
            if let Some(entry) = expected.take()
                && found.is_none_or(|batch| batch.last_offset() != entry.last_offset)
            {
                self.rebuild_indexes()?;
                scan = Scan::headers(&*file, &self.path, end.position, size);
                continue;
            }
            // A broken chain ends what can be given out; the next read, which begins there, reports it.
            let Some(batch) = found else { break };
            if !end.extend(&batch, limit, up_to) {
                break;
            }
        }
        Ok(end)
    }

    /// The first record at or after `from` whose timestamp is `timestamp` or later.
    pub(crate) fn find_timestamp(
        &self,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<TimestampOffset>> {
        let before = self.checked_entry_before(timestamp)?;
        let start = before.map_or(from, |entry| from.max(entry.offset.next()));
        let Some(first) = self.locate(start)? else {
            return Ok(None);
        };
        let file = self.file()?;
        let mut scan = Scan::all_headers(&*file, &self.path, first.position, self.size());
        loop {
            match scan.next()? {
                Found::Batch(batch) | Found::Damaged(batch) => {
                    if batch.header.max_timestamp >= timestamp
                        && let Some(found) = self.find_in_batch(&batch, timestamp, from)?
                    {
                        return Ok(Some(found));
                    }
                }
                Found::End => return Ok(None),
                Found::Broken { position, reason, .. } => return Err(self.corrupt(position, reason)),
            }
        }
    }

    /// The first record with the segment's greatest timestamp; none if no record has one.
    pub(crate) fn find_max_timestamp(&self) -> Result<Option<TimestampOffset>> {
        let Some(max) = self.max_timestamp()? else {
            return Ok(None);
        };
        if let Some(batch) = self.locate(max.offset)?
            && let Some(found) = self.find_in_batch(&batch, max.timestamp, Offset::ZERO)?
        {
            return Ok(Some(found));
        }
        self.find_max_timestamp_of_records()
    }

    /// The same, where the batch with the greatest timestamp has no records any more.
    fn find_max_timestamp_of_records(&self) -> Result<Option<TimestampOffset>> {
        let file = self.file()?;
        let mut scan = Scan::all_headers(&*file, &self.path, 0, self.size());
        let mut newest: Option<BatchAt> = None;
        while let Found::Batch(batch) | Found::Damaged(batch) = scan.next()? {
            let max_timestamp = batch.header.max_timestamp;
            if batch.header.count > 0
                && newest.is_none_or(|newest| max_timestamp > newest.header.max_timestamp)
            {
                newest = Some(batch);
            }
        }
        newest.map_or(Ok(None), |batch| {
            self.find_in_batch(&batch, batch.header.max_timestamp, Offset::ZERO)
        })
    }

    fn find_in_batch(
        &self,
        at: &BatchAt,
        timestamp: Timestamp,
        from: Offset,
    ) -> Result<Option<TimestampOffset>> {
        let batch = self.read_batch(at)?;
        let corrupt = |error: forebay_records::Error| self.corrupt(at.position, error.to_string());
        let mut records = batch.records().map_err(corrupt)?;
        while let Some(record) = records.next_ref() {
            let record = record.map_err(corrupt)?;
            if record.timestamp >= timestamp && record.offset >= from {
                let leader_epoch = at.header.partition_leader_epoch;
                return Ok(Some(TimestampOffset {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: if leader_epoch.is_some() {
                        leader_epoch
                    } else {
                        NO_LEADER_EPOCH
                    },
                }));
            }
        }
        Ok(None)
    }

    /// A whole batch.
    pub(crate) fn read_batch(&self, at: &BatchAt) -> Result<RecordBatch> {
        let mut bytes = vec![0; at.header.size_in_bytes()];
        self.file()?.read_exact_at(&mut bytes, at.position, &self.path)?;
        RecordBatch::new(Bytes::from(bytes)).map_err(|error| self.corrupt(at.position, error.to_string()))
    }

    /// The last time index entry before `timestamp`, compared with its batch.
    fn checked_entry_before(&self, timestamp: Timestamp) -> Result<Option<TimeEntry>> {
        let entry = read_lock(&self.time_index).lookup_before(timestamp)?;
        if self.agrees(entry)? {
            return Ok(entry);
        }
        self.rebuild_indexes()?;
        read_lock(&self.time_index).lookup_before(timestamp)
    }

    /// The greatest timestamp of all records, with the last offset of the first batch that has it.
    pub(crate) fn max_timestamp(&self) -> Result<Option<TimeEntry>> {
        if let Known::Is(max) = lock(&self.growth).max_timestamp {
            return Ok(max);
        }
        let last = read_lock(&self.time_index).last()?;
        let plausible = match last {
            Some(_) => self.agrees(last)?,
            // Either no record has a timestamp, or the index lost its entries.
            None => self
                .locate(self.base_offset)?
                .is_none_or(|first| first.header.max_timestamp.is_none()),
        };
        if !plausible {
            self.rebuild_indexes()?;
        }
        let mut growth = lock(&self.growth);
        if growth.max_timestamp == Known::NotYet {
            growth.max_timestamp = Known::Is(last);
        }
        match growth.max_timestamp {
            Known::Is(max) => Ok(max),
            Known::NotYet => Ok(last),
        }
    }

    /// Whether the batch with the entry's offset has the entry's timestamp as its greatest.
    fn agrees(&self, entry: Option<TimeEntry>) -> Result<bool> {
        let Some(entry) = entry else { return Ok(true) };
        let batch = self.locate(entry.offset)?;
        Ok(batch.is_some_and(|batch| {
            batch.header.base_offset <= entry.offset && batch.header.max_timestamp == entry.timestamp
        }))
    }
}
