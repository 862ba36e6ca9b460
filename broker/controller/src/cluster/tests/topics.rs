//! CreateTopics and DeleteTopics.

use forebay_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use forebay_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use forebay_protocol::{ErrorCode, NodeId, Uuid};

use super::fixture::{TestCluster, assigned, options, topic, topic_with, uuid};
use crate::*;

/// Each of these is refused so, and nothing is written.
fn assert_refused(cases: Vec<(CreatableTopic, ErrorCode, &str)>) {
    let mut cluster = TestCluster::with_brokers(2);
    cluster.topic("old", 1);
    cluster.topic("with.dot", 1);
    let before = cluster.image();
    for (topic, code, message) in cases {
        let result = cluster.create(topic);
        assert_eq!(
            (result.error_code, result.error_message.as_deref()),
            (code as i16, Some(message))
        );
        assert_eq!(result.topic_id, Uuid::ZERO);
    }
    assert_eq!(cluster.image(), before);
}

#[test]
fn names_and_numbers_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let not_positive = "Number of partitions was set to an invalid non-positive value.";
    assert_refused(vec![
        (
            topic("old", 1, 1),
            E::TopicAlreadyExists,
            "Topic 'old' already exists.",
        ),
        (
            topic("old", 0, 9),
            E::TopicAlreadyExists,
            "Topic 'old' already exists.",
        ),
        (
            topic("", 1, 1),
            E::InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            topic("with_dot", 1, 1),
            E::InvalidTopicException,
            "Topic 'with_dot' collides with existing topic: with.dot",
        ),
        (topic("new", 0, 1), E::InvalidPartitions, not_positive),
        (topic("new", -2, 1), E::InvalidPartitions, not_positive),
        (
            topic("new", 0, 0),
            E::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("new", 1, 4),
            E::InvalidReplicationFactor,
            "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached because \
             only 2 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
    ]);
}

#[test]
fn configurations_are_refused_in_kafkas_words() {
    let long = "x".repeat(32768);
    type Configs<'a> = &'a [(&'a str, Option<&'a str>)];
    let cases: [(Configs<'_>, &str); 6] = [
        (&[("bogus", Some("1"))], "Unknown topic config name: bogus"),
        (
            &[("retention.ms", Some("x"))],
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            &[("cleanup.policy", Some("bogus"))],
            "Invalid value bogus for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            &[("retention.ms", Some("13")), ("segment.ms", Some("13"))],
            "both are unlucky",
        ),
        (
            &[("retention.ms", None), ("segment.ms", None)],
            "Null value not supported for topic configs: retention.ms,segment.ms",
        ),
        (
            &[("compression.type", Some(&long))],
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ),
    ];
    let case = |(configs, message)| (topic_with("new", configs), ErrorCode::InvalidConfig, message);
    assert_refused(cases.into_iter().map(case).collect());
}

#[test]
fn assignments_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let invalid = E::InvalidReplicaAssignment;
    assert_refused(vec![
        (
            CreatableTopic {
                replication_factor: 1,
                ..assigned("new", &[(0, &[0])])
            },
            E::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            CreatableTopic {
                num_partitions: 1,
                ..assigned("new", &[(0, &[0])])
            },
            E::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            assigned("new", &[(0, &[0]), (0, &[1])]),
            invalid,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            assigned("new", &[(0, &[0]), (2, &[1])]),
            invalid,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            assigned("new", &[(0, &[])]),
            invalid,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            assigned("new", &[(0, &[0, 7])]),
            invalid,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            assigned("new", &[(0, &[1, 1])]),
            invalid,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            assigned("new", &[(0, &[0, 1]), (1, &[1])]),
            invalid,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
             previous partitions, which have 2 replica(s).",
        ),
    ]);
}

#[test]
fn a_topic_is_answered_with_its_id_partitions_and_configuration() {
    let mut cluster = TestCluster::with_options(Options {
        num_partitions: 3,
        ..options()
    });
    cluster.add_broker(0, None);
    let result = cluster.create(topic_with(
        "new",
        &[("retention.ms", Some("5")), ("segment.ms", Some("6"))],
    ));
    assert_eq!((result.num_partitions, result.replication_factor), (1, 1));
    let image = cluster.image();
    let created = image.topic("new").expect("there");
    assert_eq!(created.id(), result.topic_id);
    assert_eq!(image.topic_by_id(result.topic_id), Some(created));
    let configs = result.configs.expect("configurations");
    let shown = |name: &str| {
        let config = configs.iter().find(|config| config.name == *name).expect(name);
        (config.value.as_deref().unwrap_or("null"), config.config_source)
    };
    assert_eq!(shown("retention.ms"), ("5", ConfigSource::Topic as i8));
    assert_eq!(shown("cleanup.policy"), ("delete", ConfigSource::Default as i8));
    // The bootstrap set it for all brokers.
    assert_eq!(
        shown("min.insync.replicas"),
        ("1", ConfigSource::DynamicDefaultBroker as i8)
    );
    assert!(configs.is_sorted_by_key(|config| config.name.clone()));

    let with_defaults = cluster.create(topic("defaults", -1, -1));
    assert_eq!(
        (with_defaults.num_partitions, with_defaults.replication_factor),
        (3, 1)
    );
}

