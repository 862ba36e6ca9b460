//! Fetching: at most one request is under way to each leader, for those of its partitions that have nothing buffered. So what
//! is in memory is bounded by `max.partition.fetch.bytes` for each partition, and the next fetch is under way while the
//! caller works on the last one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use forebay_protocol::{
    ErrorCode, NodeId, Records, TopicPartition, Utf8Bytes, Uuid,
    messages::{
        FetchRequest, FetchResponse,
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::PartitionData,
    },
};
use forebay_records::{LeaderEpoch, Offset, ProducerId};
use tokio::time::Instant;

use super::{
    Consumer, Event,
    buffer::{Buffer, Fetched},
    partition::Partition,
};
use crate::{
    ConsumerConfig,
    chore::sooner,
    cluster::{Cluster, Lane, LeaderHint, Snapshot},
    config::{AutoOffsetReset, IsolationLevel},
    error::Error,
    node::Node,
};

/// The first version that knows topics by their ids.
const TOPIC_IDS_VERSION: i16 = 13;

/// What to fetch from one broker.
struct Order {
    leader: NodeId,
    partitions: Vec<(TopicPartition, Offset)>,
    snapshot: Arc<Snapshot>,
}

/// An answer, by partition, with the offset that was asked for.
pub(super) type Answers = Vec<(TopicPartition, Offset, PartitionData)>;

impl Consumer {
    /// Begins every fetch that can begin.
    pub(super) fn fetch(&mut self, now: Instant, next: &mut Option<Instant>) {
        let snapshot = self.cluster.snapshot();
        let mut orders: BTreeMap<NodeId, Order> = BTreeMap::new();
        for (topic_partition, partition) in &mut self.partitions {
            let Some(offset) = partition.offset() else {
                continue;
            };
            if partition.paused || partition.fetching || partition.buffer.is_some() {
                continue;
            }
            if let Some(moment) = partition.waits_until(now) {
                sooner(next, moment);
                continue;
            }
            let Some(leader) = snapshot.leader(topic_partition) else {
                self.metadata_wanted = true;
                continue;
            };
            if self.fetching_from.contains(&leader) {
                continue;
            }
            partition.fetching = true;
            let new = || Order {
                leader,
                partitions: Vec::new(),
                snapshot: snapshot.clone(),
            };
            orders
                .entry(leader)
                .or_insert_with(new)
                .partitions
                .push((topic_partition.clone(), offset));
        }
        for (leader, mut order) in orders {
            // Not always the same partition first: an answer may be full before it comes to the last.
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % order.partitions.len();
            order.partitions.rotate_left(first);
            self.fetching_from.insert(leader);
            let (cluster, config) = (self.cluster.clone(), self.config.clone());
            self.spawn(async move {
                let partitions = order
                    .partitions
                    .iter()
                    .map(|(partition, _)| partition.clone())
                    .collect();
                let result = order.carry_out(&cluster, &config).await;
                Event::Fetched {
                    leader,
                    partitions,
                    result,
                }
            });
        }
    }

    /// Takes what a fetch has brought.
    pub(super) fn fetched(
        &mut self,
        leader: NodeId,
        asked: &[TopicPartition],
        result: Result<Answers, Error>,
    ) {
        self.fetching_from.remove(&leader);
        for topic_partition in asked {
            if let Some(partition) = self.partitions.get_mut(topic_partition) {
                partition.fetching = false;
            }
        }
        match result {
            Ok(answers) => {
                for (topic_partition, offset, data) in answers {
                    // After a seek, or when the partition came back at another position, the answer is to a question that
                    // nobody asks any more: what lies between would be skipped.
                    let now = self.partitions.get(&topic_partition).and_then(Partition::offset);
                    if now == Some(offset) {
                        self.fetched_partition(&topic_partition, data);
                    }
                }
            }
            Err(error) => {
                tracing::debug!("fetching from broker {leader}: {error}");
                self.metadata_wanted = true;
                let backoff = self.cluster.backoff();
                for topic_partition in asked {
                    if let Some(partition) = self.partitions.get_mut(topic_partition) {
                        partition.failed(backoff);
                    }
                }
                if !error.is_retriable() {
                    self.errors.push_back(error);
                }
            }
        }
    }

