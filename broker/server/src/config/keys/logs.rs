//! Keys of topics, logs and their upkeep that are no topic's own.

use forebay_config::ConfigType::{Boolean, Double, Int, List, Long};
use forebay_config::Importance::{High, Low, Medium};
use forebay_config::{ConfigKey, ConfigType, Importance, Validator};

fn key(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
        .group("Logs", -1)
}

/// What topics get, and where.
#[rustfmt::skip] // A table.
pub(super) fn topics() -> Vec<ConfigKey> {
    vec![
        key("log.dirs", List, High,
            "The directory that holds the data, one folder for each partition.")
            .default("forebay-data").validator(Validator::NonEmptyList).alias("log.dir"),
        key("num.partitions", Int, Medium,
            "How many partitions a topic gets if whoever creates it does not say.")
            .default(1).validator(Validator::at_least(1)),
        key("default.replication.factor", Int, Medium,
            "How many replicas a partition gets if whoever creates its topic does not say.")
            .default(1).validator(Validator::at_least(1)).guards(),
        key("auto.create.topics.enable", Boolean, High,
            "Whether asking for the metadata of a topic that does not exist creates it, if the client also \
             allows that.")
            .default(true),
        key("delete.topic.enable", Boolean, High,
            "Whether topics can be deleted.")
            .default(true).guards(),
    ]
}

/// How often logs are looked after.
#[rustfmt::skip] // A table.
pub(super) fn upkeep() -> Vec<ConfigKey> {
    vec![
        key("log.retention.check.interval.ms", Long, Medium,
            "How often logs are looked through for segments that retention no longer keeps.")
            .default(300_000).validator(Validator::at_least(1)),
        key("log.flush.offset.checkpoint.interval.ms", Int, High,
            "How often the recovery points are written down, from which a log is read through after a crash.")
            .default(60_000).validator(Validator::at_least(1)),
        key("log.flush.start.offset.checkpoint.interval.ms", Int, High,
            "How often the log start offsets are written down.")
            .default(60_000).validator(Validator::at_least(1)),
        key("replica.high.watermark.checkpoint.interval.ms", Long, High,
            "How often the high watermarks are written down.")
            .default(5_000).validator(Validator::at_least(1)),
        key("producer.id.expiration.ms", Int, Low,
            "How long a partition remembers a producer that has stopped writing.")
            .default(86_400_000).validator(Validator::at_least(1)),
        key("transaction.partition.verification.enable", Boolean, Low,
            "Whether a partition asks the transaction coordinator before the first batch of a transaction is appended.")
            .default(true),
    ]
}

/// How compacted topics are cleaned.
#[rustfmt::skip] // A table.
pub(super) fn cleaner() -> Vec<ConfigKey> {
    vec![
        key("log.cleaner.enable", Boolean, Medium,
            "Whether compacted topics are compacted. Without it they only grow, the offsets of groups among them.")
            .default(true),
        key("log.cleaner.threads", Int, Medium,
            "How many logs are compacted at a time.")
            .default(1).validator(Validator::at_least(0)),
        key("log.cleaner.io.max.bytes.per.second", Double, Medium,
            "How many bytes all cleaner threads together read and write in a second at most.")
            .default(f64::MAX),
        key("log.cleaner.dedupe.buffer.size", Long, Medium,
            "Memory for the newest offset of each key, shared by the cleaner threads: 24 bytes for a key. Only what \
             a log needs is taken; what does not fit is compacted in several rounds.")
            .default(134_217_728_i64),
        key("log.cleaner.io.buffer.size", Int, Low,
            "How much the cleaner threads read and write at once, together.")
            .default(524_288).validator(Validator::at_least(0)),
        key("log.cleaner.io.buffer.load.factor", Double, Low,
            "How full the memory for keys may become, of 1. A fuller one takes more keys in one round and is slower.")
            .default(0.9),
        key("log.cleaner.backoff.ms", Long, Medium,
            "How long a cleaner thread waits before it looks again, when there was nothing to clean.")
            .default(15_000).validator(Validator::at_least(0)),
    ]
}

/// How the metadata log is kept short.
#[rustfmt::skip] // A table.
pub(super) fn metadata() -> Vec<ConfigKey> {
    vec![
        key("metadata.log.segment.bytes", Int, High,
            "How large a segment of the metadata log becomes at most.")
            .default(1_073_741_824).validator(Validator::at_least(8 * 1024 * 1024)),
        key("internal.metadata.log.segment.bytes", Int, Low,
            "As metadata.log.segment.bytes, in whose place it is, and without its bound: for tests.")
            .optional().internal(),
        key("metadata.log.segment.ms", Long, High,
            "After how long a segment of the metadata log is closed at the latest.")
            .default(604_800_000_i64),
        key("metadata.log.max.record.bytes.between.snapshots", Long, High,
            "A snapshot of the metadata is written when so many bytes of the metadata log are behind the last one.")
            .default(20_971_520_i64).validator(Validator::at_least(1)),
        key("metadata.log.max.snapshot.interval.ms", Long, High,
            "A snapshot of the metadata is written when there is something new and the last one is so old. 0: not for \
             that alone.")
            .default(3_600_000_i64).validator(Validator::at_least(0)),
        key("metadata.max.retention.bytes", Long, High,
            "Old snapshots of the metadata go, each with the log before the next one, while log and snapshots \
             are larger than this together.")
            .default(104_857_600_i64),
        key("metadata.max.retention.ms", Long, High,
            "A snapshot of the metadata that is older than this goes, with the log before the next one.")
            .default(604_800_000_i64),
    ]
}
