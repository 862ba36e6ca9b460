//! One partition of a topic: its open files, one per encoded partition and schema, and those that are closed and wait for the
//! store.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use forebay_connect_api::{
    AssignedPartition, Error, Intent, Intents, NO_TIMESTAMP, Offset, Timestamp, TopicPartition,
};

use super::{
    lane::Lane,
    open_file::{FileKey, OpenFile, OpenFiles},
    promise::{self, Promise, Taken},
    take::Record,
    upload::{ClosedFile, Step},
};
use crate::{
    config::{Config, OnNull},
    format::{Files, Refused, Written},
    name::Range,
    partitioner::{Place, Recent, Seen},
    resume::Covered,
    rotation::Opened,
    store::Store,
};

/// Records of a file after which its memory is looked at again.
pub(super) const RECORDS_PER_LOOK: u64 = 256;

/// Where a partition stands. Offsets before `position` are in objects, in closed files, in open files, or have no record.
#[derive(Debug)]
pub(super) struct Partition {
    assigned: AssignedPartition,
    config: Arc<Config>,
    store: Arc<dyn Store>,
    files: Files,
    /// The next offset to consume.
    position: Offset,
    /// With the default partitioner, where files follow each other: the first offset of the next one.
    next_start: Option<Offset>,
    /// The latest time of a record.
    watermark: Timestamp,
    open: OpenFiles,
    closed: VecDeque<ClosedFile>,
    /// Objects of a task before this one.
    promises: Vec<Promise>,
    /// What the store has, by encoded partition, as far as it was looked at.
    covered: BTreeMap<Arc<str>, Covered>,
    recent: Recent,
    /// The file that took the last record.
    last: Option<FileKey>,
}

impl Partition {
    pub(super) fn new(
        assigned: &AssignedPartition,
        position: Offset,
        promises: Vec<Promise>,
        config: Arc<Config>,
        store: &Arc<dyn Store>,
    ) -> Self {
        let promised = promises.iter().map(|promise| promise.end().next()).max();
        let next_start = promised.unwrap_or(position).max(position);
        Self {
            assigned: assigned.clone(),
            next_start: config.partitioner.is_default().then_some(next_start),
            files: config.format.files(),
            config,
            store: Arc::clone(store),
            position,
            watermark: NO_TIMESTAMP,
            open: OpenFiles::default(),
            closed: VecDeque::new(),
            promises,
            covered: BTreeMap::new(),
            recent: Recent::default(),
            last: None,
        }
    }

    pub(super) fn name(&self) -> &TopicPartition {
        &self.assigned.topic_partition
    }

    /// As the worker gave it.
    pub(super) fn assigned(&self) -> &AssignedPartition {
        &self.assigned
    }

