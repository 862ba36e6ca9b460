//! What the dead letter queues of sinks and of sources have in common: how their topics are made, and what a letter says of itself
//! (Kafka's headers, KIP-298).

use bytes::Bytes;
use forebay_client::Error as ClientError;
use forebay_client::admin::NewTopic;
use forebay_connect_api::{Error, TaskId};
use forebay_protocol::ErrorCode;

use super::clients;
use super::context::Context;
use super::stage::Stage;
use crate::connector_config::{ConnectorConfig, DeadLetterQueueConfig};
use crate::provider::redact;

/// What the keys of these headers begin with.
pub(super) const PREFIX: &str = "__connect.errors.";

/// Makes the queue's topic, of one partition, if it is missing.
///
/// # Errors
/// If it is missing and may not be made; retriable if it may be some time.
pub(super) async fn make_queue(
    context: &Context,
    config: &ConnectorConfig,
    queue: &DeadLetterQueueConfig,
) -> Result<(), Error> {
    let mut new = NewTopic::new(&queue.topic).partitions(1);
    new.replication_factor = queue.replication_factor;
    // Once for each start, and large.
    let made = Box::pin(make_topic(context, config, new)).await;
    made.map_err(|error| not_made(&queue.topic, error))
}

/// Makes a topic if it is missing. Who may not make it may yet use it if it is there, so that is looked at first, as Kafka does.
///
/// # Errors
/// The cluster's.
pub(super) async fn make_topic(
    context: &Context,
    config: &ConnectorConfig,
    new: NewTopic,
) -> Result<(), ClientError> {
    let admin = clients::admin(context, config)?;
    let described = admin.describe_topics(&[&new.name]).await?;
    let is_there = described.get(&new.name).is_some_and(Result::is_ok);
    if is_there {
        return Ok(());
    }
    let created = admin.create_topics(&[new], false).await?;
    match created.into_values().next() {
        Some(Err(error)) if error.code() != Some(ErrorCode::TopicAlreadyExists) => Err(error),
        _ => Ok(()),
    }
}

/// A queue that cannot be made, in Kafka's words, and what to do about it.
pub(super) fn not_made(topic: &str, error: ClientError) -> Error {
    let cure = match error.code() {
        _ if error.is_retriable() => "it is tried again",
        Some(ErrorCode::InvalidReplicationFactor) => {
            "let errors.deadletterqueue.topic.replication.factor be no more than there are brokers, or make the topic yourself; then \
             restart the task"
        }
        _ => {
            "make the topic yourself, or name one that may be made (errors.deadletterqueue.topic.name); then restart the task"
        }
    };
    let message = format!("Could not initialize dead letter queue with topic={topic}: {cure}");
    if error.is_retriable() {
        Error::retriable(message).with_source(error)
    } else {
        Error::fatal(message).with_source(error)
    }
}

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
