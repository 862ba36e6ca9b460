//! What each kind of client sees of its transactions.

use std::time::Duration;

use forebay_protocol::messages::delete_topics_request::DeleteTopicState;
use forebay_protocol::messages::{DeleteTopicsRequest, InitProducerIdRequest, ListTransactionsRequest};

use super::clients::{KINDS, OLD, Producer, VERSION_2};
use super::*;
use crate::transactions::sabotage::{HELD, HELD_ID};

async fn broker_with_topic() -> TestBroker {
    let broker = TestBroker::start().await;
    broker.create_topic(TOPIC, 3, &[]).await;
    find_coordinator(&broker).await;
    groups::find_coordinator(&broker, "g").await;
    broker
}

#[tokio::test]
async fn transactions_are_seen_when_they_are_committed_and_never_when_aborted() {
    for (kind, level) in KINDS
        .into_iter()
        .flat_map(|kind| LEVELS.map(|level| (kind, level)))
    {
        let mut broker = broker_with_topic().await;
        finalize(&broker, level).await;
        let mut producer = Producer::begin(&broker, kind, "tx").await;
        let mut expected = Vec::new();
        for round in 0..6_i64 {
            let value = format!("{round}");
            let committed = round % 2 == 0;
            for partition in 0..2 {
                assert_eq!(
                    producer.send(&broker, partition, &[&value]).await,
                    ErrorCode::None,
                    "{kind:?}"
                );
            }
            assert_eq!(
                producer.send_offset(&broker, round).await,
                ErrorCode::None,
                "{kind:?}"
            );
            for partition in 0..2 {
                let seen = read_committed(&broker, partition).await;
                assert_eq!(seen.values, expected, "open: {kind:?}");
                assert!(seen.last_stable_offset < seen.high_watermark);
            }
            // A coordinator that begins anew knows the transaction.
            broker = match round {
                2 => broker.crash_and_restart().await,
                3 => broker.restart().await,
                _ => broker,
            };
            while state_of(&broker, "tx").await == "COORDINATOR_LOAD_IN_PROGRESS" {
                tokio::task::yield_now().await;
            }
            assert_eq!(state_of(&broker, "tx").await, "Ongoing");
            assert_eq!(
                producer.end(&broker, committed).await,
                ErrorCode::None,
                "{kind:?}"
            );
            let done = if committed {
                "CompleteCommit"
            } else {
                "CompleteAbort"
            };
            wait_for_state(&broker, "tx", done).await;
            if committed {
                expected.push(value);
            }
            for partition in 0..2 {
                let seen = read_committed(&broker, partition).await;
                assert_eq!(seen.values, expected, "{kind:?}");
                assert_eq!(seen.last_stable_offset, seen.high_watermark);
            }
            let offset = if committed { round } else { round - 1 };
            assert_eq!(committed_offset(&broker).await, Some(offset), "{kind:?}");
        }
        assert_eq!(ends(&broker, 0).await, [true, false, true, false, true, false]);
        assert!(ends(&broker, 2).await.is_empty(), "it took no part");
    }
}

/// Old clients and new ones beside each other, each with its own transactions.
#[tokio::test]
async fn clients_of_every_kind_work_side_by_side() {
    let broker = broker_with_topic().await;
    let mut producers = Vec::new();
    for (kind, id) in KINDS.into_iter().zip(["x", "y", "z"]) {
        producers.push(Producer::begin(&broker, kind, id).await);
    }
    for round in ["1", "2"] {
        for producer in &mut producers {
            let value = format!("{} {round}", producer.kind.name);
            assert_eq!(producer.send(&broker, 0, &[&value]).await, ErrorCode::None);
        }
        for producer in &mut producers {
            assert_eq!(producer.end(&broker, producer.kind != OLD).await, ErrorCode::None);
        }
    }
    for (id, state) in [
        ("x", "CompleteAbort"),
        ("y", "CompleteCommit"),
        ("z", "CompleteCommit"),
    ] {
        wait_for_state(&broker, id, state).await;
    }
    let seen = read_committed(&broker, 0).await;
    assert_eq!(
        seen.values,
        ["version 1 1", "version 2 1", "version 1 2", "version 2 2"]
    );
    let listed = broker.call(2, ListTransactionsRequest::default()).await;
    let mut ids: Vec<&str> = listed
        .transaction_states
        .iter()
        .map(|one| &*one.transactional_id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["x", "y", "z"]);
}

/// A coordinator that begins again from its log has the epoch that it had: what the run before it has begun must be over first, or its
/// markers might end the next transaction.
#[tokio::test]
async fn who_begins_again_lets_the_markers_under_way_arrive() {
    let broker = broker_with_topic().await;
    let mut producer = Producer::begin(&broker, OLD, HELD_ID).await;
    assert_eq!(producer.send(&broker, 0, &["x"]).await, ErrorCode::None);
    assert_eq!(producer.end(&broker, true).await, ErrorCode::None);
    let transactions = &broker.handle.core().transactions;
    let partition = transactions.partition_of(HELD_ID).expect("there");
    let shard = transactions.shard(partition).expect("here");
    let mut again = Box::pin(shard.begin_again());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut again).await;
    assert!(early.is_err(), "a marker is under way");
    assert_eq!(state_of(&broker, HELD_ID).await, "COORDINATOR_LOAD_IN_PROGRESS");
    HELD.add_permits(1);
    again.await;
    assert_eq!(
        state_of(&broker, HELD_ID).await,
        "PrepareCommit",
        "nobody has told it"
    );
    assert_eq!(ends(&broker, 0).await, [true]);
    HELD.add_permits(1);
    wait_for_state(&broker, HELD_ID, "CompleteCommit").await;
    assert_eq!(read_committed(&broker, 0).await.values, ["x"]);
}

/// A partition that is gone has nothing to be told.
#[tokio::test]
async fn a_transaction_outlives_its_topic() {
    for kind in KINDS {
        let broker = broker_with_topic().await;
        let mut producer = Producer::begin(&broker, kind, "tx").await;
        assert_eq!(producer.send(&broker, 0, &["x"]).await, ErrorCode::None);
        let topic = DeleteTopicState {
            name: Some(TOPIC.into()),
            ..Default::default()
        };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..Default::default()
        };
        assert_eq!(broker.call(6, request).await.responses[0].error_code, 0);
        assert_eq!(producer.end(&broker, true).await, ErrorCode::None);
        wait_for_state(&broker, "tx", "CompleteCommit").await;
    }
}

#[tokio::test]
async fn without_a_coordinator_clients_are_sent_to_find_one() {
    let broker = TestBroker::start().await;
    let request = InitProducerIdRequest {
        transactional_id: Some("tx".into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let response = broker.call(4, request).await;
    assert_eq!(
        ErrorCode::from_i16(response.error_code),
        ErrorCode::CoordinatorNotAvailable
    );
    assert_eq!(state_of(&broker, "tx").await, "COORDINATOR_NOT_AVAILABLE");
    let listed = broker.call(2, ListTransactionsRequest::default()).await;
    assert!(listed.error_code == 0 && listed.transaction_states.is_empty());
    find_coordinator(&broker).await;
    let producer = Producer::begin(&broker, VERSION_2, "tx").await;
    assert_eq!(producer.epoch, 0);
}
