//! Consumer groups over their coordinator and its log.

use forebay_broker_coordinator::{Command, RequestContext, Response};
use forebay_protocol::messages::delete_topics_request::DeleteTopicState;
use forebay_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use forebay_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use forebay_protocol::{Utf8Bytes, Uuid};

use super::*;

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_i16(number)
}

pub(super) async fn find_coordinator(broker: &TestBroker, group: &str) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![group.into()],
        ..Default::default()
    };
    let found = broker.call(4, request).await.coordinators.remove(0);
    assert_eq!((found.error_code, found.node_id), (0, 1));
}

pub(super) async fn join(broker: &TestBroker, member: &Utf8Bytes) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: "m".into(),
        ..Default::default()
    };
    let request = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.clone(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    };
    broker.call(5, request).await
}

/// Joins as the only member, assigns itself, and gives the member id and the generation.
async fn join_alone(broker: &TestBroker) -> (Utf8Bytes, i32) {
    let asked = join(broker, &Utf8Bytes::default()).await;
    assert_eq!(code(asked.error_code), ErrorCode::MemberIdRequired);
    let joined = join(broker, &asked.member_id).await;
    assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id));
    let assignment = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: "mine".into(),
        ..SyncGroupRequestAssignment::default()
    };
    let request = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![assignment],
        ..SyncGroupRequest::default()
    };
    assert_eq!(broker.call(3, request).await.assignment, "mine");
    (joined.member_id, joined.generation_id)
}

