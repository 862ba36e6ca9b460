//! Carries the requests of transactions to the coordinators, one at a time, and fails what an abort leaves unsent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_protocol::{
    ApiRequest, ErrorCode, TopicPartition, Utf8Bytes,
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest,
        TxnOffsetCommitRequest,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    },
};
use forebay_records::{ProducerEpoch, ProducerId};
use tokio::time::Instant;

use super::{Event, Sender};
use crate::{
    cluster::{Cluster, Coordinator, CoordinatorKind, Lane},
    consumer::GroupMetadata,
    error::Error,
    group_offsets::{Offsets, by_topic},
    producer::{
        delivery::Outcome,
        sequences::Identity,
        transaction::{Answer, Request, Settled, Version},
    },
};

/// How long after a first `AddPartitionsToTxn` that met the end of the transaction before the next attempt is made (Kafka's
/// `ADD_PARTITIONS_RETRY_BACKOFF_MS`).
const SHORT_PAUSE: Duration = Duration::from_millis(20);

/// From here on a coordinator gives the next epoch to who asks for it (KIP-360).
const BUMP_VERSION: i16 = 3;

/// The newest versions for clients of transactions of version 1; and of `AddPartitionsToTxn` for any client.
const ADD_PARTITIONS_VERSION_MAX: i16 = 3;
const END_VERSION_1_MAX: i16 = 4;
const COMMIT_OFFSETS_VERSION_1_MAX: i16 = 4;

/// From version 6 on topics go by their ids.
const COMMIT_OFFSETS_VERSION_MAX: i16 = 5;

impl Sender {
    /// Fails what is not to be sent any more.
    pub(super) fn drop_unsent(&mut self) {
        let Some(transactions) = self.accumulator.transactions() else {
            return;
        };
        let (error, is_dead) = (transactions.unsendable(), transactions.is_dead());
        drop(transactions);
        let Some(error) = error else { return };
        for partition in &self.active {
            let mut queue = partition.lock();
            if let Some(open) = queue.open.take() {
                open.delivery().complete(Outcome::Failed(error.clone()));
            }
            // What was sent before is sent again: an end may not overtake it.
            queue.ready.retain(|batch| {
                let stays = batch.producer.is_some() && !is_dead;
                if !stays {
                    batch.delivery.complete(Outcome::Failed(error.clone()));
                }
                stays
            });
        }
    }

    /// Asks the coordinators what is due.
    pub(super) fn transact(&mut self, now: Instant, next: &mut Option<Instant>) {
        let Some(mut transactions) = self.accumulator.transactions() else {
            return;
        };
        if !self.transaction.begin(now, next) {
            return;
        }
        let is_idle = self.in_flight.is_empty() && !self.accumulator.has_incomplete();
        let request = transactions.next(is_idle);
        let id = transactions.id().clone();
        drop(transactions);
        let Some(request) = request else {
            return self.transaction.ended(true, |_| Duration::ZERO);
        };
        let cluster = self.cluster.clone();
        self.under_way.push(Box::pin(async move {
            let result = carry(&cluster, &id, &request).await;
            Event::Transacted(Box::new((request, result)))
        }));
    }

    pub(super) fn transacted(&mut self, request: &Request, result: Result<Answer, Error>) {
        let Some(mut transactions) = self.accumulator.transactions() else {
            return;
        };
        let trouble = result.as_ref().err().cloned();
        let settled = transactions.answered(request, result);
        drop(transactions);
        let backoff = self.cluster.backoff();
        match (settled, &trouble) {
            (Settled::Retry, Some(error)) => self.accumulator.is_in_trouble(error),
            (Settled::Done, None) => self.accumulator.is_out_of_trouble(),
            _ => {}
        }
        match settled {
            Settled::Done => self.transaction.ended(true, |_| Duration::ZERO),
            Settled::As(identity) => {
                self.transaction.ended(true, |_| Duration::ZERO);
                if let Some(sequences) = &mut self.sequences {
                    sequences.begin_anew(identity);
                }
            }
            Settled::Retry => self.transaction.ended(false, |failures| backoff.delay(failures)),
            Settled::RetrySoon => self
                .transaction
                .ended(false, |_| SHORT_PAUSE.min(backoff.initial)),
        }
    }

