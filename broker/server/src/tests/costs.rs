//! What one request may cost: names that are repeated, too long, or many; expressions that are large.

use std::time::{Duration, Instant};

use forebay_protocol::messages::consumer_group_heartbeat_response::Assignment;
use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::describe_producers_request::TopicRequest;
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest, DescribeTransactionsRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListTransactionsRequest, OffsetFetchRequest,
};
use forebay_protocol::{ApiRequest, Utf8Bytes};

use super::groups::find_coordinator;
use super::*;

const BROKER: i8 = 4;
const TIMES: usize = 1_000;
/// The first time, and the repetitions that are answered.
const ANSWERED: usize = 1 + 16;

fn refused(codes: impl Iterator<Item = i16>) -> (usize, usize) {
    let codes: Vec<i16> = codes.collect();
    let refused = ErrorCode::InvalidRequest.to_i16();
    (codes.len(), codes.iter().filter(|code| **code != refused).count())
}

#[tokio::test]
async fn what_is_named_again_and_again_is_answered_a_few_times() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let names = || vec![Utf8Bytes::from("g"); TIMES];

    let request = DescribeGroupsRequest {
        groups: names(),
        ..Default::default()
    };
    let groups = broker.call(6, request).await.groups;
    assert_eq!(
        refused(groups.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );

    let request = ConsumerGroupDescribeRequest {
        group_ids: names(),
        ..Default::default()
    };
    let groups = broker.call(1, request).await.groups;
    assert_eq!(
        refused(groups.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );

    let request = DescribeTransactionsRequest {
        transactional_ids: names(),
        ..Default::default()
    };
    let states = broker.call(0, request).await.transaction_states;
    assert_eq!(
        refused(states.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );

    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0; TIMES],
            ..Default::default()
        }],
        ..Default::default()
    };
    let partitions = broker.call(0, request).await.topics.remove(0).partitions;
    assert_eq!(
        refused(partitions.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );

    // All of these are this broker.
    let resources = (0..TIMES).map(|zeros| DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: format!("{}1", "0".repeat(zeros)).into(),
        ..Default::default()
    });
    let request = DescribeConfigsRequest {
        resources: resources.collect(),
        ..Default::default()
    };
    let results = broker.call(4, request).await.results;
    assert_eq!(
        refused(results.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );
}

#[tokio::test]
async fn offsets_that_are_asked_for_again_and_again_are_answered_a_few_times() {
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    let group = |topics: Option<Vec<OffsetFetchRequestTopics>>| OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics,
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group(None); TIMES],
        ..Default::default()
    };
    let groups = broker.call(9, request).await.groups;
    assert_eq!(
        refused(groups.iter().map(|one| one.error_code)),
        (TIMES, ANSWERED)
    );
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0; TIMES / 2],
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group(Some(vec![topic])); 2],
        ..Default::default()
    };
    let groups = broker.call(9, request).await.groups;
    let partitions = groups
        .iter()
        .flat_map(|group| &group.topics)
        .flat_map(|topic| &topic.partitions);
    assert_eq!(refused(partitions.map(|one| one.error_code)), (TIMES, ANSWERED));
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
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    let names = || vec![Utf8Bytes::from("g"); 100 * TIMES];
    let refused = TIMES;
    let request = DescribeGroupsRequest {
        groups: names(),
        ..Default::default()
    };
    assert_eq!(broker.call(6, request).await.groups.len(), ANSWERED + refused);
    let request = DescribeTransactionsRequest {
        transactional_ids: names(),
        ..Default::default()
    };
    assert_eq!(
        broker.call(0, request).await.transaction_states.len(),
        ANSWERED + refused
    );
    let resource = DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: "1".into(),
        configuration_keys: Some(vec!["x".into()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource; 100 * TIMES],
        ..Default::default()
    };
    assert_eq!(broker.call(4, request).await.results.len(), ANSWERED + refused);
    let topic = TopicRequest {
        name: "t".into(),
        partition_indexes: vec![0; 100 * TIMES],
        ..Default::default()
    };
    let request = DescribeProducersRequest {
        topics: vec![topic],
        ..Default::default()
    };
    let described = broker.call(0, request).await.topics;
    assert_eq!(described[0].partitions.len(), ANSWERED + refused);
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0; 100 * TIMES],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group],
        ..Default::default()
    };
    let topics = broker.call(8, request).await.groups.remove(0).topics;
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    assert_eq!(partitions, ANSWERED + refused);
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