fn commit_request(member: &Utf8Bytes, generation: i32, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset,
        committed_metadata: Some("note".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.into(),
        // Partition 7 does not exist.
        partitions: vec![partition(0), partition(7)],
        ..OffsetCommitRequestTopic::default()
    };
    OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: generation,
        member_id: member.clone(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

pub(super) async fn commit(
    broker: &TestBroker,
    member: &Utf8Bytes,
    generation: i32,
    topic: &str,
    offset: i64,
) -> Vec<ErrorCode> {
    let answer = broker
        .call(8, commit_request(member, generation, topic, offset))
        .await;
    answer.topics[0]
        .partitions
        .iter()
        .map(|partition| code(partition.error_code))
        .collect()
}

pub(super) async fn committed(broker: &TestBroker, topic: &str) -> i64 {
    let topic = OffsetFetchRequestTopics {
        name: topic.into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        member_id: None,
        ..Default::default()
    };
    // A coordinator that has just been started may still be reading.
    loop {
        let request = OffsetFetchRequest {
            groups: vec![group.clone()],
            ..Default::default()
        };
        let answer = broker.call(8, request).await.groups.remove(0);
        match code(answer.error_code) {
            ErrorCode::None => return answer.topics[0].partitions[0].committed_offset,
            ErrorCode::CoordinatorLoadInProgress => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_group_lives_and_its_offsets_survive() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let (member, generation) = join_alone(&broker).await;
    let (none, unknown) = (ErrorCode::None, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(
        commit(&broker, &member, generation, "t", 5).await,
        [none, unknown]
    );
    assert_eq!(
        commit(&broker, &member, generation, "nope", 5).await,
        [unknown, unknown]
    );
    let stale = commit(&broker, &member, generation + 1, "t", 6).await;
    assert_eq!(stale[0], ErrorCode::IllegalGeneration);
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: generation,
        member_id: member.clone(),
        ..Default::default()
    };
    assert_eq!(broker.call(3, beat).await.error_code, 0);
    assert_eq!(committed(&broker, "t").await, 5);

    let described = broker
        .call(
            5,
            DescribeGroupsRequest {
                groups: vec!["g".into(), "h".into()],
                ..Default::default()
            },
        )
        .await;
    let states: Vec<&str> = described.groups.iter().map(|group| &*group.group_state).collect();
    assert_eq!(states, ["Stable", "Dead"], "in the order asked for");
    let listed = broker.call(5, ListGroupsRequest::default()).await;
    assert_eq!(
        (&*listed.groups[0].group_id, &*listed.groups[0].group_state),
        ("g", "Stable")
    );

    let broker = broker.crash_and_restart().await;
    assert_eq!(committed(&broker, "t").await, 5);
    // The member is still one, and goes on.
    assert_eq!(
        commit(&broker, &member, generation, "t", 9).await[0],
        ErrorCode::None
    );
    let busy = broker
        .call(
            2,
            DeleteGroupsRequest {
                groups_names: vec!["g".into()],
                ..Default::default()
            },
        )
        .await;
    assert_eq!(code(busy.results[0].error_code), ErrorCode::NonEmptyGroup);
    let leave = LeaveGroupRequest {
        group_id: "g".into(),
        member_id: member.clone(),
        ..Default::default()
    };
    assert_eq!(broker.call(2, leave).await.error_code, 0);
    assert_eq!(
        code(join(&broker, &member).await.error_code),
        ErrorCode::UnknownMemberId
    );
    let deleted = broker
        .call(
            2,
            DeleteGroupsRequest {
                groups_names: vec!["g".into()],
                ..Default::default()
            },
        )
        .await;
    assert_eq!(deleted.results[0].error_code, 0);
    assert_eq!(committed(&broker, "t").await, -1);
}

#[tokio::test]
async fn a_second_member_makes_the_first_rejoin() {
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    let (first, generation) = join_alone(&broker).await;
    let second = join(&broker, &Utf8Bytes::default()).await.member_id;
    let rejoin = async {
        // Until the second has begun to join all is well; then the first is told.
        loop {
            let beat = HeartbeatRequest {
                group_id: "g".into(),
                generation_id: generation,
                member_id: first.clone(),
                ..HeartbeatRequest::default()
            };
            match code(broker.call(3, beat).await.error_code) {
                ErrorCode::None => tokio::task::yield_now().await,
                ErrorCode::RebalanceInProgress => return join(&broker, &first).await,
                other => panic!("{other:?}"),
            }
        }
    };
    let (joined, rejoined) = tokio::join!(join(&broker, &second), rejoin);
    assert_eq!((joined.error_code, rejoined.error_code), (0, 0));
    assert_eq!(joined.generation_id, generation + 1);
    assert_eq!(rejoined.members.len(), 2, "the leader sees both");
}

#[tokio::test]
async fn offsets_go_with_their_topic() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    assert_eq!(
        commit(&broker, &Utf8Bytes::default(), -1, "t", 5).await[0],
        ErrorCode::None
    );
    let topic = DeleteTopicState {
        name: Some("t".into()),
        ..Default::default()
    };
    broker
        .call(
            6,
            DeleteTopicsRequest {
                topics: vec![topic],
                ..Default::default()
            },
        )
        .await;
    while committed(&broker, "t").await != -1 {
        tokio::task::yield_now().await;
    }
}

/// The coordinator has not come to forget the offsets of the topic that had the name before.
#[tokio::test]
async fn offsets_of_another_topic_of_that_name_are_none_of_it() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let mut request = commit_request(&Utf8Bytes::default(), -1, "t", 500);
    request.topics[0].topic_id = Uuid::from_bytes([9; 16]);
    let context = RequestContext {
        api_version: 8,
        client_id: Utf8Bytes::default(),
        client_host: Utf8Bytes::default(),
    };
    let asked = broker
        .handle
        .groups()
        .ask("g", context, Command::OffsetCommit(request));
    assert!(matches!(asked.await, Some(Response::OffsetCommit(answer))
        if answer.topics[0].partitions[0].error_code == 0));
    assert_eq!(committed(&broker, "t").await, -1);
    assert_eq!(
        commit(&broker, &Utf8Bytes::default(), -1, "t", 5).await[0],
        ErrorCode::None
    );
    assert_eq!(committed(&broker, "t").await, 5);
}

#[tokio::test]
async fn a_parked_join_is_answered_when_the_broker_stops() {
    let broker = TestBroker::start_with(&[("group.initial.rebalance.delay.ms", "60000")]).await;
    find_coordinator(&broker, "g").await;
    let member = join(&broker, &Utf8Bytes::default()).await.member_id;
    let (running, parked) = broker.split();
    let joining = join(&parked, &member);
    let stopping = async {
        // The join runs first: it is polled until it is parked before this begins.
        running
            .run(std::future::ready(()))
            .await
            .expect("it ends cleanly");
    };
    let (answer, ()) = tokio::join!(joining, stopping);
    assert_eq!(code(answer.error_code), ErrorCode::NotCoordinator);
}
