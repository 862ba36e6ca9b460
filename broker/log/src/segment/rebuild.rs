//! What is derived from a segment's batches is made anew: its indexes when they turn out to be wrong, and all of it, with
//! every checksum compared and a torn end cut off, after the process was killed or the machine lost power.

use std::sync::atomic::Ordering;

use forebay_disk::File;
use forebay_records::{Offset, Timestamp};

use super::{BatchAt, Found, Known, Scan, Segment, only_zeros};
use crate::error::{Error, Result};
use crate::index::{OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};
use crate::locks::{lock, read_lock, write_lock};

/// What recovery made of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Offset after the last batch; the base offset of an empty segment.
    pub(crate) next_offset: Offset,
    /// Bytes that were cut off, other than zeros filled ahead.
    pub(crate) truncated_bytes: u64,
    /// Whether the file ended elsewhere than its batches, be it with zeros.
    pub(crate) cut: bool,
    /// Batches with a wrong checksum that were kept, because they had been synced before.
    pub(crate) damaged_batches: usize,
}

/// Fills both indexes by the rule of [`super::append`].
struct Indexer<'a> {
    offset_index: &'a mut OffsetIndex,
    time_index: &'a mut TimeIndex,
    interval: u64,
    since_entry: u64,
    first_timestamp: Option<Timestamp>,
    max: Option<TimeEntry>,
}

impl Indexer<'_> {
    fn add(&mut self, batch: &BatchAt) -> Result<()> {
        let max_timestamp = batch.header.max_timestamp;
        self.first_timestamp.get_or_insert(max_timestamp);
        if max_timestamp.is_some() && self.max.is_none_or(|max| max_timestamp > max.timestamp) {
            self.max = Some(TimeEntry {
                timestamp: max_timestamp,
                offset: batch.last_offset(),
            });
        }
        if self.since_entry > self.interval {
            self.offset_index.append(OffsetEntry {
                last_offset: batch.last_offset(),
                position: batch.position,
            });
            if let Some(max) = self.max {
                self.time_index.maybe_append(max);
            }
            self.since_entry = 0;
        }
        self.since_entry += batch.end() - batch.position;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(max) = self.max {
            self.time_index.maybe_append(max);
        }
        self.offset_index.close()?;
        self.time_index.close()
    }
}

impl Segment {
    /// Makes the offset and the time index anew from the headers of the batches.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if they do not form a chain to the end; then the indexes stay as they are.
    pub(crate) fn rebuild_indexes(&self) -> Result<()> {
        tracing::warn!(segment = %self.path.display(), "rebuilding the indexes");
        let file = self.file()?;
        self.for_each_header(&*file, |_| Ok(()))?;
        self.index(|indexer| self.for_each_header(&*file, |batch| indexer.add(batch)))
    }

    fn for_each_header(&self, file: &dyn File, mut visit: impl FnMut(&BatchAt) -> Result<()>) -> Result<()> {
        let mut scan = Scan::all_headers(file, &self.path, 0, self.size());
        let mut next_offset = self.base_offset;
        loop {
            match scan.next()? {
                Found::Batch(batch) | Found::Damaged(batch) => {
                    if !self.follows(&batch, next_offset) {
                        return Err(self.corrupt(batch.position, self.out_of_place(&batch, next_offset)));
                    }
                    visit(&batch)?;
                    next_offset = batch.header.next_offset();
                }
                Found::End => return Ok(()),
                Found::Broken { position, reason, .. } => return Err(self.corrupt(position, reason)),
            }
        }
    }

    /// Whether a batch can be at `next_offset`, or behind a gap that compaction has left, and in this segment.
    fn follows(&self, batch: &BatchAt, next_offset: Offset) -> bool {
        batch.header.base_offset >= next_offset
            && batch.last_offset() - self.base_offset <= i64::from(i32::MAX)
    }

    fn out_of_place(&self, batch: &BatchAt, next_offset: Offset) -> String {
        format!(
            "a batch at offset {} follows where {next_offset} is due",
            batch.header.base_offset
        )
    }

