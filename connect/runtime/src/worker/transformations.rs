//! What a connector's transformations do to the records of a task, between task and converter, in either direction.

use forebay_connect_api::{Error, SinkRecord, SourceRecord, TaskId};
use forebay_connect_transforms::{Chain, Failed, Record};

use super::converters::Rejected;
use super::stage::Stage;
use crate::connector_config::{ConnectorConfig, ErrorHandling};

/// The transformations of one task.
#[derive(Debug)]
pub(super) struct Transformations {
    chain: Chain,
    errors: ErrorHandling,
}

impl Transformations {
    /// Those of a connector.
    pub(super) fn new(config: &ConnectorConfig) -> Result<Self, Error> {
        let chain = Chain::new(&config.originals, super::now()).map_err(Error::Config)?;
        Ok(Self {
            chain,
            errors: config.errors.clone(),
        })
    }

    /// Whether records go through as they are.
    pub(super) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Transforms a record of a source task. `false`: it goes no further, filtered or skipped with an error that is tolerated; its
    /// source offset counts as delivered.
    ///
    /// # Errors
    /// What the task fails with.
    pub(super) fn source(&mut self, id: &TaskId, record: &mut SourceRecord) -> Result<bool, Error> {
        if self.is_empty() {
            return Ok(true);
        }
        // The record as it was, for a log that may have it.
        let before = (self.errors.log && self.errors.log_messages).then(|| record.clone());
        match self.chain.apply(Record::of_source(record)) {
            Ok(Some(transformed)) => {
                transformed.into_source(record);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(Failed { error, .. }) => {
                let shown = || before.map(|before| format!("{before:?}")).unwrap_or_default();
                let error = Error::fatal(error.to_string());
                self.errors.tolerate(id, Stage::Transformation, error, shown)?;
                Ok(false)
            }
        }
    }

    /// The same, of a record whose error is the caller's to judge.
    pub(super) fn try_source(&mut self, record: &mut SourceRecord) -> Result<bool, Rejected> {
        match self.chain.apply(Record::of_source(record)) {
            Ok(Some(transformed)) => {
                transformed.into_source(record);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(failed) => Err(rejected(failed)),
        }
    }

    /// Transforms a record for a sink task; `None`: it was filtered.
    pub(super) fn sink(&mut self, mut record: SinkRecord) -> Result<Option<SinkRecord>, Rejected> {
        if self.is_empty() {
            return Ok(Some(record));
        }
        match self.chain.apply(Record::of_sink(&mut record)) {
            Ok(transformed) => Ok(transformed.map(|transformed| {
                transformed.into_sink(&mut record);
                record
            })),
            Err(failed) => Err(rejected(failed)),
        }
    }
}

fn rejected(Failed { class, error }: Failed) -> Rejected {
    Rejected {
        stage: Stage::Transformation,
        class: Some(class),
        error: Error::fatal(error.to_string()),
    }
}
