//! What an admin asks for and is told, in plain types.

use std::collections::BTreeMap;

use forebay_protocol::{ErrorCode, NodeId, TopicPartition, Uuid};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use crate::Error;

/// What became of each of several things.
pub type Outcomes<K, T> = BTreeMap<K, Result<T, Error>>;

/// A topic to create (Kafka's `NewTopic`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None`: as the broker's `num.partitions` says.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None`: as the broker's `default.replication.factor` says.
    pub replication_factor: Option<i16>,
    /// Which brokers have the replicas of each partition, instead of the two above.
    pub replica_assignments: BTreeMap<i32, Vec<NodeId>>,
    /// Its configuration, where it differs from the broker's.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic as the broker would make it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication_factor: None,
            replica_assignments: BTreeMap::new(),
            configs: BTreeMap::new(),
        }
    }

    /// With so many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With so many replicas.
    #[must_use]
    pub fn replication_factor(mut self, replication_factor: i16) -> Self {
        self.replication_factor = Some(replication_factor);
        self
    }

    /// With this in its configuration.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

/// What a broker says of a topic it has made; the numbers are -1 where it is too old to say them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id.
    pub topic_id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each of them has.
    pub replication_factor: i16,
}

/// Partitions to add (Kafka's `NewPartitions`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitions {
    /// How many there should be afterwards.
    pub total_count: i32,
    /// Which brokers have the replicas of each NEW partition, if it matters.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// A cluster (Kafka's `DescribeClusterResult`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: Option<String>,
    /// The broker that controller requests go to.
    pub controller: Option<NodeId>,
    /// Its brokers, by id.
    pub nodes: Vec<Node>,
}

/// A topic in a list (Kafka's `TopicListing`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id.
    pub topic_id: Uuid,
    /// Whether Kafka keeps its own things in it.
    pub is_internal: bool,
}

/// A topic (Kafka's `TopicDescription`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id.
    pub topic_id: Uuid,
    /// Whether Kafka keeps its own things in it.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition (Kafka's `TopicPartitionInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// Since which epoch.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Who has a replica, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Whose replica is in sync.
    pub in_sync_replicas: Vec<NodeId>,
    /// Whose replica is offline.
    pub offline_replicas: Vec<NodeId>,
    /// Who left the in-sync set below `min.insync.replicas` and may still lead (KIP-966); `None` where the broker does not say
    /// (it is told by DescribeTopicPartitions, not by Metadata).
    pub eligible_leader_replicas: Option<Vec<NodeId>>,
    /// Who led last, of a partition without a leader; `None` where the broker does not say.
    pub last_known_elr: Option<Vec<NodeId>>,
}

/// What has a configuration (Kafka's `ConfigResource`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// A broker.
    Broker(NodeId),
    /// All brokers: `--entity-default`.
    DefaultBroker,
    /// A consumer group.
    Group(String),
    /// The loggers of a broker.
    BrokerLogger(NodeId),
    /// A subscription to metrics of clients.
    ClientMetrics(String),
}

/// Of what [`Admin::list_config_resources`](crate::Admin::list_config_resources) gives the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigResourceKind {
    /// Subscriptions to metrics of clients.
    ClientMetrics,
    /// Groups.
    Group,
}

/// One key of a configuration (Kafka's `ConfigEntry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value; `None` if it is sensitive.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it must not be shown.
    pub is_sensitive: bool,
    /// Whether it cannot be altered.
    pub is_read_only: bool,
    /// Everywhere it is set, the strongest first.
    pub synonyms: Vec<ConfigSynonym>,
    /// Kafka's name of its type.
    pub config_type: Option<&'static str>,
    /// What it does.
    pub documentation: Option<String>,
}

