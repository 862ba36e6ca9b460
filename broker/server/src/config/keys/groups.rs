//! Keys of consumer groups and their offsets.

use forebay_config::ConfigType::{Int, List, Long, Short, String};
use forebay_config::Importance::{High, Low, Medium};
use forebay_config::{ConfigKey, ConfigType, Importance, Validator};

use crate::config::groups::ASSIGNORS;

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
        key("group.consumer.session.timeout.ms", Int, Medium,
            "How long a member of the consumer protocol may be silent before it is out.")
            .default(45_000).validator(Validator::at_least(1)),
        key("group.consumer.min.session.timeout.ms", Int, Medium,
            "The shortest session timeout that a consumer group may be configured with.")
            .default(45_000).validator(Validator::at_least(1)),
        key("group.consumer.max.session.timeout.ms", Int, Medium,
            "The longest session timeout that a consumer group may be configured with.")
            .default(60_000).validator(Validator::at_least(1)),
        key("group.consumer.heartbeat.interval.ms", Int, Medium,
            "How often members of the consumer protocol are told to heartbeat.")
            .default(5_000).validator(Validator::at_least(1)),
        key("group.consumer.min.heartbeat.interval.ms", Int, Medium,
            "The shortest heartbeat interval that a consumer group may be configured with.")
            .default(5_000).validator(Validator::at_least(1)),
        key("group.consumer.max.heartbeat.interval.ms", Int, Medium,
            "The longest heartbeat interval that a consumer group may be configured with.")
            .default(15_000).validator(Validator::at_least(1)),
        key("group.consumer.assignment.interval.ms", Int, Medium,
            "How long one assignment of a consumer group stands at least.")
            .default(1_000).validator(Validator::at_least(0)),
        key("group.consumer.min.assignment.interval.ms", Int, Medium,
            "The shortest assignment interval that a consumer group may be configured with.")
            .default(0).validator(Validator::at_least(0)),
        key("group.consumer.max.assignment.interval.ms", Int, Medium,
            "The longest assignment interval that a consumer group may be configured with.")
            .default(15_000).validator(Validator::at_least(0)),
        key("group.consumer.max.size", Int, Medium,
            "How many members a group of the consumer protocol may have.")
            .default(i32::MAX).validator(Validator::at_least(1)),
        key("group.consumer.assignors", List, Medium,
            "The assignors that members may ask for, the default first: uniform and range.")
            .default("uniform,range").validator(Validator::All(vec![Validator::NonEmptyList, Validator::one_of(ASSIGNORS)])),
        key("group.consumer.migration.policy", String, Medium,
            "Which groups may go from one protocol to the other while they have members: upgrade (to the consumer \
             protocol), downgrade (from it), bidirectional or disabled.")
            .default("bidirectional")
            .validator(Validator::one_of_ignoring_case(["bidirectional", "upgrade", "downgrade", "disabled"])),
        key("group.consumer.regex.refresh.interval.ms", Int, Medium,
            "How often the regular expressions of consumer groups are held against all topics, should none be created.")
            .default(600_000).validator(Validator::at_least(10_000)).internal(),
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
