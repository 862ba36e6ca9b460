//! CreatePartitions, and where partitions are placed.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use forebay_protocol::{ErrorCode, NodeId};

use super::fixture::{TestCluster, topic};
use crate::*;

fn grow(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    let assignment = |ids: &&[i32]| CreatePartitionsAssignment {
        broker_ids: ids.to_vec(),
        ..CreatePartitionsAssignment::default()
    };
    CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assignments.map(|assignments| assignments.iter().map(assignment).collect()),
        ..CreatePartitionsTopic::default()
    }
}

fn run(
    cluster: &mut TestCluster,
    topics: Vec<CreatePartitionsTopic>,
    validate_only: bool,
) -> Vec<(String, i16, String)> {
    let request = CreatePartitionsRequest {
        topics,
        validate_only,
        ..CreatePartitionsRequest::default()
    };
    let results = cluster.run(CreatePartitions { request }).results.into_iter();
    results
        .map(|result| {
            (
                result.name.to_string(),
                result.error_code,
                result.error_message.unwrap_or_default().to_string(),
            )
        })
        .collect()
}

#[test]
fn growth_is_refused_in_kafkas_words() {
    use ErrorCode as E;
    let mut cluster = TestCluster::with_brokers(2);
    cluster.topic("a", 3);
    let cases = [
        (grow("nobody", 3, None), E::UnknownTopicOrPartition, ""),
        (
            grow("a", 3, None),
            E::InvalidPartitions,
            "Topic already has 3 partition(s).",
        ),
        (
            grow("a", 2, None),
            E::InvalidPartitions,
            "The topic a currently has 3 partition(s); 2 would not be an increase.",
        ),
        (
            grow("a", -1, None),
            E::InvalidPartitions,
            "The topic a currently has 3 partition(s); -1 would not be an increase.",
        ),
        (
            grow("a", 5, Some(&[&[0]])),
            E::InvalidReplicaAssignment,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            grow("a", 4, Some(&[&[0, 1]])),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with \
             previous partitions, which have 1 replica(s).",
        ),
        (
            grow("a", 20_000, None),
            E::PolicyViolation,
            "Unable to perform excessively large batch operation.",
        ),
    ];
    for (request, code, message) in cases {
        let name = request.name.to_string();
        assert_eq!(
            run(&mut cluster, vec![request], false),
            [(name, code as i16, message.to_owned())]
        );
    }
    assert_eq!(cluster.image().topic("a").expect("there").partition_count(), 3);
}

#[test]
fn topics_grow() {
    let mut cluster = TestCluster::with_brokers(2);
    cluster.topic("a", 1);
    cluster.topic("b", 1);
    let duplicate = |name: &str| {
        (
            name.to_owned(),
            ErrorCode::InvalidRequest as i16,
            "Duplicate topic name.".to_owned(),
        )
    };
    let requests = vec![grow("b", 2, None), grow("a", 3, None), grow("b", 3, None)];
    assert_eq!(
        run(&mut cluster, requests, false),
        [duplicate("b"), ("a".to_owned(), 0, String::new())]
    );
    assert_eq!(
        run(&mut cluster, vec![grow("a", 9, None)], true),
        [("a".to_owned(), 0, String::new())]
    );
    run(&mut cluster, vec![grow("a", 5, Some(&[&[1], &[0]]))], false);
    let image = cluster.image();
    assert_eq!(
        (
            image.topic("a").unwrap().partition_count(),
            image.topic("b").unwrap().partition_count()
        ),
        (5, 1)
    );
    assert_eq!(
        image.partition("a", 3).map(|partition| partition.leader),
        Some(NodeId(1))
    );
    assert_eq!(
        image.partition("a", 4).map(|partition| partition.leader),
        Some(NodeId(0))
    );
}

#[test]
fn leaders_are_spread_and_replicas_are_in_different_racks() {
    let mut cluster = TestCluster::new();
    for id in 0..6 {
        cluster.add_broker(
            id,
            Some(["east", "west", "north"][id.unsigned_abs() as usize % 3]),
        );
    }
    assert_eq!(cluster.create(topic("a", 60, 3)).error_code, 0);
    let image = cluster.image();
    let mut led = BTreeMap::new();
    let mut orders = BTreeSet::new();
    for (_, partition) in image.topic("a").expect("there").partitions() {
        let racks: BTreeSet<_> = partition
            .replicas
            .iter()
            .map(|id| image.broker(*id).expect("there").rack.clone())
            .collect();
        assert_eq!(
            racks.len(),
            3,
            "one replica in each rack: {:?}",
            partition.replicas
        );
        assert_eq!(partition.isr, partition.replicas);
        *led.entry(partition.leader).or_insert(0) += 1;
        orders.insert(partition.replicas.clone());
    }
    assert_eq!(
        led.into_values().collect::<Vec<_>>(),
        [10; 6],
        "every broker leads as many"
    );
    assert!(
        orders.len() > 12,
        "not the same few orders over and over: {}",
        orders.len()
    );
}

#[test]
fn fenced_brokers_follow_but_do_not_lead() {
    let mut cluster = TestCluster::with_brokers(2);
    let fenced = cluster.add_broker(2, None);
    cluster
        .run(FenceBroker {
            broker_id: NodeId(2),
            broker_epoch: fenced,
        })
        .expect("fenced");
    assert_eq!(cluster.create(topic("a", 10, 3)).error_code, 0);
    for (_, partition) in cluster.image().topic("a").expect("there").partitions() {
        assert_eq!(
            partition.replicas[2],
            NodeId(2),
            "only once the others are used up"
        );
        assert_eq!(partition.isr.len(), 2);
        assert!(partition.isr.contains(&partition.leader));
    }
}