/// A place where a key is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key there.
    pub name: String,
    /// The value there.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// Where a configuration value comes from (Kafka's `ConfigEntry.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// A place this client does not know.
    Unknown,
    /// The topic.
    DynamicTopic,
    /// One broker, while it runs.
    DynamicBroker,
    /// All brokers, while they run.
    DynamicDefaultBroker,
    /// The broker's file.
    StaticBroker,
    /// Nowhere.
    Default,
    /// A broker's logger.
    DynamicBrokerLogger,
    /// A client's metrics subscription.
    DynamicClientMetrics,
    /// The group.
    DynamicGroup,
}

impl ConfigSource {
    /// The source of a number on the wire.
    pub fn from_code(code: i8) -> Self {
        match code {
            1 => Self::DynamicTopic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::DynamicClientMetrics,
            8 => Self::DynamicGroup,
            _ => Self::Unknown,
        }
    }

    /// Kafka's name, as its tools show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::DynamicClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::DynamicGroup => "DYNAMIC_GROUP_CONFIG",
        }
    }
}

/// One change of a configuration (Kafka's `AlterConfigOp`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterConfig {
    /// Sets the key.
    Set(String, String),
    /// Takes the key back to what holds without it.
    Delete(String),
    /// Adds items to a list.
    Append(String, String),
    /// Takes items out of a list.
    Subtract(String, String),
}

/// Which offset of a partition is asked for (Kafka's `OffsetSpec`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first one there is.
    Earliest,
    /// The one that the next record gets; with `read_committed`, the last stable offset.
    Latest,
    /// That of the first record at or after this time.
    Timestamp(Timestamp),
    /// That of the record with the greatest timestamp.
    MaxTimestamp,
    /// The first one that the broker itself keeps (tiered storage).
    EarliestLocal,
    /// The last one that is in tiered storage.
    LatestTiered,
    /// The first one that is not in tiered storage yet.
    EarliestPendingUpload,
}

/// An offset that was asked for (Kafka's `ListOffsetsResultInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record fits.
    pub offset: Option<Offset>,
    /// The timestamp of the record, if one was looked for.
    pub timestamp: Option<Timestamp>,
    /// The leader epoch, if known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A group in a list (Kafka's `ConsumerGroupListing`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group_id: String,
    /// What its members speak: `consumer`, `connect`, or nothing.
    pub protocol_type: String,
    /// Kafka's name of its state, if the broker says it.
    pub state: Option<String>,
    /// `classic`, `consumer`, …, if the broker says it.
    pub group_type: Option<String>,
}

/// A group (Kafka's `ConsumerGroupDescription`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub group_id: String,
    /// Kafka's name of its state: `Stable`, `Empty`, `Dead`, …
    pub state: String,
    /// What its members speak: `consumer`, `connect`, or nothing.
    pub protocol_type: String,
    /// The assignor that its members agreed upon.
    pub assignor: String,
    /// Who coordinates it.
    pub coordinator: Option<Node>,
    /// Its members.
    pub members: Vec<MemberDescription>,
    /// How often it has changed; of groups of the new protocol (KIP-848).
    pub group_epoch: Option<i32>,
    /// Of which epoch the assignment is that members are on their way to; of groups of the new protocol.
    pub target_assignment_epoch: Option<i32>,
    /// Why there is no more to say: `Dead` groups of new brokers come with GROUP_ID_NOT_FOUND.
    pub error: Option<ErrorCode>,
}

/// A member of a group (Kafka's `MemberDescription`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// Its `client.id`.
    pub client_id: String,
    /// From where it is connected.
    pub client_host: String,
    /// What it reads; empty where the group is not one of consumers.
    pub assignment: Vec<TopicPartition>,
    /// Which epoch of the group it has reached; of groups of the new protocol (KIP-848).
    pub member_epoch: Option<i32>,
    /// What it is to read; of groups of the new protocol.
    pub target_assignment: Option<Vec<TopicPartition>>,
    /// Whether it speaks the new protocol; of groups of the new protocol, if the broker says it.
    pub is_upgraded: Option<bool>,
}