    /// The next offset to consume.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    pub(super) fn on_null(&self) -> OnNull {
        self.config.on_null
    }

    /// Everything before this offset is done with.
    pub(super) fn consumed(&mut self, next_offset: Offset) -> Result<(), Error> {
        self.position = self.position.max(next_offset);
        while let Some(index) = self
            .promises
            .iter()
            .position(|promise| promise.end() < self.position)
        {
            let promise = self.promises.remove(index);
            let closed = promise.close(self.assigned.topic_id.clone())?;
            self.closed.push_back(closed);
        }
        Ok(())
    }

    /// The end of a batch: its offsets are consumed, and the memory that it took is counted.
    pub(super) fn end_batch(&mut self, next_offset: Offset) -> Result<(), Error> {
        self.consumed(next_offset)?;
        self.open.look_at_all();
        if !self.may_be_stored(self.position) {
            self.covered.clear();
        }
        Ok(())
    }

    /// Everything before this offset is in the store, or has no record.
    pub(super) fn safe_offset(&self) -> Offset {
        let closed = self.closed.iter().filter(|file| file.step != Step::Stored);
        let closed = closed.map(|file| file.start);
        let open = self.open.iter().map(|file| file.start);
        let promised = self.promises.iter().map(Promise::start);
        let first = closed.chain(open).chain(promised).min();
        first.unwrap_or(self.position).min(self.position)
    }

    /// The wall clock closes no open file before.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.open.deadline()
    }

    /// Memory that its open files take.
    pub(super) fn bytes(&self) -> usize {
        self.open.bytes() + self.promises.iter().map(Promise::bytes).sum::<usize>()
    }

    /// Memory that files take which wait for the store.
    pub(super) fn closed_bytes(&self) -> usize {
        let contents = self.closed.iter().filter_map(|file| file.content.as_ref());
        contents.map(bytes::Bytes::len).sum()
    }

    pub(super) fn has_closed_files(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Whether records from this offset on may be in the store already: not those that were not in the log when the
    /// partition was opened.
    pub(super) fn may_be_stored(&self, offset: Offset) -> bool {
        offset < self.assigned.log_end_offset
    }

    /// The encoded partition of a record that may be stored already, where the store was not looked at yet.
    pub(super) fn unknown(&mut self, record: Record<'_>, now: Timestamp) -> Option<Arc<str>> {
        let is_ignored = record.cell.is_null() && self.config.on_null != OnNull::Write;
        if is_ignored || record.offset < self.position || !self.may_be_stored(record.offset) {
            return None;
        }
        // What is at fault is met again when it is taken.
        let place = self.place(record, now).ok()?;
        (!self.covered.contains_key(&place.encoded)).then_some(place.encoded)
    }

    /// Whether it is known already of all places that records may have what the store has there.
    pub(super) fn knows_all_places(&self) -> bool {
        self.config.partitioner.is_default() && !self.covered.is_empty()
    }

    /// What the store has of an encoded partition.
    pub(super) fn learn(&mut self, encoded: Arc<str>, covered: Covered) {
        self.covered.insert(encoded, covered);
    }

    fn place(&mut self, record: Record<'_>, now: Timestamp) -> Result<Place, Error> {
        let seen = Seen {
            timestamp: record.timestamp,
            cell: record.cell,
            now,
        };
        let of = &self.assigned.topic_partition;
        let place = self.config.partitioner.place(of, seen, &mut self.recent)?;
        let is_known = self.config.partitioner.is_default()
            || !self.open.of(&place.encoded).is_empty()
            || self.covered.contains_key(&place.encoded);
        // The value of a field may be too long for a name. That is found here, where this record alone is at fault.
        if !is_known {
            let longest = self.config.layout.longest(of, &place.encoded);
            self.store.check_name(&longest)?;
        }
        Ok(place)
    }

    pub(super) fn write(&mut self, record: Record<'_>, now: Timestamp) -> Result<(), Refused> {
        let place = self.place(record, now).map_err(Refused::Record)?;
        let mut refused = None;
        for promise in &mut self.promises {
            match promise.write(&place.encoded, record, &self.files)? {
                Taken::Yes => return Ok(()),
                Taken::No => {}
                Taken::Refused(error) => refused = Some(error),
            }
        }
        if self.is_stored(&place.encoded, record)? {
            return Ok(());
        }
        if let Some(error) = refused {
            return Err(Refused::Record(error));
        }
        self.close_before(&place)?;
        self.watermark = self.watermark.max(place.time);
        let files = self.open.of(&place.encoded);
        for (index, file) in files.iter_mut().enumerate().rev() {
            if file.writer.write(record.cell)? == Written::Row {
                file.took(record.offset, now);
                let is_time_to_look = file.records.is_multiple_of(RECORDS_PER_LOOK);
                self.took(OpenFiles::key(&place.encoded, index), is_time_to_look);
                return Ok(());
            }
        }
        let kind = self.files.kind(record.cell)?;
        // Nothing would tell the objects of two schemas of a kind apart: one ends where the other begins.
        while let Some(key) = self.open.in_the_way(&place.encoded, kind.as_deref()) {
            self.close(&key).map_err(Refused::All)?;
        }
        self.open_file(record, kind, &place, now)
    }

    /// Where the next records go without more questions, if it is plain.
    pub(super) fn lane(&self) -> Option<Lane> {
        let is_plain = self.config.partitioner.is_default() && self.promises.is_empty();
        let key = self.last.as_ref().filter(|_| is_plain)?;
        let covered = self.covered.get(&key.encoded);
        if covered.is_some_and(|covered| !covered.ends_before(self.position)) {
            return None;
        }
        Lane::of(key, &self.open, &self.config.rotation)
    }

    /// Writes a record that takes the lane; false if its file does not take it.
    pub(super) fn write_on(
        &mut self,
        lane: &Lane,
        record: Record<'_>,
        now: Timestamp,
    ) -> Result<bool, Refused> {
        let Some(file) = self.open.get_mut(lane.key()) else {
            return Ok(false);
        };
        if file.writer.write(record.cell)? != Written::Row {
            return Ok(false);
        }
        file.took(record.offset, now);
        self.watermark = self.watermark.max(record.timestamp);
        self.position = record.offset.next();
        Ok(true)
    }

    /// Where it stands, for tests that compare.
    #[cfg(test)]
    pub(super) fn summary(&self) -> String {
        let open = self.open.iter().map(|file| {
            let OpenFile {
                records,
                start,
                first,
                last,
                opened,
                kind,
                ..
            } = file;
            format!("open {kind:?}: {records} from {start}, {first} to {last}, {opened:?}")
        });
        let closed = self.closed.iter();
        let closed =
            closed.map(|file| format!("closed {:?}: {} from {}", file.intent, file.records, file.start));
        let files: Vec<String> = open.chain(closed).collect();
        format!(
            "at {} and {}: {}",
            self.position,
            self.watermark.value(),
            files.join("; ")
        )
    }

    fn took(&mut self, key: FileKey, is_time_to_look: bool) {
        if is_time_to_look {
            self.open.look_at(&key);
        }
        self.last = Some(key);
    }

    /// A new file with its first record. A file without a record is no file.
    fn open_file(
        &mut self,
        record: Record<'_>,
        kind: Option<String>,
        place: &Place,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let mut writer = self.files.writer();
        if writer.write(record.cell)? != Written::Row {
            let error = Error::fatal("an empty file does not take it");
            return Err(Refused::All(error));
        }
        let bytes = writer.bytes();
        // What is promised may end behind this record, and hold others than it.
        let next_start = self.next_start.filter(|start| *start <= record.offset);
        let is_beside_promise = self.promises.iter().any(|promise| promise.is_of(&place.encoded));
        let file = OpenFile {
            writer,
            records: 1,
            start: next_start.unwrap_or(record.offset),
            first: record.offset,
            last: record.offset,
            opened: Opened {
                first: place.time,
                watermark: self.watermark,
                at: now,
                touched: now,
            },
            bytes,
            kind,
            has_grown: false,
            has_sibling: is_beside_promise,
        };
        let key = self.open.add(&place.encoded, file, &self.config.rotation);
        self.took(key, false);
        Ok(())
    }

    fn is_stored(&self, encoded: &Arc<str>, record: Record<'_>) -> Result<bool, Refused> {
        let Some(covered) = self.covered.get(encoded) else {
            return Ok(false);
        };
        if covered.has(record.offset) {
            return Ok(true);
        }
        if !covered.knows_schemas() {
            return Ok(false);
        }
        let kind = self.files.kind(record.cell)?;
        Ok(kind.is_some_and(|kind| covered.has_of_schema(record.offset, &kind)))
    }

    /// Closes the files that end where this record comes; their ranges end before it.
    fn close_before(&mut self, place: &Place) -> Result<(), Refused> {
        let config = Arc::clone(&self.config);
        let rotation = &config.rotation;
        while let Some(key) = self.next_before(place) {
            self.close(&key).map_err(Refused::All)?;
        }
        let watermark = self.watermark.max(place.time);
        while let Some(key) = self.open.due_by_records(rotation, watermark) {
            self.close(&key).map_err(Refused::All)?;
        }
        Ok(())
    }

    /// A file that this record's place ends.
    fn next_before(&mut self, place: &Place) -> Option<FileKey> {
        let rotation = self.config.rotation;
        let files = self.open.of(&place.encoded);
        let apart = files
            .iter()
            .position(|file| rotation.is_due_before(file.opened, place.time));
        if let Some(index) = apart {
            return Some(OpenFiles::key(&place.encoded, index));
        }
        let opens_one = files.is_empty();
        if self.config.rotate_on_change
            && let Some(elsewhere) = self.open.elsewhere(&place.encoded)
        {
            return Some(elsewhere);
        }
        let max = self.config.open_files_max.filter(|_| opens_one)?;
        if self.open.count() < max {
            return None;
        }
        self.open.longest_unused()
    }

    pub(super) fn close_if_full(&mut self) -> Result<(), Error> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let full = self.open.get(last).is_some_and(|file| {
            self.config.rotation.is_full(file.records, file.bytes)
                || file.bytes > self.config.buffer_bytes_max
        });
        match full {
            true => self.close(&last.clone()),
            false => Ok(()),
        }
    }

    /// Closes the files whose time has come.
    pub(super) fn close_due(&mut self, now: Timestamp) -> Result<(), Error> {
        let config = Arc::clone(&self.config);
        while let Some(key) = self.open.due_by_clock(&config.rotation, now) {
            self.close(&key)?;
        }
        Ok(())
    }

    /// The memory of the largest open file.
    pub(super) fn largest_bytes(&self) -> usize {
        self.open.largest().map_or(0, |(_, bytes)| bytes)
    }

    /// Closes the largest open file.
    pub(super) fn close_largest(&mut self) -> Result<(), Error> {
        match self.open.largest() {
            Some((key, _)) => self.close(&key),
            None => Ok(()),
        }
    }

    /// Closes a file. Where files follow each other its range ends with the last offset consumed, else with its last record.
    fn close(&mut self, key: &FileKey) -> Result<(), Error> {
        let Some(file) = self.open.remove(key) else {
            return Ok(());
        };
        self.last = None;
        let (schema, start, records) = (file.schema(), file.start, file.records);
        let range = match (self.config.partitioner.is_default(), &schema) {
            (true, None) => Range::new(file.start, Offset(self.position.value() - 1)),
            _ => Range {
                schema: schema.clone(),
                ..Range::new(file.first, file.last)
            },
        };
        assert!(range.start <= range.end, "an open file has a record");
        if self.config.partitioner.is_default() {
            // What follows records of one schema alone begins with its own first record.
            self.next_start = schema.is_none().then_some(self.position);
        }
        let content = file.finish()?;
        self.closed.push_back(ClosedFile {
            intent: Intent {
                object: self.config.layout.name(self.name(), &key.encoded, &range).into(),
                part: promise::part(&key.encoded, schema.as_deref()),
                start: range.start,
                end: range.end,
            },
            start: start.min(range.start),
            records,
            content: Some(content),
            topic_id: self.assigned.topic_id.clone(),
            step: Step::Closed,
        });
        Ok(())
    }

    /// Puts closed files into the store, in their order: a later object of a folder says that all before it are there. If the
    /// worker hears intents, it is told before and after; what then fails is begun anew with the partition.
    pub(super) async fn upload(
        &mut self,
        store: &dyn Store,
        intents: Option<&dyn Intents>,
    ) -> Result<(), Error> {
        if let Some(intents) = intents {
            self.intend(intents).await?;
        }
        for file in self.closed.iter_mut().filter(|file| file.step != Step::Stored) {
            file.upload(store).await?;
        }
        if let Some(intents) = intents {
            let done: Vec<Intent> = self.closed.iter().map(|file| file.intent.clone()).collect();
            intents.done(self.name(), &done, self.safe_offset()).await?;
        }
        self.closed.clear();
        Ok(())
    }

    async fn intend(&mut self, intents: &dyn Intents) -> Result<(), Error> {
        let new = self.closed.iter().filter(|file| file.step == Step::Closed);
        let new: Vec<Intent> = new.map(|file| file.intent.clone()).collect();
        if new.is_empty() {
            return Ok(());
        }
        intents.intend(self.name(), &new, self.safe_offset()).await?;
        for file in self.closed.iter_mut().filter(|file| file.step == Step::Closed) {
            file.step = Step::Intended;
        }
        Ok(())
    }
}
