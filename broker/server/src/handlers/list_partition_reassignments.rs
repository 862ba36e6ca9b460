//! ListPartitionReassignments: the moves that are under way (KIP-455): in a directory of a larger cluster there may be some.

use std::collections::{BTreeMap, HashSet};

use forebay_broker_controller::{PartitionImage, TopicImage};
use forebay_protocol::NodeId;
use forebay_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use forebay_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use forebay_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::call::Call;

/// Answers a ListPartitionReassignments request.
pub(crate) fn handle(
    call: &Call,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = call.core.metadata.image();
    let topics: Vec<_> = match &request.topics {
        None => image
            .topics()
            .filter_map(|topic| ongoing(topic, |_| true))
            .collect(),
        Some(topics) => merged(topics)
            .into_iter()
            .filter_map(|(name, indexes)| ongoing(image.topic(name)?, |index| indexes.contains(&index)))
            .collect(),
    };
    ListPartitionReassignmentsResponse {
        error_message: None,
        topics,
        ..ListPartitionReassignmentsResponse::default()
    }
}

/// Which partitions of which topics are meant: a topic may be named once for each of its partitions.
fn merged(topics: &[ListPartitionReassignmentsTopics]) -> BTreeMap<&str, HashSet<i32>> {
    let mut merged: BTreeMap<&str, HashSet<i32>> = BTreeMap::new();
    for topic in topics {
        let indexes = merged.entry(&topic.name).or_default();
        indexes.extend(&topic.partition_indexes);
    }
    merged
}

fn ongoing(topic: &TopicImage, is_wanted: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let moves = |partition: &PartitionImage| {
        !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty()
    };
    let partitions: Vec<_> = topic
        .partitions()
        .filter(|(index, partition)| is_wanted(*index) && moves(partition))
        .map(|(index, partition)| OngoingPartitionReassignment {
            partition_index: index,
            replicas: numbers(&partition.replicas),
            adding_replicas: numbers(&partition.adding_replicas),
            removing_replicas: numbers(&partition.removing_replicas),
            ..OngoingPartitionReassignment::default()
        })
        .collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment {
        name: topic.name().clone(),
        partitions,
        ..OngoingTopicReassignment::default()
    })
}

fn numbers(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_be_named_once_for_each_partition() {
        let named = |(name, index): (&str, i32)| ListPartitionReassignmentsTopics {
            name: name.into(),
            partition_indexes: vec![index],
            ..ListPartitionReassignmentsTopics::default()
        };
        let topics: Vec<_> = (0..30)
            .map(|index| named(("t", index)))
            .chain([named(("s", 7))])
            .collect();
        let merged = merged(&topics);
        assert_eq!(merged.keys().copied().collect::<Vec<_>>(), ["s", "t"]);
        assert_eq!(merged["t"], (0..30).collect());
        assert_eq!(merged["s"], HashSet::from([7]));
    }
}
