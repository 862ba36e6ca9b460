//! InitProducerId: ids of idempotent producers (KIP-98), from blocks that the controller hands out; those with a transactional id
//! get theirs from its coordinator.

use forebay_broker_coordinator::transaction::{Command, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use forebay_records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers an InitProducerId request.
pub(crate) async fn handle(call: &Call, request: InitProducerIdRequest) -> Reply {
    let without_id = request.producer_id == NO_PRODUCER_ID.0;
    let without_epoch = request.producer_epoch == NO_PRODUCER_EPOCH.0;
    if without_id != without_epoch {
        return failed(ErrorCode::InvalidRequest).into();
    }
    let Some(transactional_id) = request.transactional_id.clone() else {
        return without_transactions(call).await.into();
    };
    let (context, command) = (coordinator_context(call), Command::InitProducerId(request));
    match call
        .core
        .transactions
        .ask(&transactional_id, context, command)
        .await
    {
        Some(Response::InitProducerId(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}

async fn without_transactions(call: &Call) -> InitProducerIdResponse {
    match call.core.producer_ids.next(&call.core.metadata).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(code) => failed(code),
    }
}

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.into(),
        producer_id: NO_PRODUCER_ID.0,
        producer_epoch: NO_PRODUCER_EPOCH.0,
        ..InitProducerIdResponse::default()
    }
}
