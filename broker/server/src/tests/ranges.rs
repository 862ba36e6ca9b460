//! Fetches at every offset and within every bound (faults B28).

use std::time::{Duration, Instant};

use forebay_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use forebay_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use forebay_protocol::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};
use forebay_records::Timestamp;

use super::*;

#[tokio::test]
async fn batches_are_whole_at_every_offset() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    for values in [&["0", "1", "2"][..], &["3"], &["4", "5"]] {
        broker.produce("t", 0, -1, batch(values)).await;
    }
    let starts = [0, 0, 0, 3, 4, 4];
    for (offset, start) in (0..).zip(starts) {
        let expected: Vec<String> = (start..6).map(|n: i32| n.to_string()).collect();
        assert_eq!(broker.values("t", 0, offset).await, expected, "offset {offset}");
        // One byte is enough for the first batch, and no more than that comes.
        let mut request = fetch_request("t", 0, offset, 0);
        request.max_bytes = 1;
        request.topics[0].partitions[0].partition_max_bytes = 1;
        let answer = broker
            .call(12, request)
            .await
            .responses
            .remove(0)
            .partitions
            .remove(0);
        assert_eq!(values(&answer).first(), expected.first());
        assert_eq!(batches(bytes_of(&answer)).count(), 1);
    }
    assert_eq!(broker.fetch("t", 0, 6).await.records, Some(Records::EMPTY));
    for offset in [7, -1, i64::MAX] {
        let code = ErrorCode::from_i16(broker.fetch("t", 0, offset).await.error_code);
        assert_eq!(code, ErrorCode::OffsetOutOfRange, "offset {offset}");
    }
    assert_eq!(
        ErrorCode::from_i16(broker.fetch("t", 1, 0).await.error_code),
        ErrorCode::UnknownTopicOrPartition
    );
}

#[tokio::test]
async fn a_bound_over_partitions_lets_the_first_through() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 3, &[]).await;
    for partition in 0..3 {
        broker.produce("t", partition, -1, batch(&["x"])).await;
    }
    let mut request = fetch_request("t", 0, 0, 0);
    for partition in 1..3 {
        let more = FetchPartition {
            partition,
            ..request.topics[0].partitions[0].clone()
        };
        request.topics[0].partitions.push(more);
    }
    request.max_bytes = 1;
    let answers = broker.call(12, request).await.responses.remove(0).partitions;
    let sizes: Vec<bool> = answers
        .iter()
        .map(|answer| answer.records.as_ref().is_some_and(|one| !one.is_empty()))
        .collect();
    assert_eq!(sizes, [true, false, false]);
}

#[tokio::test]
async fn a_fetch_of_many_partitions_is_woken_by_one() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1000, &[]).await;
    let mut request = fetch_request("t", 0, 0, 60_000);
    for partition in 1..1000 {
        let more = FetchPartition {
            partition,
            ..request.topics[0].partitions[0].clone()
        };
        request.topics[0].partitions.push(more);
    }
    let begin = Instant::now();
    let (answer, _) = tokio::join!(
        broker.call(12, request),
        broker.produce("t", 777, 1, batch(&["x"]))
    );
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "it was woken, not timed out"
    );
    assert_eq!(values(&answer.responses[0].partitions[777]), ["x"]);
}

#[tokio::test]
async fn a_wait_for_more_than_comes_ends_with_its_time() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, batch(&["x"])).await;
    let mut request = fetch_request("t", 0, 0, 50);
    request.min_bytes = i32::MAX;
    let answer = broker.call(12, request).await;
    assert_eq!(
        values(&answer.responses[0].partitions[0]),
        ["x"],
        "what there is comes nevertheless"
    );
}

