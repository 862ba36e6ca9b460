//! What Kafka's administration tools ask for, beyond topics. The answers are Apache Kafka 4.3.1's, but where a comment says so.

use forebay_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use forebay_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use forebay_protocol::messages::create_acls_request::AclCreation;
use forebay_protocol::messages::describe_client_quotas_request::ComponentData;
use forebay_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use forebay_protocol::messages::describe_quorum_request::{PartitionData as QuorumPartition, TopicData};
use forebay_protocol::messages::update_features_request::FeatureUpdateKey;
use forebay_protocol::messages::{
    AlterClientQuotasRequest, AlterReplicaLogDirsRequest, CreateAclsRequest, DescribeAclsRequest,
    DescribeClientQuotasRequest, DescribeLogDirsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    ListConfigResourcesRequest, ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
    UpdateFeaturesRequest,
};

use super::*;

#[tokio::test]
async fn log_directories_are_described_by_what_was_appended() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 2, &[]).await;
    let produced = broker.produce("t", 1, -1, batch(&["x", "y"])).await;
    assert_eq!(produced.error_code, 0);
    let written = batch(&["x", "y"]).into_bytes().len();

    let all = || DescribeLogDirsRequest {
        topics: None,
        ..Default::default()
    };
    let mut result = broker.call(5, all()).await.results.remove(0);
    assert_eq!(*result.log_dir, *broker.directory.path().display().to_string());
    assert!(result.total_bytes > result.usable_bytes && result.usable_bytes > 0);
    assert_eq!(result.topics.len(), 1, "the metadata log is not told of");
    let partitions = result.topics.remove(0).partitions;
    let sizes: Vec<_> = partitions
        .iter()
        .map(|partition| (partition.partition_index, partition.partition_size))
        .collect();
    assert_eq!(sizes, [(0, 0), (1, i64::try_from(written).expect("small"))]);

    let wanted = |topic: &str, partitions: &[i32]| DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: topic.into(),
            partitions: partitions.to_vec(),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let found = broker.call(5, wanted("t", &[1, 7])).await.results.remove(0);
    assert_eq!(found.topics[0].partitions.len(), 1);
    let found = broker.call(5, wanted("nope", &[0])).await.results.remove(0);
    assert!(found.topics.is_empty() && found.error_code == 0);
}

#[tokio::test]
async fn a_replica_moves_only_to_where_it_is() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let own = broker.directory.path().display().to_string();
    let cases = [
        (own.as_str(), "t", 0, ErrorCode::None),
        (own.as_str(), "t", 9, ErrorCode::UnknownTopicOrPartition),
        (own.as_str(), "nope", 0, ErrorCode::UnknownTopicOrPartition),
        ("/nowhere", "t", 0, ErrorCode::LogDirNotFound),
        ("relative", "nope", 0, ErrorCode::LogDirNotFound),
    ];
    for (path, topic, index, code) in cases {
        let request = AlterReplicaLogDirsRequest {
            dirs: vec![AlterReplicaLogDir {
                path: path.into(),
                topics: vec![AlterReplicaLogDirTopic {
                    name: topic.into(),
                    partitions: vec![index],
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = broker.call(2, request).await;
        let found = answer.results[0].partitions[0].error_code;
        assert_eq!(ErrorCode::from_i16(found), code, "{path} {topic}-{index}");
    }
}

#[tokio::test]
async fn resources_with_configurations_are_listed_by_kind() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    type Case<'a> = (i16, &'a [i8], i16, &'a [(&'a str, i8)]);
    let cases: [Case<'_>; 5] = [
        (1, &[], 0, &[("1", 8), ("1", 4), ("t", 2)]),
        (1, &[2], 0, &[("t", 2)]),
        (1, &[4, 8], 0, &[("1", 8), ("1", 4)]),
        (1, &[3], 35, &[]),
        (0, &[], 0, &[]),
    ];
    for (version, types, code, expected) in cases {
        let request = ListConfigResourcesRequest {
            resource_types: types.to_vec(),
            ..Default::default()
        };
        let answer = broker.call(version, request).await;
        let found: Vec<_> = answer
            .config_resources
            .iter()
            .map(|resource| (&*resource.resource_name, resource.resource_type))
            .collect();
        assert_eq!(
            (answer.error_code, found.as_slice()),
            (code, expected),
            "{types:?}"
        );
    }
}

#[tokio::test]
async fn without_an_authorizer_rules_are_refused() {
    let broker = TestBroker::start().await;
    let described = broker.call(3, DescribeAclsRequest::default()).await;
    assert_eq!(
        ErrorCode::from_i16(described.error_code),
        ErrorCode::SecurityDisabled
    );
    assert_eq!(
        described.error_message.as_deref(),
        Some("No Authorizer is configured on the broker")
    );
    let request = CreateAclsRequest {
        creations: vec![AclCreation::default()],
        ..Default::default()
    };
    let created = broker.call(3, request).await.results.remove(0);
    assert_eq!(
        created.error_message.as_deref(),
        Some("No Authorizer is configured.")
    );
}

