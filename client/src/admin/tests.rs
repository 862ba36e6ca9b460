//! Routing and trying again, against the model cluster; the calls themselves are checked against live brokers by the
//! example `roundtrip`.

use std::time::Duration;

use forebay_protocol::{ApiKey, Request, TopicPartition};
use forebay_records::Offset;
use tokio::time::Instant;

use super::*;
use crate::{
    config::IsolationLevel,
    model::{Fault, Model},
};

fn wanted(partitions: i32) -> BTreeMap<TopicPartition, OffsetSpec> {
    (0..partitions)
        .map(|number| (TopicPartition::new("t", number), OffsetSpec::Latest))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn leaders_are_asked_for_their_partitions_and_moves_are_followed() {
    let model = Model::new(3);
    model.create_topic("t", 6);
    for partition in 0..6 {
        model.append("t", partition, &["x"]);
    }
    let admin = model.admin(&[]);
    let listed = admin
        .list_offsets(&wanted(6), IsolationLevel::ReadUncommitted)
        .await
        .expect("listed");
    assert!(listed.values().all(|result| {
        result
            .as_ref()
            .is_ok_and(|listed| listed.offset == Some(Offset(1)))
    }));
    assert_eq!(model.count(ApiKey::ListOffsets), 3, "one request to each leader");
    model.move_leader("t", 0, 2);
    let listed = admin
        .list_offsets(&wanted(6), IsolationLevel::ReadUncommitted)
        .await
        .expect("listed");
    assert!(listed.values().all(Result::is_ok));
    assert_eq!(
        model.count(ApiKey::ListOffsets),
        7,
        "only what had moved was asked for again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_is_told_beside_what_succeeds() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let admin = model.admin(&[]);
    let started = Instant::now();
    let listed = admin
        .list_offsets(&wanted(2), IsolationLevel::ReadUncommitted)
        .await
        .expect("listed");
    assert!(listed[&TopicPartition::new("t", 0)].is_ok());
    let error = listed[&TopicPartition::new("t", 1)]
        .as_ref()
        .expect_err("there is no such partition");
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "what is not there is not looked for all the time"
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_holds_and_says_what_was_wrong_last() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.faults(|_, request| match request {
        Request::ListOffsets(_) => Fault::Refuse(ErrorCode::OffsetNotAvailable),
        _ => Fault::None,
    });
    let admin = model.admin(&[("default.api.timeout.ms", "5000")]);
    let started = Instant::now();
    let listed = admin
        .list_offsets(&wanted(1), IsolationLevel::ReadUncommitted)
        .await
        .expect("an outcome for each");
    let error = listed[&TopicPartition::new("t", 0)]
        .as_ref()
        .expect_err("refused");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(error.code(), Some(ErrorCode::OffsetNotAvailable));
    assert!(started.elapsed() <= Duration::from_secs(5));

    let before = model.count(ApiKey::ListOffsets);
    let admin_once = model.admin(&[("retries", "2")]);
    admin_once
        .list_offsets(&wanted(1), IsolationLevel::ReadUncommitted)
        .await
        .expect("an outcome for each");
    assert_eq!(
        model.count(ApiKey::ListOffsets),
        before + 3,
        "once, and twice again"
    );

    model.change(|state| state.brokers.values_mut().for_each(|up| *up = false));
    let error = admin
        .list_topics()
        .await
        .expect_err("nobody is there")
        .to_string();
    assert!(
        error.contains("cannot list topics within 5000 ms: no broker answered at broker1:9092"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn group_offsets_go_to_the_coordinator_wherever_it_is() {
    let model = Model::new(2);
    model.create_topic("t", 2);
    let admin = model.admin(&[]);
    let mut calls = 0;
    model.faults(move |_, request| {
        let coordinated = matches!(request, Request::OffsetFetch(_) | Request::OffsetCommit(_));
        calls += i32::from(coordinated);
        match calls % 3 {
            1 if coordinated => Fault::Refuse(ErrorCode::NotCoordinator),
            2 if coordinated => Fault::LoseRequest,
            _ => Fault::None,
        }
    });
    let partition = TopicPartition::new("t", 1);
    let offsets = BTreeMap::from([(partition.clone(), Offset(7).into())]);
    let altered = admin.alter_group_offsets("g", &offsets).await.expect("altered");
    assert!(altered[&partition].is_ok());
    let listed = admin
        .list_group_offsets("g", Some(&[partition.clone(), TopicPartition::new("t", 0)]))
        .await;
    assert_eq!(listed.expect("listed"), offsets);
    assert!(model.count(ApiKey::FindCoordinator) >= 3);
}

#[tokio::test(start_paused = true)]
async fn topics_are_described_by_older_brokers_too() {
    let model = Model::new(2);
    model.create_topic("t", 2);
    model
        .lock()
        .versions
        .insert(ApiKey::DescribeTopicPartitions, (0, -1));
    model.lock().versions.insert(ApiKey::DescribeCluster, (0, -1));
    let admin = model.admin(&[]);
    let described = admin.describe_topics(&["t", "missing"]).await.expect("described");
    let topic = described["t"].as_ref().expect("it exists");
    assert_eq!(
        (topic.partitions.len(), topic.partitions[1].leader),
        (2, Some(NodeId(2)))
    );
    let error = described["missing"]
        .as_ref()
        .expect_err("it does not")
        .to_string();
    assert!(error.contains("cannot describe topic missing"), "{error}");
    let cluster = admin.describe_cluster().await.expect("described");
    assert_eq!((cluster.nodes.len(), cluster.controller), (2, Some(NodeId(1))));
    assert_eq!(admin.list_topics().await.expect("listed").len(), 1);
}
