//! Transactions and the producers of partitions (KIP-664): list, describe, abort what hangs.

use std::collections::BTreeMap;

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition,
    messages::{
        DescribeProducersRequest, DescribeTransactionsRequest, InitProducerIdRequest,
        ListTransactionsRequest, WriteTxnMarkersRequest,
        describe_producers_request::TopicRequest,
        describe_producers_response::ProducerState as WireProducer,
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    },
};
use forebay_records::{Offset, ProducerEpoch, ProducerId, Timestamp};
use futures_util::future::join_all;

use super::{Admin, Outcomes, check};
use crate::{
    cluster::{CoordinatorKind, Lane},
    error::Error,
    offsets,
};

/// A transaction in a list (Kafka's `TransactionListing`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// Its transactional id.
    pub transactional_id: String,
    /// The producer.
    pub producer_id: ProducerId,
    /// Kafka's name of its state: `Ongoing`, `CompleteCommit`, …
    pub state: String,
}

/// Which transactions are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionFilter {
    /// Of these producers; all if empty.
    pub producer_ids: Vec<ProducerId>,
    /// Only those that have been running for longer than so many milliseconds.
    pub running_longer_than_ms: Option<i64>,
    /// A regular expression that the transactional id matches as a whole.
    pub transactional_id_pattern: Option<String>,
}

/// A transaction (Kafka's `TransactionDescription`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// Who coordinates it.
    pub coordinator: NodeId,
    /// Kafka's name of its state.
    pub state: String,
    /// The producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// After how long the coordinator aborts it.
    pub timeout_ms: i32,
    /// Since when it has been open, if it is.
    pub started: Option<Timestamp>,
    /// The partitions that it has written to.
    pub partitions: Vec<TopicPartition>,
}

/// What a partition knows of a producer (Kafka's `ProducerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of its last record; -1 for none.
    pub last_sequence: i32,
    /// Of its last record.
    pub last_timestamp: Timestamp,
    /// Of the coordinator that wrote the last marker, if there is one.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

impl Admin {
    /// Fences whatever producer has these transactional ids, and ends what it has left open (Kafka's `fenceProducers`): a producer
    /// that is made anew under the same id need not wait for the time-out of the old one's transaction. Each outcome comes once
    /// the transaction has ended.
    ///
    /// # Errors
    /// Of the call as a whole; each has its own.
    pub async fn fence_producers(
        &self,
        transactional_ids: &[&str],
    ) -> Result<Outcomes<String, (ProducerId, ProducerEpoch)>, Error> {
        let keys = transactional_ids.iter().map(|id| (*id).to_owned());
        self.gather("fence producers", keys, |pending| async move {
            let calls = pending.into_iter().map(|id| async move {
                let fenced = self.fence_producer(&id).await;
                (id, fenced)
            });
            Ok(join_all(calls).await)
        })
        .await
    }

    async fn fence_producer(&self, id: &str) -> Result<(ProducerId, ProducerEpoch), Error> {
        let coordinator = self
            .cluster
            .coordinator(CoordinatorKind::Transaction, id, Lane::Coordinator)
            .await?;
        // Nobody begins a transaction under this epoch, so its time-out does not matter; it has to be one that is allowed.
        let timeout_ms = self.timeout_ms().max(1);
        let transactional_id = Some(id.into());
        let answer = coordinator
            .node
            .call(|_| InitProducerIdRequest {
                transactional_id,
                transaction_timeout_ms: timeout_ms,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            })
            .await
            .inspect_err(|error| coordinator.saw(error))?;
        let action = format!("fence the producer with transactional id {id}");
        check(action, answer.error_code, None).inspect_err(|error| coordinator.saw(error))?;
        Ok((
            ProducerId(answer.producer_id),
            ProducerEpoch(answer.producer_epoch),
        ))
    }