#[test]
fn a_caller_who_may_not_see_configurations_gets_none() {
    let mut cluster = TestCluster::with_brokers(1);
    let request = CreateTopicsRequest {
        topics: vec![topic("new", 1, 1)],
        ..CreateTopicsRequest::default()
    };
    let response = cluster.run(CreateTopics {
        request,
        not_describable: ["new".into()].into(),
    });
    let result = &response.topics[0];
    assert_eq!(
        result.topic_config_error_code,
        ErrorCode::TopicAuthorizationFailed as i16
    );
    assert_eq!(
        (result.error_code, result.num_partitions, &result.configs),
        (0, -1, &Some(Vec::new()))
    );
}

#[test]
fn a_request_is_looked_at_as_a_whole() {
    let mut cluster = TestCluster::with_brokers(1);
    let names = ["twice", "once", "twice", "__cluster_metadata"];
    let topics: Vec<_> = names.iter().map(|name| topic(name, 1, 1)).collect();
    let request = CreateTopicsRequest {
        topics,
        ..CreateTopicsRequest::default()
    };
    let validate_only = CreateTopicsRequest {
        validate_only: true,
        ..request.clone()
    };
    let (records, _) = cluster.run_with_records(CreateTopics {
        request: validate_only,
        ..Default::default()
    });
    assert_eq!(records, []);
    let response = cluster.run(CreateTopics {
        request,
        ..Default::default()
    });
    let results: Vec<_> = response
        .topics
        .iter()
        .map(|result| {
            (
                result.name.as_str(),
                result.error_code,
                result.error_message.as_deref(),
            )
        })
        .collect();
    let invalid = ErrorCode::InvalidRequest as i16;
    assert_eq!(
        results,
        [
            ("once", 0, None),
            ("twice", invalid, Some("Duplicate topic name.")),
            (
                "__cluster_metadata",
                invalid,
                Some("Creation of internal topic __cluster_metadata is prohibited.")
            ),
        ]
    );
}

#[test]
fn ten_thousand_partitions_are_the_most_of_one_request() {
    let mut cluster = TestCluster::with_brokers(1);
    let mut create = |topics: Vec<CreatableTopic>| {
        let request = CreateTopicsRequest {
            topics,
            ..CreateTopicsRequest::default()
        };
        let response = cluster.run(CreateTopics {
            request,
            ..Default::default()
        });
        let results = response.topics.into_iter();
        results
            .map(|result| {
                (
                    result.error_code,
                    result.error_message.unwrap_or_default().to_string(),
                )
            })
            .collect()
    };
    let refused = |message: &str| (ErrorCode::PolicyViolation as i16, message.to_owned());
    let too_many = refused("Excessively large number of partitions per request.");
    let partitions: Vec<_> = create(vec![topic("a", 10_000, 1), topic("b", 1, 1)]);
    assert_eq!(partitions, [too_many.clone(), too_many]);
    // The topics' own records count too.
    let records: Vec<_> = create(vec![topic("a", 10_000, 1)]);
    assert_eq!(
        records,
        [refused("Unable to perform excessively large batch operation.")]
    );
    let fits: Vec<_> = create(vec![topic("a", 9_999, 1)]);
    assert_eq!(fits, [(0, String::new())]);
    assert!(
        create(vec![topic("c", i32::MAX, 1)])
            == vec![refused("Excessively large number of partitions per request.")]
    );
}

fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState {
        topic_id: id,
        ..DeleteTopicState::default()
    }
}

fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState {
        name: Some(name.into()),
        ..DeleteTopicState::default()
    }
}

