//! Keys of consumer groups and their offsets.

use forebay_config::ConfigType::{Int, Long, Short};
use forebay_config::Importance::{High, Low, Medium};
use forebay_config::{ConfigKey, ConfigType, Importance, Validator};

fn key(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
        .group("Groups", -1)
}

/// Groups and their members.
#[rustfmt::skip] // A table.
pub(super) fn groups() -> Vec<ConfigKey> {
    vec![
        key("group.min.session.timeout.ms", Int, Medium,
            "The shortest session timeout that a member may ask for.")
            .default(6_000),
        key("group.max.session.timeout.ms", Int, Medium,
            "The longest session timeout that a member may ask for.")
            .default(1_800_000),
        key("group.initial.rebalance.delay.ms", Int, Medium,
            "How long an empty group waits for more members before its first rebalance.")
            .default(3_000).validator(Validator::at_least(0)),
        key("group.max.size", Int, Medium,
            "How many members a group may have.")
            .default(i32::MAX).validator(Validator::at_least(1)),
        key("offset.metadata.max.bytes", Int, High,
            "The longest metadata that a commit may carry.")
            .default(4_096),
    ]
}

/// Committed offsets and the topic that holds them.
#[rustfmt::skip] // A table.
pub(super) fn offsets() -> Vec<ConfigKey> {
    vec![
        key("offsets.retention.minutes", Int, High,
            "How long committed offsets outlive their group's last member or, without one, their commit.")
            .default(10_080).validator(Validator::at_least(1)),
        key("offsets.retention.check.interval.ms", Long, High,
            "How often expired offsets are looked for.")
            .default(600_000).validator(Validator::at_least(1)),
        key("offsets.commit.timeout.ms", Int, High,
            "How long a commit waits for its records to be written before it fails.")
            .default(5_000).validator(Validator::at_least(1)),
        key("offsets.topic.num.partitions", Int, High,
            "How many partitions __consumer_offsets gets; must not change once it is there.")
            .default(50).validator(Validator::at_least(1)),
        key("offsets.topic.replication.factor", Short, High,
            "How many replicas __consumer_offsets gets. The default here is 1, as a node starts alone; \
             Kafka's is 3.")
            .default(1).validator(Validator::at_least(1)).guards(),
        key("offsets.topic.segment.bytes", Int, High,
            "The size at which a segment of __consumer_offsets ends.")
            .default(104_857_600).validator(Validator::at_least(1)),
        key("num.recovery.threads.per.data.dir", Int, Low,
            "How many threads read logs through at start and write them out at shutdown.")
            .default(2).validator(Validator::at_least(1)),
    ]
}
