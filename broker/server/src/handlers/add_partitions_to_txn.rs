//! AddPartitionsToTxn: partitions take part in a transaction. Up to version 3 it comes from a client, for one transaction; from version 4
//! on from a broker, for several, some of them only to be asked about (KIP-890).

use forebay_broker_coordinator::transaction::{
    AddPartitions, Command, Response, TransactionVersion, add_partitions_results,
};
use forebay_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use forebay_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResult;
use forebay_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use forebay_protocol::{ErrorCode, TopicPartition};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// The first version of brokers.
const BATCHED: i16 = 4;

/// Answers an AddPartitionsToTxn request.
pub(crate) async fn handle(call: &Call, request: AddPartitionsToTxnRequest) -> Reply {
    if call.version < BATCHED {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            topics: request.v3_and_below_topics,
            ..AddPartitionsToTxnTransaction::default()
        };
        let Some(results) = add(call, transaction).await else {
            return Reply::STOPPING;
        };
        return AddPartitionsToTxnResponse {
            results_by_topic_v3_and_below: add_partitions_results(results),
            ..AddPartitionsToTxnResponse::default()
        }
        .into();
    }
    let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        let Some(results) = add(call, transaction).await else {
            return Reply::STOPPING;
        };
        results_by_transaction.push(AddPartitionsToTxnResult {
            transactional_id,
            topic_results: add_partitions_results(results),
            ..AddPartitionsToTxnResult::default()
        });
    }
    AddPartitionsToTxnResponse {
        results_by_transaction,
        ..AddPartitionsToTxnResponse::default()
    }
    .into()
}

/// Adds to, or asks about, one transaction; `None` if the broker stops first. One partition that does not exist spoils it for all.
async fn add(
    call: &Call,
    transaction: AddPartitionsToTxnTransaction,
) -> Option<Vec<(TopicPartition, ErrorCode)>> {
    let partitions = partitions(&transaction.topics);
    let image = call.core.metadata.image();
    let exists = |one: &TopicPartition| image.partition(&one.topic, one.partition).is_some();
    if !partitions.iter().all(exists) {
        let result = |one: TopicPartition| {
            let code = if exists(&one) {
                ErrorCode::OperationNotAttempted
            } else {
                ErrorCode::UnknownTopicOrPartition
            };
            (one, code)
        };
        return Some(partitions.into_iter().map(result).collect());
    }
    if call.version >= BATCHED {
        let add = call.core.transactions.add_partitions(
            &transaction.transactional_id,
            transaction.producer_id.into(),
            transaction.producer_epoch.into(),
            partitions,
            transaction.verify_only,
        );
        return Some(add.await);
    }
    let command = Command::AddPartitions(AddPartitions {
        transactional_id: transaction.transactional_id.clone(),
        producer_id: transaction.producer_id.into(),
        producer_epoch: transaction.producer_epoch.into(),
        partitions,
        verify_only: false,
        client_version: TransactionVersion::V0,
    });
    let context = coordinator_context(call);
    let answer = call
        .core
        .transactions
        .ask(&transaction.transactional_id, context, command)
        .await;
    match answer {
        Some(Response::AddPartitions(results)) => Some(results),
        _ => None,
    }
}

/// Each once.
fn partitions(topics: &[AddPartitionsToTxnTopic]) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| {
            let numbers = topic.partitions.iter();
            numbers.map(|number| TopicPartition::new(topic.name.clone(), *number))
        })
        .collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}
