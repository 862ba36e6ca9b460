//! DescribeQuorum: who writes the metadata log, and how far everybody has come (KIP-595, KIP-836). One voter: this node.

use forebay_broker_controller::CLUSTER_METADATA;
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::describe_quorum_request::TopicData as Wanted;
use forebay_protocol::messages::describe_quorum_response::{Node, PartitionData, ReplicaState, TopicData};
use forebay_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use crate::call::Call;
use crate::clock;

/// The first version that tells of nodes.
const NODES_VERSION: i16 = 2;

/// Answers a DescribeQuorum request.
pub(crate) fn handle(call: &Call, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    // On success Kafka says "" where it could say null.
    let fine = DescribeQuorumResponse {
        error_message: Some("".into()),
        ..DescribeQuorumResponse::default()
    };
    if !asks_for_the_metadata_log(&request.topics) {
        return DescribeQuorumResponse {
            topics: request.topics.iter().map(unknown).collect(),
            ..fine
        };
    }
    let node = call.core.config.node_id;
    let quorum = call.core.metadata.quorum();
    let now = clock::now().0;
    let partition = PartitionData {
        error_message: Some("".into()),
        leader_id: node.0,
        leader_epoch: quorum.leader_epoch.0,
        high_watermark: quorum.high_watermark.0,
        current_voters: vec![ReplicaState {
            replica_id: node.0,
            log_end_offset: quorum.log_end_offset.0,
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
            ..ReplicaState::default()
        }],
        ..PartitionData::default()
    };
    DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: CLUSTER_METADATA.into(),
            partitions: vec![partition],
            ..TopicData::default()
        }],
        // Without listeners: a quorum of one needs no network.
        nodes: if call.version >= NODES_VERSION {
            vec![Node {
                node_id: node.0,
                ..Node::default()
            }]
        } else {
            Vec::new()
        },
        ..fine
    }
}

/// As Kafka: the one partition of the one topic, or nothing (`hasValidTopicPartition`).
fn asks_for_the_metadata_log(topics: &[Wanted]) -> bool {
    match topics {
        [topic] => {
            *topic.topic_name == *CLUSTER_METADATA
                && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(topic: &Wanted) -> TopicData {
    let code = ErrorCode::UnknownTopicOrPartition;
    let partitions = topic.partitions.iter().map(|partition| PartitionData {
        partition_index: partition.partition_index,
        error_code: code.into(),
        error_message: Some(code.message().into()),
        ..PartitionData::default()
    });
    TopicData {
        topic_name: topic.topic_name.clone(),
        partitions: partitions.collect(),
        ..TopicData::default()
    }
}