    fn fetched_partition(&mut self, topic_partition: &TopicPartition, data: PartitionData) {
        let code = ErrorCode::from_i16(data.error_code);
        if code != ErrorCode::None {
            return self.fetch_refused(topic_partition, code, &data);
        }
        let read_committed = self.config.isolation_level == IsolationLevel::ReadCommitted;
        let Some(partition) = self.partitions.get_mut(topic_partition) else {
            return;
        };
        partition.succeeded();
        partition.end = Some(Offset(data.high_watermark));
        let fetched = Fetched {
            high_watermark: Offset(data.high_watermark),
            last_stable_offset: Offset(data.last_stable_offset),
            log_start_offset: Offset(data.log_start_offset),
            aborted: aborted(&data),
        };
        let Some(Records::Memory(records)) = data.records else {
            return;
        };
        if !records.is_empty() {
            let modes = (self.config.check_crcs, read_committed);
            partition.buffer = Some(Buffer::new(topic_partition.clone(), fetched, records, modes));
        }
    }

    fn fetch_refused(&mut self, topic_partition: &TopicPartition, code: ErrorCode, data: &PartitionData) {
        let backoff = self.cluster.backoff();
        let Some(partition) = self.partitions.get_mut(topic_partition) else {
            return;
        };
        match code {
            ErrorCode::OffsetOutOfRange => {
                let offset = partition.offset().unwrap_or_default();
                match self.config.auto_offset_reset {
                    AutoOffsetReset::None => {
                        partition.failed(backoff);
                        let topic_partition = topic_partition.clone();
                        self.errors.push_back(Error::OffsetOutOfRange {
                            topic_partition,
                            offset,
                        });
                    }
                    reset => {
                        tracing::info!(
                            "offset {offset} of {topic_partition} is out of range; resetting it ({reset:?})"
                        );
                        self.reset(topic_partition, reset);
                    }
                }
            }
            ErrorCode::TopicAuthorizationFailed | ErrorCode::UnsupportedCompressionType => {
                partition.failed(backoff);
                self.errors
                    .push_back(Error::broker(format!("fetch from {topic_partition}"), code));
            }
            _ => {
                tracing::debug!("fetching {topic_partition}: {code}");
                partition.failed(backoff);
                let leader = &data.current_leader;
                let hint = LeaderHint {
                    topic_partition: topic_partition.clone(),
                    leader: NodeId(leader.leader_id),
                    leader_epoch: LeaderEpoch(leader.leader_epoch),
                };
                if leader.leader_id >= 0 && leader.leader_epoch >= 0 && self.cluster.learn_leader(&hint) {
                    partition.succeeded();
                } else {
                    self.metadata_wanted = true;
                }
            }
        }
    }
}

impl Order {
    async fn carry_out(&self, cluster: &Cluster, config: &ConsumerConfig) -> Result<Answers, Error> {
        let node = cluster.node(self.leader, Lane::Fetch).await?;
        let ids = self.topic_ids();
        let newest = if ids.is_some() {
            i16::MAX
        } else {
            TOPIC_IDS_VERSION - 1
        };
        let version = node.version::<FetchRequest>(newest)?;
        let ids = ids.filter(|_| version >= TOPIC_IDS_VERSION);
        let answer = self.call(&node, version, (config, ids.as_ref())).await?;
        match ErrorCode::from_i16(answer.error_code) {
            ErrorCode::None => Ok(self.answers(cluster, answer)),
            code => Err(Error::broker(format!("fetch from {}", node.address()), code)),
        }
    }

