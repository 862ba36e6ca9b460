//! Transactions from end to end, as a client of old runs them (AddPartitionsToTxn by itself): records and offsets of groups together,
//! zombies, late batches, crashes in the middle.

use forebay_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use forebay_protocol::messages::describe_producers_request::TopicRequest;
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use forebay_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeProducersRequest, EndTxnRequest,
    FindCoordinatorRequest, InitProducerIdRequest, OffsetFetchRequest, TxnOffsetCommitRequest,
};

use super::*;

const ID: &str = "transactional";
const GROUP: &str = "g";
const READ_COMMITTED: i8 = 1;

/// A transactional producer as a client keeps it.
#[derive(Debug, Clone, Copy)]
struct Producer {
    id: i64,
    epoch: i16,
    sequence: i32,
}

/// Asks again while `answer` says that the coordinator loads, is busy with the last transaction or has just begun.
macro_rules! patiently {
    ($ask:expr, $code:expr) => {
        loop {
            let answer = $ask;
            match ErrorCode::from_i16($code(&answer)) {
                ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
                | ErrorCode::NotEnoughReplicas
                | ErrorCode::ConcurrentTransactions => tokio::task::yield_now().await,
                code => break (answer, code),
            }
        }
    };
}

impl Producer {
    async fn init(broker: &TestBroker) -> Self {
        for (key, key_type) in [(ID, 1), (GROUP, 0)] {
            let request = FindCoordinatorRequest {
                key: key.into(),
                key_type,
                ..Default::default()
            };
            let (_, code) = patiently!(
                broker.call(3, request.clone()).await,
                |answer: &forebay_protocol::messages::FindCoordinatorResponse| answer.error_code
            );
            assert_eq!(code, ErrorCode::None);
        }
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let (answer, code) = patiently!(
            broker.call(4, request.clone()).await,
            |answer: &forebay_protocol::messages::InitProducerIdResponse| answer.error_code
        );
        assert_eq!(code, ErrorCode::None);
        Self {
            id: answer.producer_id,
            epoch: answer.producer_epoch,
            sequence: 0,
        }
    }

    async fn add_partition(&self, broker: &TestBroker) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: "t".into(),
                partitions: vec![0],
                ..Default::default()
            }],
            ..Default::default()
        };
        patiently!(
            broker.call(0, request.clone()).await,
            |answer: &forebay_protocol::messages::AddPartitionsToTxnResponse| answer
                .results_by_topic_v3_and_below[0]
                .results_by_partition[0]
                .partition_error_code
        )
        .1
    }

    async fn send(&mut self, broker: &TestBroker, value: &str) -> ErrorCode {
        let producer = ProducerIdentity {
            id: self.id.into(),
            epoch: self.epoch.into(),
            base_sequence: self.sequence.into(),
        };
        let options = BatchOptions {
            producer,
            transactional: true,
            ..BatchOptions::default()
        };
        let records = Records::Memory(batch_of(options, &[value]).into_bytes());
        let request = ProduceRequest {
            transactional_id: Some(ID.into()),
            ..produce_request("t", 0, -1, Some(records))
        };
        let (_, code) = patiently!(
            broker.call(9, request.clone()).await,
            |answer: &forebay_protocol::messages::ProduceResponse| answer.responses[0].partition_responses[0]
                .error_code
        );
        self.sequence += i32::from(code == ErrorCode::None);
        code
    }

    async fn add_offsets(&self, broker: &TestBroker) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: GROUP.into(),
            ..Default::default()
        };
        patiently!(
            broker.call(0, request.clone()).await,
            |answer: &forebay_protocol::messages::AddOffsetsToTxnResponse| answer.error_code
        )
        .1
    }

    async fn commit_offset(&self, broker: &TestBroker, offset: i64) -> ErrorCode {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.into(),
            group_id: GROUP.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "t".into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        patiently!(
            broker.call(3, request.clone()).await,
            |answer: &forebay_protocol::messages::TxnOffsetCommitResponse| answer.topics[0].partitions[0]
                .error_code
        )
        .1
    }

    async fn end(&self, broker: &TestBroker, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..Default::default()
        };
        patiently!(
            broker.call(1, request.clone()).await,
            |answer: &forebay_protocol::messages::EndTxnResponse| answer.error_code
        )
        .1
    }
}

