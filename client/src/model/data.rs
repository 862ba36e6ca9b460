//! What the model does with records: metadata, produce with the broker's check of sequences, fetch, offsets.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use forebay_protocol::{
    ErrorCode, NodeId, Records, Utf8Bytes,
    messages::{
        CreateTopicsRequest, CreateTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
        DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FetchRequest, FetchResponse,
        InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse,
        MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
        create_topics_response::CreatableTopicResult,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult},
        describe_topic_partitions_response::{
            DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
        fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
        produce_response::{LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse},
    },
};
use forebay_records::{Assignment, LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordBatch, Sequence};

use super::{CLUSTER_ID, State, transactions::marker};

/// A partition: its leader, its batches, and what it knows of producers.
pub(crate) struct PartitionState {
    pub(crate) leader: NodeId,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) log_start: Offset,
    pub(crate) last_stable_offset: Option<Offset>,
    pub(crate) aborted: Vec<(ProducerId, Offset)>,
    /// Where each open transaction begins, and the aborted ones from their first record to their marker.
    pub(super) open: BTreeMap<ProducerId, Offset>,
    pub(super) ended: Vec<(ProducerId, Offset, Offset)>,
    pub(crate) producers: HashMap<ProducerId, ProducerState>,
}

#[derive(Debug)]
pub(crate) struct ProducerState {
    epoch: ProducerEpoch,
    /// The last five batches: first and last sequence, offset.
    batches: VecDeque<(Sequence, Sequence, Offset)>,
}

impl PartitionState {
    pub(crate) fn new(leader: NodeId) -> Self {
        Self {
            leader,
            leader_epoch: LeaderEpoch(5),
            batches: Vec::new(),
            log_start: Offset(0),
            last_stable_offset: None,
            aborted: Vec::new(),
            open: BTreeMap::new(),
            ended: Vec::new(),
            producers: HashMap::new(),
        }
    }

    pub(crate) fn end(&self) -> Offset {
        self.batches
            .last()
            .map_or(self.log_start, RecordBatch::next_offset)
    }

    /// Appends without any check.
    pub(crate) fn append(&mut self, batch: &RecordBatch) -> Offset {
        let base_offset = self.end();
        let header = batch.header();
        self.batches.push(
            batch
                .assign(&Assignment {
                    base_offset,
                    partition_leader_epoch: self.leader_epoch,
                    timestamp_type: header.timestamp_type(),
                    max_timestamp: header.max_timestamp,
                })
                .into_batch(),
        );
        base_offset
    }

    fn produce(&mut self, batch: &RecordBatch) -> Result<Offset, ErrorCode> {
        batch.ensure_valid().map_err(|_| ErrorCode::CorruptMessage)?;
        let header = *batch.header();
        if !header.has_producer_id() {
            return Ok(self.append(batch));
        }
        let known = self.producers.get(&header.producer_id);
        if let Some(known) = known {
            if header.producer_epoch < known.epoch {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            let sequences = (header.base_sequence, header.last_sequence());
            let same_epoch = header.producer_epoch == known.epoch;
            if let Some((_, _, offset)) = known
                .batches
                .iter()
                .find(|batch| same_epoch && (batch.0, batch.1) == sequences)
            {
                return Ok(*offset);
            }
            let expected = match known.batches.back() {
                Some((_, last, _)) if same_epoch => last.plus(1),
                _ => Sequence::ZERO,
            };
            if header.base_sequence != expected {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
        }
        let offset = self.append(batch);
        if header.is_transactional() {
            self.open.entry(header.producer_id).or_insert(offset);
        }
        let state = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| ProducerState {
                epoch: header.producer_epoch,
                batches: VecDeque::new(),
            });
        if state.epoch != header.producer_epoch {
            *state = ProducerState {
                epoch: header.producer_epoch,
                batches: VecDeque::new(),
            };
        }
        state
            .batches
            .push_back((header.base_sequence, header.last_sequence(), offset));
        if state.batches.len() > 5 {
            state.batches.pop_front();
        }
        Ok(offset)
    }

    /// Writes the marker of a transaction's end.
    pub(super) fn end_transaction(&mut self, id: ProducerId, epoch: ProducerEpoch, commit: bool) {
        let at = self.append(&marker(id, epoch, commit));
        if let Some(first) = self.open.remove(&id)
            && !commit
        {
            self.ended.push((id, first, at));
        }
        let state = self.producers.entry(id).or_insert_with(|| ProducerState {
            epoch,
            batches: VecDeque::new(),
        });
        if state.epoch != epoch {
            state.epoch = epoch;
            state.batches.clear();
        }
    }

    /// Whether a reader of what is committed gets the batch.
    pub(super) fn is_committed(&self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        let (id, offset) = (header.producer_id, header.base_offset);
        let is_aborted = self
            .ended
            .iter()
            .any(|(producer, first, last)| *producer == id && *first <= offset && offset < *last);
        !header.is_control() && !is_aborted && offset < self.stable()
    }

    /// The last stable offset.
    fn stable(&self) -> Offset {
        let open = self.open.values().min().copied();
        self.last_stable_offset.or(open).unwrap_or(self.end())
    }

    /// Whole batches from `offset` on, at least one, up to a size.
    fn read(&self, offset: Offset, end: Offset, bytes_max: i32) -> Bytes {
        let mut bytes = BytesMut::new();
        for batch in self
            .batches
            .iter()
            .filter(|batch| batch.last_offset() >= offset && batch.last_offset() < end)
        {
            if !bytes.is_empty()
                && bytes.len() + batch.size_in_bytes() > usize::try_from(bytes_max).unwrap_or(0)
            {
                break;
            }
            bytes.extend_from_slice(batch.bytes());
        }
        bytes.freeze()
    }
}

impl State {
    pub(super) fn metadata(&mut self, request: &MetadataRequest) -> MetadataResponse {
        let names: Vec<String> = match &request.topics {
            None => self.topics.keys().cloned().collect(),
            Some(topics) => topics
                .iter()
                .filter_map(|topic| topic.name.as_ref().map(ToString::to_string))
                .collect(),
        };
        for name in &names {
            if self.auto_create && request.allow_auto_topic_creation && !self.topics.contains_key(name) {
                self.create_topic(name, 2);
            }
        }
        let brokers = self
            .brokers
            .iter()
            .filter(|(_, up)| **up)
            .map(|(id, _)| MetadataResponseBroker {
                node_id: id.0,
                host: format!("broker{id}").into(),
                port: 9092,
                ..Default::default()
            });
        MetadataResponse {
            brokers: brokers.collect(),
            cluster_id: Some(CLUSTER_ID.into()),
            controller_id: 1,
            topics: names.iter().map(|name| self.topic_metadata(name)).collect(),
            ..Default::default()
        }
    }

