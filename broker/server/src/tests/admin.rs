//! Topics, their configurations and what is told of them.

use std::sync::mpsc;

use forebay_disk::{FaultyDisk, MemoryDisk, Operation};
use forebay_protocol::Uuid;
use forebay_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use forebay_protocol::messages::delete_topics_request::DeleteTopicState;
use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::describe_configs_response::DescribeConfigsResult;
use forebay_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::metadata_request::MetadataRequestTopic;
use forebay_protocol::messages::metadata_response::MetadataResponseTopic;
use forebay_protocol::messages::{
    CreatePartitionsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};
use tokio::sync::oneshot;

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn metadata(broker: &TestBroker, version: i16, name: &str, create: bool) -> MetadataResponseTopic {
    let topic = MetadataRequestTopic {
        name: Some(name.into()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: create,
        ..Default::default()
    };
    broker.call(version, request).await.topics.remove(0)
}

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_i16(number)
}

#[tokio::test]
async fn names_that_are_none_create_nothing() {
    let broker = TestBroker::start().await;
    let long = "x".repeat(250);
    for name in [
        "",
        ".",
        "..",
        "a/../b",
        "a b",
        "a\0b",
        "größe",
        "/etc/passwd",
        &long,
    ] {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            ..Default::default()
        };
        let created = broker.call(7, request).await.topics.remove(0);
        assert_eq!(
            code(created.error_code),
            ErrorCode::InvalidTopicException,
            "{name:?}"
        );
        let found = metadata(&broker, 12, name, true).await;
        assert_eq!(
            code(found.error_code),
            ErrorCode::InvalidTopicException,
            "{name:?}"
        );
        let request = produce_request(name, 0, 1, Some(Records::Memory(batch(&["x"]).into_bytes())));
        let produced = broker
            .call(9, request)
            .await
            .responses
            .remove(0)
            .partition_responses
            .remove(0);
        assert_eq!(
            code(produced.error_code),
            ErrorCode::UnknownTopicOrPartition,
            "{name:?}"
        );
    }
    let entries = std::fs::read_dir(broker.directory.path()).expect("readable");
    let folders = entries
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()))
        .count();
    assert_eq!(folders, 1, "the metadata log only");
    // Clients do not write into Kafka's own topics.
    metadata(&broker, 12, "__consumer_offsets", true).await;
    let refused = broker.produce("__consumer_offsets", 0, 1, batch(&["x"])).await;
    assert_eq!(code(refused.error_code), ErrorCode::InvalidTopicException);
}

#[tokio::test]
async fn a_topic_is_created_on_first_use_if_both_sides_allow_it() {
    let broker = TestBroker::start_with(&[("num.partitions", "3")]).await;
    assert_eq!(
        code(metadata(&broker, 12, "t", false).await.error_code),
        ErrorCode::UnknownTopicOrPartition
    );
    let created = metadata(&broker, 12, "t", true).await;
    assert_eq!(
        (
            created.error_code,
            created.partitions.len(),
            created.partitions[0].leader_id
        ),
        (0, 3, 1)
    );
    let by_id = MetadataRequestTopic {
        topic_id: created.topic_id,
        name: None,
        ..Default::default()
    };
    let unknown = MetadataRequestTopic {
        topic_id: Uuid::from_bytes([9; 16]),
        name: None,
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(vec![by_id, unknown]),
        ..Default::default()
    };
    let answers = broker.call(12, request.clone()).await.topics;
    assert_eq!(answers[0].name.as_deref(), Some("t"));
    assert_eq!(code(answers[1].error_code), ErrorCode::UnknownTopicId);
    let early = broker.call(11, request).await;
    assert_eq!(
        code(early.topics[0].error_code),
        ErrorCode::InvalidRequest,
        "ids came with version 12"
    );

    let strict = TestBroker::start_with(&[("auto.create.topics.enable", "false")]).await;
    assert_eq!(
        code(metadata(&strict, 12, "t", true).await.error_code),
        ErrorCode::UnknownTopicOrPartition
    );
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_can_be_made_anew() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, batch(&["old"])).await;
    let old = metadata(&broker, 12, "t", false).await.topic_id;
    // A fetch that waits hears of it.
    let waiting = broker.call(12, fetch_request("t", 0, 1, 60_000));
    let topic = DeleteTopicState {
        name: None,
        topic_id: old,
        ..Default::default()
    };
    let deletion = broker.call(
        6,
        DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 1000,
            ..Default::default()
        },
    );
    let (waited, deleted) = tokio::join!(waiting, deletion);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(
        code(waited.responses[0].partitions[0].error_code),
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(
        code(broker.fetch("t", 0, 0).await.error_code),
        ErrorCode::UnknownTopicOrPartition
    );

    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.values("t", 0, 0).await, [""; 0]);
    broker.produce("t", 0, -1, batch(&["new"])).await;
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.values("t", 0, 0).await, ["new"]);
    let new = metadata(&broker, 12, "t", false).await.topic_id;
    assert_ne!(new, old);
    // By its id, the old one is still none.
    for (id, expected) in [(old, ErrorCode::UnknownTopicId), (new, ErrorCode::None)] {
        let mut request = fetch_request("", 0, 0, 0);
        request.topics[0].topic_id = id;
        let answer = broker
            .call(13, request)
            .await
            .responses
            .remove(0)
            .partitions
            .remove(0);
        assert_eq!(code(answer.error_code), expected);
    }
}

