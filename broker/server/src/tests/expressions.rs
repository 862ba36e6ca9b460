//! Regular expressions of strangers: whose they are does not matter to anybody else.

use std::time::{Duration, Instant};

use forebay_protocol::messages::create_topics_request::CreatableTopic;
use forebay_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, CreateTopicsRequest,
};

use super::groups::find_coordinator;
use super::*;

const GROUPS: u32 = 200;
/// If they all had their two seconds first, it would be more than six minutes.
const PATIENCE: Duration = Duration::from_secs(120);

fn heartbeat(group: &str, epoch: i32, regex: Option<&str>) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.into(),
        member_id: "m".into(),
        member_epoch: epoch,
        rebalance_timeout_ms: if epoch == 0 { 60_000 } else { -1 },
        subscribed_topic_regex: regex.map(Into::into),
        topic_partitions: regex.map(|_| Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    }
}

async fn beat(broker: &TestBroker, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
    loop {
        let answer = broker.call(1, request.clone()).await;
        match ErrorCode::from_i16(answer.error_code) {
            ErrorCode::None => return answer,
            ErrorCode::CoordinatorLoadInProgress => tokio::task::yield_now().await,
            other => panic!("{other:?} {:?}", answer.error_message),
        }
    }
}

/// Names of most letters there may be, of which no matcher remembers one from the other.
async fn create_topics_with_long_names(broker: &TestBroker) {
    let letter = |place: u32| {
        let mixed = (place ^ (place >> 7)).wrapping_mul(0x85eb_ca6b);
        let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
        char::from(b"ab1-"[(mixed >> 16) as usize % 4])
    };
    let topic = |number: u32| CreatableTopic {
        name: (0..240)
            .map(|place| letter(number * 240 + place))
            .collect::<String>()
            .into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: (0..100).map(topic).collect(),
        timeout_ms: 60_000,
        ..Default::default()
    };
    let answers = broker.call(7, request).await.topics;
    assert!(answers.iter().all(|one| one.error_code == 0), "{:?}", answers[0]);
}

/// In each letter of a name it is in another thousand places.
fn hard(number: u32) -> String {
    let places = (0..8).map(|one| {
        let letters = ["ab", "a1", "b1", "a-"][one % 4];
        format!("[{letters}][!-~]{{{}}}", 190 + 5 * one)
    });
    let places: Vec<String> = places.collect();
    format!("(?:hard-{number})?[!-~]*(?:{})", places.join("|"))
}

#[tokio::test]
async fn who_subscribes_to_what_is_easy_is_not_behind_all_that_is_hard() {
    let broker = TestBroker::start_with(&[("group.consumer.assignment.interval.ms", "0")]).await;
    broker.create_topic("events", 3, &[]).await;
    create_topics_with_long_names(&broker).await;
    find_coordinator(&broker, "g").await;
    for number in 0..GROUPS {
        beat(
            &broker,
            heartbeat(&format!("hard-{number}"), 0, Some(&hard(number))),
        )
        .await;
    }
    let began = Instant::now();
    let mut answer = beat(&broker, heartbeat("easy", 0, Some("ev.*"))).await;
    let owned = |answer: &ConsumerGroupHeartbeatResponse| {
        let topics = answer.assignment.iter().flat_map(|one| &one.topic_partitions);
        topics.map(|topic| topic.partitions.len()).sum::<usize>()
    };
    while owned(&answer) == 0 {
        assert!(began.elapsed() < PATIENCE, "it waits for others");
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = beat(&broker, heartbeat("easy", answer.member_epoch, None)).await;
    }
    assert_eq!(owned(&answer), 3);
    // Nor does the end of the broker wait for them.
    let ended = tokio::time::timeout(PATIENCE, broker.stop()).await;
    assert!(ended.is_ok());
}

/// What a coordinator may write is what its partition takes, also when that changes.
#[tokio::test]
async fn a_subscription_that_is_too_large_fits_once_its_topic_takes_more() {
    use forebay_protocol::messages::IncrementalAlterConfigsRequest;
    use forebay_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    const TOPIC: i8 = 2;
    let broker = TestBroker::start().await;
    find_coordinator(&broker, "g").await;
    beat(&broker, heartbeat("small", 0, Some("ev.*"))).await;
    let names = |number: u32| format!("{number:0>200}").into();
    let large = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some((0..6_000).map(names).collect()),
        ..heartbeat("g", 0, Some(""))
    };
    let code = loop {
        let code = ErrorCode::from_i16(broker.call(1, large.clone()).await.error_code);
        if code != ErrorCode::CoordinatorLoadInProgress {
            break code;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(code, ErrorCode::UnknownServerError, "1 MiB is all that it takes");
    let config = AlterableConfig {
        name: "max.message.bytes".into(),
        value: Some("10000000".into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "__consumer_offsets".into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    assert_eq!(broker.call(1, request).await.responses[0].error_code, 0);
    beat(&broker, large).await;
}
