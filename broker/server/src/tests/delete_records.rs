//! DeleteRecords: what it refuses, what it answers, and that what it has deleted stays deleted.

use forebay_protocol::messages::DeleteRecordsRequest;
use forebay_protocol::messages::ListOffsetsRequest;
use forebay_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use forebay_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use super::groups::find_coordinator;
use super::*;

/// Error and low watermark of each partition, in the order of the answer.
pub(super) async fn delete(
    broker: &TestBroker,
    topic: &str,
    partitions: &[(i32, i64)],
) -> Vec<(ErrorCode, i64)> {
    let partitions = partitions
        .iter()
        .map(|(partition_index, offset)| DeleteRecordsPartition {
            partition_index: *partition_index,
            offset: *offset,
            ..DeleteRecordsPartition::default()
        });
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: partitions.collect(),
            ..DeleteRecordsTopic::default()
        }],
        timeout_ms: 1000,
        ..DeleteRecordsRequest::default()
    };
    let answer = broker.call(2, request).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| (ErrorCode::from_i16(partition.error_code), partition.low_watermark))
        .collect()
}

async fn earliest(broker: &TestBroker, topic: &str) -> i64 {
    let partition = ListOffsetsPartition {
        timestamp: -2,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..ListOffsetsTopic::default()
        }],
        ..ListOffsetsRequest::default()
    };
    broker.call(7, request).await.topics[0].partitions[0].offset
}

#[tokio::test]
async fn deleted_records_stay_deleted() {
    let broker = TestBroker::start().await;
    broker
        .create_topic("t", 2, &[("file.delete.delay.ms", "0")])
        .await;
    assert_eq!(
        broker
            .produce("t", 0, 1, batch(&["a", "b", "c", "d"]))
            .await
            .error_code,
        0
    );
    let cases = [
        (4, ErrorCode::None, 4),
        (5, ErrorCode::OffsetOutOfRange, -1),
        (-2, ErrorCode::OffsetOutOfRange, -1),
        // Back does not go, and is no error.
        (1, ErrorCode::None, 4),
        (-1, ErrorCode::None, 4),
    ];
    assert_eq!(delete(&broker, "t", &[(0, 2)]).await, [(ErrorCode::None, 2)]);
    assert_eq!(
        broker.fetch("t", 0, 1).await.error_code,
        ErrorCode::OffsetOutOfRange as i16
    );
    assert_eq!(broker.fetch("t", 0, 2).await.log_start_offset, 2);
    // Right after the answer, without a checkpoint that comes by itself.
    let broker = broker.crash_and_restart().await;
    assert_eq!(earliest(&broker, "t").await, 2);
    for (offset, error, low_watermark) in cases {
        assert_eq!(
            delete(&broker, "t", &[(0, offset)]).await,
            [(error, low_watermark)],
            "{offset}"
        );
    }
    assert_eq!(
        delete(&broker, "t", &[(1, 0), (2, 0), (0, 9), (0, -1)]).await,
        [
            (ErrorCode::None, 4),
            (ErrorCode::None, 0),
            (ErrorCode::UnknownTopicOrPartition, -1)
        ],
        "of a partition that is named twice the last counts"
    );
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.produce("t", 0, 1, batch(&["e"])).await.base_offset, 4);
    assert_eq!(broker.values("t", 0, 4).await, ["e"]);
}

/// Segments that nobody can read any more go with the answer, not with the next round of retention.
#[tokio::test]
async fn segments_go_at_once() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[("segment.bytes", "1048576")]).await;
    let large = "x".repeat(700_000);
    for _ in 0..3 {
        assert_eq!(broker.produce("t", 0, 1, batch(&[&large])).await.error_code, 0);
    }
    assert_eq!(delete(&broker, "t", &[(0, 2)]).await, [(ErrorCode::None, 2)]);
    let replica = broker.handle.replica("t", 0).expect("there");
    assert_eq!(replica.log().expect("it can be used").segment_count(), 1);
}

/// What is too old goes when it is time for that: a client does not say when.
#[tokio::test]
async fn nothing_else_goes_with_them() {
    let broker = TestBroker::start().await;
    let configs = [("segment.bytes", "1048576"), ("retention.ms", "1")];
    broker.create_topic("t", 1, &configs).await;
    let large = "x".repeat(700_000);
    for _ in 0..4 {
        assert_eq!(broker.produce("t", 0, 1, batch(&[&large])).await.error_code, 0);
    }
    let log = Arc::clone(
        broker
            .handle
            .replica("t", 0)
            .expect("there")
            .log()
            .expect("usable"),
    );
    let newest = log
        .max_timestamp()
        .expect("readable")
        .expect("there is one")
        .timestamp;
    while crate::clock::now() - newest <= 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(delete(&broker, "t", &[(0, 2)]).await, [(ErrorCode::None, 2)]);
    assert_eq!((log.segment_count(), log.log_start_offset().0), (2, 2));
}

#[tokio::test]
async fn not_every_topic_lets_its_records_be_deleted() {
    let broker = TestBroker::start_with(&[("offsets.topic.num.partitions", "1")]).await;
    broker
        .create_topic("compacted", 1, &[("cleanup.policy", "compact")])
        .await;
    broker
        .create_topic("both", 1, &[("cleanup.policy", "compact,delete")])
        .await;
    for topic in ["compacted", "both"] {
        assert_eq!(broker.produce(topic, 0, 1, batch(&["a"])).await.error_code, 0);
    }
    find_coordinator(&broker, "g").await;
    for (topic, expected) in [
        ("compacted", (ErrorCode::PolicyViolation, -1)),
        ("both", (ErrorCode::None, 1)),
        ("__consumer_offsets", (ErrorCode::InvalidTopicException, -1)),
        ("nowhere", (ErrorCode::UnknownTopicOrPartition, -1)),
    ] {
        assert_eq!(delete(&broker, topic, &[(0, -1)]).await, [expected], "{topic}");
    }
}

/// A fetch that waits below the new start hears of it.
#[tokio::test]
async fn a_fetch_that_waits_is_answered() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.produce("t", 0, 1, batch(&["a", "b"])).await.error_code, 0);
    let request = FetchRequest {
        min_bytes: 1 << 20,
        ..fetch_request("t", 0, 0, 600_000)
    };
    let waiting =
        broker
            .handle
            .router()
            .call(CallContext::in_process("test", "PLAINTEXT"), 12, request.into());
    let deleting = async {
        // The fetch is polled first; it waits before this goes on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(delete(&broker, "t", &[(0, 1)]).await, [(ErrorCode::None, 1)]);
    };
    let (answer, ()) = tokio::join!(waiting, deleting);
    let forebay_protocol::Response::Fetch(answer) = answer.expect("answered") else {
        panic!("another answer")
    };
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(
        ErrorCode::from_i16(partition.error_code),
        ErrorCode::OffsetOutOfRange
    );
}
