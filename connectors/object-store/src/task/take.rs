//! Taking the records of a batch: those that were taken before are skipped, those at fault are reported or fail the task.

use forebay_connect_api::{Error, Offset, Timestamp};

use super::{lane::Lane, partition::Partition};
use crate::{
    config::OnNull,
    format::{Cell, Refused},
};

/// One record as it is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    pub(super) cell: Cell<'a>,
}

/// Takes the records of one batch.
#[derive(Debug)]
pub(super) struct Take<'a> {
    pub(super) partition: &'a mut Partition,
    pub(super) now: Timestamp,
    /// Records at fault; `None`: the first one fails the task.
    pub(super) at_fault: Option<&'a mut Vec<AtFault>>,
    /// Where the next record goes if it is like the one before.
    pub(super) lane: Option<Lane>,
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
    pub(super) fn record(&mut self, record: Record<'_>) -> Result<(), Stop> {
        let offset = record.offset;
        if offset < self.partition.position() {
            return Ok(());
        }
        // What is refused there is refused again below.
        if let Some(lane) = &mut self.lane
            && lane.takes(record)
            && let Ok(true) = self.partition.write_on(lane, record, self.now)
        {
            return Ok(());
        }
        self.lane = None;
        // Offsets that were skipped have no record.
        self.partition.consumed(offset)?;
        let refused = self.write(record).err();
        let place = format_args!("the record at offset {offset} of {}", self.partition.name());
        match (refused, &mut self.at_fault) {
            (None, _) => {}
            (Some(Refused::Fetch(schema_id)), _) => return Err(Stop::Fetch(schema_id)),
            (Some(Refused::Null(_)), _) => unreachable!("it was written as the null that it is"),
            (Some(Refused::Record(error)), Some(at_fault)) => at_fault.push(AtFault { offset, error }),
            (Some(Refused::Record(error) | Refused::All(error)), _) => {
                return Err(Error::fatal(format!("cannot write {place}: {}", error.trace())).into());
            }
        }
        self.partition.consumed(offset.next())?;
        self.partition.close_if_full()?;
        self.lane = self.partition.lane();
        Ok(())
    }

    fn write(&mut self, record: Record<'_>) -> Result<(), Refused> {
        match (record.cell.is_null(), self.partition.on_null()) {
            (true, OnNull::Ignore) => Ok(()),
            (true, OnNull::Fail) => Err(Refused::Record(Error::fatal(
                "it has no value; set behavior.on.null.values to ignore or write",
            ))),
            _ => match self.partition.write(record, self.now) {
                Err(Refused::Null(value)) => self.write(Record {
                    cell: Cell::Converted(&value),
                    ..record
                }),
                other => other,
            },
        }
    }
}
