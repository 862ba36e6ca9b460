//! One partition: the file that is open, and those that are closed and wait for the store.

use std::{collections::VecDeque, sync::Arc};

use forebay_connect_api::{AssignedPartition, Error, Offset, Timestamp, TopicPartition};

use super::upload::ClosedFile;
use crate::{
    config::{Config, OnNull},
    format::{Cell, Files, Refused, Writer, Written},
    rotation::Opened,
    store::Store,
};

/// Records of one batch after which an open file's memory is looked at again.
const RECORDS_PER_LOOK: u64 = 256;

/// Where a partition stands: `start <= position`. Offsets from `start` to `position` are in the open file, or none of them has a
/// record; those before `start` are in closed files and objects.
#[derive(Debug)]
pub(super) struct Partition {
    topic_partition: TopicPartition,
    /// Noted with each object.
    topic_id: Option<Arc<str>>,
    config: Arc<Config>,
    files: Files,
    /// The next offset to consume.
    position: Offset,
    /// The first offset of the next object.
    start: Offset,
    open: Option<OpenFile>,
    closed: VecDeque<ClosedFile>,
}

#[derive(Debug)]
struct OpenFile {
    writer: Box<dyn Writer>,
    records: u64,
    opened: Opened,
    /// The writer's memory when it was looked at last.
    bytes: usize,
}

/// Takes the records of one batch.
#[derive(Debug)]
pub(super) struct Take<'a> {
    pub(super) partition: &'a mut Partition,
    pub(super) now: Timestamp,
    /// Records at fault; `None`: the first one fails the task.
    pub(super) at_fault: Option<&'a mut Vec<AtFault>>,
}

/// A record that cannot be written.
#[derive(Debug)]
pub(super) struct AtFault {
    pub(super) offset: Offset,
    pub(super) error: Error,
}

/// Why records of a batch were not taken.
#[derive(Debug)]
pub(super) enum Stop {
    /// The task fails.
    Failed(Error),
    /// A schema has to be fetched; then the batch goes on.
    Fetch(i32),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Take<'_> {
    /// Takes one record, unless a batch that came before had it.
    pub(super) fn record(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        cell: Cell<'_>,
    ) -> Result<(), Stop> {
        if offset < self.partition.position {
            return Ok(());
        }
        let refused = match (cell.is_null(), self.partition.config.on_null) {
            (true, OnNull::Ignore) => None,
            (true, OnNull::Fail) => Some(Refused::Record(Error::fatal(
                "it has no value; set behavior.on.null.values to ignore or write",
            ))),
            _ => self.partition.write(offset, timestamp, cell, self.now).err(),
        };
        let place = format_args!(
            "the record at offset {offset} of {}",
            self.partition.topic_partition
        );
        match (refused, &mut self.at_fault) {
            (None, _) => {}
            (Some(Refused::Fetch(schema_id)), _) => return Err(Stop::Fetch(schema_id)),
            (Some(Refused::Record(error)), Some(at_fault)) => at_fault.push(AtFault { offset, error }),
            (Some(Refused::Record(error) | Refused::All(error)), _) => {
                return Err(Error::fatal(format!("cannot write {place}: {}", error.trace())).into());
            }
        }
        self.partition.consumed(offset.next());
        Ok(self.partition.close_if_full()?)
    }
}

impl Partition {
    pub(super) fn new(assigned: &AssignedPartition, position: Offset, config: Arc<Config>) -> Self {
        Self {
            topic_partition: assigned.topic_partition.clone(),
            topic_id: assigned.topic_id.clone(),
            files: config.format.files(),
            config,
            position,
            start: position,
            open: None,
            closed: VecDeque::new(),
        }
    }

    /// Everything before this offset is done with.
    fn consumed(&mut self, next_offset: Offset) {
        self.position = self.position.max(next_offset);
    }

    /// The end of a batch: its offsets are consumed, and the memory that it took is counted.
    pub(super) fn end_batch(&mut self, next_offset: Offset) {
        self.consumed(next_offset);
        if let Some(open) = &mut self.open {
            open.bytes = open.writer.bytes();
        }
    }

    /// Everything before this offset is in the store, or has no record.
    pub(super) fn safe_offset(&self) -> Offset {
        match (self.closed.front(), &self.open) {
            (Some(closed), _) => closed.start,
            (None, Some(_)) => self.start,
            (None, None) => self.position,
        }
    }

    /// When the wall clock closes the open file.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let open = self.open.as_ref()?;
        self.config.rotation.deadline(open.opened)
    }

    /// Memory that the open file takes.
    pub(super) fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }

    pub(super) fn has_closed_files(&self) -> bool {
        !self.closed.is_empty()
    }

    fn write(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        cell: Cell<'_>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let rotation = self.config.rotation;
        if let Some(open) = &self.open
            && rotation.is_due_before(open.opened, timestamp)
        {
            self.close_before(offset)?;
        }
        // Twice at most: a file that is empty takes any schema.
        loop {
            let files = &self.files;
            let open = self.open.get_or_insert_with(|| OpenFile {
                writer: files.writer(),
                records: 0,
                opened: Opened {
                    first: timestamp,
                    at: now,
                },
                bytes: 0,
            });
            let written = open.writer.write(cell);
            match written {
                Ok(Written::Row) => {
                    open.records += 1;
                    if open.records.is_multiple_of(RECORDS_PER_LOOK) {
                        open.bytes = open.writer.bytes();
                    }
                    return Ok(());
                }
                Ok(Written::OtherSchema) if open.records > 0 => self.close_before(offset)?,
                Ok(Written::OtherSchema) => self.open = None,
                Err(refused) => {
                    // A file without a record is no file.
                    self.open.take_if(|open| open.records == 0);
                    return Err(refused);
                }
            }
        }
    }

    /// Closes the open file; its range ends before `offset`, which has been seen but not taken.
    fn close_before(&mut self, offset: Offset) -> Result<(), Refused> {
        self.consumed(offset);
        self.close().map_err(Refused::All)
    }

    fn close_if_full(&mut self) -> Result<(), Error> {
        let full = self.open.as_ref().is_some_and(|open| {
            self.config.rotation.is_full(open.records) || open.bytes > self.config.buffer_bytes_max
        });
        if full { self.close() } else { Ok(()) }
    }

    /// Closes the open file, if there is one; its range ends with the last offset consumed.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let content = open.writer.finish()?;
        let end = Offset(self.position.value() - 1);
        assert!(self.start <= end, "an open file has a record");
        let name = self.config.layout.name(&self.topic_partition, self.start, end);
        self.closed.push_back(ClosedFile {
            start: self.start,
            name,
            records: open.records,
            content,
            topic_id: self.topic_id.clone(),
        });
        self.start = self.position;
        Ok(())
    }

    /// Puts closed files into the store, in their order: a later object says that all before it are there.
    pub(super) async fn upload(&mut self, store: &dyn Store) -> Result<(), Error> {
        while let Some(file) = self.closed.front() {
            file.upload(store).await?;
            self.closed.pop_front();
        }
        Ok(())
    }
}
