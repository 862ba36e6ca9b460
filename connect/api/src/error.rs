//! How a connector tells its worker that something went wrong, and whether trying again helps.

use std::fmt::Write;

use crate::config;

/// The error underneath.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a connector or task could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same call may succeed later (Kafka's `RetriableException`): from [`crate::SinkTask::put`] the worker delivers the same
    /// batch again after a pause, from [`crate::SourceTask::poll`] it polls again.
    #[error("{message}")]
    Retriable {
        /// What was wrong, where, and what to do.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<BoxError>,
    },
    /// Trying again does not help (Kafka's `ConnectException`): the task fails and its status shows why.
    #[error("{message}")]
    Fatal {
        /// What was wrong, where, and what to do.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<BoxError>,
    },
    /// The configuration is not valid (Kafka's `ConfigException`).
    #[error(transparent)]
    Config(#[from] config::Errors),
}

impl Error {
    /// An error that a later attempt may not meet.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::Retriable {
            message: message.into(),
            source: None,
        }
    }

    /// An error that stays.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::Fatal {
            message: message.into(),
            source: None,
        }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, error: impl Into<BoxError>) -> Self {
        match &mut self {
            Self::Retriable { source, .. } | Self::Fatal { source, .. } => *source = Some(error.into()),
            Self::Config(_) => {}
        }
        self
    }

    /// The same, but no longer worth a retry: for when the retries are used up.
    #[must_use]
    pub fn into_fatal(self) -> Self {
        match self {
            Self::Retriable { message, source } => Self::Fatal { message, source },
            other => other,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Retriable { .. })
    }

    /// The message and those of all errors underneath, one per line: the `trace` of a status. What the message before it ends with is not
    /// said again, as many crates' errors end with the one underneath.
    pub fn trace(&self) -> String {
        let mut trace = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let cause = error.to_string();
            if !trace.ends_with(&cause) {
                let _ = write!(trace, "\nCaused by: {cause}"); // Writing to a string does not fail.
            }
            source = error.source();
        }
        trace
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        Self::Config(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_names_every_cause() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::retriable("cannot write /a").with_source(cause);
        assert!(error.is_retriable());
        assert_eq!(error.trace(), "cannot write /a\nCaused by: disk on fire");
        assert!(!error.into_fatal().is_retriable());
    }

    #[test]
    fn a_cause_that_was_just_said_is_not_said_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot ask: {0}")]
        struct Twice(#[source] std::io::Error);
        let error = Error::fatal("cannot list /a").with_source(Twice(std::io::Error::other("refused")));
        assert_eq!(error.trace(), "cannot list /a\nCaused by: cannot ask: refused");
    }
}
