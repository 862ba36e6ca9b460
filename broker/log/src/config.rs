//! What a topic's configuration means for its logs (Kafka's `LogConfig`): typed fields over the keys of [`definition`].

mod definition;

use std::fmt;

use forebay_config::{Config, Errors, Properties, Source};
use forebay_records::TimestampType;

pub use definition::{
    CLEANUP_POLICY, COMPRESSION_TYPE, FLUSH_MESSAGES, FLUSH_MS, MAX_MESSAGE_BYTES, MIN_INSYNC_REPLICAS,
    RETENTION_BYTES, RETENTION_MS, SEGMENT_BYTES, SEGMENT_MS, definition,
};

/// What `flush.messages` is for a partition of one replica, unless someone sets it: every acknowledgement waits
/// for the disk, because no other machine has the data.
pub const FLUSH_MESSAGES_OF_SINGLE_REPLICA: i64 = 1;

/// The codec that the broker writes, `compression.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerCompression {
    /// What the producer sent.
    Producer,
    /// None, `uncompressed`.
    Uncompressed,
    /// At `compression.gzip.level`.
    Gzip(i32),
    /// As it is.
    Snappy,
    /// At `compression.lz4.level`.
    Lz4(i32),
    /// At `compression.zstd.level`.
    Zstd(i32),
}