#[tokio::test]
async fn partitions_can_be_added() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let add = |count, validate_only| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "t".into(),
            count,
            assignments: None,
            ..Default::default()
        }],
        validate_only,
        ..CreatePartitionsRequest::default()
    };
    for (count, validate_only, expected, partitions) in [
        (1, false, ErrorCode::InvalidPartitions, 1),
        (3, true, ErrorCode::None, 1),
        (3, false, ErrorCode::None, 3),
        (2, false, ErrorCode::InvalidPartitions, 3),
    ] {
        let answer = broker.call(3, add(count, validate_only)).await.results.remove(0);
        assert_eq!(code(answer.error_code), expected, "{count}");
        assert_eq!(
            metadata(&broker, 12, "t", false).await.partitions.len(),
            partitions
        );
    }
    assert_eq!(broker.produce("t", 2, -1, batch(&["x"])).await.error_code, 0);
}

async fn describe(broker: &TestBroker, resource_type: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: None,
        ..DescribeConfigsResource::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        include_documentation: true,
        ..DescribeConfigsRequest::default()
    };
    broker.call(4, request).await.results.remove(0)
}

fn value(result: &DescribeConfigsResult, name: &str) -> (String, i8) {
    let entry = result
        .configs
        .iter()
        .find(|entry| *entry.name == *name)
        .expect(name);
    (
        entry.value.as_deref().unwrap_or("null").to_owned(),
        entry.config_source,
    )
}

#[tokio::test]
async fn configurations_tell_where_they_come_from() {
    let broker =
        TestBroker::start_with(&[("log.retention.ms", "5000"), ("log.segment.bytes", "2000000")]).await;
    broker
        .create_topic("t", 1, &[("cleanup.policy", "compact")])
        .await;
    let topic = describe(&broker, TOPIC, "t").await;
    assert_eq!((topic.error_code, topic.error_message.as_deref()), (0, Some("")));
    let keys = forebay_broker_log::config::definition().keys();
    assert_eq!(
        topic.configs.len(),
        keys.iter().filter(|key| !key.internal).count()
    );
    assert_eq!(value(&topic, "cleanup.policy"), ("compact".to_owned(), 1));
    assert_eq!(value(&topic, "retention.ms"), ("5000".to_owned(), 4));
    assert_eq!(value(&topic, "segment.bytes"), ("2000000".to_owned(), 4));
    assert_eq!(value(&topic, "retention.bytes"), ("-1".to_owned(), 5));
    assert_eq!(
        value(&topic, "flush.messages"),
        ("1".to_owned(), 5),
        "what holds for one replica"
    );
    assert!(
        topic
            .configs
            .iter()
            .all(|entry| entry.documentation.as_ref().is_some_and(|text| !text.is_empty()))
    );
    let own = describe(&broker, BROKER, "1").await;
    assert_eq!(value(&own, "log.retention.ms"), ("5000".to_owned(), 4));
    assert_eq!(value(&own, "num.io.threads"), ("8".to_owned(), 5));
    for (resource_type, name, expected, message) in [
        (TOPIC, "nope", ErrorCode::UnknownTopicOrPartition, None),
        (TOPIC, "a/b", ErrorCode::InvalidTopicException, Some("")),
        (
            BROKER,
            "7",
            ErrorCode::InvalidRequest,
            Some("Unexpected broker id, expected 1 or empty string, but received 7"),
        ),
        (
            BROKER,
            "x",
            ErrorCode::InvalidRequest,
            Some("Broker id must be an integer, but it is: x"),
        ),
        (
            99,
            "x",
            ErrorCode::InvalidRequest,
            Some("This most likely occurs"),
        ),
    ] {
        let answer = describe(&broker, resource_type, name).await;
        assert_eq!(code(answer.error_code), expected, "{name}");
        let found = answer.error_message.as_deref();
        assert!(
            found.unwrap_or_default().starts_with(message.unwrap_or_default()),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn configurations_change_while_the_broker_runs() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let alter = |resource_type, name: &str, key: &str, value: &str| {
        let config = AlterableConfig {
            name: key.into(),
            value: Some(value.into()),
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: vec![config],
            ..AlterConfigsResource::default()
        };
        broker.call(
            1,
            IncrementalAlterConfigsRequest {
                resources: vec![resource],
                ..Default::default()
            },
        )
    };
    let long = "x".repeat(500);
    assert_eq!(broker.produce("t", 0, 1, batch(&[&long])).await.error_code, 0);
    assert_eq!(
        alter(TOPIC, "t", "max.message.bytes", "300").await.responses[0].error_code,
        0
    );
    let refused = broker.produce("t", 0, 1, batch(&[&long])).await;
    assert_eq!(code(refused.error_code), ErrorCode::MessageTooLarge);
    for (resource_type, name, key, value, expected) in [
        (TOPIC, "t", "no.such.key", "1", ErrorCode::InvalidConfig),
        (TOPIC, "t", "retention.ms", "soon", ErrorCode::InvalidConfig),
        (
            TOPIC,
            "nope",
            "retention.ms",
            "1",
            ErrorCode::UnknownTopicOrPartition,
        ),
        (BROKER, "1", "num.partitions", "4", ErrorCode::InvalidRequest),
    ] {
        let answer = alter(resource_type, name, key, value).await.responses.remove(0);
        assert_eq!(code(answer.error_code), expected, "{key} of {name}");
    }
    // A broker's setting is its topics' default at once.
    assert_eq!(
        alter(BROKER, "", "log.retention.ms", "77").await.responses[0].error_code,
        0
    );
    assert_eq!(
        value(&describe(&broker, TOPIC, "t").await, "retention.ms"),
        ("77".to_owned(), 3)
    );
}

#[tokio::test]
async fn topics_are_described_in_pages() {
    let broker = TestBroker::start().await;
    for (name, partitions) in [("a", 2), ("b", 3), ("c", 1)] {
        broker.create_topic(name, partitions, &[]).await;
    }
    let mut cursor = None;
    let mut pages = Vec::new();
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor,
            ..Default::default()
        };
        let page = broker.call(0, request).await;
        pages.push(
            page.topics
                .iter()
                .map(|topic| {
                    (
                        topic.name.clone().expect("named").to_string(),
                        topic.partitions.len(),
                    )
                })
                .collect::<Vec<_>>(),
        );
        let Some(next) = page.next_cursor else { break };
        cursor = Some(Cursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index,
            ..Default::default()
        });
    }
    let expected: [&[(&str, usize)]; 3] = [&[("a", 2)], &[("b", 2)], &[("b", 1), ("c", 1)]];
    let expected: Vec<Vec<(String, usize)>> = expected
        .iter()
        .map(|page| {
            page.iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        })
        .collect();
    assert_eq!(pages, expected);
    let topics = vec![TopicRequest {
        name: "nope".into(),
        ..Default::default()
    }];
    let request = DescribeTopicPartitionsRequest {
        topics,
        response_partition_limit: 2,
        ..Default::default()
    };
    let unknown = broker.call(0, request).await;
    assert_eq!(
        code(unknown.topics[0].error_code),
        ErrorCode::UnknownTopicOrPartition
    );
}

