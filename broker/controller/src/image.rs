//! The cluster's metadata as readers see it: immutable, and sharing structure with the image before it, so that a change
//! costs O(log n), taking an image O(1) and reading one no lock (Kafka's `MetadataImage`).

mod apply;
mod broker;
mod client_quotas;
mod config;
mod features;
mod kept;
mod records;
mod scram_credentials;
pub(crate) mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::{NodeId, TopicPartition, Utf8Bytes, Uuid};
use forebay_records::{Offset, ProducerId};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use kept::KeptKey;

pub use apply::Error;
pub use broker::{BrokerImage, Endpoint};
pub use client_quotas::{ClientQuotaEntity, ClientQuotas};
pub use config::{ConfigResource, ResourceType};
pub use features::{
    ELIGIBLE_LEADER_REPLICAS_VERSION, GROUP_VERSION, METADATA_VERSION, MetadataVersion, SUPPORTED_FEATURES,
    SupportedFeature, TRANSACTION_VERSION,
};
pub use scram_credentials::{ScramCredential, ScramMechanism};
pub use topic::{LeaderRecoveryState, PartitionImage, TopicImage};

/// Everything that the metadata log says up to an offset.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataImage {
    pub(crate) next_offset: Offset,
    /// By the bytes of the name: to compare them as text would check each time that they are.
    pub(crate) topics: RedBlackTreeMapSync<Bytes, Arc<TopicImage>>,
    pub(crate) topic_names: RedBlackTreeMapSync<Uuid, Utf8Bytes>,
    /// By the name with every `.` replaced by `_`: the topics of that name that have a `.` or a `_`.
    pub(crate) colliding_names: RedBlackTreeMapSync<String, RedBlackTreeSetSync<Utf8Bytes>>,
    pub(crate) configs: RedBlackTreeMapSync<ConfigResource, Arc<Properties>>,
    pub(crate) brokers: RedBlackTreeMapSync<NodeId, Arc<BrokerImage>>,
    pub(crate) features: RedBlackTreeMapSync<Utf8Bytes, i16>,
    pub(crate) next_producer_id: ProducerId,
    /// Shared until they change: readers keep them beside what they make of them.
    pub(crate) client_quotas: Arc<BTreeMap<ClientQuotaEntity, ClientQuotas>>,
    /// By user, then mechanism.
    pub(crate) scram_credentials: RedBlackTreeMapSync<(Utf8Bytes, ScramMechanism), Arc<ScramCredential>>,
    /// What has no meaning here, for the next snapshot.
    pub(crate) kept: RedBlackTreeMapSync<KeptKey, Arc<MetadataRecord>>,
}

impl Default for MetadataImage {
    fn default() -> Self {
        Self {
            next_offset: Offset::ZERO,
            topics: RedBlackTreeMapSync::default(),
            topic_names: RedBlackTreeMapSync::default(),
            colliding_names: RedBlackTreeMapSync::default(),
            configs: RedBlackTreeMapSync::default(),
            brokers: RedBlackTreeMapSync::default(),
            features: RedBlackTreeMapSync::default(),
            next_producer_id: ProducerId(0),
            client_quotas: Arc::default(),
            scram_credentials: RedBlackTreeMapSync::default(),
            kept: RedBlackTreeMapSync::default(),
        }
    }
}

impl MetadataImage {
    /// The offset after the last record that this image holds.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Whether no record has said anything yet: every log begins with the level of a feature.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty() && self.brokers.is_empty() && self.topics.is_empty()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name.as_bytes())
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_names.get(&id)?.as_bytes())
    }

    /// All topics by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.values()
    }

    /// All topics whose name is `name` or sorts after it: where a listing in pages goes on.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics
            .range::<[u8], _>((
                std::ops::Bound::Included(name.as_bytes()),
                std::ops::Bound::Unbounded,
            ))
            .map(|(_, topic)| topic)
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.size()
    }

    /// One partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionImage> {
        self.topic(topic)?.partition(partition)
    }

    /// One partition.
    pub fn topic_partition(&self, partition: &TopicPartition) -> Option<&PartitionImage> {
        self.partition(&partition.topic, partition.partition)
    }

    /// The broker of this id, fenced or not.
    pub fn broker(&self, id: NodeId) -> Option<&BrokerImage> {
        self.brokers.get(&id).map(Arc::as_ref)
    }

    /// Every registered broker by id, fenced ones too.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers.values().map(Arc::as_ref)
    }

    /// The brokers that clients may be sent to: those that are not fenced.
    pub fn alive_brokers(&self) -> impl Iterator<Item = &BrokerImage> {
        self.brokers().filter(|broker| !broker.fenced)
    }

    /// Whether the broker may lead and be in sync: registered, not fenced, not shutting down.
    pub fn is_active(&self, id: NodeId) -> bool {
        self.broker(id).is_some_and(BrokerImage::is_active)
    }

    /// What has been set on a resource; nothing was where there is none.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Properties> {
        self.configs.get(resource).map(Arc::as_ref)
    }

    /// What has been set on a topic.
    pub fn topic_configs(&self, topic: &str) -> Option<&Properties> {
        self.configs(&ConfigResource::topic(topic))
    }

    /// Every resource that has settings.
    pub fn config_resources(&self) -> impl Iterator<Item = (&ConfigResource, &Properties)> {
        self.configs
            .iter()
            .map(|(resource, properties)| (resource, properties.as_ref()))
    }

    /// The finalized level of a feature; 0 where it is not finalized.
    pub fn feature_level(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// Every finalized feature by name. What a broker tells clients in ApiVersions is at most what it implements.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_str(), *level))
    }

    /// The level of `metadata.version`, which says which records and record versions may be written.
    pub fn metadata_version(&self) -> MetadataVersion {
        MetadataVersion::of(self.feature_level(METADATA_VERSION))
    }

    /// Whether replicas that left the in-sync set below `min.insync.replicas` stay eligible as leaders (KIP-966).
    pub fn eligible_leader_replicas_enabled(&self) -> bool {
        self.metadata_version().has_eligible_leader_replicas()
            && self.feature_level(ELIGIBLE_LEADER_REPLICAS_VERSION) > 0
    }

    /// The first producer id that no block has taken yet.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// All client quotas; the same `Arc` until one changes.
    pub fn client_quotas(&self) -> &Arc<BTreeMap<ClientQuotaEntity, ClientQuotas>> {
        &self.client_quotas
    }

    /// What is stored of users' passwords, by user and mechanism.
    pub fn scram_credentials(&self) -> impl Iterator<Item = (&Utf8Bytes, ScramMechanism, &ScramCredential)> {
        self.scram_credentials
            .iter()
            .map(|((user, mechanism), credential)| (user, *mechanism, credential.as_ref()))
    }
}
