//! What group coordinators see of the cluster: topics and configurations of groups, as this broker's metadata has them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_broker_controller::{ConfigResource, MetadataImage};
use forebay_broker_coordinator::{Cluster, ClusterImage, GroupConfig, Topic};
use forebay_protocol::{Utf8Bytes, Uuid};

use crate::metadata::Metadata;

/// The cluster as this broker knows it.
pub(super) struct MetadataCluster(pub(super) Arc<Metadata>);

impl fmt::Debug for MetadataCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MetadataCluster")
    }
}

impl Cluster for MetadataCluster {
    fn image(&self) -> Arc<dyn ClusterImage> {
        Arc::new(Image(self.0.image()))
    }
}

/// The cluster at one moment.
struct Image(Arc<MetadataImage>);

impl fmt::Debug for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Image").field(&self.version()).finish()
    }
}

impl ClusterImage for Image {
    /// As Kafka's: the offset of the last record that the image knows.
    fn version(&self) -> i64 {
        self.0.next_offset().0 - 1
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        let topic = self.0.topic(name)?;
        Some(Topic {
            name: topic.name().clone(),
            id: topic.id(),
            partition_count: i32::try_from(topic.partition_count()).ok()?,
        })
    }

    fn topic_name(&self, id: Uuid) -> Option<Utf8Bytes> {
        self.0.topic_by_id(id).map(|topic| topic.name().clone())
    }

    fn topic_names(&self) -> Vec<Utf8Bytes> {
        self.0.topics().map(|topic| topic.name().clone()).collect()
    }

    fn partition_racks(&self, topic: &str, partition: i32) -> Vec<Utf8Bytes> {
        let replicas = self
            .0
            .partition(topic, partition)
            .map_or(&[][..], |partition| &partition.replicas);
        let brokers = replicas.iter().filter_map(|node| self.0.broker(*node));
        brokers.filter_map(|broker| broker.rack.clone()).collect()
    }

    fn group_config(&self, group: &str) -> GroupConfig {
        let set = self.0.configs(&ConfigResource::group(group));
        let milliseconds = |key: &str| {
            let value = set?.get(key)?.trim().parse().ok()?;
            Some(Duration::from_millis(value))
        };
        GroupConfig {
            consumer_session_timeout: milliseconds("consumer.session.timeout.ms"),
            consumer_heartbeat_interval: milliseconds("consumer.heartbeat.interval.ms"),
            consumer_assignment_interval: milliseconds("consumer.assignment.interval.ms"),
        }
    }
}
