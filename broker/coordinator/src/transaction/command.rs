//! What can be asked of a transaction coordinator, what it answers, what it wants done, and the answers of one that is not there.

use std::sync::Arc;

use forebay_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use forebay_protocol::messages::describe_transactions_response::TransactionState as DescribedTransaction;
use forebay_protocol::messages::list_transactions_response::TransactionState as ListedTransaction;
use forebay_protocol::messages::{
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse,
};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerEpoch, ProducerId};

use super::{Completion, ListFilters, Request, TransactionVersion};

/// The first versions of the APIs whose clients know PRODUCER_FENCED; older ones are told INVALID_PRODUCER_EPOCH.
const INIT_PRODUCER_ID_KNOWS_FENCED: i16 = 4;
const END_TXN_KNOWS_FENCED: i16 = 2;
const ADD_PARTITIONS_KNOWS_FENCED: i16 = 2;

/// What is asked. Authorization and whether partitions exist are behind us.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A producer begins, or begins anew (KIP-360). It has a transactional id, and both or neither of producer id and epoch.
    InitProducerId(InitProducerIdRequest),
    /// Partitions take part in the transaction from now on, or are asked about.
    AddPartitions(AddPartitions),
    /// The transaction commits or aborts.
    EndTransaction(EndTxnRequest),
    /// All ids of this partition that pass the filters.
    ListTransactions(Arc<ListFilters>),
    /// Ids of this partition to describe.
    DescribeTransactions(Vec<Utf8Bytes>),
    /// What came of [`Action::WriteMarkers`].
    MarkersWritten {
        /// What was to be written.
        markers: Markers,
        /// For each of its partitions. Partitions that do not exist any more count as written.
        results: Vec<(TopicPartition, Result<(), ErrorCode>)>,
    },
    /// What came of [`Action::AllocateProducerId`].
    ProducerIdAllocated(Result<ProducerId, ErrorCode>),
}

/// An AddPartitionsToTxn, or an AddOffsetsToTxn with the group's partition of `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPartitions {
    /// Whose transaction.
    pub transactional_id: Utf8Bytes,
    /// The producer that takes part.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// What takes part.
    pub partitions: Vec<TopicPartition>,
    /// Only say whether they take part (KIP-890, part 1): TRANSACTION_ABORTABLE for those that do not.
    pub verify_only: bool,
    /// How the client runs its transactions.
    pub client_version: TransactionVersion,
}

/// The end of a transaction, to be written into partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// Whose transaction.
    pub transactional_id: Utf8Bytes,
    /// Its producer.
    pub producer_id: ProducerId,
    /// With transaction version 2 the epoch after that of the transaction's records.
    pub producer_epoch: ProducerEpoch,
    /// Committed, or aborted.
    pub commit: bool,
    /// The epoch of this coordinator.
    pub coordinator_epoch: i32,
    /// How the transaction was run.
    pub transaction_version: TransactionVersion,
    /// Where.
    pub partitions: Vec<TopicPartition>,
}

/// What the driver is to do; it tells what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write these, into all partitions that there still are.
    WriteMarkers(Markers),
    /// Get a producer id that was never given out.
    AllocateProducerId,
}

/// What is answered: the API's own message, ready for the version of the request, or this partition's share of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To InitProducerId.
    InitProducerId(InitProducerIdResponse),
    /// To AddPartitions, for each partition.
    AddPartitions(Vec<(TopicPartition, ErrorCode)>),
    /// To EndTxn.
    EndTransaction(EndTxnResponse),
    /// The ids of this partition.
    ListTransactions(Result<Vec<ListedTransaction>, ErrorCode>),
    /// The ids of this partition.
    DescribeTransactions(Vec<DescribedTransaction>),
    /// It is known now: to what is not a client's. An error: nobody is there to know it.
    Noted(Result<(), ErrorCode>),
}

impl Request {
    /// Answers a request without a coordinator, or one that is refused.
    #[must_use]
    pub fn refuse(self, error: ErrorCode) -> Completion {
        let response = match self.command {
            Command::InitProducerId(_) => Response::InitProducerId(InitProducerIdResponse::default()),
            Command::AddPartitions(add) => {
                let partitions = add.partitions.into_iter();
                Response::AddPartitions(partitions.map(|one| (one, error)).collect())
            }
            Command::EndTransaction(_) => Response::EndTransaction(EndTxnResponse::default()),
            Command::ListTransactions(_) => Response::ListTransactions(Err(error)),
            Command::DescribeTransactions(ids) => {
                Response::DescribeTransactions(ids.into_iter().map(undescribed(error)).collect())
            }
            Command::MarkersWritten { .. } | Command::ProducerIdAllocated(_) => Response::Noted(Err(error)),
        };
        Completion {
            request: self.id,
            response: response.failed(error, self.context.api_version),
        }
    }
}

impl Response {
    /// The same answer, if it cannot be given.
    pub(crate) fn failed(self, error: ErrorCode, api_version: i16) -> Self {
        let told = |knows_fenced: i16| match error {
            ErrorCode::ProducerFenced if api_version < knows_fenced => ErrorCode::InvalidProducerEpoch,
            other => other,
        };
        match self {
            Self::InitProducerId(_) => Self::InitProducerId(InitProducerIdResponse {
                error_code: told(INIT_PRODUCER_ID_KNOWS_FENCED).to_i16(),
                producer_id: NO_PRODUCER_ID.0,
                producer_epoch: NO_PRODUCER_EPOCH.0,
                ..Default::default()
            }),
            Self::AddPartitions(partitions) => {
                let code = told(ADD_PARTITIONS_KNOWS_FENCED);
                Self::AddPartitions(partitions.into_iter().map(|(one, _)| (one, code)).collect())
            }
            Self::EndTransaction(_) => Self::EndTransaction(EndTxnResponse {
                error_code: told(END_TXN_KNOWS_FENCED).to_i16(),
                producer_id: NO_PRODUCER_ID.0,
                producer_epoch: NO_PRODUCER_EPOCH.0,
                ..Default::default()
            }),
            Self::ListTransactions(_) => Self::ListTransactions(Err(error)),
            Self::DescribeTransactions(_) | Self::Noted(_) => self,
        }
    }
}

/// An id that cannot be described.
pub(super) fn undescribed(error: ErrorCode) -> impl Fn(Utf8Bytes) -> DescribedTransaction {
    move |transactional_id| DescribedTransaction {
        transactional_id,
        error_code: error.to_i16(),
        ..Default::default()
    }
}

/// The results of an AddPartitions as the API groups them: by topic, in order of topic and partition.
#[must_use]
pub fn add_partitions_results(
    mut results: Vec<(TopicPartition, ErrorCode)>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    results.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut topics: Vec<AddPartitionsToTxnTopicResult> = Vec::new();
    for (partition, error) in results {
        if topics.last().is_none_or(|topic| topic.name != partition.topic) {
            topics.push(AddPartitionsToTxnTopicResult {
                name: partition.topic.clone(),
                ..Default::default()
            });
        }
        let result = AddPartitionsToTxnPartitionResult {
            partition_index: partition.partition,
            partition_error_code: error.to_i16(),
            ..Default::default()
        };
        if let Some(topic) = topics.last_mut() {
            topic.results_by_partition.push(result);
        }
    }
    topics
}
