//! One partition's log in Apache Kafka's own file formats: segments, indexes, recovery, retention, producer state,
//! leader epochs; and the directory of many logs. Blocking, through `forebay-disk`. Knows no protocol, no
//! runtime, no clock: time comes in as a parameter.
//!
//! The writer of a partition, one thread at a time, calls [`Log::append`] for the requests that wait, then [`Log::sync`] if
//! [`Log::sync_required`], and then answers them. Readers call [`Log::read_cached`], which never blocks, and if that has
//! nothing, [`Log::read`] on a thread that may. A housekeeper calls now and then [`Log::delete_old_segments`],
//! [`Log::sync`] if [`Log::sync_due`], [`Log::release_idle`], [`Log::remove_expired_producers`], [`LogDirectory::ensure_exists`],
//! [`LogDirectory::purge`] and [`LogDirectory::checkpoint`]. Who hears from [`LogDirectory::on_failure`] starts anew.

mod append;
mod checkpoint;
mod cleaner;
pub mod config;
mod directory_state;
mod error;
mod file_name;
mod index;
pub mod inspect;
mod leader_epochs;
mod locks;
mod log;
mod log_directory;
mod meta_properties;
mod partition_metadata;
mod producer_state;
mod read;
mod segment;
mod tail_cache;
#[cfg(test)]
mod testing;
mod topic_partition;
mod transaction_index;
mod uuid;

pub use append::{Append, Appended, ValidatedBatch};
pub use cleaner::{Cleaned, CleanerOptions, Error as CleanerError, Pace, Unlimited};
pub use config::LogConfig;
pub use error::{Error, Result};
pub use log::{LoadReport, Log};
pub use log_directory::{
    CleaningRound, DirectoryOptions, LoadSummary, LogDirectory, Recovery, TAIL_BYTES_DEFAULT,
    TAIL_BYTES_PER_LOG_DEFAULT,
};
pub use meta_properties::MetaProperties;
pub use producer_state::{ActiveProducer, TransactionChecks, VerificationGuard, VerificationRequest};
pub use read::{Chunk, FileRange, Read, ReadResult};
pub use segment::{Filled, TimestampOffset};
pub use topic_partition::{InvalidTopic, TOPIC_NAME_LENGTH_MAX, TopicPartition, validate_topic_name};
pub use transaction_index::AbortedTransaction;
pub use uuid::{DirectoryId, ParseUuidError, TopicId, Uuid};
