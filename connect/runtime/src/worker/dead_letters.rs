//! What a dead letter says of itself: Kafka's headers (KIP-298), on the letters of sinks and of sources alike.

use bytes::Bytes;
use forebay_connect_api::{Error, TaskId};

use super::stage::Stage;
use crate::provider::redact;

/// What the keys of these headers begin with.
pub(super) const PREFIX: &str = "__connect.errors.";

/// Why a record goes no further.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault<'a> {
    /// Where it failed.
    pub(super) stage: Stage,
    /// The Java class that failed.
    pub(super) class: &'a str,
    /// What was wrong.
    pub(super) error: &'a Error,
}

/// A header of a dead letter.
pub(super) type Header = (String, Option<Bytes>);

/// One of them.
pub(super) fn header(key: &str, value: impl Into<Bytes>) -> Header {
    (format!("{PREFIX}{key}"), Some(value.into()))
}

/// Those that say what went wrong, in Kafka's order; what says where the record is from stands before them.
pub(super) fn headers(id: &TaskId, fault: Fault<'_>) -> [Header; 7] {
    let exception = match fault.error {
        Error::Retriable { .. } => "org.apache.kafka.connect.errors.RetriableException",
        Error::Fatal { .. }
            if matches!(
                fault.stage,
                Stage::TaskPoll | Stage::TaskPut | Stage::KafkaProduce
            ) =>
        {
            "org.apache.kafka.connect.errors.ConnectException"
        }
        Error::Fatal { .. } => "org.apache.kafka.connect.errors.DataException",
        Error::Config(_) => "org.apache.kafka.common.config.ConfigException",
    };
    [
        header("connector.name", id.connector.to_string()),
        header("task.id", id.task.to_string()),
        header("stage", fault.stage.name()),
        header("class.name", fault.class.to_owned()),
        header("exception.class.name", exception),
        header("exception.message", redact(&fault.error.to_string()).into_owned()),
        header("exception.stacktrace", redact(&fault.error.trace()).into_owned()),
    ]
}
