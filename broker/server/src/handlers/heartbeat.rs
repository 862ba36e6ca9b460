//! Heartbeat: a member is alive. Decided by the group coordinator.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::HeartbeatRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers a Heartbeat request.
pub(crate) async fn handle(call: &Call, request: HeartbeatRequest) -> Reply {
    let group = request.group_id.clone();
    let command = Command::Heartbeat(request);
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), command)
        .await
    {
        Some(Response::Heartbeat(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
