//! What a coordinator needs to know of the cluster: its topics, and what is configured for groups. The driver gives one such snapshot after
//! the other; none of them changes.

use std::fmt;
use std::time::Duration;

use forebay_protocol::{Utf8Bytes, Uuid};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Utf8Bytes,
    /// Its id.
    pub id: Uuid,
    /// How many partitions it has.
    pub partition_count: i32,
}

/// What is configured for one group (Kafka's `GroupConfig`); `None`: what is configured for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`.
    pub consumer_session_timeout: Option<Duration>,
    /// `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval: Option<Duration>,
    /// `consumer.assignment.interval.ms`.
    pub consumer_assignment_interval: Option<Duration>,
}

/// The cluster at one moment (Kafka's `CoordinatorMetadataImage`).
pub trait ClusterImage: fmt::Debug + Send + Sync {
    /// Grows from image to image; groups look at their topics again when it has.
    fn version(&self) -> i64;
    /// The topic of this name.
    fn topic(&self, name: &str) -> Option<Topic>;
    /// The name of the topic with this id.
    fn topic_name(&self, id: Uuid) -> Option<Utf8Bytes>;
    /// The names of all topics.
    fn topic_names(&self) -> Vec<Utf8Bytes>;
    /// The racks of a partition's replicas, as far as their brokers have told them.
    fn partition_racks(&self, topic: &str, partition: i32) -> Vec<Utf8Bytes>;
    /// What is configured for a group.
    fn group_config(&self, group: &str) -> GroupConfig;
}

/// A cluster without topics: what a coordinator knows before its driver has told it more.
#[derive(Debug)]
pub struct NoCluster;

impl ClusterImage for NoCluster {
    fn version(&self) -> i64 {
        -1
    }

    fn topic(&self, _: &str) -> Option<Topic> {
        None
    }

    fn topic_name(&self, _: Uuid) -> Option<Utf8Bytes> {
        None
    }

    fn topic_names(&self) -> Vec<Utf8Bytes> {
        Vec::new()
    }

    fn partition_racks(&self, _: &str, _: i32) -> Vec<Utf8Bytes> {
        Vec::new()
    }

    fn group_config(&self, _: &str) -> GroupConfig {
        GroupConfig::default()
    }
}
