//! Looking at a cluster and changing it (Kafka's `Admin`). Every call finds the broker that it must go to, and tries again
//! what may help, within `default.api.timeout.ms`.

mod types;

use std::collections::BTreeMap;

use forebay_protocol::{NodeId, TopicPartition};
use forebay_records::Offset;

pub use types::*;

use crate::{AdminConfig, Error, LocalNode, config::IsolationLevel, consumer::OffsetAndMetadata};

/// An admin client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admin {
    config: std::sync::Arc<AdminConfig>,
}

impl Admin {
    /// An admin client; must be called inside a tokio runtime.
    pub fn new(config: AdminConfig, local: Option<LocalNode>) -> Self {
        let _ = local;
        Self {
            config: std::sync::Arc::new(config),
        }
    }

    /// Creates topics; with `validate_only`, says only whether that would succeed.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Outcomes<String, CreatedTopic>, Error> {
        crate::arriving((self, topics, validate_only)).await
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Outcomes<String, ()>, Error> {
        crate::arriving((self, names)).await
    }

    /// Adds partitions to topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn create_partitions(
        &self,
        topics: &BTreeMap<String, NewPartitions>,
        validate_only: bool,
    ) -> Result<Outcomes<String, ()>, Error> {
        crate::arriving((self, topics, validate_only)).await
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, Error> {
        crate::arriving(self).await
    }

    /// What the cluster knows of these topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own, such as UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn describe_topics(&self, names: &[&str]) -> Result<Outcomes<String, TopicDescription>, Error> {
        crate::arriving((self, names)).await
    }

    /// The cluster's id, brokers and controller.
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        crate::arriving(self).await
    }

    /// The configuration of topics, brokers or groups.
    ///
    /// # Errors
    /// Of the call as a whole; each resource has its own.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
    ) -> Result<Outcomes<ConfigResource, Vec<ConfigEntry>>, Error> {
        crate::arriving((self, resources)).await
    }

    /// Changes single keys and leaves the others (Kafka's `incrementalAlterConfigs`).
    ///
    /// # Errors
    /// Of the call as a whole; each resource has its own.
    pub async fn alter_configs(
        &self,
        changes: &BTreeMap<ConfigResource, Vec<AlterConfig>>,
        validate_only: bool,
    ) -> Result<Outcomes<ConfigResource, ()>, Error> {
        crate::arriving((self, changes, validate_only)).await
    }

    /// Offsets of partitions, first, last or by time.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn list_offsets(
        &self,
        partitions: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation_level: IsolationLevel,
    ) -> Result<Outcomes<TopicPartition, ListedOffset>, Error> {
        crate::arriving((self, partitions, isolation_level)).await
    }

    /// Deletes the records before an offset of each partition; gives the first offset that is left. `Offset(-1)` means
    /// all there are.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Outcomes<TopicPartition, Offset>, Error> {
        crate::arriving((self, before)).await
    }

    /// All groups of all brokers, by id.
    ///
    /// # Errors
    /// If a broker cannot be asked.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        crate::arriving(self).await
    }

    /// What the coordinators know of these groups. A group that does not exist is `Dead`.
    ///
    /// # Errors
    /// Of the call as a whole; each group has its own.
    pub async fn describe_groups(
        &self,
        group_ids: &[&str],
    ) -> Result<Outcomes<String, GroupDescription>, Error> {
        crate::arriving((self, group_ids)).await
    }

    /// Deletes groups that have no members.
    ///
    /// # Errors
    /// Of the call as a whole; each group has its own.
    pub async fn delete_groups(&self, group_ids: &[&str]) -> Result<Outcomes<String, ()>, Error> {
        crate::arriving((self, group_ids)).await
    }

    /// The offsets that a group has committed, all or of some partitions. What has none is left out.
    ///
    /// # Errors
    /// Of the call, or of one of the partitions.
    pub async fn list_group_offsets(
        &self,
        group_id: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Error> {
        crate::arriving((self, group_id, partitions)).await
    }

    /// Commits offsets for a group that has no members.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &BTreeMap<TopicPartition, OffsetAndMetadata>,
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        crate::arriving((self, group_id, offsets)).await
    }

    /// Forgets offsets of a group; of partitions that none of its members reads.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn delete_group_offsets(
        &self,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        crate::arriving((self, group_id, partitions)).await
    }

    /// Takes members out of a group by their `group.instance.id` (Kafka's `removeMembersFromConsumerGroup`).
    ///
    /// # Errors
    /// Of the call as a whole; each member has its own.
    pub async fn remove_static_members(
        &self,
        group_id: &str,
        group_instance_ids: &[&str],
    ) -> Result<Outcomes<String, ()>, Error> {
        crate::arriving((self, group_id, group_instance_ids)).await
    }

    /// What it was made from.
    pub fn config(&self) -> &AdminConfig {
        &self.config
    }
}

#[allow(unused)]
type Used = NodeId;