async fn list(broker: &TestBroker, version: i16, timestamp: i64) -> (ErrorCode, i64, i64) {
    let partition = ListOffsetsPartition {
        partition_index: 0,
        current_leader_epoch: -1,
        timestamp,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = broker
        .call(version, request)
        .await
        .topics
        .remove(0)
        .partitions
        .remove(0);
    (
        ErrorCode::from_i16(answer.error_code),
        answer.offset,
        answer.timestamp,
    )
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let broker = TestBroker::start().await;
    broker
        .create_topic(
            "t",
            1,
            &[("message.timestamp.after.max.ms", "9223372036854775807")],
        )
        .await;
    assert_eq!(list(&broker, 9, -1).await, (ErrorCode::None, 0, -1));
    assert_eq!(
        list(&broker, 9, -3).await,
        (ErrorCode::None, -1, -1),
        "an empty log has no greatest timestamp"
    );
    for timestamp in [1000, 3000, 2000] {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder
            .append(Timestamp(timestamp), None, Some(b"x"), &Headers::EMPTY)
            .expect("fits");
        broker.produce("t", 0, -1, builder.build().expect("builds")).await;
    }
    let unsupported = (ErrorCode::UnsupportedVersion, -1, -1);
    for (version, timestamp, expected) in [
        (9, -2, (ErrorCode::None, 0, -1)),
        (9, -1, (ErrorCode::None, 3, -1)),
        (9, -3, (ErrorCode::None, 1, 3000)),
        (9, -4, (ErrorCode::None, 0, -1)),
        (9, -5, (ErrorCode::None, -1, -1)),
        (9, 0, (ErrorCode::None, 0, 1000)),
        (9, 1000, (ErrorCode::None, 0, 1000)),
        (9, 1001, (ErrorCode::None, 1, 3000)),
        (9, 3001, (ErrorCode::None, -1, -1)),
        (6, -3, unsupported),
        (7, -4, unsupported),
        (8, -5, unsupported),
        (11, -7, unsupported),
    ] {
        assert_eq!(
            list(&broker, version, timestamp).await,
            expected,
            "{timestamp} at version {version}"
        );
    }
}

/// Spark takes a LATEST below one that it has seen for lost data (KIP-207).
#[tokio::test]
async fn latest_never_goes_back() {
    for (flush_messages, acks) in [("1", -1), ("1", 1), ("9223372036854775807", 1)] {
        let mut broker = TestBroker::start_with(&[("log.flush.interval.messages", flush_messages)]).await;
        broker.create_topic("t", 1, &[]).await;
        let mut latest = 0;
        for round in 0..8 {
            broker.produce("t", 0, acks, batch(&["x"])).await;
            let (code, offset, _) = list(&broker, 9, -1).await;
            assert_eq!(code, ErrorCode::None);
            assert!(offset >= latest, "{offset} after {latest}");
            latest = offset;
            broker = match round % 3 {
                0 => broker.crash_and_restart().await,
                1 => broker.restart().await,
                _ => broker,
            };
            let (code, offset, _) = list(&broker, 9, -1).await;
            assert_eq!(code, ErrorCode::None);
            assert!(
                offset >= latest,
                "{offset} after {latest}, {flush_messages}, round {round}"
            );
            latest = offset;
        }
        assert_eq!(latest, 8);
    }
}

async fn end_of_epoch(broker: &TestBroker, current: i32, asked: i32) -> (ErrorCode, i32, i64) {
    let partition = OffsetForLeaderPartition {
        current_leader_epoch: current,
        leader_epoch: asked,
        ..Default::default()
    };
    let topic = OffsetForLeaderTopic {
        topic: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = broker
        .call(4, request)
        .await
        .topics
        .remove(0)
        .partitions
        .remove(0);
    (
        ErrorCode::from_i16(answer.error_code),
        answer.leader_epoch,
        answer.end_offset,
    )
}

#[tokio::test]
async fn leader_epochs_end_where_the_log_does() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, batch(&["a", "b"])).await;
    assert_eq!(end_of_epoch(&broker, -1, 0).await, (ErrorCode::None, 0, 2));
    assert_eq!(end_of_epoch(&broker, 0, 0).await, (ErrorCode::None, 0, 2));
    assert_eq!(end_of_epoch(&broker, -1, 1).await, (ErrorCode::None, -1, -1));
    assert_eq!(
        end_of_epoch(&broker, 1, 0).await,
        (ErrorCode::UnknownLeaderEpoch, -1, -1)
    );

    // A restart is a new epoch; who has heard of it can ask for it before it has records.
    let broker = broker.restart().await;
    let topic = forebay_protocol::messages::metadata_request::MetadataRequestTopic {
        name: Some("t".into()),
        ..Default::default()
    };
    let request = forebay_protocol::messages::MetadataRequest {
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let epoch = broker.call(12, request).await.topics[0].partitions[0].leader_epoch;
    assert!(epoch > 0);
    assert_eq!(
        end_of_epoch(&broker, epoch, epoch).await,
        (ErrorCode::None, epoch, 2)
    );
    assert_eq!(end_of_epoch(&broker, epoch, 0).await, (ErrorCode::None, 0, 2));
    assert_eq!(
        end_of_epoch(&broker, 0, 0).await,
        (ErrorCode::FencedLeaderEpoch, -1, -1)
    );
}