    /// Empties the indexes, lets `fill` fill them, and writes them.
    fn index<T>(&self, fill: impl FnOnce(&mut Indexer<'_>) -> Result<T>) -> Result<T> {
        // In this order everywhere where more than one is held.
        let mut growth = lock(&self.growth);
        let mut offset_index = write_lock(&self.offset_index);
        let mut time_index = write_lock(&self.time_index);
        offset_index.clear()?;
        time_index.clear()?;
        let mut indexer = Indexer {
            offset_index: &mut offset_index,
            time_index: &mut time_index,
            interval: self.index_interval_bytes,
            since_entry: 0,
            first_timestamp: None,
            max: None,
        };
        let filled = fill(&mut indexer)?;
        indexer.finish()?;
        growth.first_timestamp = indexer.first_timestamp;
        growth.max_timestamp = Known::Is(indexer.max);
        growth.bytes_since_index_entry = indexer.since_entry;
        Ok(filled)
    }

    /// Reads the whole file, rebuilds the indexes but for that of transactions, shows each batch to `visit`, and cuts the file, for good and on the
    /// disk, where the batches end. What lies before `synced`, an offset, had reached the disk before: there a wrong
    /// checksum is no torn write but later damage, which is left for its readers to see, and what no longer even
    /// looks like batches is an error. Nothing synced is cut off.
    pub(crate) fn recover(
        &self,
        synced: Offset,
        visit: &mut dyn FnMut(&Segment, &BatchAt) -> Result<()>,
    ) -> Result<Recovered> {
        let file = self.file()?;
        let length = file.len()?;
        let mut scan = Scan::checksums(&*file, &self.path, 0, length);
        let mut recovered = Recovered {
            next_offset: self.base_offset,
            truncated_bytes: 0,
            cut: false,
            damaged_batches: 0,
        };
        let mut end = 0;
        self.index(|indexer| {
            while let Some(batch) = self.next_recoverable(&mut scan, synced, &mut recovered)? {
                visit(self, &batch)?;
                indexer.add(&batch)?;
                end = batch.end();
                recovered.next_offset = batch.header.next_offset();
            }
            Ok(())
        })?;
        if end < length {
            recovered.cut = true;
            if !only_zeros(&*file, end, length)? {
                recovered.truncated_bytes = length - end;
            }
            file.set_len(end)?;
        }
        file.sync_data()?;
        self.size.store(end, Ordering::Release);
        Ok(recovered)
    }

    /// Cuts all batches at and behind `offset`, for good and on the disk.
    pub(crate) fn cut(&self, offset: Offset) -> Result<()> {
        let Some(first) = self.locate(offset)? else {
            return Ok(());
        };
        let file = self.file()?;
        let mut zeros = lock(&self.zeros);
        self.cut_file(&mut zeros, &*file, first.position)?;
        file.sync_data()?;
        self.size.store(first.position, Ordering::Release);
        self.ends.forget();
        Segment::reopen_zeros(&mut zeros);
        drop(zeros);
        write_lock(&self.transaction_index).truncate_to(offset)?;
        self.rebuild_indexes()
    }

    /// The next batch that is to be kept; none where the file is to be cut.
    fn next_recoverable(
        &self,
        scan: &mut Scan<'_>,
        synced: Offset,
        recovered: &mut Recovered,
    ) -> Result<Option<BatchAt>> {
        let expected = recovered.next_offset;
        // Where the log would go on: at a batch that is out of place this is the lower one, as the batch before it may be
        // the one whose offset is wrong.
        let (position, reason, next) = match scan.next()? {
            Found::End => return Ok(None),
            Found::Broken {
                position: 0,
                old_magic: Some(magic),
                ..
            } => {
                return Err(Error::UnsupportedFormat {
                    path: self.path.clone(),
                    magic,
                });
            }
            Found::Broken { position, reason, .. } => (position, reason, expected),
            Found::Batch(batch) | Found::Damaged(batch) if !self.follows(&batch, expected) => {
                let next = expected.min(batch.header.base_offset);
                (batch.position, self.out_of_place(&batch, expected), next)
            }
            Found::Batch(batch) => return Ok(Some(batch)),
            Found::Damaged(batch) if batch.header.next_offset() <= synced => {
                let reason = "a batch has a wrong checksum; it was on the disk before and is kept as it is";
                tracing::error!(segment = %self.path.display(), position = batch.position, reason);
                recovered.damaged_batches += 1;
                return Ok(Some(batch));
            }
            Found::Damaged(batch) => (
                batch.position,
                "a batch has a wrong checksum".to_owned(),
                expected,
            ),
        };
        if next < synced {
            let reason = format!("{reason}; offsets up to {synced} had been synced, so nothing is cut off");
            return Err(self.corrupt(position, reason));
        }
        let segment = self.path.display();
        tracing::info!(%segment, position, offset = expected.value(), reason, "the segment is cut here");
        Ok(None)
    }

    /// The offset after the last batch, found from the last index entry on; for a segment that was closed properly.
    /// Sets the logical size: zeros at the end are space filled ahead. None if the end is not as it should be.
    pub(crate) fn load_end(&self) -> Result<Option<Offset>> {
        let file = self.file()?;
        let length = file.len()?;
        let entry = read_lock(&self.offset_index).last()?;
        let start = entry.map_or(0, |entry| entry.position);
        if start >= length && entry.is_some() {
            return Ok(None);
        }
        let mut scan = Scan::headers(&*file, &self.path, start, length);
        let mut expected = entry;
        let mut next_offset = self.base_offset;
        let mut since_entry = 0;
        let end = loop {
            match scan.next()? {
                Found::Batch(batch) | Found::Damaged(batch) => {
                    let entry = expected.take();
                    if entry.is_some_and(|entry| entry.last_offset != batch.last_offset())
                        || !self.follows(&batch, next_offset)
                    {
                        return Ok(None);
                    }
                    next_offset = batch.header.next_offset();
                    since_entry += batch.end() - batch.position;
                }
                Found::End => break length,
                Found::Broken { position, .. }
                    if expected.is_none() && only_zeros(&*file, position, length)? =>
                {
                    break position;
                }
                Found::Broken { .. } => return Ok(None),
            }
        };
        self.size.store(end, Ordering::Release);
        lock(&self.growth).bytes_since_index_entry = since_entry;
        self.load_first_timestamp(&file)?;
        Ok(Some(next_offset))
    }

    fn load_first_timestamp(&self, file: &std::sync::Arc<dyn File>) -> Result<()> {
        let mut scan = Scan::headers(&**file, &self.path, 0, self.size());
        if let Found::Batch(first) = scan.next()? {
            lock(&self.growth).first_timestamp = Some(first.header.max_timestamp);
        }
        Ok(())
    }

    /// Whether index files are there and can be what they say (`LogSegment.sanityCheck`): their sizes fit, and their
    /// last entries lie within the segment. What is in them is checked where it is used.
    pub(crate) fn indexes_are_sane(&self) -> Result<bool> {
        for (kind, entry_bytes) in [
            (crate::file_name::OFFSET_INDEX, 8),
            (crate::file_name::TIME_INDEX, 12),
        ] {
            let path = crate::file_name::path(&self.folder, self.base_offset, kind);
            match self.disk.metadata(&path) {
                Ok(metadata) if metadata.length.is_multiple_of(entry_bytes) => {}
                Ok(_) => return Ok(false),
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        let offset = read_lock(&self.offset_index).last()?;
        let time = read_lock(&self.time_index).last()?;
        Ok(
            offset.is_none_or(|entry| entry.last_offset > self.base_offset && entry.position < self.size())
                && time.is_none_or(|entry| entry.offset >= self.base_offset && entry.timestamp.is_some()),
        )
    }

    /// See [`crate::transaction_index::TransactionIndex::is_sane`].
    pub(crate) fn transaction_index_is_sane(&self, next_offset: Offset) -> Result<bool> {
        read_lock(&self.transaction_index).is_sane(self.base_offset, next_offset)
    }
}
