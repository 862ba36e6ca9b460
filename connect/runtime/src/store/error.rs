//! What can be wrong with a storage topic.

/// Why the worker's state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster does not do what is asked.
    #[error("the storage topic {topic} cannot be used: {source}")]
    Client {
        /// The topic.
        topic: String,
        /// Why.
        source: forebay_client::Error,
    },
    /// What only the leader may write is not sure to be there: it was refused, or took too long.
    #[error(
        "Failed to write to config topic; this may be due to a transient error and the request can be safely retried"
    )]
    NotWritten {
        /// The topic.
        topic: String,
        /// Why.
        source: forebay_client::Error,
    },
    /// Retention would delete what is stored.
    #[error(
        "Topic '{topic}' supplied via the '{key}' property is required to have 'cleanup.policy=compact' to guarantee \
         consistency and durability of {content}, but found the topic currently has 'cleanup.policy={policy}'. Change the \
         topic (kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact), or set '{key}' to another one"
    )]
    NotCompacted {
        /// The topic.
        topic: String,
        /// The key that names it.
        key: &'static str,
        /// What it holds.
        content: &'static str,
        /// Its policy.
        policy: String,
    },
    /// The order of configurations would be lost.
    #[error(
        "Topic '{topic}' supplied via the '{key}' property is required to have a single partition in order to guarantee \
         consistency of {content}, but found {partitions} partitions; set '{key}' to another one"
    )]
    NotOnePartition {
        /// The topic.
        topic: String,
        /// The key that names it.
        key: &'static str,
        /// What it holds.
        content: &'static str,
        /// How many it has.
        partitions: usize,
    },
    /// The file of a worker that runs alone cannot be read or written.
    #[error("the file {path} (offset.storage.file.filename) cannot be used: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The topic could not be read, or what was written was not read back, in time.
    #[error("the storage topic {topic} could not be {what} within {timeout_ms} ms; is its leader available?")]
    TimedOut {
        /// The topic.
        topic: String,
        /// What was to be done: `read`, `written`.
        what: &'static str,
        /// How long was tried.
        timeout_ms: u128,
    },
}
