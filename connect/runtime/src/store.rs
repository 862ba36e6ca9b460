//! What a worker keeps in Kafka: connector configurations, source offsets and states, each in a compacted topic of its own
//! in Kafka's record formats, so that a worker of Apache Kafka and this one can take over from each other.

pub(crate) mod config;
mod error;
pub(crate) mod intent;
pub(crate) mod offset;
pub(crate) mod status;
mod table;

pub use error::Error;