#[tokio::test]
async fn the_quorum_is_this_node() {
    let broker = TestBroker::start().await;
    let ask = |topic: &str, partitions: &[i32]| DescribeQuorumRequest {
        topics: vec![TopicData {
            topic_name: topic.into(),
            partitions: partitions
                .iter()
                .map(|index| QuorumPartition {
                    partition_index: *index,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = broker.call(2, ask("__cluster_metadata", &[0])).await;
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.leader_epoch), (1, 0));
    assert_eq!(
        partition.current_voters[0].log_end_offset,
        partition.high_watermark
    );
    let before = partition.high_watermark;
    broker.create_topic("t", 1, &[]).await;
    let answer = broker.call(2, ask("__cluster_metadata", &[0])).await;
    assert!(answer.topics[0].partitions[0].high_watermark > before);
    for refused in [ask("t", &[0]), ask("__cluster_metadata", &[0, 1])] {
        let answer = broker.call(2, refused).await;
        let code = answer.topics[0].partitions[0].error_code;
        assert_eq!(ErrorCode::from_i16(code), ErrorCode::UnknownTopicOrPartition);
        assert!(answer.nodes.is_empty());
    }
}

#[tokio::test]
async fn quotas_outlive_a_restart() {
    let broker = TestBroker::start().await;
    let entity = |name: Option<&str>| EntityData {
        entity_type: "client-id".into(),
        entity_name: name.map(Into::into),
        ..Default::default()
    };
    let set = |name, value| EntryData {
        entity: vec![entity(name)],
        ops: vec![OpData {
            key: "producer_byte_rate".into(),
            value,
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = AlterClientQuotasRequest {
        entries: vec![set(Some("c"), 1e9), set(None, 2e9)],
        ..Default::default()
    };
    let answer = broker.call(1, request).await;
    assert!(answer.entries.iter().all(|entry| entry.error_code == 0));
    let broker = broker.restart().await;
    let filter = |match_type, name: Option<&str>| DescribeClientQuotasRequest {
        components: vec![ComponentData {
            entity_type: "client-id".into(),
            match_type,
            r#match: name.map(Into::into),
            ..Default::default()
        }],
        strict: true,
        ..Default::default()
    };
    for (request, values) in [
        (filter(0, Some("c")), vec![1e9]),
        (filter(1, None), vec![2e9]),
        (filter(2, None), vec![2e9, 1e9]),
        (
            DescribeClientQuotasRequest {
                strict: true,
                ..Default::default()
            },
            vec![],
        ),
        (DescribeClientQuotasRequest::default(), vec![2e9, 1e9]),
    ] {
        let entries = broker.call(1, request).await.entries.expect("a list");
        let found: Vec<f64> = entries.iter().map(|entry| entry.values[0].value).collect();
        assert_eq!(found, values);
    }
    let refused = broker.call(1, filter(1, Some("x"))).await;
    assert_eq!(
        refused.error_message.as_deref(),
        Some("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")
    );
    assert_eq!(refused.entries, None);
}

#[tokio::test]
async fn one_node_has_nobody_to_elect_move_or_forget() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let of_all = ElectLeadersRequest {
        topic_partitions: None,
        ..Default::default()
    };
    let elected = broker.call(2, of_all).await;
    assert_eq!(
        (elected.error_code, elected.replica_election_results.len()),
        (0, 1)
    );
    assert!(elected.replica_election_results[0].partition_result.is_empty());
    let moves = broker.call(0, ListPartitionReassignmentsRequest::default()).await;
    assert!(moves.error_code == 0 && moves.topics.is_empty());
    let unknown = broker
        .call(
            0,
            UnregisterBrokerRequest {
                broker_id: 77,
                ..Default::default()
            },
        )
        .await;
    assert_eq!(
        unknown.error_message.as_deref(),
        Some("Broker ID 77 is not currently registered")
    );
    // Kafka does as it is told, and serves nobody any more.
    let own = broker
        .call(
            0,
            UnregisterBrokerRequest {
                broker_id: 1,
                ..Default::default()
            },
        )
        .await;
    assert_eq!(ErrorCode::from_i16(own.error_code), ErrorCode::InvalidRequest);
    assert_eq!(broker.produce("t", 0, -1, batch(&["x"])).await.error_code, 0);
}

#[tokio::test]
async fn features_that_are_not_served_cannot_be_finalized() {
    let broker = TestBroker::start().await;
    let update = |feature: &str, level| UpdateFeaturesRequest {
        feature_updates: vec![FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            ..Default::default()
        }],
        ..Default::default()
    };
    let refused = broker.call(2, update("share.version", 1)).await;
    assert_eq!(
        ErrorCode::from_i16(refused.error_code),
        ErrorCode::InvalidUpdateVersion
    );
    let done = broker.call(1, update("metadata.version", 30)).await;
    assert_eq!((done.error_code, done.results.len()), (0, 1));
}
