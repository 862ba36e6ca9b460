//! InitProducerId: ids of idempotent producers (KIP-98), from blocks that the controller hands out.

use forebay_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

use crate::call::Call;

/// Answers an InitProducerId request.
pub(crate) async fn handle(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if let Some(transactional_id) = &request.transactional_id {
        return refuse_transaction(transactional_id);
    }
    let without_id = request.producer_id == NO_PRODUCER_ID.0;
    let without_epoch = request.producer_epoch == NO_PRODUCER_EPOCH.0;
    if without_id != without_epoch {
        return failed(ErrorCode::InvalidRequest);
    }
    match call.core.producer_ids.next(&call.core.metadata).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(code) => failed(code),
    }
}

/// The response has no room for words: the log gets them, at a level that a user who asks why can turn on.
fn refuse_transaction(transactional_id: &Utf8Bytes) -> InitProducerIdResponse {
    tracing::debug!(%transactional_id, "transactions are not supported yet");
    failed(ErrorCode::InvalidRequest)
}

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.into(),
        producer_id: NO_PRODUCER_ID.0,
        producer_epoch: NO_PRODUCER_EPOCH.0,
        ..InitProducerIdResponse::default()
    }
}
