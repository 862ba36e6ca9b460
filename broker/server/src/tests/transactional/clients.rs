//! A producer in transactions, as clients of each kind are one.

use std::collections::HashMap;

use forebay_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use forebay_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use forebay_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest,
    TxnOffsetCommitRequest,
};

use super::*;

/// Which versions it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    init: i16,
    /// None: it leaves that to the broker.
    add: Option<i16>,
    end: i16,
    produce: i16,
    offsets: i16,
}

/// As librdkafka.
pub(super) const OLD: Kind = Kind {
    name: "old",
    init: 4,
    add: Some(0),
    end: 1,
    produce: 9,
    offsets: 3,
};
/// As Kafka's own client of 3.9.
pub(super) const VERSION_1: Kind = Kind {
    name: "version 1",
    init: 5,
    add: Some(3),
    end: 4,
    produce: 11,
    offsets: 4,
};
/// As Kafka's own client of 4.x.
pub(super) const VERSION_2: Kind = Kind {
    name: "version 2",
    init: 5,
    add: None,
    end: 5,
    produce: 12,
    offsets: 5,
};
pub(super) const KINDS: [Kind; 3] = [OLD, VERSION_1, VERSION_2];

/// A producer with a transactional id.
#[derive(Debug, Clone)]
pub(super) struct Producer {
    pub(super) kind: Kind,
    pub(super) transactional_id: &'static str,
    pub(super) id: i64,
    pub(super) epoch: i16,
    sequences: HashMap<i32, i32>,
    added: Vec<i32>,
}

impl Producer {
    /// Begins, however often it takes; fences whoever was before.
    pub(super) async fn begin(broker: &TestBroker, kind: Kind, transactional_id: &'static str) -> Self {
        Self::begin_with(broker, kind, transactional_id, 60_000).await
    }

    pub(super) async fn begin_with(
        broker: &TestBroker,
        kind: Kind,
        transactional_id: &'static str,
        transaction_timeout_ms: i32,
    ) -> Self {
        loop {
            let request = InitProducerIdRequest {
                transactional_id: Some(transactional_id.into()),
                transaction_timeout_ms,
                ..Default::default()
            };
            let response = broker.call(kind.init, request).await;
            match ErrorCode::from_i16(response.error_code) {
                ErrorCode::None => {
                    return Self {
                        kind,
                        transactional_id,
                        id: response.producer_id,
                        epoch: response.producer_epoch,
                        sequences: HashMap::new(),
                        added: Vec::new(),
                    };
                }
                // The last of them: what it waits for took longer than its transactions may.
                ErrorCode::ConcurrentTransactions
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::CoordinatorNotAvailable => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Sends records into a partition of the transaction, which begins if need be.
    pub(super) async fn send(&mut self, broker: &TestBroker, partition: i32, values: &[&str]) -> ErrorCode {
        if !self.added.contains(&partition) {
            let code = self.add(broker, partition).await;
            if code != ErrorCode::None {
                return code;
            }
            self.added.push(partition);
        }
        self.produce(broker, partition, values).await
    }

    /// Has the partition take part, if it is this client's to do.
    pub(super) async fn add(&self, broker: &TestBroker, partition: i32) -> ErrorCode {
        let Some(version) = self.kind.add else {
            return ErrorCode::None;
        };
        loop {
            let topic = AddPartitionsToTxnTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: self.transactional_id.into(),
                v3_and_below_producer_id: self.id,
                v3_and_below_producer_epoch: self.epoch,
                v3_and_below_topics: vec![topic],
                ..Default::default()
            };
            let response = broker.call(version, request).await;
            let result = &response.results_by_topic_v3_and_below[0].results_by_partition[0];
            match ErrorCode::from_i16(result.partition_error_code) {
                // The transaction before still ends.
                ErrorCode::ConcurrentTransactions => tokio::task::yield_now().await,
                code => return code,
            }
        }
    }

    /// Only sends.
    pub(super) async fn produce(
        &mut self,
        broker: &TestBroker,
        partition: i32,
        values: &[&str],
    ) -> ErrorCode {
        let sequence = self.sequences.entry(partition).or_default();
        let options = BatchOptions {
            producer: ProducerIdentity {
                id: self.id.into(),
                epoch: self.epoch.into(),
                base_sequence: (*sequence).into(),
            },
            transactional: true,
            ..BatchOptions::default()
        };
        let records = Records::Memory(batch_of(options, values).into_bytes());
        let request = ProduceRequest {
            transactional_id: Some(self.transactional_id.into()),
            ..produce_request(TOPIC, partition, -1, Some(records))
        };
        let mut response = broker.call(self.kind.produce, request).await;
        let answer = response.responses.remove(0).partition_responses.remove(0);
        let code = ErrorCode::from_i16(answer.error_code);
        if code == ErrorCode::None {
            *sequence += i32::try_from(values.len()).expect("few");
        }
        code
    }

    /// Commits an offset of group `g` in the transaction.
    pub(super) async fn send_offset(&mut self, broker: &TestBroker, offset: i64) -> ErrorCode {
        if self.kind.add.is_some() {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.transactional_id.into(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: "g".into(),
                ..Default::default()
            };
            let version = self.kind.add.unwrap_or_default();
            let code = ErrorCode::from_i16(broker.call(version, request).await.error_code);
            if code != ErrorCode::None {
                return code;
            }
        }
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            ..Default::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.into(),
            group_id: "g".into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![topic],
            ..Default::default()
        };
        let response = broker.call(self.kind.offsets, request).await;
        ErrorCode::from_i16(response.topics[0].partitions[0].error_code)
    }

    /// Ends the transaction; asks again while one before it still ends.
    pub(super) async fn end(&mut self, broker: &TestBroker, committed: bool) -> ErrorCode {
        loop {
            match self.try_end(broker, committed).await {
                Some(ErrorCode::ConcurrentTransactions) => tokio::task::yield_now().await,
                code => return code.expect("the broker runs"),
            }
        }
    }

    /// Asks once; `None` if the broker stops first.
    pub(super) async fn try_end(&mut self, broker: &TestBroker, committed: bool) -> Option<ErrorCode> {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..Default::default()
        };
        let response = broker.try_call(self.kind.end, request).await?;
        let code = ErrorCode::from_i16(response.error_code);
        if code == ErrorCode::None {
            self.added.clear();
            if self.kind.end >= 5 {
                (self.id, self.epoch) = (response.producer_id, response.producer_epoch);
                self.sequences.clear();
            }
        }
        Some(code)
    }
}
