//! Where on a record's way something failed, and whether the task goes on without the record.

use forebay_connect_api::{Error, TaskId};

use crate::connector_config::ErrorHandling;

/// Kafka's `Stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In a transformation.
    Transformation,
    /// In `poll`.
    TaskPoll,
    /// In `put`.
    TaskPut,
    /// Between the key's data and its bytes.
    KeyConverter,
    /// Between the value's data and its bytes.
    ValueConverter,
    /// Between a header's data and its bytes.
    HeaderConverter,
    /// While it was produced.
    KafkaProduce,
}

impl Stage {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::TaskPoll => "TASK_POLL",
            Self::TaskPut => "TASK_PUT",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
        }
    }
}

impl ErrorHandling {
    /// Lets the error pass if the user tolerates errors; logs it if wanted. `record` describes the record for a log that may
    /// include it.
    ///
    /// # Errors
    /// What the task fails with.
    pub(crate) fn tolerate(
        &self,
        id: &TaskId,
        stage: Stage,
        error: Error,
        record: impl FnOnce() -> String,
    ) -> Result<Error, Error> {
        self.metrics.failed(super::now().0);
        if self.log {
            self.metrics.logged();
            let record = if self.log_messages {
                record()
            } else {
                String::new()
            };
            let trace = error.trace();
            tracing::error!(task = %id, stage = stage.name(), %trace, record, "Error encountered in task");
        }
        if self.tolerates {
            self.metrics.skipped();
            Ok(error)
        } else {
            Err(Error::fatal("Tolerance exceeded in error handler").with_source(error))
        }
    }
}
