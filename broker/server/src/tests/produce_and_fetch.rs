//! Records in and out: order, waiting, duplicates, restarts.

use std::time::{Duration, Instant};

use forebay_protocol::messages::InitProducerIdRequest;
use forebay_protocol::{ErrorCode, Records};

use super::*;

#[tokio::test]
async fn what_is_produced_is_fetched_and_survives() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 2, &[]).await;
    for (n, acks) in [1_i16, -1].into_iter().enumerate() {
        let answer = broker.produce("t", 1, acks, batch(&["a", "b"])).await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, 2 * i64::try_from(n).expect("small"))
        );
    }
    let silent = produce_request("t", 1, 0, Some(Records::Memory(batch(&["c"]).into_bytes())));
    assert_eq!(broker.try_call(9, silent).await, None);
    // acks=0 waits for nothing: the record may be seen a moment later, once it is synced.
    broker.call(12, fetch_request("t", 1, 4, 60_000)).await;
    let expected = ["a", "b", "a", "b", "c"];
    assert_eq!(broker.values("t", 1, 0).await, expected);
    assert_eq!(broker.values("t", 0, 0).await, [""; 0]);

    let broker = broker.restart().await;
    assert_eq!(broker.values("t", 1, 0).await, expected);
    broker.produce("t", 1, -1, batch(&["d"])).await;
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.values("t", 1, 5).await, ["d"]);
    // A batch is whole: a fetch from its middle gives all of it.
    assert_eq!(broker.values("t", 1, 1).await, ["a", "b", "a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_the_append() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let begin = Instant::now();
    let fetch = broker.call(12, fetch_request("t", 0, 0, 60_000));
    let produce = async {
        // The fetch runs first: it is polled until it waits before this begins.
        broker.produce("t", 0, 1, batch(&["x"])).await
    };
    let (fetched, produced) = tokio::join!(fetch, produce);
    assert_eq!(produced.error_code, 0);
    assert_eq!(values(&fetched.responses[0].partitions[0]), ["x"]);
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "it was woken, not timed out"
    );
    // Nothing new: the wait ends with its time, with zero bytes of records and not null.
    let empty = broker.call(12, fetch_request("t", 0, 1, 20)).await;
    assert_eq!(empty.responses[0].partitions[0].records, Some(Records::EMPTY));
}

#[tokio::test]
async fn a_repeated_batch_gets_its_first_offset() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let request = InitProducerIdRequest {
        transactional_id: None,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let id = broker.call(4, request.clone()).await.producer_id;
    assert_ne!(broker.call(4, request).await.producer_id, id);
    broker.produce("t", 0, -1, batch(&["other"])).await;
    let first = broker
        .produce("t", 0, -1, idempotent(id, 0, 0, &["a", "b"]))
        .await;
    let second = broker.produce("t", 0, -1, idempotent(id, 0, 2, &["c"])).await;
    assert_eq!((first.base_offset, second.base_offset), (1, 3));
    let broker = broker.crash_and_restart().await;
    let again = broker
        .produce("t", 0, -1, idempotent(id, 0, 0, &["a", "b"]))
        .await;
    assert_eq!((again.error_code, again.base_offset), (0, 1));
    let gap = broker.produce("t", 0, -1, idempotent(id, 0, 9, &["z"])).await;
    assert_eq!(
        ErrorCode::from_i16(gap.error_code),
        ErrorCode::OutOfOrderSequenceNumber
    );
    assert_eq!(broker.values("t", 0, 0).await, ["other", "a", "b", "c"]);
}

/// Kafka names the log's start where it has come as far as the log.
#[tokio::test]
async fn a_refusal_of_the_logs_names_its_start() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, idempotent(5, 1, 0, &["a"])).await;
    let mut corrupt = batch(&["x"]).into_bytes().to_vec();
    *corrupt.last_mut().expect("it has bytes") ^= 1;
    for (records, code, log_start_offset) in [
        (
            idempotent(5, 1, 7, &["b"]).into_bytes(),
            ErrorCode::OutOfOrderSequenceNumber,
            0,
        ),
        (
            idempotent(5, 0, 1, &["b"]).into_bytes(),
            ErrorCode::InvalidProducerEpoch,
            0,
        ),
        (corrupt.into(), ErrorCode::CorruptMessage, -1),
    ] {
        let request = produce_request("t", 0, -1, Some(Records::Memory(records)));
        let answer = broker.call(9, request).await.responses.remove(0);
        let answer = &answer.partition_responses[0];
        assert_eq!(ErrorCode::from_i16(answer.error_code), code);
        assert_eq!(answer.log_start_offset, log_start_offset, "{code:?}");
    }
}
