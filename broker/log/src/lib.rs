//! One partition's log in Apache Kafka's own file formats: segments, indexes, recovery, retention, producer state,
//! leader epochs; and the directory of many logs. Blocking, through `forebay-disk`. Knows no protocol, no
//! runtime, no clock: time comes in as a parameter.
//!
//! What is coming next, all `&self`, `Send + Sync`, on `Arc<Log>` (being written right now):
//!
//! ```text
//! Log::append(&self, leader_epoch, now, Vec<Append>) -> Vec<Result<Appended>>   one writev for all; the single writer calls it
//! Log::append_as_follower(&self, now, Bytes) -> Result<Appended>
//! Log::sync_required(&self) -> bool         flush.messages: sync before these appends are acknowledged
//! Log::sync_due(&self, now) -> bool         flush.ms or a closed segment: sync some time soon, on an I/O thread
//! Log::sync(&self, now) -> Result<Offset>   one fdatasync for all appended so far -> synced end offset; failure = offline for ever
//! Log::read_cached(&self, &Read) -> Option<Result<ReadResult>>   never blocks: None if the tail cache has not all of it
//! Log::read(&self, &Read) -> Result<ReadResult>                  may read the disk: on the I/O pool
//! Log::{log_start_offset, log_end_offset, synced_offset, size_in_bytes, latest_epoch, topic_id, config}(&self)   never block
//! Log::set_config(&self, Arc<LogConfig>)
//! Log::update_high_watermark(&self, Offset) -> Offset            the last stable offset
//! Log::aborted_transactions(&self, from, up_to) -> Result<Vec<AbortedTransaction>>
//! Log::{offset_for_timestamp(&self, Timestamp, up_to), max_timestamp(&self)} -> Result<Option<TimestampOffset>>   {timestamp, offset, leader_epoch}
//! Log::{assign_epoch_start_offset(&self, epoch), end_offset_for_epoch(&self, epoch) -> Option<(LeaderEpoch, Offset)>}
//! Log::delete_old_segments(&self, high_watermark, now) -> Result<usize>, purge(&self, now), delete_records_before(&self, offset, high_watermark)
//! Log::truncate_to(&self, Offset, now), truncate_fully_and_start_at(&self, Offset, now)
//! LogDirectory::open(DirectoryOptions) -> Result<LogDirectory>     lock, meta.properties, clean-shutdown marker
//! LogDirectory::load(&self, config_for: &(dyn Fn(&TopicPartition) -> Arc<LogConfig> + Sync), threads, now) -> Result<LoadSummary>
//! LogDirectory::{log(&tp) -> Result<Option<Arc<Log>>>, log_or_create(&tp, TopicId, Arc<LogConfig>, now) -> Result<Arc<Log>>, logs()}
//! LogDirectory::{delete(&[tp], unique: u128, now), purge(now), checkpoint(high_watermarks), high_watermarks(), shutdown(..)}
//! ```

mod append;
pub mod config;
mod error;
mod read;
mod topic_id;
mod topic_partition;

pub use append::{Append, Appended, ValidatedBatch};
pub use config::LogConfig;
pub use error::{Error, Result};
pub use read::{Chunk, FileRange, Read, ReadResult};
pub use topic_id::{ParseTopicIdError, TopicId};
pub use topic_partition::{InvalidTopic, TOPIC_NAME_LENGTH_MAX, TopicPartition, validate_topic_name};