/// Sorted: name, code, text.
fn delete(cluster: &mut TestCluster, topics: Vec<DeleteTopicState>) -> Vec<(String, ErrorCode, String)> {
    let request = DeleteTopicsRequest {
        topics,
        ..DeleteTopicsRequest::default()
    };
    let response = cluster.run(DeleteTopics {
        request,
        api_version: 6,
    });
    let text = |text: Option<forebay_protocol::Utf8Bytes>| text.map_or_else(|| "-".to_owned(), String::from);
    let results = response.responses.into_iter();
    let mut results: Vec<_> = results
        .map(|result| {
            (
                text(result.name),
                ErrorCode::from_i16(result.error_code),
                text(result.error_message),
            )
        })
        .collect();
    results.sort_unstable();
    results
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut cluster = TestCluster::with_brokers(1);
    let ids: Vec<Uuid> = ["a", "b", "c.d", "e"]
        .iter()
        .map(|name| cluster.topic(name, 2))
        .collect();
    let done = |name: &str| (name.to_owned(), ErrorCode::None, "-".to_owned());
    let results = delete(&mut cluster, vec![by_name("a"), by_id(ids[1]), by_name("c.d")]);
    assert_eq!(results, [done("a"), done("b"), done("c.d")]);
    assert_eq!(
        cluster
            .image()
            .topics()
            .map(|topic| topic.name().as_str())
            .collect::<Vec<_>>(),
        ["e"]
    );
    // Its name is free again, and so is the one that it collided with.
    assert_ne!(cluster.topic("a", 1), ids[0]);
    cluster.topic("c_d", 1);
}

#[test]
fn deletions_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let mut cluster = TestCluster::with_brokers(1);
    let ids: Vec<Uuid> = ["a", "b"].iter().map(|name| cluster.topic(name, 2)).collect();
    let both = DeleteTopicState {
        topic_id: ids[0],
        ..by_name("a")
    };
    let cases = [
        (
            vec![by_id(Uuid::ZERO)],
            "-",
            E::InvalidRequest,
            "Neither topic name nor id were specified.",
        ),
        (
            vec![by_id(uuid(1))],
            "-",
            E::UnknownTopicId,
            "This server does not host this topic ID.",
        ),
        (
            vec![both],
            "a",
            E::InvalidRequest,
            "You may not specify both topic name and topic id.",
        ),
        (
            vec![by_name("a"); 3],
            "a",
            E::InvalidRequest,
            "Duplicate topic name.",
        ),
        (
            vec![by_id(ids[0]); 2],
            "-",
            E::InvalidRequest,
            "Duplicate topic id.",
        ),
        (
            vec![by_id(ids[1]), by_name("b")],
            "b",
            E::InvalidRequest,
            "The provided topic name maps to an ID that was already supplied.",
        ),
        (
            vec![by_name("nobody")],
            "nobody",
            E::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        ),
    ];
    let before = cluster.image();
    for (topics, name, code, text) in cases {
        assert_eq!(
            delete(&mut cluster, topics),
            [(name.to_owned(), code, text.to_owned())]
        );
    }
    assert_eq!(cluster.image(), before);
}

#[test]
fn deletion_can_be_switched_off() {
    let mut cluster = TestCluster::with_options(Options {
        delete_topic_enable: false,
        ..options()
    });
    cluster.add_broker(0, None);
    cluster.topic("a", 1);
    let request = DeleteTopicsRequest {
        topic_names: vec!["a".into()],
        ..DeleteTopicsRequest::default()
    };
    for (api_version, code) in [
        (2, ErrorCode::InvalidRequest),
        (3, ErrorCode::TopicDeletionDisabled),
    ] {
        let response = cluster.run(DeleteTopics {
            request: request.clone(),
            api_version,
        });
        assert_eq!(response.responses[0].error_code, code as i16);
    }
    assert!(cluster.image().topic("a").is_some());
}

#[test]
fn internal_topics_are_made_as_kafka_makes_them() {
    let mut cluster = TestCluster::with_brokers(1);
    let names = ["__consumer_offsets", "plain", "a/b"];
    let response = cluster.run(AutoCreateTopics {
        names: names.iter().map(|name| (*name).into()).collect(),
    });
    let codes: Vec<_> = response.topics.iter().map(|result| result.error_code).collect();
    assert_eq!(codes, [0, 0, ErrorCode::InvalidTopicException as i16]);
    let image = cluster.image();
    let offsets = image.topic("__consumer_offsets").expect("there");
    assert!(offsets.is_internal());
    assert_eq!(offsets.partition_count(), 50);
    let set = image.topic_configs("__consumer_offsets").expect("set");
    assert_eq!(set.get("cleanup.policy").map(String::as_str), Some("compact"));
    assert_eq!(image.topic("plain").map(|topic| topic.partition_count()), Some(1));
    assert_eq!(
        image
            .partition("__consumer_offsets", 49)
            .map(|partition| partition.leader),
        Some(NodeId(0))
    );
}
