//! Groups of the consumer protocol (KIP-848) over sockets' way in, their coordinator, the metadata and the log.

use forebay_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    CreatePartitionsRequest, DescribeConfigsRequest, DescribeGroupsRequest, IncrementalAlterConfigsRequest,
    ListGroupsRequest,
};

use super::groups::find_coordinator;
use super::*;

const GROUP: i8 = 32;

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_i16(number)
}

/// A coordinator's first heartbeats may find it loading.
async fn heartbeat(
    broker: &TestBroker,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    loop {
        let response = broker.call(1, request.clone()).await;
        if code(response.error_code) != ErrorCode::CoordinatorLoadInProgress {
            return response;
        }
        tokio::task::yield_now().await;
    }
}

fn joining(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["events".into()]),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn staying(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

fn partitions(response: &ConsumerGroupHeartbeatResponse) -> usize {
    let assignment = response.assignment.as_ref();
    assignment.map_or(0, |assignment| {
        assignment
            .topic_partitions
            .iter()
            .map(|topic| topic.partitions.len())
            .sum()
    })
}

#[tokio::test]
async fn a_member_goes_on_where_it_was_after_a_restart() {
    let broker = TestBroker::start_with(&[("group.consumer.assignment.interval.ms", "0")]).await;
    broker.create_topic("events", 3, &[]).await;
    find_coordinator(&broker, "g").await;
    let joined = heartbeat(&broker, joining("m1")).await;
    assert_eq!(
        (joined.error_code, joined.member_epoch, partitions(&joined)),
        (0, 2, 3)
    );

    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["none".into(), "g".into()],
        include_authorized_operations: true,
        ..Default::default()
    };
    let described = broker.call(1, request).await.groups;
    assert_eq!(code(described[0].error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(
        described[0].error_message.as_deref(),
        Some("Group none not found.")
    );
    let group = &described[1];
    assert_eq!(
        (&*group.group_state, group.group_epoch, group.assignment_epoch),
        ("Stable", 2, 2)
    );
    assert_eq!(
        group.members[0].assignment.topic_partitions[0].topic_name,
        "events"
    );
    assert!(group.authorized_operations > 0);
    let request = DescribeGroupsRequest {
        groups: vec!["g".into()],
        ..Default::default()
    };
    let classic = broker.call(6, request).await.groups.remove(0);
    assert_eq!(
        classic.error_message.as_deref(),
        Some("Group g is not a classic group.")
    );
    let listed = broker
        .call(5, ListGroupsRequest::default())
        .await
        .groups
        .remove(0);
    assert_eq!(
        (&*listed.group_type, &*listed.group_state),
        ("consumer", "Stable")
    );

    let broker = broker.crash_and_restart().await;
    let stayed = heartbeat(&broker, staying("m1", 2)).await;
    assert_eq!(
        (stayed.error_code, stayed.member_epoch),
        (0, 2),
        "{:?}",
        stayed.error_message
    );

    // A topic grows: the next heartbeat hears of it.
    let grown = CreatePartitionsTopic {
        name: "events".into(),
        count: 5,
        assignments: None,
        ..Default::default()
    };
    let request = CreatePartitionsRequest {
        topics: vec![grown],
        timeout_ms: 10_000,
        ..Default::default()
    };
    assert_eq!(broker.call(3, request).await.results[0].error_code, 0);
    let grown = heartbeat(&broker, staying("m1", 2)).await;
    assert_eq!((grown.member_epoch, partitions(&grown)), (3, 5));
    let left = heartbeat(&broker, staying("m1", -1)).await;
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
}

#[tokio::test]
async fn a_group_may_be_configured_within_the_bounds_of_the_broker() {
    let broker = TestBroker::start().await;
    broker.create_topic("events", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let set = |group: &str, key: &str, value: &str| IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: GROUP,
            resource_name: group.into(),
            configs: vec![AlterableConfig {
                name: key.into(),
                value: Some(value.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let session = "consumer.session.timeout.ms";
    let cases = [
        (
            "g",
            "nonsense",
            "1",
            ErrorCode::InvalidConfig,
            "Unknown group config name: nonsense",
        ),
        (
            "",
            session,
            "50000",
            ErrorCode::InvalidRequest,
            "Default group resources are not allowed.",
        ),
        (
            "g",
            session,
            "44999",
            ErrorCode::InvalidConfig,
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            "g",
            session,
            "60001",
            ErrorCode::InvalidConfig,
            "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
        ),
        ("g", "consumer.heartbeat.interval.ms", "7000", ErrorCode::None, ""),
        ("g", session, "50000", ErrorCode::None, ""),
    ];
    for (group, key, value, expected, message) in cases {
        let result = broker.call(1, set(group, key, value)).await.responses.remove(0);
        assert_eq!(
            code(result.error_code),
            expected,
            "{key} {value} {:?}",
            result.error_message
        );
        assert_eq!(result.error_message.as_deref().unwrap_or_default(), message);
    }
    described(&broker).await;
    let joined = heartbeat(&broker, joining("m1")).await;
    assert_eq!((joined.error_code, joined.heartbeat_interval_ms), (0, 7_000));
}

/// What is set on the group is told as such, with what it falls back on.
async fn described(broker: &TestBroker) {
    let session = "consumer.session.timeout.ms";
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: GROUP,
            resource_name: "g".into(),
            configuration_keys: Some(vec![session.into(), "consumer.assignment.interval.ms".into()]),
            ..Default::default()
        }],
        include_synonyms: true,
        ..Default::default()
    };
    let described = broker.call(4, request).await.results.remove(0).configs;
    let shown: Vec<_> = described
        .iter()
        .map(|one| {
            (
                &*one.name,
                one.value.as_deref().unwrap_or_default(),
                one.config_source,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("consumer.assignment.interval.ms", "1000", 5),
            (session, "50000", 8)
        ]
    );
    let synonyms: Vec<_> = described[1]
        .synonyms
        .iter()
        .map(|one| (&*one.name, one.source))
        .collect();
    assert_eq!(synonyms, [(session, 8), ("group.consumer.session.timeout.ms", 5)]);
}
