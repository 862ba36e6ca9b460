//! What one request may cost: names that are repeated, too long, or many; expressions that are large.

use std::time::{Duration, Instant};

use forebay_protocol::messages::consumer_group_heartbeat_response::Assignment;
use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::describe_producers_request::TopicRequest;
use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListTransactionsRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};
use forebay_protocol::{ApiRequest, Message as _, Utf8Bytes};

use super::groups::find_coordinator;
use super::*;

const BROKER: i8 = 4;
const TIMES: usize = 1_000;
/// About what an answer may hold, and what it may be larger by: its last entry, and those that are refused.
const ANSWER_BYTES: std::ops::Range<usize> = 24 << 20..48 << 20;

/// How many are answered without an error, and how many with this one.
fn count(codes: impl Iterator<Item = i16>, refused: ErrorCode) -> (usize, usize) {
    let codes: Vec<ErrorCode> = codes.map(ErrorCode::from_i16).collect();
    let refused = codes.iter().filter(|code| **code == refused).count();
    (codes.len() - refused, refused)
}

fn names(count: usize) -> Vec<Utf8Bytes> {
    vec![Utf8Bytes::from("g"); count]
}

/// This broker, however it is named.
fn this_broker(count: usize) -> Vec<DescribeConfigsResource> {
    let named = |zeros: usize| DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: format!("{}1", "0".repeat(zeros % 100)).into(),
        ..Default::default()
    };
    (0..count).map(named).collect()
}

/// As Kafka does.
#[tokio::test]
async fn what_is_named_again_and_again_is_answered_each_time() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let again = ErrorCode::CoordinatorLoadInProgress;

    let request = DescribeGroupsRequest {
        groups: names(TIMES),
        ..Default::default()
    };
    let groups = broker.call(6, request).await.groups;
    assert_eq!(count(groups.iter().map(|one| one.error_code), again), (TIMES, 0));

    let request = ConsumerGroupDescribeRequest {
        group_ids: names(TIMES),
        ..Default::default()
    };
    let groups = broker.call(1, request).await.groups;
    assert_eq!(count(groups.iter().map(|one| one.error_code), again), (TIMES, 0));

    let request = DescribeTransactionsRequest {
        transactional_ids: names(TIMES),
        ..Default::default()
    };
    let states = broker.call(0, request).await.transaction_states;
    assert_eq!(states.len(), TIMES);

    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0; TIMES],
            ..Default::default()
        }],
        ..Default::default()
    };
    let partitions = broker.call(0, request).await.topics.remove(0).partitions;
    assert!(partitions.iter().all(|one| one.error_code == 0));
    assert_eq!(partitions.len(), TIMES);

    let group = |topics: Option<Vec<OffsetFetchRequestTopics>>| OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics,
        ..Default::default()
    };
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0; TIMES],
        ..Default::default()
    };
    for topics in [None, Some(vec![topic])] {
        let request = OffsetFetchRequest {
            groups: vec![group(topics.clone()); TIMES / 10],
            ..Default::default()
        };
        let groups = broker.call(9, request).await.groups;
        assert!(groups.iter().all(|one| one.error_code == 0));
        let partitions: usize = groups
            .iter()
            .flat_map(|group| &group.topics)
            .map(|topic| topic.partitions.len())
            .sum();
        let expected = topics.map_or(0, |_| TIMES * TIMES / 10);
        assert_eq!((groups.len(), partitions), (TIMES / 10, expected));
    }
}

/// A megabyte of request for gigabytes of answer.
#[tokio::test]
async fn an_answer_ends_where_its_room_does() {
    let broker = TestBroker::start().await;
    let request = DescribeConfigsRequest {
        resources: this_broker(3 * TIMES),
        include_synonyms: true,
        include_documentation: true,
        ..Default::default()
    };
    let response = broker.call(4, request).await;
    let (answered, refused) = count(
        response.results.iter().map(|one| one.error_code),
        ErrorCode::InvalidRequest,
    );
    assert_eq!(answered + refused, 3 * TIMES);
    assert!(refused > 0 && response.results[answered].configs.is_empty());
    let size = response.to_bytes(4).expect("it can be written").len();
    assert!(ANSWER_BYTES.contains(&size), "{answered}: {size}");

    // Keys that are not wanted are looked up all the same.
    let mut resources = this_broker(20 * TIMES);
    for resource in &mut resources {
        resource.configuration_keys = Some(vec!["x".into()]);
    }
    let request = DescribeConfigsRequest {
        resources,
        ..Default::default()
    };
    let results = broker.call(4, request).await.results;
    let codes = results.iter().map(|one| one.error_code);
    let (answered, refused) = count(codes, ErrorCode::InvalidRequest);
    assert!(
        answered < 10 * TIMES && answered + refused == 20 * TIMES,
        "{answered}"
    );
}

