//! Folders of partitions that the metadata do not have, or not any more.

use std::collections::HashSet;

use forebay_broker_controller::{CLUSTER_METADATA, MetadataImage};
use forebay_broker_log::{self as log, Log, LogDirectory};
use forebay_protocol::NodeId;
use forebay_records::Timestamp;

use crate::random::random_bits;

/// Folders of topics whose deletion was committed, but that the last process had no time to remove.
pub(super) fn forget_deleted(
    directory: &LogDirectory,
    removed: &HashSet<log::TopicId>,
    now: Timestamp,
) -> Result<(), log::Error> {
    let left: Vec<_> = directory
        .logs()
        .iter()
        .filter(|log| removed.contains(&log.topic_id()))
        .map(|log| log.partition().clone())
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        directory.delete(&left, random_bits(), now)
    }
}

/// Folders of partitions that the metadata do not have (Kafka's `LogManager.isStrayKraftReplica`): of a topic that was removed before the
/// snapshot that this process began with, by a process that had no time to remove them.
pub(super) fn set_strays_aside(
    directory: &LogDirectory,
    image: &MetadataImage,
    node_id: NodeId,
) -> Result<(), log::Error> {
    let is_known = |log: &Log| {
        let (name, id) = (log.partition(), log.topic_id());
        let topic = image.topic(name.topic());
        let partition = image.partition(name.topic(), name.partition());
        name.topic() == CLUSTER_METADATA
            || (topic.is_some_and(|topic| id == log::TopicId::NONE || topic.id().to_bytes() == id.0)
                && partition.is_some_and(|partition| partition.replicas.contains(&node_id)))
    };
    let logs = directory.logs();
    let strays: Vec<_> = logs
        .iter()
        .filter(|log| !is_known(log))
        .map(|log| log.partition().clone())
        .collect();
    if strays.is_empty() {
        Ok(())
    } else {
        directory.set_stray(&strays, random_bits())
    }
}