/// What the group has in partition 0, for those who insist on stable offsets and for the others.
async fn offsets(broker: &TestBroker) -> [(i64, ErrorCode); 2] {
    let mut found = [(0, ErrorCode::None); 2];
    for (require_stable, found) in [true, false].into_iter().zip(&mut found) {
        let topic = OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![0],
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            member_id: None,
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![group],
            require_stable,
            ..Default::default()
        };
        let (answer, code) = patiently!(
            broker.call(8, request.clone()).await,
            |answer: &forebay_protocol::messages::OffsetFetchResponse| answer.groups[0].error_code
        );
        assert_eq!(code, ErrorCode::None);
        let partition = &answer.groups[0].topics[0].partitions[0];
        *found = (
            partition.committed_offset,
            ErrorCode::from_i16(partition.error_code),
        );
    }
    found
}

/// Waits until consumers of committed records may read to the end.
async fn until_all_is_decided(broker: &TestBroker) -> PartitionData {
    loop {
        let request = FetchRequest {
            isolation_level: READ_COMMITTED,
            ..fetch_request("t", 0, 0, 0)
        };
        let mut answer = broker.call(12, request).await;
        let answer = answer.responses.remove(0).partitions.remove(0);
        if answer.last_stable_offset == answer.high_watermark {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// Values that a consumer of committed records is given: one transaction after the other, so whole aborted ones are skipped.
fn committed(answer: &PartitionData) -> Vec<String> {
    let aborted = answer.aborted_transactions.clone().expect("read_committed");
    let mut aborted = aborted.into_iter().map(|one| one.first_offset).peekable();
    let (mut skipping, mut found) = (false, Vec::new());
    for batch in batches(bytes_of(answer)) {
        let batch = batch.expect("whole");
        let header = *batch.header();
        skipping |= aborted
            .next_if(|first| *first <= header.last_offset().0)
            .is_some();
        if header.is_control() {
            skipping = false;
        } else if !skipping {
            let records = batch.records().expect("readable");
            found.extend(records.map(|record| text(record.expect("good").value.as_deref())));
        }
    }
    found
}

#[tokio::test]
async fn records_and_offsets_are_committed_together_or_not_at_all() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut producer = Producer::init(&broker).await;
    let none = ErrorCode::None;
    for (number, (commits, restarts)) in [(true, false), (false, false), (true, true), (false, true)]
        .into_iter()
        .enumerate()
    {
        let before = offsets(&broker).await[1].0;
        assert_eq!(producer.add_partition(&broker).await, none);
        assert_eq!(producer.send(&broker, &format!("{number}")).await, none);
        assert_eq!(producer.add_offsets(&broker).await, none);
        let offset = number as i64 + 10;
        assert_eq!(producer.commit_offset(&broker, offset).await, none);
        if restarts {
            broker = broker.crash_and_restart().await;
        }
        let unstable = (-1, ErrorCode::UnstableOffsetCommit);
        assert_eq!(offsets(&broker).await, [unstable, (before, none)]);
        assert_eq!(producer.send(&broker, &format!("{number} more")).await, none);
        assert_eq!(producer.end(&broker, commits).await, none);
        until_all_is_decided(&broker).await;
        let after = if commits { offset } else { before };
        // The coordinator of the group hears of the end as soon as that is written.
        while offsets(&broker).await[0] == unstable {
            tokio::task::yield_now().await;
        }
        assert_eq!(offsets(&broker).await, [(after, none); 2]);
    }
    let answer = until_all_is_decided(&broker).await;
    assert_eq!(committed(&answer), ["0", "0 more", "2", "2 more"]);
}

/// Nobody knows of the transaction, or the producer: nothing is appended for it.
#[tokio::test]
async fn what_the_coordinator_does_not_know_of_is_refused() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut producer = Producer::init(&broker).await;
    assert_eq!(
        producer.send(&broker, "no partition").await,
        ErrorCode::InvalidTxnState
    );
    assert_eq!(
        producer.commit_offset(&broker, 1).await,
        ErrorCode::InvalidTxnState
    );
    let mut stranger = Producer { id: 4711, ..producer };
    let unknown = ErrorCode::InvalidProducerIdMapping;
    assert_eq!(stranger.send(&broker, "of a stranger").await, unknown);
    assert_eq!(stranger.commit_offset(&broker, 1).await, unknown);
    assert_eq!(broker.fetch("t", 0, 0).await.high_watermark, 0);
}

/// B20, the data's half: A stands still in the middle, B takes its place and commits, A goes on. And a Produce of A that was under
/// way all the time arrives after the abort.
#[tokio::test]
async fn a_zombie_changes_nothing_and_holds_nobody_up() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let none = ErrorCode::None;
    let mut old = Producer::init(&broker).await;
    assert_eq!(old.add_partition(&broker).await, none);
    assert_eq!(old.send(&broker, "of A").await, none);
    let mut new = Producer::init(&broker).await;
    assert_eq!((new.id, new.epoch > old.epoch), (old.id, true));
    assert_eq!(new.add_partition(&broker).await, none);
    assert_eq!(new.send(&broker, "of B").await, none);
    assert_eq!(
        old.send(&broker, "of A, in between").await,
        ErrorCode::InvalidProducerEpoch
    );
    assert_eq!(new.end(&broker, true).await, none);
    assert_eq!(
        old.send(&broker, "of A, late").await,
        ErrorCode::InvalidProducerEpoch
    );
    assert_eq!(
        old.commit_offset(&broker, 7).await,
        ErrorCode::InvalidProducerEpoch
    );
    // The zombie that is fenced neither by its epoch nor by its sequence: the same producer's, after its own abort.
    assert_eq!(new.add_partition(&broker).await, none);
    assert_eq!(new.send(&broker, "to be aborted").await, none);
    assert_eq!(new.end(&broker, false).await, none);
    until_all_is_decided(&broker).await;
    let late = new.send(&broker, "of the aborted one, late").await;
    assert_eq!(late, ErrorCode::InvalidTxnState);
    assert_eq!(committed(&until_all_is_decided(&broker).await), ["of B"]);
    assert_eq!(offsets(&broker).await, [(-1, none); 2]);
}