    /// The user has to know before a commit that something is lost.
    pub(super) fn batch_failed(&self, error: &Error) {
        self.accumulator.batch_failed(error);
    }

    /// How transactions work, if this producer has any.
    pub(super) fn transaction_version(&self) -> Option<Version> {
        self.accumulator
            .transactions()
            .map(|transactions| transactions.version())
    }
}

/// One attempt.
async fn carry(cluster: &Cluster, id: &Arc<str>, request: &Request) -> Result<Answer, Error> {
    let (kind, key) = match request {
        Request::CommitOffsets { group, .. } => (CoordinatorKind::Group, &*group.group_id),
        _ => (CoordinatorKind::Transaction, &**id),
    };
    let coordinator = cluster.coordinator(kind, key, Lane::Coordinator).await?;
    let call = Call {
        cluster,
        coordinator: &coordinator,
        id,
    };
    let result = match request {
        Request::Init { timeout_ms, current } => call.init(*timeout_ms, *current).await,
        Request::AddPartitions { identity, partitions } => call.add_partitions(*identity, partitions).await,
        Request::AddOffsets { identity, group } => call.add_offsets(*identity, group).await,
        Request::CommitOffsets {
            identity,
            group,
            offsets,
            version,
        } => call.commit_offsets(*identity, *version, (group, offsets)).await,
        Request::End {
            identity,
            commit,
            version,
        } => call.end(*identity, *version, *commit).await,
    };
    match &result {
        Err(error) => coordinator.saw(error),
        Ok(Answer::Partitions(results)) => {
            for (_, code) in results {
                coordinator.saw(&Error::broker("", *code));
            }
        }
        Ok(_) => {}
    }
    result
}

/// A coordinator, and for whom it is asked.
struct Call<'a> {
    cluster: &'a Cluster,
    coordinator: &'a Coordinator,
    id: &'a Arc<str>,
}