    /// The same facts as [`State::metadata`], in one page.
    pub(super) fn describe_topic_partitions(
        &self,
        request: &DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let partition = |partition: MetadataResponsePartition| DescribeTopicPartitionsResponsePartition {
            error_code: partition.error_code,
            partition_index: partition.partition_index,
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replica_nodes,
            isr_nodes: partition.isr_nodes,
            ..Default::default()
        };
        let topics = request.topics.iter().map(|topic| {
            let topic = self.topic_metadata(&topic.name);
            DescribeTopicPartitionsResponseTopic {
                error_code: topic.error_code,
                name: topic.name,
                topic_id: topic.topic_id,
                partitions: topic.partitions.into_iter().map(partition).collect(),
                ..Default::default()
            }
        });
        DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            ..Default::default()
        }
    }

    fn topic_metadata(&self, name: &str) -> MetadataResponseTopic {
        let error = self.topic_errors.get(name).copied();
        let Some(topic) = self.topics.get(name).filter(|_| error.is_none()) else {
            let error_code = error.unwrap_or(ErrorCode::UnknownTopicOrPartition).to_i16();
            return MetadataResponseTopic {
                error_code,
                name: Some(name.into()),
                ..Default::default()
            };
        };
        let partitions =
            (0..)
                .zip(&topic.partitions)
                .map(|(partition_index, partition)| MetadataResponsePartition {
                    partition_index,
                    leader_id: if self.brokers.get(&partition.leader) == Some(&true) {
                        partition.leader.0
                    } else {
                        -1
                    },
                    leader_epoch: partition.leader_epoch.0,
                    replica_nodes: vec![partition.leader.0],
                    isr_nodes: vec![partition.leader.0],
                    ..Default::default()
                });
        MetadataResponseTopic {
            name: Some(name.into()),
            topic_id: topic.id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    }

    pub(super) fn init_producer_id(
        &mut self,
        request: &InitProducerIdRequest,
        refuse: Option<ErrorCode>,
    ) -> InitProducerIdResponse {
        if request.transactional_id.is_some() {
            return self.init_transactional(request, refuse);
        }
        self.next_producer_id += 1;
        InitProducerIdResponse {
            error_code: refuse.map_or(0, ErrorCode::to_i16),
            producer_id: self.next_producer_id,
            producer_epoch: 0,
            ..Default::default()
        }
    }

    pub(super) fn create_topics(
        &mut self,
        request: &CreateTopicsRequest,
        refuse: Option<ErrorCode>,
    ) -> CreateTopicsResponse {
        let topics = request.topics.iter().map(|topic| {
            let code = match refuse {
                Some(code) => code,
                None if self.topics.contains_key(&*topic.name) => ErrorCode::TopicAlreadyExists,
                None => {
                    let partitions = usize::try_from(topic.num_partitions).unwrap_or(1);
                    self.create_topic(&topic.name, partitions);
                    let configs = topic.configs.iter().filter_map(|config| {
                        Some((config.name.to_string(), config.value.as_ref()?.to_string()))
                    });
                    if let Some(created) = self.topics.get_mut(&*topic.name) {
                        created.configs = configs.collect();
                    }
                    ErrorCode::None
                }
            };
            CreatableTopicResult {
                name: topic.name.clone(),
                error_code: code.to_i16(),
                num_partitions: topic.num_partitions,
                replication_factor: 1,
                ..Default::default()
            }
        });
        CreateTopicsResponse {
            topics: topics.collect(),
            ..Default::default()
        }
    }

    /// Of topics, and only what was given when they were created.
    pub(super) fn describe_configs(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let results = request.resources.iter().map(|resource| {
            let topic = self.topics.get(&*resource.resource_name);
            let configs = topic.into_iter().flat_map(|topic| &topic.configs);
            DescribeConfigsResult {
                error_code: topic
                    .map_or(ErrorCode::UnknownTopicOrPartition, |_| ErrorCode::None)
                    .to_i16(),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                configs: configs
                    .map(|(name, value)| DescribeConfigsResourceResult {
                        name: name.into(),
                        value: Some(value.into()),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            }
        });
        DescribeConfigsResponse {
            results: results.collect(),
            ..Default::default()
        }
    }

    fn topic_name(&self, name: &Utf8Bytes, id: forebay_protocol::Uuid) -> Utf8Bytes {
        if !name.is_empty() {
            return name.clone();
        }
        let named = self.topics.iter().find(|(_, topic)| topic.id == id);
        named.map(|(name, _)| name.into()).unwrap_or_default()
    }

    pub(super) fn produce(
        &mut self,
        (node, version): (NodeId, i16),
        request: &ProduceRequest,
        refuse: Option<ErrorCode>,
    ) -> ProduceResponse {
        let mut response = ProduceResponse::default();
        for topic in &request.topic_data {
            let name = self.topic_name(&topic.name, topic.topic_id);
            let mut answer = TopicProduceResponse {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                ..Default::default()
            };
            for data in &topic.partition_data {
                let Some(Records::Memory(bytes)) = &data.records else {
                    panic!("a decoded request")
                };
                let result = match refuse {
                    Some(code) => Err(code),
                    None => self
                        .verify(version, request, (&name, data.index), bytes)
                        .and_then(|()| self.produce_to(node, &name, data.index, bytes)),
                };
                let partition = self.partition(&name, data.index);
                let mut answered = PartitionProduceResponse {
                    index: data.index,
                    log_start_offset: 0,
                    ..Default::default()
                };
                match result {
                    Ok(offset) => answered.base_offset = offset.0,
                    Err(code) => {
                        answered.error_code = code.to_i16();
                        answered.base_offset = -1;
                        if code == ErrorCode::NotLeaderOrFollower
                            && let Some(partition) = partition
                        {
                            answered.current_leader = LeaderIdAndEpoch {
                                leader_id: partition.leader.0,
                                leader_epoch: partition.leader_epoch.0,
                                ..Default::default()
                            };
                        }
                    }
                }
                answer.partition_responses.push(answered);
            }
            response.responses.push(answer);
        }
        response
    }

    /// As a leader asks the coordinator before it takes a batch of a transaction.
    fn verify(
        &mut self,
        version: i16,
        request: &ProduceRequest,
        (topic, partition): (&str, i32),
        bytes: &Bytes,
    ) -> Result<(), ErrorCode> {
        self.expire_transactions();
        let batch = RecordBatch::new(bytes.clone()).map_err(|_| ErrorCode::CorruptMessage)?;
        if !batch.header().is_transactional() || self.partition(topic, partition).is_none() {
            return Ok(());
        }
        let id = request.transactional_id.as_deref();
        self.check_transaction(version, id, (topic, partition), batch.header())
    }

    fn produce_to(
        &mut self,
        node: NodeId,
        topic: &str,
        partition: i32,
        bytes: &Bytes,
    ) -> Result<Offset, ErrorCode> {
        let bytes_max = self.batch_bytes_max;
        let partition = self
            .partition(topic, partition)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if partition.leader != node {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let batch = RecordBatch::new(bytes.clone()).map_err(|_| ErrorCode::CorruptMessage)?;
        if batch.size_in_bytes() > bytes_max {
            return Err(ErrorCode::MessageTooLarge);
        }
        partition.produce(&batch)
    }

    pub(super) fn fetch(
        &mut self,
        node: NodeId,
        request: &FetchRequest,
        refuse: Option<ErrorCode>,
    ) -> FetchResponse {
        let mut response = FetchResponse::default();
        for topic in &request.topics {
            let name = self.topic_name(&topic.topic, topic.topic_id);
            let mut answer = FetchableTopicResponse {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                ..Default::default()
            };
            for wanted in &topic.partitions {
                let mut data = PartitionData {
                    partition_index: wanted.partition,
                    ..Default::default()
                };
                data.records = Some(Records::EMPTY);
                match (refuse, self.partition(&name, wanted.partition)) {
                    (Some(code), _) => data.error_code = code.to_i16(),
                    (None, None) => data.error_code = ErrorCode::UnknownTopicOrPartition.to_i16(),
                    (None, Some(partition)) => {
                        partition.fetch(node, request.isolation_level, wanted, &mut data);
                    }
                }
                answer.partitions.push(data);
            }
            response.responses.push(answer);
        }
        response
    }

    pub(super) fn list_offsets(
        &mut self,
        node: NodeId,
        request: &ListOffsetsRequest,
        refuse: Option<ErrorCode>,
    ) -> ListOffsetsResponse {
        let mut response = ListOffsetsResponse::default();
        for topic in &request.topics {
            let mut answer = ListOffsetsTopicResponse {
                name: topic.name.clone(),
                ..Default::default()
            };
            for wanted in &topic.partitions {
                let mut data = ListOffsetsPartitionResponse {
                    partition_index: wanted.partition_index,
                    ..Default::default()
                };
                match (refuse, self.partition(&topic.name, wanted.partition_index)) {
                    (Some(code), _) => data.error_code = code.to_i16(),
                    (None, Some(partition)) if partition.leader == node => {
                        data.leader_epoch = partition.leader_epoch.0;
                        data.offset = match wanted.timestamp {
                            -1 if request.isolation_level == 1 => partition.stable().0,
                            -1 => partition.end().0,
                            -2 => partition.log_start.0,
                            timestamp => partition.at(timestamp, &mut data),
                        };
                    }
                    (None, Some(_)) => data.error_code = ErrorCode::NotLeaderOrFollower.to_i16(),
                    (None, None) => data.error_code = ErrorCode::UnknownTopicOrPartition.to_i16(),
                }
                answer.partitions.push(data);
            }
            response.topics.push(answer);
        }
        response
    }
}

impl PartitionState {
    fn at(&self, timestamp: i64, data: &mut ListOffsetsPartitionResponse) -> i64 {
        let mut records = self
            .batches
            .iter()
            .flat_map(|batch| batch.records().expect("sound"));
        let found = records.find_map(|record| record.ok().filter(|record| record.timestamp.0 >= timestamp));
        data.timestamp = found.as_ref().map_or(-1, |record| record.timestamp.0);
        found.map_or(-1, |record| record.offset.0)
    }

    fn fetch(
        &self,
        node: NodeId,
        isolation_level: i8,
        wanted: &forebay_protocol::messages::fetch_request::FetchPartition,
        data: &mut PartitionData,
    ) {
        if self.leader != node {
            data.error_code = ErrorCode::NotLeaderOrFollower.to_i16();
            return;
        }
        if wanted.current_leader_epoch >= 0 && wanted.current_leader_epoch < self.leader_epoch.0 {
            data.error_code = ErrorCode::FencedLeaderEpoch.to_i16();
            return;
        }
        let offset = Offset(wanted.fetch_offset);
        if offset < self.log_start || offset > self.end() {
            data.error_code = ErrorCode::OffsetOutOfRange.to_i16();
            return;
        }
        let stable = self.stable();
        let end = if isolation_level == 1 { stable } else { self.end() };
        data.high_watermark = self.end().0;
        data.last_stable_offset = stable.0;
        data.log_start_offset = self.log_start.0;
        data.records = Some(Records::Memory(self.read(
            offset,
            end,
            wanted.partition_max_bytes,
        )));
        let ended = self.ended.iter().filter(|(_, _, last)| *last >= offset);
        let ended = ended.map(|(producer, first, _)| (producer, first));
        let aborted = self.aborted.iter().map(|(producer, first)| (producer, first));
        let aborted = aborted.chain(ended).map(|(producer, first)| AbortedTransaction {
            producer_id: producer.0,
            first_offset: first.0,
            ..Default::default()
        });
        data.aborted_transactions = (isolation_level == 1).then(|| aborted.collect());
    }
}
