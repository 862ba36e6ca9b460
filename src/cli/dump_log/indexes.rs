//! Offset and time indexes (`.index`, `.timeindex`), each entry held against the segment beside it.

use std::io::Write;

use forebay_broker_log::inspect::{self, OFFSET_ENTRY_BYTES, OffsetEntry, TIME_ENTRY_BYTES, TimeEntry};
use forebay_records::Offset;

use super::segment::Segment;
use super::{Dump, Error, absolute, offset_of_name, read, sibling};

impl<W: Write> Dump<W> {
    pub(super) fn offset_index(&mut self, path: &str) -> Result<(), Error> {
        let base = Offset(offset_of_name(path)?);
        let segment = Segment::open(&sibling(path, "log"))?;
        let bytes = read(path)?;
        let entries = inspect::offset_index(&bytes, base);
        if entries.is_empty() {
            writeln!(self.out, "{path} is empty.")?;
            return Ok(());
        }
        if self.settings.sanity_only {
            check_offset_index(path, bytes.len(), base, &entries)?;
            writeln!(self.out, "{path} passed sanity check.")?;
            return Ok(());
        }
        for (number, entry) in entries.iter().enumerate() {
            // What follows was laid out ahead.
            if entry.last_offset == base && number > 0 {
                return Ok(());
            }
            let end = entry.position + self.settings.message_bytes_max;
            let batch = segment.batches(entry.position, end).next()?.ok_or_else(|| {
                Error::File(format!(
                    "{path}: no whole batch of at most {} bytes begins at position {} of the log",
                    self.settings.message_bytes_max, entry.position
                ))
            })?;
            let found = batch.header.last_offset();
            if found != entry.last_offset {
                let mismatches = self.problems.index_mismatches.entry(absolute(path)).or_default();
                mismatches.insert(entry.last_offset.0, found.0);
            }
            if !self.settings.verify_only {
                writeln!(
                    self.out,
                    "offset: {} position: {}",
                    entry.last_offset, entry.position
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn time_index(&mut self, path: &str) -> Result<(), Error> {
        let base = Offset(offset_of_name(path)?);
        let segment = Segment::open(&sibling(path, "log"))?;
        let offsets = inspect::offset_index(&read(&sibling(path, "index"))?, base);
        let bytes = read(path)?;
        let entries = inspect::time_index(&bytes, base);
        if self.settings.sanity_only {
            check_time_index(path, bytes.len(), base, &entries)?;
            writeln!(self.out, "{path} passed sanity check.")?;
            return Ok(());
        }
        let mut previous = -1;
        for (number, entry) in entries.iter().enumerate() {
            if entry.offset == base && number > 0 {
                return Ok(());
            }
            self.check_time_entry(path, &segment, &offsets, entry, previous)?;
            if !self.settings.verify_only {
                writeln!(
                    self.out,
                    "timestamp: {} offset: {}",
                    entry.timestamp, entry.offset
                )?;
            }
            previous = entry.timestamp.0;
        }
        Ok(())
    }

    fn check_time_entry(
        &mut self,
        path: &str,
        segment: &Segment,
        offsets: &[OffsetEntry],
        entry: &TimeEntry,
        previous: i64,
    ) -> Result<(), Error> {
        let mut batches = segment.batches(position(offsets, entry.offset), u64::MAX);
        let found = loop {
            match batches.next()? {
                Some(batch) if batch.header.last_offset() < entry.offset => {}
                found => break found,
            }
        };
        let not_found = &mut self.problems.offsets_not_found;
        let mut missing = |found: i64| {
            let offsets = not_found.entry(absolute(path)).or_default();
            offsets.push((entry.offset.0, found));
        };
        let Some(located) = found else {
            missing(-1);
            return Ok(());
        };
        if located.header.last_offset() != entry.offset {
            missing(located.header.last_offset().0);
            return Ok(());
        }
        let wrong =
            |error: forebay_records::Error| Error::File(format!("position {}: {error}", located.position));
        let batch = batches.load(&located)?;
        let mut greatest = -1;
        for record in batch.records().map_err(wrong)? {
            greatest = record.map_err(wrong)?.timestamp.0.max(greatest);
        }
        if greatest != entry.timestamp.0 {
            let mismatches = self.problems.timestamp_mismatches.entry(absolute(path));
            mismatches.or_default().push((entry.timestamp.0, greatest));
        }
        if previous >= entry.timestamp.0 {
            let disorder = self.problems.timestamps_out_of_order.entry(absolute(path));
            disorder.or_default().push((entry.timestamp.0, previous));
        }
        Ok(())
    }
}

/// Where the search for an offset begins. Behind the last entry the index may be laid out ahead, with zeros.
fn position(entries: &[OffsetEntry], offset: Offset) -> u64 {
    let mut position = 0;
    let mut last = Offset(-1);
    for entry in entries {
        if entry.last_offset > offset || entry.last_offset < last {
            break;
        }
        (last, position) = (entry.last_offset, entry.position);
    }
    position
}

/// What a broker checks when it starts (`OffsetIndex.sanityCheck`).
fn check_offset_index(path: &str, bytes: usize, base: Offset, entries: &[OffsetEntry]) -> Result<(), Error> {
    let file = absolute(path);
    if let Some(last) = entries
        .last()
        .map(|entry| entry.last_offset)
        .filter(|last| *last < base)
    {
        return Err(Error::File(format!(
            "Corrupt index found, index file ({file}) has non-zero size but the last offset is {last} which is less than \
             the base offset {base}"
        )));
    }
    whole(bytes, OFFSET_ENTRY_BYTES, || format!("Index file {file}"))
}

/// As above (`TimeIndex.sanityCheck`).
fn check_time_index(path: &str, bytes: usize, base: Offset, entries: &[TimeEntry]) -> Result<(), Error> {
    let file = absolute(path);
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        if last.timestamp < first.timestamp {
            return Err(Error::File(format!(
                "Corrupt time index found, time index file ({file}) has non-zero size but the last timestamp is {} which \
                 is less than the first timestamp {}",
                last.timestamp, first.timestamp
            )));
        }
        if last.offset < base {
            return Err(Error::File(format!(
                "Corrupt time index found, time index file ({file}) has non-zero size but the last offset is {} which is \
                 less than the first offset {base}",
                last.offset
            )));
        }
    }
    whole(bytes, TIME_ENTRY_BYTES, || format!("Time index file {file}"))
}

fn whole(bytes: usize, entry: usize, file: impl Fn() -> String) -> Result<(), Error> {
    if bytes.is_multiple_of(entry) {
        return Ok(());
    }
    Err(Error::File(format!(
        "{} is corrupt, found {bytes} bytes which is neither positive nor a multiple of {entry}",
        file()
    )))
}