    /// The transactions that each broker coordinates.
    ///
    /// # Errors
    /// If a broker cannot be asked.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<BTreeMap<NodeId, Vec<TransactionListing>>, Error> {
        self.retry("list transactions", || async {
            let snapshot = self.cluster.refresh(self.cluster.snapshot().version).await?;
            let calls = snapshot.brokers.keys().map(|id| async move {
                let node = self.cluster.node(*id, Lane::Main).await?;
                let ids = filter.producer_ids.iter().map(|id| id.value()).collect();
                let answer = node
                    .call(|_| ListTransactionsRequest {
                        producer_id_filters: ids,
                        duration_filter: filter.running_longer_than_ms.unwrap_or(-1),
                        transactional_id_pattern: filter.transactional_id_pattern.as_ref().map(Into::into),
                        ..Default::default()
                    })
                    .await?;
                check(
                    format!("list the transactions of broker {id}"),
                    answer.error_code,
                    None,
                )?;
                let listed = answer
                    .transaction_states
                    .into_iter()
                    .map(|state| TransactionListing {
                        transactional_id: state.transactional_id.into(),
                        producer_id: ProducerId(state.producer_id),
                        state: state.transaction_state.into(),
                    });
                Ok((*id, listed.collect()))
            });
            join_all(calls).await.into_iter().collect()
        })
        .await
    }

    /// What the coordinators know of transactional ids.
    ///
    /// # Errors
    /// Of the call as a whole; each has its own, TRANSACTIONAL_ID_NOT_FOUND where there is none.
    pub async fn describe_transactions(
        &self,
        transactional_ids: &[&str],
    ) -> Result<Outcomes<String, TransactionDescription>, Error> {
        let keys = transactional_ids.iter().map(|id| (*id).to_owned());
        self.gather("describe transactions", keys, |pending| async move {
            let calls = pending.into_iter().map(|id| async move {
                let described = self.describe_transaction(&id).await;
                (id, described)
            });
            Ok(join_all(calls).await)
        })
        .await
    }

    async fn describe_transaction(&self, id: &str) -> Result<TransactionDescription, Error> {
        let action = format!("describe the transaction of {id}");
        let coordinator = self
            .cluster
            .coordinator(CoordinatorKind::Transaction, id, Lane::Coordinator)
            .await?;
        let transactional_ids = vec![id.into()];
        let answer = coordinator
            .node
            .call(|_| DescribeTransactionsRequest {
                transactional_ids,
                ..Default::default()
            })
            .await
            .inspect_err(|error| coordinator.saw(error))?;
        let Some(state) = answer.transaction_states.into_iter().next() else {
            return Err(Error::InvalidResponse {
                action: action.into(),
                reason: "it does not mention the transactional id".into(),
            });
        };
        check(action, state.error_code, None).inspect_err(|error| coordinator.saw(error))?;
        let partitions = state.topics.into_iter().flat_map(|topic| {
            let name = topic.topic.detach();
            topic.partitions.into_iter().map(move |partition| TopicPartition {
                topic: name.clone(),
                partition,
            })
        });
        Ok(TransactionDescription {
            coordinator: coordinator.id,
            state: state.transaction_state.into(),
            producer_id: ProducerId(state.producer_id),
            producer_epoch: ProducerEpoch(state.producer_epoch),
            timeout_ms: state.transaction_timeout_ms,
            started: Some(Timestamp(state.transaction_start_time_ms)).filter(|started| started.0 >= 0),
            partitions: partitions.collect(),
        })
    }

    /// The producers that partitions know of; asked of their leaders, or of one broker.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
        broker: Option<NodeId>,
    ) -> Result<Outcomes<TopicPartition, Vec<ProducerState>>, Error> {
        self.gather(
            "describe producers",
            partitions.iter().cloned(),
            |pending| async move {
                let call = |id, partitions: Vec<TopicPartition>| async move {
                    self.describe_producers_at(id, &partitions).await
                };
                match broker {
                    Some(id) => Ok(offsets::at_brokers([(id, pending)].into(), call).await),
                    None => offsets::at_leaders(&self.cluster, &pending, "describe producers", call).await,
                }
            },
        )
        .await
    }

    async fn describe_producers_at(
        &self,
        id: NodeId,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<Vec<ProducerState>, Error>)>, Error> {
        let mut topics: BTreeMap<_, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            topics
                .entry(partition.topic.clone())
                .or_default()
                .push(partition.partition);
        }
        let topics = topics.into_iter().map(|(name, partition_indexes)| TopicRequest {
            name,
            partition_indexes,
            ..Default::default()
        });
        let topics = topics.collect();
        let node = self.broker(id).await?;
        let answer = node
            .call(|_| DescribeProducersRequest {
                topics,
                ..Default::default()
            })
            .await?;
        let mut results = Vec::new();
        for topic in answer.topics {
            for data in topic.partitions {
                let partition = TopicPartition {
                    topic: topic.name.detach(),
                    partition: data.partition_index,
                };
                let action = format!("describe the producers of {partition}");
                let checked = check(action, data.error_code, data.error_message.as_deref());
                let producers = data.active_producers.iter().map(producer_state);
                results.push((partition, checked.map(|()| producers.collect())));
            }
        }
        Ok(results)
    }

    /// Writes an abort marker for a producer into one partition: for transactions whose coordinator has forgotten them.
    ///
    /// # Errors
    /// Of the call or the partition.
    pub async fn abort_transaction(
        &self,
        partition: &TopicPartition,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        coordinator_epoch: i32,
    ) -> Result<(), Error> {
        let action = format!("abort the transaction of producer {producer_id} in {partition}");
        self.retry(&action, || async {
            offsets::ensure_known(&self.cluster, [partition]).await?;
            let (leaders, without) = offsets::by_leader(&self.cluster, [partition], &action);
            if let Some((_, error)) = without.into_iter().next() {
                return Err(error);
            }
            let leader = leaders
                .into_keys()
                .next()
                .ok_or_else(|| Error::broker(action.as_str(), ErrorCode::LeaderNotAvailable))?;
            let topic = WritableTxnMarkerTopic {
                name: partition.topic.clone(),
                partition_indexes: vec![partition.partition],
                ..Default::default()
            };
            let marker = WritableTxnMarker {
                producer_id: producer_id.value(),
                producer_epoch: producer_epoch.value(),
                transaction_result: false,
                topics: vec![topic],
                coordinator_epoch,
                ..Default::default()
            };
            let node = self.cluster.node(leader, Lane::Main).await?;
            let answer = node
                .call(|_| WriteTxnMarkersRequest {
                    markers: vec![marker],
                    ..Default::default()
                })
                .await?;
            let topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
            let mut partitions = topics.flat_map(|topic| topic.partitions);
            partitions.try_for_each(|result| check(action.as_str(), result.error_code, None))
        })
        .await
    }

    /// Ends whatever transaction a transactional id has open, and fences its producer (Kafka's `forceTerminateTransaction`).
    ///
    /// # Errors
    /// Of the call.
    pub async fn force_terminate_transaction(&self, transactional_id: &str) -> Result<(), Error> {
        let action = format!("force terminate the transaction of {transactional_id}");
        // The new producer's, which a description of the id shows; Kafka's client gives it as long as a request.
        let timeout = self.config.client.request_timeout.as_millis();
        let timeout = i32::try_from(timeout).unwrap_or(i32::MAX);
        self.retry(&action, || async {
            let coordinator = self
                .cluster
                .coordinator(CoordinatorKind::Transaction, transactional_id, Lane::Coordinator)
                .await?;
            let id = Some(transactional_id.into());
            let answer = coordinator
                .node
                .call(|_| InitProducerIdRequest {
                    transactional_id: id,
                    transaction_timeout_ms: timeout,
                    ..Default::default()
                })
                .await
                .inspect_err(|error| coordinator.saw(error))?;
            check(action.as_str(), answer.error_code, None).inspect_err(|error| coordinator.saw(error))
        })
        .await
    }
}

fn producer_state(state: &WireProducer) -> ProducerState {
    ProducerState {
        producer_id: ProducerId(state.producer_id),
        producer_epoch: ProducerEpoch(i16::try_from(state.producer_epoch).unwrap_or(i16::MAX)),
        last_sequence: state.last_sequence,
        last_timestamp: Timestamp(state.last_timestamp),
        coordinator_epoch: Some(state.coordinator_epoch).filter(|epoch| *epoch >= 0),
        transaction_start: Some(Offset(state.current_txn_start_offset)).filter(|offset| offset.0 >= 0),
    }
}
