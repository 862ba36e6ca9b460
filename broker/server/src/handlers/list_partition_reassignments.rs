//! ListPartitionReassignments: the moves that are under way (KIP-455): in a directory of a larger cluster there may be some.

use std::collections::HashSet;

use forebay_broker_controller::{PartitionImage, TopicImage};
use forebay_protocol::NodeId;
use forebay_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use forebay_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::repetitions::Repetitions;
use crate::call::Call;

/// Answers a ListPartitionReassignments request.
pub(crate) fn handle(
    call: &Call,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = call.core.metadata.image();
    let mut asked = Repetitions::default();
    let topics: Vec<_> = match &request.topics {
        None => image
            .topics()
            .filter_map(|topic| ongoing(topic, |_| true))
            .collect(),
        Some(topics) => topics
            .iter()
            .filter(|wanted| asked.allow(&wanted.name))
            .filter_map(|wanted| {
                let indexes: HashSet<i32> = wanted.partition_indexes.iter().copied().collect();
                ongoing(image.topic(&wanted.name)?, |index| indexes.contains(&index))
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse {
        error_message: None,
        topics,
        ..ListPartitionReassignmentsResponse::default()
    }
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