    /// The ids of all topics, if all are known.
    fn topic_ids(&self) -> Option<HashMap<Utf8Bytes, Uuid>> {
        let topics = self.partitions.iter().map(|(partition, _)| &partition.topic);
        topics
            .map(|name| {
                Some((name.clone(), self.snapshot.topics.get(name)?.id)).filter(|(_, id)| *id != Uuid::ZERO)
            })
            .collect()
    }

    async fn call(
        &self,
        node: &Node,
        version: i16,
        (config, ids): (&ConsumerConfig, Option<&HashMap<Utf8Bytes, Uuid>>),
    ) -> Result<FetchResponse, Error> {
        // In the order of the partitions, for it decides who comes first; neighbours of one topic go together.
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut last: Option<&Utf8Bytes> = None;
        for (partition, offset) in &self.partitions {
            let known = self.snapshot.partition(&partition.topic, partition.partition);
            let wanted = FetchPartition {
                partition: partition.partition,
                current_leader_epoch: known
                    .and_then(|known| known.leader_epoch)
                    .map_or(-1, |epoch| epoch.0),
                fetch_offset: offset.0,
                partition_max_bytes: config.max_partition_fetch_bytes,
                ..Default::default()
            };
            if last != Some(&partition.topic) {
                last = Some(&partition.topic);
                topics.push(FetchTopic {
                    topic: if ids.is_some() {
                        Utf8Bytes::default()
                    } else {
                        partition.topic.clone()
                    },
                    topic_id: ids
                        .and_then(|ids| ids.get(&partition.topic).copied())
                        .unwrap_or_default(),
                    ..Default::default()
                });
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(wanted);
            }
        }
        let request = FetchRequest {
            max_wait_ms: config.fetch_max_wait.as_millis().try_into().unwrap_or(i32::MAX),
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            isolation_level: config.isolation_level.code(),
            topics,
            ..Default::default()
        };
        node.start(
            version,
            request,
            config.client.request_timeout + config.fetch_max_wait,
        )
        .await
    }

    fn answers(&self, cluster: &Cluster, answer: FetchResponse) -> Answers {
        for endpoint in &answer.node_endpoints {
            cluster.learn_broker(NodeId(endpoint.node_id), &endpoint.host, endpoint.port);
        }
        let asked: HashMap<&TopicPartition, Offset> = self
            .partitions
            .iter()
            .map(|(partition, offset)| (partition, *offset))
            .collect();
        let mut answers = Vec::with_capacity(self.partitions.len());
        for topic in answer.responses {
            let name = if topic.topic.is_empty() {
                self.snapshot.names.get(&topic.topic_id).cloned()
            } else {
                // What was asked for has a name of its own; the answer's would keep its whole frame alive.
                self.partitions
                    .iter()
                    .map(|(partition, _)| &partition.topic)
                    .find(|name| **name == topic.topic)
                    .cloned()
            };
            let Some(name) = name else { continue };
            for mut data in topic.partitions {
                let partition = TopicPartition {
                    topic: name.clone(),
                    partition: data.partition_index,
                };
                // What was not asked for is not looked at.
                if let Some(offset) = asked.get(&partition).copied() {
                    data.records = Some(Records::Memory(in_memory(data.records.take())));
                    answers.push((partition, offset, data));
                }
            }
        }
        answers
    }
}

fn in_memory(records: Option<Records>) -> Bytes {
    match records {
        Some(Records::Memory(bytes)) => bytes,
        Some(Records::Chunks(chunks)) => {
            let mut joined = bytes::BytesMut::new();
            for chunk in chunks {
                if let forebay_protocol::Chunk::Bytes(bytes) = chunk {
                    joined.extend_from_slice(&bytes);
                }
            }
            joined.freeze()
        }
        // The contract of Transport: nothing in files.
        Some(Records::File(_)) | None => Bytes::new(),
    }
}

fn aborted(data: &PartitionData) -> Vec<(ProducerId, Offset)> {
    let aborted = data.aborted_transactions.iter().flatten();
    aborted
        .map(|aborted| (ProducerId(aborted.producer_id), Offset(aborted.first_offset)))
        .collect()
}
