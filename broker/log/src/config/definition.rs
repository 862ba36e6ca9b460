//! Every topic key of Apache Kafka 4.3.1: type, default, valid values, and the broker keys that give the default
//! (`TopicConfig`, `LogConfig`, `ServerTopicConfigSynonyms`). The documentation is our own.

use std::sync::OnceLock;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Unit, Validator, Value};

/// How segments are discarded.
pub const CLEANUP_POLICY: &str = "cleanup.policy";
/// The codec that the broker writes.
pub const COMPRESSION_TYPE: &str = "compression.type";
/// How many records may wait for a sync.
pub const FLUSH_MESSAGES: &str = "flush.messages";
/// How long records may wait for a sync.
pub const FLUSH_MS: &str = "flush.ms";
/// The largest batch.
pub const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
/// How many replicas `acks=all` needs.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
/// How large a partition may grow.
pub const RETENTION_BYTES: &str = "retention.bytes";
/// How long records are kept.
pub const RETENTION_MS: &str = "retention.ms";
/// How large a segment may grow.
pub const SEGMENT_BYTES: &str = "segment.bytes";
/// How long a segment may be written to.
pub const SEGMENT_MS: &str = "segment.ms";

/// A week.
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// The least `segment.bytes` since Kafka 4.
const SEGMENT_BYTES_MIN: i32 = 1024 * 1024;

/// The topic keys.
pub fn definition() -> &'static ConfigDef {
    static DEFINITION: OnceLock<ConfigDef> = OnceLock::new();
    DEFINITION.get_or_init(|| {
        let keys = [
            segment_keys(),
            flush_and_retention_keys(),
            cleaner_keys(),
            message_keys(),
            replica_keys(),
            tier_keys(),
        ];
        keys.into_iter()
            .flatten()
            .fold(ConfigDef::new(), ConfigDef::define)
    })
}

fn key(name: &str, config_type: ConfigType, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(Importance::Medium)
        .documentation(documentation)
}

fn int(name: &str, default: i32, documentation: &str) -> ConfigKey {
    key(name, ConfigType::Int, documentation).default(default)
}

fn long(name: &str, default: i64, documentation: &str) -> ConfigKey {
    key(name, ConfigType::Long, documentation).default(default)
}

fn boolean(name: &str, default: bool, documentation: &str) -> ConfigKey {
    key(name, ConfigType::Boolean, documentation).default(default)
}

fn segment_keys() -> Vec<ConfigKey> {
    vec![
        int(SEGMENT_BYTES, 1024 * 1024 * 1024,
            "How large a segment file of the log may grow before the next one is begun. Retention and compaction work \
             on whole segments: smaller ones mean more files and finer control over what is kept.")
            .validator(Validator::at_least(SEGMENT_BYTES_MIN))
            .synonym("log.segment.bytes", Unit::Same),
        long(SEGMENT_MS, WEEK_MS,
            "After how much time the next segment is begun even if the current one is not full, so that retention and \
             compaction get at old records.")
            .validator(Validator::at_least(1))
            .synonym("log.roll.ms", Unit::Same)
            .synonym("log.roll.hours", Unit::Hours),
        long("segment.jitter.ms", 0,
            "By how much at most the time of segment.ms is shortened, differently for each segment, so that not all \
             partitions begin a new segment at the same moment.")
            .validator(Validator::at_least(0))
            .synonym("log.roll.jitter.ms", Unit::Same)
            .synonym("log.roll.jitter.hours", Unit::Hours),
        int("segment.index.bytes", 10 * 1024 * 1024,
            "How large the index of a segment may grow; a full index begins a new segment. There is seldom a reason to \
             change it.")
            .validator(Validator::at_least(4))
            .synonym("log.index.size.max.bytes", Unit::Same),
        int("index.interval.bytes", 4096,
            "After how many bytes of records an entry is added to the offset index, and to the time index if the \
             greatest timestamp has grown. More entries let reads begin closer to the record asked for and make the \
             index larger.")
            .validator(Validator::at_least(0))
            .synonym("log.index.interval.bytes", Unit::Same),
        boolean("preallocate", false, "Whether the file of a new segment is given its full size when it is created.")
            .synonym("log.preallocate", Unit::Same),
        key("internal.segment.bytes", ConfigType::Int, "As segment.bytes, without its lower bound; for tests.")
            .optional()
            .internal(),
    ]
}