/// A metadata of 1000 bytes in each of them, and it is there but once.
#[tokio::test]
async fn offsets_that_are_asked_for_again_and_again_are_no_more_than_an_answer_holds() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let partition = OffsetCommitRequestPartition {
        committed_offset: 1,
        committed_metadata: Some("m".repeat(1_000).into()),
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    loop {
        let code = broker.call(8, request.clone()).await.topics[0].partitions[0].error_code;
        if ErrorCode::from_i16(code) != ErrorCode::CoordinatorLoadInProgress {
            assert_eq!(code, 0);
            break;
        }
        tokio::task::yield_now().await;
    }
    let fetch = |times: usize, groups: usize| {
        let topic = OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![0; times],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![group; groups],
            ..Default::default()
        };
        broker.call(9, request)
    };
    // By its metadata, and by what it holds in any case.
    for times in [40 * TIMES, TIMES * TIMES] {
        let response = fetch(times, 1).await;
        let code = ErrorCode::from_i16(response.groups[0].error_code);
        assert_eq!(code, ErrorCode::InvalidRequest, "it never has room");
        assert!(response.groups[0].topics.is_empty());
    }
    let response = fetch(20 * TIMES, 3).await;
    let codes = response.groups.iter().map(|one| one.error_code);
    assert_eq!(
        count(codes, ErrorCode::CoordinatorLoadInProgress),
        (1, 2),
        "they have for themselves"
    );
    let size = response.to_bytes(9).expect("it can be written").len();
    assert!(size < ANSWER_BYTES.end, "{size}");
}

/// With an order of n * n each of these takes a minute.
#[tokio::test]
async fn many_names_are_put_in_order_in_a_moment() {
    async fn ask<R: ApiRequest>(broker: &TestBroker, version: i16, request: R) -> R::Response {
        let began = Instant::now();
        let response = broker.call(version, request).await;
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        response
    }
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    let names: Vec<Utf8Bytes> = (0..20_000).map(|one| format!("name-{one}").into()).collect();
    let request = DescribeGroupsRequest {
        groups: names.clone(),
        ..Default::default()
    };
    let groups = ask(&broker, 6, request).await.groups;
    assert!(groups.iter().map(|one| &one.group_id).eq(&names));
    let request = DeleteGroupsRequest {
        groups_names: names.clone(),
        ..Default::default()
    };
    let results = ask(&broker, 2, request).await.results;
    assert!(results.iter().map(|one| &one.group_id).eq(&names));
    let request = DescribeTransactionsRequest {
        transactional_ids: names.clone(),
        ..Default::default()
    };
    let states = ask(&broker, 0, request).await.transaction_states;
    assert!(states.iter().map(|one| &one.transactional_id).eq(&names));
    let request = DeleteTopicsRequest {
        topic_names: names,
        timeout_ms: 1_000,
        ..Default::default()
    };
    assert_eq!(ask(&broker, 5, request).await.responses.len(), 20_000);
}

#[tokio::test]
async fn names_that_no_topic_can_have_are_answered_and_not_remembered() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let long: Utf8Bytes = "x".repeat(250).into();
    let mut request = fetch_request("t", 0, 0, 60_000);
    request.session_epoch = 0;
    let mut topic = request.topics[0].clone();
    topic.topic = long.clone();
    topic.partitions = vec![topic.partitions[0].clone(); TIMES];
    request.topics.push(topic);
    let began = Instant::now();
    let response = broker.call(12, request).await;
    assert!(began.elapsed() < Duration::from_secs(30), "it does not wait");
    assert_ne!(response.session_id, 0);
    let named: Vec<_> = response
        .responses
        .iter()
        .map(|one| one.partitions.len())
        .collect();
    assert_eq!(named, [1, TIMES]);
    let code = response.responses[1].partitions[0].error_code;
    assert_eq!(ErrorCode::from_i16(code), ErrorCode::UnknownTopicOrPartition);
    let mut next = fetch_request("t", 0, 0, 0);
    next.session_id = response.session_id;
    next.session_epoch = 1;
    next.topics.clear();
    let response = broker.call(12, next).await;
    assert_eq!((response.error_code, response.responses.len()), (0, 0));
}

