//! The broker configuration that group coordination reads, by Kafka's keys (`GroupCoordinatorConfig`).

use std::time::Duration;

use crate::Assignor;

/// What the coordinator needs to know; every field is one Kafka key and defaults to Kafka 4.3.1's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `group.min.session.timeout.ms`: JoinGroup below it gets INVALID_SESSION_TIMEOUT.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`: JoinGroup above it gets INVALID_SESSION_TIMEOUT.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members; every new one extends it.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of one classic group; a further one gets GROUP_MAX_SIZE_REACHED.
    pub group_size_max: usize,
    /// How long a new member may wait in JoinGroup; not configurable in Kafka (5 minutes).
    pub new_member_join_timeout: Duration,
    /// `offset.metadata.max.bytes`: longer metadata gets OFFSET_METADATA_TOO_LARGE.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`: how long offsets outlive their group or last commit (KIP-211).
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often expired offsets and groups are looked for.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: a request that waits longer for its append gets COORDINATOR_NOT_AVAILABLE.
    pub offset_commit_timeout: Duration,
    /// `max.message.bytes` of `__consumer_offsets`: the largest batch that the driver can append.
    pub append_bytes_max: usize,
    /// Groups of the consumer protocol.
    pub consumer: ConsumerConfig,
}

/// What the coordinator needs to know about groups of the consumer protocol (KIP-848).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `group.consumer.session.timeout.ms`: a member that is silent for longer is out.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`: how often members are told to heartbeat.
    pub heartbeat_interval: Duration,
    /// `group.consumer.max.size`: members of one group; a further one gets GROUP_MAX_SIZE_REACHED.
    pub group_size_max: usize,
    /// `group.consumer.assignors`: what members may ask for; the first one is for those that ask for none.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`: which groups may go from one protocol to the other while they have members.
    pub migration_policy: MigrationPolicy,
    /// `group.consumer.assignment.interval.ms`: how long one target assignment stands at least (KIP-1263).
    pub assignment_interval: Duration,
    /// `group.consumer.regex.refresh.interval.ms`: how often regular expressions are held against all topics, should none be created.
    pub regex_refresh_interval: Duration,
}

/// Which groups may go from one protocol to the other while they have members; empty ones always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From the classic protocol to the consumer protocol.
    Upgrade,
    /// From the consumer protocol to the classic protocol.
    Downgrade,
    /// Neither.
    Disabled,
}

impl MigrationPolicy {
    /// The policy of this name, in whatever case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bidirectional" => Self::Bidirectional,
            "upgrade" => Self::Upgrade,
            "downgrade" => Self::Downgrade,
            "disabled" => Self::Disabled,
            _ => return None,
        })
    }

    pub(crate) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub(crate) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            group_size_max: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            migration_policy: MigrationPolicy::Bidirectional,
            assignment_interval: Duration::from_secs(1),
            regex_refresh_interval: Duration::from_secs(10 * 60),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            group_size_max: i32::MAX as usize,
            new_member_join_timeout: Duration::from_secs(5 * 60),
            offset_metadata_bytes_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
            offset_commit_timeout: Duration::from_secs(5),
            append_bytes_max: 1_048_588,
            consumer: ConsumerConfig::default(),
        }
    }
}