fn flush_and_retention_keys() -> Vec<ConfigKey> {
    vec![
        long(FLUSH_MESSAGES, i64::MAX,
            "After how many records the log is synced to the disk; the last of them is acknowledged after the sync. \
             With 1 every acknowledged record survives a loss of power. Where a topic has one replica Forebay takes 1 \
             unless the key is set; with more replicas durability comes from replication, as in Kafka.")
            .validator(Validator::at_least(1))
            .synonym("log.flush.interval.messages", Unit::Same)
            .guards(),
        long(FLUSH_MS, i64::MAX, "After how much time at the latest records are synced to the disk.")
            .validator(Validator::at_least(0))
            .synonym("log.flush.interval.ms", Unit::Same)
            .synonym("log.flush.scheduler.interval.ms", Unit::Same)
            .guards(),
        long(RETENTION_BYTES, -1,
            "How large a partition may grow before its oldest segments are discarded, with the delete policy. -1 sets \
             no limit. The topic as a whole can take this times the number of its partitions.")
            .synonym("log.retention.bytes", Unit::Same),
        long(RETENTION_MS, WEEK_MS,
            "How long records are kept at least before their segment is discarded, with the delete policy: the time \
             that consumers have to read them. -1 sets no limit.")
            .validator(Validator::at_least(-1))
            .synonym("log.retention.ms", Unit::Same)
            .synonym("log.retention.minutes", Unit::Minutes)
            .synonym("log.retention.hours", Unit::Hours),
        long("file.delete.delay.ms", 60_000, "How long the files of a discarded segment stay before they are removed.")
            .validator(Validator::at_least(0))
            .synonym("log.segment.delete.delay.ms", Unit::Same),
        key(CLEANUP_POLICY, ConfigType::List,
            "How old segments are treated: delete discards them when they are too old or the partition too large, \
             compact keeps the newest record of each key, delete,compact does both. An empty list keeps everything.")
            .default("delete")
            .validator(Validator::one_of(["compact", "delete"]))
            .synonym("log.cleanup.policy", Unit::Same),
    ]
}

fn cleaner_keys() -> Vec<ConfigKey> {
    vec![
        long("delete.retention.ms", 86_400_000,
            "How long a record without value, which deletes its key from a compacted topic, stays readable. A consumer \
             that reads from the start must be done within this time to be sure that it sees every deletion.")
            .validator(Validator::at_least(0))
            .synonym("log.cleaner.delete.retention.ms", Unit::Same),
        long("min.compaction.lag.ms", 0, "How long a record stays uncompacted at least.")
            .validator(Validator::at_least(0))
            .synonym("log.cleaner.min.compaction.lag.ms", Unit::Same),
        long("max.compaction.lag.ms", i64::MAX, "How long a record stays uncompacted at most.")
            .validator(Validator::at_least(1))
            .synonym("log.cleaner.max.compaction.lag.ms", Unit::Same),
        key("min.cleanable.dirty.ratio", ConfigType::Double,
            "Which share of a compacted log must be uncompacted before it is compacted again. A higher share means \
             fewer passes and more space for outdated records; the compaction lags can bring a pass forward.")
            .default(0.5)
            .validator(Validator::between(0, 1))
            .synonym("log.cleaner.min.cleanable.ratio", Unit::Same),
    ]
}

