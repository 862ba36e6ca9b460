//! What a task before this one said that it would make, and did not: the same object, of the same range.

use std::sync::Arc;

use forebay_connect_api::{AssignedPartition, Error, Intent, Intents, Offset};

use super::{
    take::Record,
    upload::{ClosedFile, Step},
};
use crate::{
    format::{Files, Refused, Writer, Written},
    store::Store,
};

/// What stands between an encoded partition and the schema in [`Intent::part`].
const SCHEMA: &str = "?schema=";

/// Which records an intent is about.
pub(super) fn part(encoded: &str, schema: Option<&str>) -> Arc<str> {
    match schema {
        Some(schema) => format!("{encoded}{SCHEMA}{schema}").into(),
        None => encoded.into(),
    }
}

/// An object that is to be made of exactly one range.
#[derive(Debug)]
pub(super) struct Promise {
    intent: Intent,
    encoded: String,
    schema: Option<String>,
    /// Made with the first record.
    writer: Option<Box<dyn Writer>>,
    records: u64,
}

/// Whether a promise has taken a record.
#[derive(Debug)]
pub(super) enum Taken {
    /// It has.
    Yes,
    /// It is not one of its own.
    No,
    /// It is in its range, but cannot be in one file with the others. It is in another object then, or was at fault.
    Refused(Error),
}

/// The outstanding intents of a partition.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// Those whose object is there: it stays as it was written.
    pub(super) made: Vec<Intent>,
    pub(super) promises: Vec<Promise>,
}

impl Outstanding {
    /// Looks which of the objects are there.
    ///
    /// # Errors
    /// If one is not, and cannot be made any more.
    pub(super) async fn look(
        intents: &dyn Intents,
        store: &dyn Store,
        assigned: &AssignedPartition,
    ) -> Result<Self, Error> {
        let mut outstanding = Self::default();
        for intent in intents.outstanding(&assigned.topic_partition) {
            if store.has(&intent.object).await? {
                outstanding.made.push(intent);
            } else {
                check(&intent, store, assigned)?;
                tracing::info!(object = %intent.object, "finishing an object that a task before this one has begun");
                outstanding.promises.push(Promise::new(intent));
            }
        }
        Ok(outstanding)
    }
}

fn check(intent: &Intent, store: &dyn Store, assigned: &AssignedPartition) -> Result<(), Error> {
    let Intent {
        object, start, end, ..
    } = intent;
    let (of, place) = (&assigned.topic_partition, store.describe());
    let log_start_offset = assigned.log_start_offset;
    if *start < log_start_offset {
        let last = (log_start_offset.value() - 1).min(end.value());
        return Err(Error::fatal(format!(
            "{object} in {place} was begun and is not there, and offsets {start} to {last} of {of}, of which it would be made again, are \
             gone from the topic (retention). To go on without them, stop the connector and set its offsets \
             (PATCH /connectors/NAME/offsets) to {log_start_offset} or later"
        )));
    }
    if *end >= assigned.log_end_offset {
        return Err(Error::fatal(format!(
            "{object} in {place} was begun and is not there, and {of} ends before offset {}: the topic was made anew, or its log was cut. \
             To go on, stop the connector and reset its offsets (DELETE /connectors/NAME/offsets)",
            assigned.log_end_offset
        )));
    }
    Ok(())
}

impl Promise {
    pub(super) fn new(intent: Intent) -> Self {
        let (encoded, schema) = match intent.part.rsplit_once(SCHEMA) {
            Some((encoded, schema)) => (encoded.to_owned(), Some(schema.to_owned())),
            None => (intent.part.to_string(), None),
        };
        Self {
            intent,
            encoded,
            schema,
            writer: None,
            records: 0,
        }
    }

    pub(super) fn start(&self) -> Offset {
        self.intent.start
    }

    pub(super) fn end(&self) -> Offset {
        self.intent.end
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.bytes())
    }

    /// Whether it is of an encoded partition.
    pub(super) fn is_of(&self, encoded: &str) -> bool {
        self.encoded == encoded
    }

    /// Takes a record, if it is one of its own.
    pub(super) fn write(
        &mut self,
        encoded: &str,
        record: Record<'_>,
        files: &Files,
    ) -> Result<Taken, Refused> {
        let in_range = self.intent.start <= record.offset && record.offset <= self.intent.end;
        if !in_range || encoded != self.encoded {
            return Ok(Taken::No);
        }
        if self.schema.is_some() && files.kind(record.cell)? != self.schema {
            return Ok(Taken::No);
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(files.writer_of_any_version()),
        };
        if writer.write(record.cell)? == Written::Row {
            self.records += 1;
            return Ok(Taken::Yes);
        }
        Ok(Taken::Refused(Error::fatal(format!(
            "{} was begun and is made again of offsets {} to {}, and this record cannot be in one file with those before it",
            self.intent.object, self.intent.start, self.intent.end
        ))))
    }

    /// The whole file, after the last offset of its range.
    pub(super) fn close(self, topic_id: Option<Arc<str>>) -> Result<ClosedFile, Error> {
        let content = match self.writer.filter(|_| self.records > 0) {
            Some(writer) => Some(writer.finish()?),
            None => {
                tracing::warn!(
                    object = %self.intent.object, start = %self.intent.start, end = %self.intent.end,
                    "an object that was begun is not made: the topic has no record for it any more"
                );
                None
            }
        };
        Ok(ClosedFile {
            start: self.intent.start,
            intent: self.intent,
            records: self.records,
            content,
            topic_id,
            step: Step::Intended,
        })
    }
}
