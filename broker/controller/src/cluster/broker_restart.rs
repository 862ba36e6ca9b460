//! What happens to all partitions when a broker comes, goes, or went without a word
//! (`ReplicationControlManager.generateLeaderAndIsrUpdates`).

use forebay_protocol::NodeId;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::PartitionChangeRecord;

use super::alter_configs::MIN_INSYNC_REPLICAS;
use super::partition_change::{Election, PartitionChange};
use crate::Record;
use crate::controller::Cluster;
use crate::image::{PartitionImage, TopicImage};

const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

/// What has happened to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It may lead again, although it is still fenced in the image.
    Added(NodeId),
    /// It may neither lead nor be in sync.
    Removed(NodeId),
    /// The same, and it may have lost what it had.
    StoppedUncleanly(NodeId),
}

impl Event {
    /// Whether a partition is touched at all.
    fn concerns(self, partition: &PartitionImage) -> bool {
        match self {
            Self::Added(_) => !partition.has_leader(),
            Self::Removed(id) => partition.isr.contains(&id),
            Self::StoppedUncleanly(id) => partition.isr.contains(&id) || partition.elr.contains(&id),
        }
    }

    /// Who may be in sync afterwards.
    fn remaining(self, partition: &PartitionImage) -> Vec<NodeId> {
        let gone = match self {
            Self::Added(_) => None,
            Self::Removed(id) | Self::StoppedUncleanly(id) => Some(id),
        };
        partition
            .isr
            .iter()
            .copied()
            .filter(|id| Some(*id) != gone)
            .collect()
    }
}

/// The records that an event comes to, over all partitions.
pub(super) fn partition_changes(cluster: &Cluster<'_>, event: Event) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in cluster.image.topics() {
        if topic.partitions().any(|(_, partition)| event.concerns(partition)) {
            topic_changes(cluster, topic, event, &mut records);
        }
    }
    records
}

fn topic_changes(cluster: &Cluster<'_>, topic: &TopicImage, event: Event, records: &mut Vec<Record>) {
    for (index, partition) in topic
        .partitions()
        .filter(|(_, partition)| event.concerns(partition))
    {
        let change = change(cluster, topic, (index, partition), Some(event));
        records.extend(
            change
                .build()
                .map(|record| cluster.record(MetadataRecord::PartitionChange(record))),
        );
    }
}

/// What becomes of a partition when somebody asks for another leader.
pub(super) fn election(
    cluster: &Cluster<'_>,
    topic: &TopicImage,
    partition: (i32, &PartitionImage),
    election: Election,
) -> Option<PartitionChangeRecord> {
    PartitionChange {
        election,
        ..change(cluster, topic, partition, None)
    }
    .build()
}

fn change<'a>(
    cluster: &'a Cluster<'_>,
    topic: &TopicImage,
    (index, partition): (i32, &'a PartitionImage),
    event: Option<Event>,
) -> PartitionChange<'a, impl Fn(NodeId) -> bool + use<'a>> {
    let unclean_election =
        topic_value(cluster, topic, UNCLEAN_LEADER_ELECTION).is_some_and(|value| value == "true");
    let factor = topic.partition(0).map_or(1, |partition| partition.replicas.len());
    let isr_min = topic_value(cluster, topic, MIN_INSYNC_REPLICAS)
        .and_then(|value| value.parse().ok())
        .unwrap_or(1);
    PartitionChange {
        partition,
        topic_id: topic.id(),
        index,
        target_isr: event.map_or_else(|| partition.isr.clone(), |event| event.remaining(partition)),
        unclean_shutdown: match event {
            Some(Event::StoppedUncleanly(id)) => Some(id),
            Some(Event::Added(_) | Event::Removed(_)) | None => None,
        },
        is_acceptable_leader: move |replica| is_acceptable_leader(cluster, partition, replica, event),
        metadata_version: cluster.image.metadata_version(),
        isr_min: factor.min(isr_min),
        eligible_leader_replicas: cluster.image.eligible_leader_replicas_enabled(),
        election: if unclean_election {
            Election::Unclean
        } else {
            Election::Online
        },
    }
}

fn topic_value(cluster: &Cluster<'_>, topic: &TopicImage, key: &str) -> Option<String> {
    let nothing = forebay_config::Properties::new();
    let properties = cluster.image.topic_configs(topic.name()).unwrap_or(&nothing);
    cluster
        .options
        .schema
        .topic_value(key, properties, cluster.image, cluster.options.node_id)
}

fn is_acceptable_leader(
    cluster: &Cluster<'_>,
    partition: &PartitionImage,
    replica: NodeId,
    event: Option<Event>,
) -> bool {
    let Some(broker) = cluster.image.broker(replica) else {
        return false;
    };
    let is_up = match event {
        Some(Event::Added(id)) if id == replica => true,
        Some(Event::Removed(id) | Event::StoppedUncleanly(id)) if id == replica => false,
        _ => broker.is_active(),
    };
    is_up
        && partition
            .directory(replica)
            .is_none_or(|directory| broker.has_online_directory(directory))
}