fn message_keys() -> Vec<ConfigKey> {
    vec![
        int(MAX_MESSAGE_BYTES, 1024 * 1024 + 12,
            "The largest batch of records, as compressed, that is accepted from a producer.")
            .validator(Validator::at_least(0))
            .synonym("message.max.bytes", Unit::Same),
        key(COMPRESSION_TYPE, ConfigType::String,
            "The codec in which batches are stored: gzip, snappy, lz4, zstd, uncompressed, or producer for the one in \
             which they were sent.")
            .default("producer")
            .validator(Validator::one_of(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
            .synonym(COMPRESSION_TYPE, Unit::Same),
        int("compression.gzip.level", -1, "The level of gzip, where compression.type is gzip; -1 leaves it to the codec.")
            .validator(gzip_level())
            .synonym("compression.gzip.level", Unit::Same),
        int("compression.lz4.level", 9, "The level of lz4, where compression.type is lz4.")
            .validator(Validator::between(1, 17))
            .synonym("compression.lz4.level", Unit::Same),
        int("compression.zstd.level", 3, "The level of zstd, where compression.type is zstd.")
            .validator(Validator::between(-131_072, 22))
            .synonym("compression.zstd.level", Unit::Same),
        key("message.timestamp.type", ConfigType::String,
            "Whether a record's timestamp is the producer's (CreateTime) or the time at which the broker appended it \
             (LogAppendTime).")
            .default("CreateTime")
            .validator(Validator::one_of(["CreateTime", "LogAppendTime"]))
            .synonym("log.message.timestamp.type", Unit::Same),
        long("message.timestamp.before.max.ms", i64::MAX,
            "How far a producer's timestamp may lie before the broker's time; a record beyond is refused. Without \
             effect with LogAppendTime.")
            .validator(Validator::at_least(0))
            .synonym("log.message.timestamp.before.max.ms", Unit::Same),
        long("message.timestamp.after.max.ms", 3_600_000,
            "How far a producer's timestamp may lie after the broker's time; a record beyond is refused. Without \
             effect with LogAppendTime.")
            .validator(Validator::at_least(0))
            .synonym("log.message.timestamp.after.max.ms", Unit::Same),
    ]
}

fn replica_keys() -> Vec<ConfigKey> {
    let throttled = |name: &str, side: &str| {
        let documentation = format!(
            "The replicas whose replication is throttled on the {side}'s side: partition:broker pairs separated by \
             commas, or * for all."
        );
        key(name, ConfigType::List, &documentation)
            .default("")
            .validator(throttled_replicas())
    };
    vec![
        int(MIN_INSYNC_REPLICAS, 1,
            "How many replicas, the leader included, must be in sync for a write with acks=all to be accepted. All \
             replicas that are in sync acknowledge it, also if there are more of them than this.")
            .validator(Validator::at_least(1))
            .synonym(MIN_INSYNC_REPLICAS, Unit::Same)
            .guards(),
        boolean("unclean.leader.election.enable", false,
            "Whether a replica that was not in sync may become leader when there is no other, which can lose records.")
            .synonym("unclean.leader.election.enable", Unit::Same)
            .guards(),
        throttled("leader.replication.throttled.replicas", "leader"),
        throttled("follower.replication.throttled.replicas", "follower"),
    ]
}

fn tier_keys() -> Vec<ConfigKey> {
    vec![
        boolean("remote.storage.enable", false, "Whether closed segments are also kept in a remote store."),
        boolean("remote.log.copy.disable", false,
            "Whether nothing more is copied to the remote store; retention.ms and retention.bytes then hold for all."),
        boolean("remote.log.delete.on.disable", false,
            "Whether what is in the remote store is deleted when remote.storage.enable is turned off."),
        long("local.retention.ms", -2,
            "How long segments that are in the remote store too stay on the broker; -2 takes retention.ms.")
            .validator(Validator::at_least(-2))
            .synonym("log.local.retention.ms", Unit::Same),
        long("local.retention.bytes", -2,
            "How many bytes of segments that are in the remote store too stay on the broker; -2 takes retention.bytes.")
            .validator(Validator::at_least(-2))
            .synonym("log.local.retention.bytes", Unit::Same),
    ]
}

fn gzip_level() -> Validator {
    Validator::custom("[1,...,9] or -1", |_, value| match value {
        Some(Value::Int(-1 | 1..=9)) => Ok(()),
        _ => Err("Value must be between 1 and 9 or equal to -1".to_owned()),
    })
}

/// `*`, or pairs such as `0:101` (Kafka's `ThrottledReplicaListValidator`).
fn throttled_replicas() -> Validator {
    let is_pair = |text: &str| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once(':')
            .is_some_and(|(partition, broker)| digits(partition) && digits(broker))
    };
    Validator::custom(
        "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
        move |key, value| {
            let Some(Value::List(items)) = value else {
                return Ok(());
            };
            if items.len() == 1 && items[0] == "*" || items.iter().all(|item| is_pair(item)) {
                Ok(())
            } else {
                Err(format!(
                    "{key} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                ))
            }
        },
    )
}
