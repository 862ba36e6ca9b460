//! AddOffsetsToTxn: the offsets of a group take part in a transaction, that is, the partition of `__consumer_offsets` that has them.

use forebay_broker_controller::CONSUMER_OFFSETS;
use forebay_broker_coordinator::partition_for;
use forebay_broker_coordinator::transaction::{AddPartitions, Command, Response, TransactionVersion};
use forebay_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use forebay_protocol::{ErrorCode, TopicPartition};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers an AddOffsetsToTxn request.
pub(crate) async fn handle(call: &Call, request: AddOffsetsToTxnRequest) -> Reply {
    let image = call.core.metadata.image();
    // A client may come here before it looks for the group's coordinator, which makes the topic.
    let count = image
        .topic(CONSUMER_OFFSETS)
        .and_then(|topic| i32::try_from(topic.partition_count()).ok())
        .unwrap_or(call.core.config.offsets_topic_partitions);
    let offsets = TopicPartition::new(CONSUMER_OFFSETS, partition_for(&request.group_id, count));
    let command = Command::AddPartitions(AddPartitions {
        transactional_id: request.transactional_id.clone(),
        producer_id: request.producer_id.into(),
        producer_epoch: request.producer_epoch.into(),
        partitions: vec![offsets],
        verify_only: false,
        client_version: TransactionVersion::V0,
    });
    let context = coordinator_context(call);
    let answer = call
        .core
        .transactions
        .ask(&request.transactional_id, context, command)
        .await;
    let Some(Response::AddPartitions(results)) = answer else {
        return Reply::STOPPING;
    };
    let code = results.first().map_or(ErrorCode::None, |(_, code)| *code);
    AddOffsetsToTxnResponse {
        error_code: code.into(),
        ..AddOffsetsToTxnResponse::default()
    }
    .into()
}
