//! Elections and reassignments. The texts are what Apache Kafka 4.3.1 answered.

use forebay_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use forebay_protocol::messages::alter_partition_reassignments_response::ReassignablePartitionResponse;
use forebay_protocol::messages::elect_leaders_request::TopicPartitions;
use forebay_protocol::messages::{AlterPartitionReassignmentsRequest, ElectLeadersRequest};
use forebay_protocol::{ErrorCode, NodeId};

use super::fixture::*;
use crate::*;

fn elect(
    cluster: &mut TestCluster,
    election_type: i8,
    partitions: &[(&str, i32)],
) -> Vec<(ErrorCode, String)> {
    let topics = partitions.iter().map(|(topic, index)| TopicPartitions {
        topic: (*topic).into(),
        partitions: vec![*index],
        ..TopicPartitions::default()
    });
    let request = ElectLeadersRequest {
        election_type,
        topic_partitions: Some(topics.collect()),
        ..Default::default()
    };
    let response = cluster.run(ElectLeaders { request });
    let results = response.replica_election_results.into_iter();
    results
        .flat_map(|topic| topic.partition_result)
        .map(|result| {
            let text = result.error_message.map(|text| text.to_string());
            (ErrorCode::from_i16(result.error_code), text.unwrap_or_default())
        })
        .collect()
}

#[test]
fn the_preferred_leader_is_elected_when_it_can_lead() {
    let mut cluster = TestCluster::with_brokers(2);
    cluster.create(assigned("t", &[(0, &[1, 0])]));
    let not_needed = (
        ErrorCode::ElectionNotNeeded,
        "Leader election not needed for topic partition.".to_owned(),
    );
    let answers = elect(&mut cluster, 0, &[("t", 0), ("t", 9), ("nope", 0)]);
    assert_eq!(answers[0], not_needed);
    assert_eq!(answers[1].1, "No such partition as t-9");
    assert_eq!(answers[2].1, "No such topic as nope");
    assert_eq!(elect(&mut cluster, 1, &[("t", 0)]), [not_needed]);
    let unknown = (ErrorCode::InvalidRequest, "Unknown election type 7".to_owned());
    assert_eq!(elect(&mut cluster, 7, &[("t", 0)]), [unknown]);

    let epoch = cluster.image().broker(NodeId(1)).expect("registered").epoch;
    let fence = FenceBroker {
        broker_id: NodeId(1),
        broker_epoch: epoch,
    };
    cluster.run(fence).expect("fenced");
    let leader = |cluster: &mut TestCluster| cluster.image().partition("t", 0).expect("there").leader;
    assert_eq!(leader(&mut cluster), NodeId(0));
    let refused = elect(&mut cluster, 0, &[("t", 0)]);
    assert_eq!(refused[0].0, ErrorCode::PreferredLeaderNotAvailable);
    assert_eq!(leader(&mut cluster), NodeId(0), "who leads goes on");
}

fn reassign(
    cluster: &mut TestCluster,
    topic: &str,
    index: i32,
    replicas: Option<&[i32]>,
) -> ReassignablePartitionResponse {
    let partition = ReassignablePartition {
        partition_index: index,
        replicas: replicas.map(<[i32]>::to_vec),
        ..ReassignablePartition::default()
    };
    let topic = ReassignableTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..ReassignableTopic::default()
    };
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![topic],
        ..Default::default()
    };
    let mut response = cluster.run(AlterPartitionReassignments { request });
    response.responses.remove(0).partitions.remove(0)
}

/// Topic, partition, replicas, and the answer.
type Answer<'a> = (&'a str, i32, Option<&'a [i32]>, ErrorCode, Option<&'a str>);

#[rustfmt::skip] // A table.
const ANSWERS: &[Answer<'static>] = &[
    ("t", 0, Some(&[1, 0]), ErrorCode::None, None),
    ("t", 1, None, ErrorCode::NoReassignmentInProgress, None),
    ("t", 8, Some(&[1]), ErrorCode::UnknownTopicOrPartition, Some("Unable to find partition t:8.")),
    ("nope", 0, None, ErrorCode::UnknownTopicOrPartition, Some("Unable to find a topic named nope.")),
    ("t", 0, Some(&[]), ErrorCode::InvalidReplicaAssignment, Some("The manual partition assignment includes an empty replica list.")),
    ("t", 0, Some(&[1, 1]), ErrorCode::InvalidReplicaAssignment, Some("The manual partition assignment includes the broker 1 more than once.")),
    ("t", 0, Some(&[7, 1]), ErrorCode::InvalidReplicaAssignment, Some("The manual partition assignment includes broker 7, but no such broker is registered.")),
    // Kafka begins to move it.
    ("t", 0, Some(&[1]), ErrorCode::InvalidReplicaAssignment, Some("Replicas cannot be moved between brokers yet; a partition keeps the brokers that it was created on.")),
];

#[test]
fn a_reassignment_to_what_there_is_is_done_and_another_refused() {
    let mut cluster = TestCluster::with_brokers(2);
    cluster.create(assigned("t", &[(0, &[1, 0]), (1, &[0, 1])]));
    for (topic, index, replicas, code, text) in ANSWERS {
        let answer = reassign(&mut cluster, topic, *index, *replicas);
        assert_eq!(
            (
                ErrorCode::from_i16(answer.error_code),
                answer.error_message.as_deref()
            ),
            (*code, *text),
            "{topic}-{index} {replicas:?}"
        );
    }
    let before = cluster.image();
    assert_eq!(reassign(&mut cluster, "t", 0, Some(&[0, 1])).error_code, 0);
    let after = cluster.image();
    let (before, after) = (
        before.partition("t", 0).expect("there"),
        after.partition("t", 0).expect("there"),
    );
    assert_eq!(after.replicas, [NodeId(0), NodeId(1)]);
    assert_eq!(after.directory(NodeId(1)), before.directory(NodeId(1)));
    assert_eq!(elect(&mut cluster, 0, &[("t", 0)])[0].0, ErrorCode::None);
    assert_eq!(
        cluster.image().partition("t", 0).expect("there").leader,
        NodeId(0)
    );
}
