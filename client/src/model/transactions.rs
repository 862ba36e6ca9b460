//! What the model does with transactions: one coordinator (broker 1) for all ids, as strict as Kafka's where a client could go
//! wrong: epochs, states, partitions that were not added, repeated ends. Markers are written at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use forebay_protocol::{
    ErrorCode, NodeId,
    messages::{
        AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
        InitProducerIdResponse, ListTransactionsResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        add_partitions_to_txn_response::{AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult},
        list_transactions_response::TransactionState as ListedTransaction,
        txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
    },
};
use forebay_records::{
    BatchBuilder, BatchHeader, BatchOptions, ControlRecordType, EndTransactionMarker, ProducerEpoch,
    ProducerId, ProducerIdentity, Timestamp,
};
use tokio::time::Instant;

use super::State;

/// The first versions with which a client says that it works as KIP-890 has it.
const END_V2: i16 = 5;
const PRODUCE_V2: i16 = 12;
const COMMIT_OFFSETS_V2: i16 = 5;

/// Committed offsets of a group: offset, leader epoch, metadata.
type GroupOffsets = BTreeMap<(String, i32), (i64, i32, String)>;

/// A transactional id.
#[derive(Debug)]
pub(super) struct TransactionState {
    producer_id: i64,
    epoch: i16,
    /// The epoch before the last change, for requests that are made again.
    last_epoch: i16,
    timeout: Duration,
    /// Since when there is a transaction.
    ongoing: Option<Instant>,
    /// How the last one ended.
    committed: Option<bool>,
    partitions: BTreeSet<(String, i32)>,
    groups: BTreeMap<String, GroupOffsets>,
}

impl TransactionState {
    fn check(&self, producer_id: i64, epoch: i16) -> Result<(), ErrorCode> {
        if producer_id != self.producer_id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if epoch != self.epoch {
            Err(ErrorCode::ProducerFenced)
        } else {
            Ok(())
        }
    }

    fn begin(&mut self) {
        self.ongoing.get_or_insert_with(Instant::now);
    }

    fn bump(&mut self) {
        self.last_epoch = self.epoch;
        self.epoch += 1;
    }
}

impl State {
    pub(super) fn list_transactions(&mut self, node: NodeId) -> ListTransactionsResponse {
        self.expire_transactions();
        let listed = self.transactions.iter().map(|(id, known)| ListedTransaction {
            transactional_id: id.into(),
            producer_id: known.producer_id,
            transaction_state: match (known.ongoing, known.committed) {
                (Some(_), _) => "Ongoing".into(),
                (None, None) => "Empty".into(),
                (None, Some(true)) => "CompleteCommit".into(),
                (None, Some(false)) => "CompleteAbort".into(),
            },
            ..Default::default()
        });
        ListTransactionsResponse {
            // The coordinator of all.
            transaction_states: listed.filter(|_| node == NodeId(1)).collect(),
            ..Default::default()
        }
    }

    pub(super) fn init_transactional(
        &mut self,
        request: &InitProducerIdRequest,
        refuse: Option<ErrorCode>,
    ) -> InitProducerIdResponse {
        self.expire_transactions();
        let id = request.transactional_id.as_deref().unwrap_or_default().to_owned();
        let outcome = match refuse {
            Some(code) => Err(code),
            None => self.next_identity(&id, request),
        };
        match outcome {
            Ok((producer_id, producer_epoch)) => InitProducerIdResponse {
                producer_id,
                producer_epoch,
                ..Default::default()
            },
            Err(code) => InitProducerIdResponse {
                error_code: code.to_i16(),
                ..Default::default()
            },
        }
    }