impl Call<'_> {
    /// Asks in the newest version up to `newest`, and says which that was.
    async fn ask<R: ApiRequest>(&self, newest: i16, request: R) -> Result<(R::Response, i16), Error> {
        let node = &self.coordinator.node;
        let version = node.version::<R>(newest)?;
        let timeout = self.cluster.config().request_timeout;
        let answer = node.start(version, request, timeout).await?;
        Ok((answer, version))
    }

    fn check(&self, what: &str, code: i16) -> Result<(), Error> {
        match ErrorCode::from_i16(code) {
            ErrorCode::None => Ok(()),
            code => Err(Error::broker(
                format!("{what} of transactional id {}", self.id),
                code,
            )),
        }
    }

    async fn init(&self, timeout_ms: i32, current: Option<Identity>) -> Result<Answer, Error> {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.as_ref().into()),
            transaction_timeout_ms: timeout_ms,
            producer_id: current.map_or(-1, |current| current.id.0),
            producer_epoch: current.map_or(-1, |current| current.epoch.0),
            ..Default::default()
        };
        let (answer, version) = self.ask(i16::MAX, request).await?;
        self.check("initialize the producer", answer.error_code)?;
        Ok(Answer::Initialized {
            identity: identity(answer.producer_id, answer.producer_epoch),
            can_bump: version >= BUMP_VERSION,
            version: Version::of_feature(self.cluster.transaction_version()),
        })
    }

    async fn add_partitions(
        &self,
        identity: Identity,
        partitions: &[TopicPartition],
    ) -> Result<Answer, Error> {
        let topics = by_topic(partitions)
            .into_iter()
            .map(|(name, partitions)| AddPartitionsToTxnTopic {
                name: name.clone(),
                partitions,
                ..Default::default()
            });
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.as_ref().into(),
            v3_and_below_producer_id: identity.id.0,
            v3_and_below_producer_epoch: identity.epoch.0,
            v3_and_below_topics: topics.collect(),
            ..Default::default()
        };
        let (answer, _) = self.ask(ADD_PARTITIONS_VERSION_MAX, request).await?;
        self.check("add partitions to the transaction", answer.error_code)?;
        let mut results = Vec::with_capacity(partitions.len());
        for topic in answer.results_by_topic_v3_and_below {
            let name = topic.name.detach();
            for partition in topic.results_by_partition {
                let code = ErrorCode::from_i16(partition.partition_error_code);
                // One that holds for the whole request: as one of the whole it is told.
                if code.is_retriable() && code != ErrorCode::UnknownTopicOrPartition {
                    self.check("add partitions to the transaction", code.to_i16())?;
                }
                results.push((TopicPartition::new(name.clone(), partition.partition_index), code));
            }
        }
        Ok(Answer::Partitions(results))
    }

    async fn add_offsets(&self, identity: Identity, group: &str) -> Result<Answer, Error> {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.id.as_ref().into(),
            producer_id: identity.id.0,
            producer_epoch: identity.epoch.0,
            group_id: group.into(),
            ..Default::default()
        };
        let (answer, _) = self.ask(i16::MAX, request).await?;
        self.check("add offsets to the transaction", answer.error_code)?;
        Ok(Answer::Done)
    }

    async fn commit_offsets(
        &self,
        identity: Identity,
        version: Version,
        (group, offsets): (&GroupMetadata, &Offsets),
    ) -> Result<Answer, Error> {
        let newest = match version {
            Version::V1 => COMMIT_OFFSETS_VERSION_1_MAX,
            Version::V2 => COMMIT_OFFSETS_VERSION_MAX,
        };
        let version = self.coordinator.node.version::<TxnOffsetCommitRequest>(newest)?;
        // Before version 3 the group cannot tell a member from one that it has lost (KIP-447).
        let names_member = version >= 3;
        let mut topics: BTreeMap<&Utf8Bytes, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
        for (partition, offset) in offsets {
            topics
                .entry(&partition.topic)
                .or_default()
                .push(TxnOffsetCommitRequestPartition {
                    partition_index: partition.partition,
                    committed_offset: offset.offset.0,
                    committed_leader_epoch: offset.leader_epoch.map_or(-1, |epoch| epoch.0),
                    committed_metadata: Some(offset.metadata.as_str().into()),
                    ..Default::default()
                });
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| TxnOffsetCommitRequestTopic {
                name: name.clone(),
                partitions,
                ..Default::default()
            });
        let mut request = TxnOffsetCommitRequest {
            transactional_id: self.id.as_ref().into(),
            group_id: group.group_id.as_str().into(),
            producer_id: identity.id.0,
            producer_epoch: identity.epoch.0,
            topics: topics.collect(),
            ..Default::default()
        };
        if names_member {
            request.generation_id = group.generation_id;
            request.member_id = group.member_id.as_str().into();
            request.group_instance_id = group.group_instance_id.as_deref().map(Utf8Bytes::from);
        }
        let (answer, _) = self.ask(version, request).await?;
        let mut results = Vec::with_capacity(offsets.len());
        for topic in answer.topics {
            let name = topic.name.detach();
            for partition in topic.partitions {
                let code = ErrorCode::from_i16(partition.error_code);
                results.push((TopicPartition::new(name.clone(), partition.partition_index), code));
            }
        }
        Ok(Answer::Partitions(results))
    }

    async fn end(&self, identity: Identity, version: Version, committed: bool) -> Result<Answer, Error> {
        let newest = match version {
            Version::V1 => END_VERSION_1_MAX,
            Version::V2 => i16::MAX,
        };
        let request = EndTxnRequest {
            transactional_id: self.id.as_ref().into(),
            producer_id: identity.id.0,
            producer_epoch: identity.epoch.0,
            committed,
            ..Default::default()
        };
        let (answer, _) = self.ask(newest, request).await?;
        self.check(
            if committed {
                "commit the transaction"
            } else {
                "abort the transaction"
            },
            answer.error_code,
        )?;
        let next =
            (answer.producer_id >= 0).then(|| self::identity(answer.producer_id, answer.producer_epoch));
        Ok(Answer::Ended(next))
    }
}

fn identity(id: i64, epoch: i16) -> Identity {
    Identity {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
    }
}