/// The same with the switch that breaks it: the late batch is taken, and nobody reads behind it.
#[tokio::test]
async fn without_verification_a_late_batch_hangs() {
    let settings = [("transaction.partition.verification.enable", "false")];
    let broker = TestBroker::start_with(&settings).await;
    broker.create_topic("t", 1, &[]).await;
    let mut producer = Producer::init(&broker).await;
    assert_eq!(producer.add_partition(&broker).await, ErrorCode::None);
    assert_eq!(producer.send(&broker, "to be aborted").await, ErrorCode::None);
    assert_eq!(producer.end(&broker, false).await, ErrorCode::None);
    until_all_is_decided(&broker).await;
    assert_eq!(producer.send(&broker, "late").await, ErrorCode::None);
    let end = broker.fetch("t", 0, 0).await;
    assert_eq!((end.last_stable_offset, end.high_watermark), (2, 3));
}

#[tokio::test]
async fn tools_are_told_who_produces() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut producer = Producer::init(&broker).await;
    producer.add_partition(&broker).await;
    producer.send(&broker, "open").await;
    let describe = async || {
        let topic = |name: &str, partition_indexes| TopicRequest {
            name: name.into(),
            partition_indexes,
            ..Default::default()
        };
        let request = DescribeProducersRequest {
            topics: vec![topic("t", vec![0, 1]), topic("a/b", vec![0])],
            ..Default::default()
        };
        broker.call(0, request).await.topics
    };
    let topics = describe().await;
    let codes: Vec<_> = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|partition| ErrorCode::from_i16(partition.error_code))
        .collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        codes,
        [ErrorCode::None, unknown, ErrorCode::InvalidTopicException]
    );
    let state = &topics[0].partitions[0].active_producers[0];
    assert_eq!(
        (state.producer_id, state.producer_epoch, state.last_sequence),
        (producer.id, i32::from(producer.epoch), 0)
    );
    assert_eq!((state.coordinator_epoch, state.current_txn_start_offset), (-1, 0));
    assert_eq!(producer.end(&broker, true).await, ErrorCode::None);
    until_all_is_decided(&broker).await;
    let state = &describe().await[0].partitions[0].active_producers[0].clone();
    assert_eq!(state.current_txn_start_offset, -1);
    assert!(state.coordinator_epoch >= 0);
}