    fn next_identity(&mut self, id: &str, request: &InitProducerIdRequest) -> Result<(i64, i16), ErrorCode> {
        let timeout = Duration::from_millis(request.transaction_timeout_ms.try_into().unwrap_or(0));
        let Some(known) = self.transactions.get_mut(id) else {
            self.next_producer_id += 1;
            let producer_id = self.next_producer_id;
            let new = TransactionState {
                producer_id,
                epoch: 0,
                last_epoch: -1,
                timeout,
                ongoing: None,
                committed: None,
                partitions: BTreeSet::new(),
                groups: BTreeMap::new(),
            };
            self.transactions.insert(id.to_owned(), new);
            return Ok((producer_id, 0));
        };
        if request.producer_id >= 0 {
            let is_known = request.producer_id == known.producer_id;
            if is_known && request.producer_epoch == known.last_epoch {
                return Ok((known.producer_id, known.epoch));
            }
            if !is_known || request.producer_epoch != known.epoch {
                return Err(ErrorCode::ProducerFenced);
            }
        }
        known.timeout = timeout;
        known.bump();
        if known.ongoing.is_some() {
            // What is open is ended first, under an epoch that fences its producer.
            self.end(id, false);
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok((known.producer_id, known.epoch))
    }

    pub(super) fn add_partitions(
        &mut self,
        request: &AddPartitionsToTxnRequest,
        refuse: Option<ErrorCode>,
    ) -> AddPartitionsToTxnResponse {
        self.expire_transactions();
        let wanted: Vec<(String, i32)> = request
            .v3_and_below_topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|one| (topic.name.to_string(), *one)))
            .collect();
        let missing: BTreeSet<(String, i32)> = wanted
            .iter()
            .filter(|(topic, partition)| self.partition(topic, *partition).is_none())
            .cloned()
            .collect();
        let identity = (
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
        );
        let known = self.transactions.get_mut(&*request.v3_and_below_transactional_id);
        let checked = match (refuse, known) {
            (Some(code), _) => Err(code),
            (None, None) => Err(ErrorCode::InvalidProducerIdMapping),
            (None, Some(known)) => known.check(identity.0, identity.1).map(|()| {
                if missing.is_empty() {
                    known.begin();
                    known.partitions.extend(wanted.iter().cloned());
                }
            }),
        };
        let code_of = |partition: &(String, i32)| match &checked {
            Err(code) => *code,
            Ok(()) if missing.contains(partition) => ErrorCode::UnknownTopicOrPartition,
            Ok(()) if !missing.is_empty() => ErrorCode::OperationNotAttempted,
            Ok(()) => ErrorCode::None,
        };
        let results = wanted.iter().map(|partition| AddPartitionsToTxnTopicResult {
            name: partition.0.as_str().into(),
            results_by_partition: vec![AddPartitionsToTxnPartitionResult {
                partition_index: partition.1,
                partition_error_code: code_of(partition).to_i16(),
                ..Default::default()
            }],
            ..Default::default()
        });
        AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: results.collect(),
            ..Default::default()
        }
    }

    pub(super) fn add_offsets(
        &mut self,
        request: &AddOffsetsToTxnRequest,
        refuse: Option<ErrorCode>,
    ) -> AddOffsetsToTxnResponse {
        self.expire_transactions();
        let known = self.transactions.get_mut(&*request.transactional_id);
        let code = match (refuse, known) {
            (Some(code), _) => code,
            (None, None) => ErrorCode::InvalidProducerIdMapping,
            (None, Some(known)) => match known.check(request.producer_id, request.producer_epoch) {
                Err(code) => code,
                Ok(()) => {
                    known.begin();
                    known.groups.entry(request.group_id.to_string()).or_default();
                    ErrorCode::None
                }
            },
        };
        AddOffsetsToTxnResponse {
            error_code: code.to_i16(),
            ..Default::default()
        }
    }

    pub(super) fn commit_offsets(
        &mut self,
        version: i16,
        request: &TxnOffsetCommitRequest,
        refuse: Option<ErrorCode>,
    ) -> TxnOffsetCommitResponse {
        self.expire_transactions();
        let group = request.group_id.to_string();
        let of_member = match self.groups.get(&group) {
            Some(known) if request.generation_id >= 0 => known.check(
                &request.member_id,
                request.group_instance_id.as_deref(),
                request.generation_id,
            ),
            None if request.generation_id >= 0 => ErrorCode::UnknownMemberId,
            _ => ErrorCode::None,
        };
        let known = self.transactions.get_mut(&*request.transactional_id);
        let code = match (refuse, known) {
            (Some(code), _) => code,
            (None, None) => ErrorCode::InvalidProducerIdMapping,
            (None, Some(_)) if of_member != ErrorCode::None => of_member,
            (None, Some(known)) => match known.check(request.producer_id, request.producer_epoch) {
                Err(ErrorCode::ProducerFenced) => ErrorCode::InvalidProducerEpoch,
                Err(code) => code,
                Ok(()) if version < COMMIT_OFFSETS_V2 && !known.groups.contains_key(&group) => {
                    ErrorCode::InvalidTxnState
                }
                Ok(()) => {
                    known.begin();
                    let offsets = known.groups.entry(group).or_default();
                    for topic in &request.topics {
                        for one in &topic.partitions {
                            let metadata = one.committed_metadata.as_deref().unwrap_or_default().to_owned();
                            let value = (one.committed_offset, one.committed_leader_epoch, metadata);
                            offsets.insert((topic.name.to_string(), one.partition_index), value);
                        }
                    }
                    ErrorCode::None
                }
            },
        };
        let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|one| TxnOffsetCommitResponsePartition {
                    partition_index: one.partition_index,
                    error_code: code.to_i16(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        TxnOffsetCommitResponse {
            topics: topics.collect(),
            ..Default::default()
        }
    }

    pub(super) fn end_transaction(
        &mut self,
        version: i16,
        request: &EndTxnRequest,
        refuse: Option<ErrorCode>,
    ) -> EndTxnResponse {
        self.expire_transactions();
        let outcome = match refuse {
            Some(code) => Err(code),
            None => self.decide_end(version, request),
        };
        match outcome {
            Err(code) => EndTxnResponse {
                error_code: code.to_i16(),
                ..Default::default()
            },
            Ok(()) if version < END_V2 => EndTxnResponse::default(),
            Ok(()) => {
                let known = &self.transactions[&*request.transactional_id];
                EndTxnResponse {
                    producer_id: known.producer_id,
                    producer_epoch: known.epoch,
                    ..Default::default()
                }
            }
        }
    }

    fn decide_end(&mut self, version: i16, request: &EndTxnRequest) -> Result<(), ErrorCode> {
        let id = &*request.transactional_id;
        let known = self
            .transactions
            .get_mut(id)
            .ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let is_again = known.ongoing.is_none() && known.committed == Some(request.committed);
        if version < END_V2 {
            known.check(request.producer_id, request.producer_epoch)?;
            return match known.ongoing {
                Some(_) => {
                    self.end(id, request.committed);
                    Ok(())
                }
                None if is_again => Ok(()),
                None => Err(ErrorCode::InvalidTxnState),
            };
        }
        if is_again && request.producer_id == known.producer_id && request.producer_epoch == known.last_epoch
        {
            return Ok(());
        }
        known.check(request.producer_id, request.producer_epoch)?;
        if known.ongoing.is_none() && request.committed {
            return Err(ErrorCode::InvalidTxnState);
        }
        known.bump();
        self.end(id, request.committed);
        Ok(())
    }

    /// Writes the markers, in the epoch that holds now, and applies the offsets.
    fn end(&mut self, id: &str, commit: bool) {
        let Some(known) = self.transactions.get_mut(id) else {
            return;
        };
        known.ongoing = None;
        known.committed = Some(commit);
        let (producer_id, epoch) = (ProducerId(known.producer_id), ProducerEpoch(known.epoch));
        let partitions = std::mem::take(&mut known.partitions);
        let groups = std::mem::take(&mut known.groups);
        for (topic, partition) in partitions {
            if let Some(partition) = self.partition(&topic, partition) {
                partition.end_transaction(producer_id, epoch, commit);
            }
        }
        for (group, offsets) in groups.into_iter().filter(|_| commit) {
            self.groups.entry(group).or_default().offsets.extend(offsets);
        }
    }

    /// Aborts what has been open for too long, and fences its producer.
    pub(super) fn expire_transactions(&mut self) {
        let late = self.transactions.iter().filter(|(_, known)| {
            known
                .ongoing
                .is_some_and(|since| since.elapsed() >= known.timeout)
        });
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            if let Some(known) = self.transactions.get_mut(&id) {
                known.bump();
            }
            self.end(&id, false);
        }
    }

    /// How many transactions are open.
    pub(crate) fn open_transactions(&mut self) -> usize {
        self.expire_transactions();
        self.transactions
            .values()
            .filter(|known| known.ongoing.is_some())
            .count()
    }

    /// Whether a transactional batch may be written; with version 2 its partition is added by that.
    pub(super) fn check_transaction(
        &mut self,
        version: i16,
        id: Option<&str>,
        (topic, partition): (&str, i32),
        header: &BatchHeader,
    ) -> Result<(), ErrorCode> {
        let known = id.and_then(|id| self.transactions.get_mut(id));
        let known = known.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        match known.check(header.producer_id.0, header.producer_epoch.0) {
            Err(ErrorCode::ProducerFenced) => return Err(ErrorCode::InvalidProducerEpoch),
            checked => checked?,
        }
        let key = (topic.to_owned(), partition);
        if version >= PRODUCE_V2 {
            known.begin();
            known.partitions.insert(key);
            return Ok(());
        }
        if known.ongoing.is_some() && known.partitions.contains(&key) {
            Ok(())
        } else {
            Err(ErrorCode::InvalidTxnState)
        }
    }
}

/// The batch of a marker.
pub(super) fn marker(id: ProducerId, epoch: ProducerEpoch, commit: bool) -> forebay_records::RecordBatch {
    let options = BatchOptions {
        producer: ProducerIdentity {
            id,
            epoch,
            ..ProducerIdentity::NONE
        },
        ..BatchOptions::default()
    };
    let kind = if commit {
        ControlRecordType::Commit
    } else {
        ControlRecordType::Abort
    };
    let coordinator_epoch = 0;
    BatchBuilder::end_transaction(
        options,
        Timestamp(0),
        kind,
        EndTransactionMarker { coordinator_epoch },
    )
    .expect("a marker is not compressed")
}