#[tokio::test]
async fn the_cluster_is_this_broker() {
    let broker = TestBroker::start().await;
    let port = i32::from(broker.handle.listeners()[0].addresses[0].port());
    let request = DescribeClusterRequest {
        endpoint_type: 1,
        ..Default::default()
    };
    let cluster = broker.call(2, request).await;
    assert_eq!(
        (cluster.controller_id, &*cluster.cluster_id),
        (1, broker.handle.cluster_id())
    );
    assert_eq!((cluster.brokers[0].broker_id, cluster.brokers[0].port), (1, port));
    let controllers = broker
        .call(
            2,
            DescribeClusterRequest {
                endpoint_type: 2,
                ..Default::default()
            },
        )
        .await;
    assert_eq!(code(controllers.error_code), ErrorCode::MismatchedEndpointType);
    let all = broker
        .call(
            12,
            MetadataRequest {
                topics: None,
                ..Default::default()
            },
        )
        .await;
    assert_eq!(
        (all.brokers[0].node_id, all.brokers[0].port, all.controller_id),
        (1, port, 1)
    );
    let id = broker.handle.cluster_id().to_owned();
    assert_eq!(broker.crash_and_restart().await.handle.cluster_id(), id);
}

/// Both commands are decided in one round of the controller, while the sync of the round before is under way.
#[tokio::test]
async fn a_topic_deleted_and_made_anew_at_once_works() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &[]).await;
    broker.create_topic("t", 2, &[]).await;
    broker.produce("t", 0, -1, batch(&["old"])).await;
    let (entered, is_there) = oneshot::channel();
    let (go_on, told) = mpsc::channel();
    disk.call_at(Operation::Sync, 1, move || {
        let _nobody_waits = entered.send(());
        told.recv().ok()
    });
    let other = broker.create_topic("other", 1, &[]);
    let then = async {
        is_there.await.expect("it syncs");
        let both = async {
            let delete = DeleteTopicsRequest {
                topic_names: vec!["t".into()],
                timeout_ms: 1000,
                ..Default::default()
            };
            tokio::join!(broker.call(5, delete), broker.create_topic("t", 1, &[]))
        };
        let ending = async {
            // The others are polled until they wait, before this begins.
            drop(go_on);
        };
        tokio::join!(both, ending).0.0
    };
    let (_, deleted) = tokio::join!(other, then);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(broker.produce("t", 0, -1, batch(&["new"])).await.error_code, 0);
    assert_eq!(broker.values("t", 0, 0).await, ["new"]);
}
