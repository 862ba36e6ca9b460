//! EndTxn: a transaction commits or aborts. Decided by its coordinator.

use forebay_broker_coordinator::transaction::{Command, Response};
use forebay_protocol::messages::EndTxnRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers an EndTxn request.
pub(crate) async fn handle(call: &Call, request: EndTxnRequest) -> Reply {
    let transactional_id = request.transactional_id.clone();
    let (context, command) = (coordinator_context(call), Command::EndTransaction(request));
    match call
        .core
        .transactions
        .ask(&transactional_id, context, command)
        .await
    {
        Some(Response::EndTransaction(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