#[tokio::test]
async fn expressions_are_resolved_beside_the_heartbeat_and_large_ones_refused() {
    let broker = TestBroker::start_with(&[("group.consumer.assignment.interval.ms", "0")]).await;
    broker.create_topic("events", 3, &[]).await;
    find_coordinator(&broker, "g").await;
    let request = |regex: &str| ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "m".into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_regex: Some(regex.into()),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let large = "(?:[!-~]{0,300}){0,200}";
    let answer = loop {
        let answer = broker.call(1, request(large)).await;
        if ErrorCode::from_i16(answer.error_code) != ErrorCode::CoordinatorLoadInProgress {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        ErrorCode::from_i16(answer.error_code),
        ErrorCode::InvalidRegularExpression
    );
    let pattern = ListTransactionsRequest {
        transactional_id_pattern: Some(large.into()),
        ..Default::default()
    };
    let code = broker.call(2, pattern).await.error_code;
    assert_eq!(ErrorCode::from_i16(code), ErrorCode::InvalidRegularExpression);

    let mut answer = broker.call(1, request("ev.*")).await;
    let owned = |assignment: &Option<Assignment>| {
        let topics = assignment.iter().flat_map(|one| &one.topic_partitions);
        topics.map(|topic| topic.partitions.len()).sum::<usize>()
    };
    while owned(&answer.assignment) == 0 {
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        let beat = ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            member_epoch: answer.member_epoch,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        answer = broker.call(1, beat).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(owned(&answer.assignment), 3);
}

#[tokio::test]
async fn refusals_are_not_dearer_than_what_is_refused() {
    const MANY: usize = 400 * TIMES;
    /// What an answer has room for, and those that are told that it has not.
    const TOLD: std::ops::Range<usize> = 150 * TIMES..250 * TIMES;
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    let request = DescribeTransactionsRequest {
        transactional_ids: names(MANY),
        ..Default::default()
    };
    let told = broker.call(0, request).await.transaction_states.len();
    assert!(TOLD.contains(&told), "{told}");
    let topic = TopicRequest {
        name: "t".into(),
        partition_indexes: vec![0; MANY],
        ..Default::default()
    };
    let request = DescribeProducersRequest {
        topics: vec![topic],
        ..Default::default()
    };
    let told = broker.call(0, request).await.topics[0].partitions.len();
    assert!(TOLD.contains(&told), "{told}");
}

/// Minutes of matching: nobody else waits for them, and they end with whoever has asked.
#[tokio::test]
async fn ids_are_held_against_a_pattern_for_no_longer_than_somebody_waits() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let broker = TestBroker::start().await;
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["x".into()],
        key_type: 1,
        ..Default::default()
    };
    broker.call(4, find).await;
    for number in 0..100u32 {
        // No matcher remembers one from the other.
        let letter =
            |place: u32| char::from(b"ab1-"[(place.wrapping_mul(2_654_435_761 + number) >> 13) as usize % 4]);
        let letters: String = (0..10_000).map(letter).collect();
        let id = Utf8Bytes::from(format!("{letters}{number}"));
        let request = || InitProducerIdRequest {
            transactional_id: Some(id.clone()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        while broker.call(4, request()).await.error_code != 0 {
            tokio::task::yield_now().await;
        }
    }
    let request = |pattern: &str| ListTransactionsRequest {
        transactional_id_pattern: Some(pattern.into()),
        ..Default::default()
    };
    let slow = "[!-~]*[ab][!-~]{1500}";
    let listing = Arc::clone(&broker.handle.core().listing);
    for _ in 0..3 {
        let early = tokio::time::timeout(Duration::from_millis(500), broker.call(2, request(slow)));
        let early = early
            .await
            .map(|answer| (answer.error_code, answer.transaction_states.len()));
        assert!(early.is_err(), "it takes long: {early:?}");
    }
    assert!(listing.available_permits() == 0, "its thread ends by itself");
    let other = tokio::time::timeout(PATIENCE, broker.call(2, request(".*[02468]"))).await;
    assert_eq!(other.expect("in time").transaction_states.len(), 50);

    let (stopping, rest) = broker.split();
    let asked = rest.try_call(2, request(slow));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stopping
            .run(std::future::ready(()))
            .await
            .expect("it ends cleanly");
    };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(asked, stop).0 }).await;
    assert!(both.expect("in time").is_none(), "it is not answered");
    let ended = tokio::time::timeout(PATIENCE, listing.acquire()).await;
    assert!(ended.expect("in time").is_ok());
}
