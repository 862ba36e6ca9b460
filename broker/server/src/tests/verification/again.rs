//! Coordinators that are asked more than once, because the transaction before is still being ended.

use forebay_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use forebay_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::*;

/// A client that leaves it to the broker to add the partition is told its next epoch before the ends of the last transaction are
/// written: one comes while the partition is to be added to the next.
#[tokio::test]
async fn partitions_are_added_again_while_the_last_transaction_ends() {
    let (broker, coordinator) = broker_with(&[("transaction.partition.verification.enable", "false")]).await;
    let first = send(&broker, 13, transactional(0, 0));
    coordinator.answer(ErrorCode::None);
    assert_eq!(code(&first.await), ErrorCode::None);
    coordinator.asked();
    let next: Vec<_> = (0..5)
        .map(|sequence| send(&broker, 13, transactional(1, sequence)))
        .collect();
    coordinator.answer(ErrorCode::ConcurrentTransactions);
    coordinator.wait_until_asked(2).await;
    end(&broker, raising(1)).await.expect("ended");
    coordinator.answer(ErrorCode::ConcurrentTransactions);
    coordinator.wait_until_asked(3).await;
    coordinator.answer(ErrorCode::None);
    for (number, answer) in (2..).zip(next) {
        let answer = answer.await;
        assert_eq!((code(&answer), answer.base_offset), (ErrorCode::None, number));
    }
    assert_eq!(coordinator.asked(), [(1, false); 3]);
}

/// The coordinator has added the partition to the next transaction, and the end of the last one arrives before the first batch comes to be
/// appended: it takes the answer away, and nobody but the broker can ask again.
#[tokio::test]
async fn an_answer_that_the_last_end_takes_away_is_asked_for_again() {
    let (broker, coordinator) = broker_with(&[]).await;
    let first = send(&broker, 13, transactional(0, 0));
    coordinator.answer(ErrorCode::None);
    assert_eq!(code(&first.await), ErrorCode::None);
    coordinator.asked();
    let next: Vec<_> = (0..3)
        .map(|sequence| send(&broker, 13, transactional(1, sequence)))
        .collect();
    coordinator.wait_until_asked(1).await;
    end(&broker, raising(1)).await.expect("ended");
    coordinator.answer(ErrorCode::None);
    coordinator.wait_until_asked(2).await;
    coordinator.answer(ErrorCode::None);
    for (number, answer) in (2..).zip(next) {
        let answer = answer.await;
        assert_eq!((code(&answer), answer.base_offset), (ErrorCode::None, number));
    }
    assert_eq!(coordinator.asked(), [(1, false); 2]);
}

/// The same of offsets of a group.
#[tokio::test]
async fn an_answer_about_offsets_that_the_last_end_takes_away_is_asked_for_again() {
    let (broker, coordinator) = broker_with(&[("offsets.topic.num.partitions", "1")]).await;
    groups::find_coordinator(&broker, "g").await;
    let commit = |producer_epoch| {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: 3,
            ..Default::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: "id".into(),
            group_id: "g".into(),
            producer_id: PRODUCER,
            producer_epoch,
            topics: vec![topic],
            ..Default::default()
        };
        broker.call(5, request)
    };
    let told =
        |response: &TxnOffsetCommitResponse| ErrorCode::from_i16(response.topics[0].partitions[0].error_code);
    coordinator.answer(ErrorCode::None);
    assert_eq!(told(&commit(0).await), ErrorCode::None);
    coordinator.asked();
    let meanwhile = async {
        coordinator.wait_until_asked(1).await;
        let offsets = vec![TopicPartition::new("__consumer_offsets", 0)];
        let ended = transaction_markers::write(broker.handle.core(), raising(1), offsets).await;
        assert_eq!(ended[0].1, Ok(()));
        coordinator.answer(ErrorCode::None);
        coordinator.wait_until_asked(2).await;
        coordinator.answer(ErrorCode::None);
    };
    let (answer, ()) = tokio::join!(commit(1), meanwhile);
    assert_eq!(told(&answer), ErrorCode::None);
    assert_eq!(coordinator.asked(), [(1, false); 2]);
}