/// The part of a topic's configuration that logs and their writers act on. Times are in milliseconds; sizes in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment file does not grow beyond it.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed at the latest when it spans so much time.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most so much earlier, differently for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is closed when its offset or time index has grown to it.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: an index entry for about each so many bytes.
    pub index_interval_bytes: u64,
    /// `flush.messages`: a sync after so many records, and before they are acknowledged.
    pub flush_messages: i64,
    /// `flush.ms`: a sync at the latest after so long.
    pub flush_ms: i64,
    /// `retention.bytes`; negative: without limit.
    pub retention_bytes: i64,
    /// `retention.ms`; negative: without limit.
    pub retention_ms: i64,
    /// `max.message.bytes`: the largest batch that producers may send.
    pub max_message_bytes: usize,
    /// `file.delete.delay.ms`: a deleted segment's files stay for so long under another name.
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `min.compaction.lag.ms`: a record stays uncompacted for at least so long.
    pub min_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: how much of the log must be uncompacted before it is compacted again.
    pub min_cleanable_dirty_ratio: f64,
    /// `delete.retention.ms`: how long tombstones and markers stay at least.
    pub delete_retention_ms: i64,
    /// `max.compaction.lag.ms`: of a compacted topic, bounds `segment_ms` too.
    pub max_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `compression.type` with its level.
    pub compression: BrokerCompression,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: a record's timestamp may lie so far in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: a record's timestamp may lie so far in the future.
    pub timestamp_after_max_ms: i64,
    /// `producer.id.expiration.ms`, a broker key, which the broker sets: a producer that was silent for so long is forgotten.
    pub producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable`, a broker key, which the broker sets: no batch opens a transaction of which its
    /// coordinator is not known to know.
    pub transaction_verification: bool,
}

/// The default of the broker key `producer.id.expiration.ms`: a day.
pub const PRODUCER_ID_EXPIRATION_MS_DEFAULT: i64 = 86_400_000;

impl LogConfig {
    /// Reads a topic's own properties, with the broker's as defaults (`log.retention.hours` for `retention.ms`).
    /// Unknown keys are not looked at: who writes configurations refuses them.
    ///
    /// # Errors
    /// Everything that is wrong with the values.
    pub fn parse(
        topic: &Properties,
        broker: &Properties,
        replication_factor: usize,
    ) -> Result<LogConfig, Errors> {
        let parsed = definition().parse_with_defaults(topic, broker)?;
        Ok(LogConfig::new(&parsed, replication_factor))
    }

    /// Reads settings that have been stored already, perhaps by a broker that allowed more (Kafka 3 took segments of 14
    /// bytes): what is refused now is left out, alone, and told. As it may have been there to keep records (a policy, a
    /// time that cannot be read), nothing is deleted then.
    pub fn of_stored(
        topic: &Properties,
        broker: &Properties,
        replication_factor: usize,
    ) -> (LogConfig, Option<Errors>) {
        let errors = match LogConfig::parse(topic, broker, replication_factor) {
            Ok(config) => return (config, None),
            Err(errors) => errors,
        };
        let mut readable = (topic.clone(), broker.clone());
        for key in errors.iter().filter_map(forebay_config::Error::key) {
            // The refused value stands under the key, an alias of it, or one of the broker's keys for it.
            let Some(key) = definition().key(key) else {
                continue;
            };
            readable.0.remove(&key.name);
            key.aliases
                .iter()
                .for_each(|alias| drop(readable.0.remove(alias)));
            key.synonyms
                .iter()
                .for_each(|synonym| drop(readable.1.remove(&synonym.name)));
        }
        let config = LogConfig::parse(&readable.0, &readable.1, replication_factor).unwrap_or_default();
        let keeping = LogConfig {
            retention_ms: -1,
            retention_bytes: -1,
            ..config
        };
        (keeping, Some(errors))
    }

    /// From values that [`definition`] has parsed.
    pub fn new(config: &Config, replication_factor: usize) -> LogConfig {
        let bytes = |key| u64::try_from(config.get_int(key)).unwrap_or(0);
        let for_tests: Option<i32> = config.get_optional("internal.segment.bytes");
        let for_tests = for_tests.and_then(|bytes| u64::try_from(bytes).ok());
        let policies = config.get_list(CLEANUP_POLICY);
        let has_policy = |name: &str| policies.iter().any(|policy| policy.eq_ignore_ascii_case(name));
        LogConfig {
            segment_bytes: for_tests.unwrap_or_else(|| bytes(SEGMENT_BYTES)),
            segment_ms: config.get_long(SEGMENT_MS),
            segment_jitter_ms: config.get_long("segment.jitter.ms"),
            segment_index_bytes: bytes("segment.index.bytes"),
            index_interval_bytes: bytes("index.interval.bytes"),
            flush_messages: flush_messages(config, replication_factor),
            flush_ms: config.get_long(FLUSH_MS),
            retention_bytes: config.get_long(RETENTION_BYTES),
            retention_ms: config.get_long(RETENTION_MS),
            max_message_bytes: usize::try_from(config.get_int(MAX_MESSAGE_BYTES)).unwrap_or(0),
            file_delete_delay_ms: config.get_long("file.delete.delay.ms"),
            compact: has_policy("compact"),
            delete: has_policy("delete"),
            min_compaction_lag_ms: config.get_long("min.compaction.lag.ms"),
            min_cleanable_dirty_ratio: config.get_double("min.cleanable.dirty.ratio"),
            delete_retention_ms: config.get_long("delete.retention.ms"),
            max_compaction_lag_ms: config.get_long("max.compaction.lag.ms"),
            min_insync_replicas: config.get_int(MIN_INSYNC_REPLICAS),
            unclean_leader_election: config.get_boolean("unclean.leader.election.enable"),
            compression: compression(config),
            timestamp_type: config
                .get_string("message.timestamp.type")
                .parse()
                .expect("the validator checked it"),
            timestamp_before_max_ms: config.get_long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: config.get_long("message.timestamp.after.max.ms"),
            producer_id_expiration_ms: PRODUCER_ID_EXPIRATION_MS_DEFAULT,
            transaction_verification: true,
        }
    }

    /// How long a segment is at most written to (`LogConfig.maxSegmentMs`).
    pub fn segment_ms_max(&self) -> i64 {
        if self.compact && self.max_compaction_lag_ms > 0 {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }

    /// How much earlier than `segment_ms_max` the segment at `base_offset` is closed: the same each time it is
    /// asked for, so that no random number is needed.
    pub fn jitter_ms(&self, seed: u64) -> i64 {
        let bound = self.segment_jitter_ms.min(self.segment_ms);
        if bound <= 0 {
            return 0;
        }
        // splitmix64's last steps: neighbouring seeds fall far apart.
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        i64::try_from((mixed >> 1) % bound.unsigned_abs()).expect("below bound")
    }
}

impl Default for LogConfig {
    /// Kafka's defaults, with `flush.messages` at Kafka's own default too.
    fn default() -> LogConfig {
        LogConfig::parse(&Properties::new(), &Properties::new(), usize::MAX).expect("the defaults are valid")
    }
}

/// The value of `flush.messages` and whether it is Forebay's own default: 1 for a single replica.
fn flush_messages(config: &Config, replication_factor: usize) -> i64 {
    if replication_factor <= 1 && *config.source(FLUSH_MESSAGES) == Source::Default {
        FLUSH_MESSAGES_OF_SINGLE_REPLICA
    } else {
        config.get_long(FLUSH_MESSAGES)
    }
}

fn compression(config: &Config) -> BrokerCompression {
    match config.get_string(COMPRESSION_TYPE) {
        "uncompressed" => BrokerCompression::Uncompressed,
        "gzip" => BrokerCompression::Gzip(config.get_int("compression.gzip.level")),
        "snappy" => BrokerCompression::Snappy,
        "lz4" => BrokerCompression::Lz4(config.get_int("compression.lz4.level")),
        "zstd" => BrokerCompression::Zstd(config.get_int("compression.zstd.level")),
        _ => BrokerCompression::Producer,
    }
}

impl fmt::Display for BrokerCompression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            BrokerCompression::Producer => "producer",
            BrokerCompression::Uncompressed => "uncompressed",
            BrokerCompression::Gzip(_) => "gzip",
            BrokerCompression::Snappy => "snappy",
            BrokerCompression::Lz4(_) => "lz4",
            BrokerCompression::Zstd(_) => "zstd",
        })
    }
}

#[cfg(test)]
mod tests;
