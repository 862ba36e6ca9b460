//! Keys of topics, logs and their upkeep that are no topic's own.

use forebay_config::ConfigType::{Boolean, Int, List, Long};
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
