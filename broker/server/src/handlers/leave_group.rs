//! LeaveGroup: members leave. Decided by the group coordinator.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::LeaveGroupRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers a LeaveGroup request.
pub(crate) async fn handle(call: &Call, request: LeaveGroupRequest) -> Reply {
    let group = request.group_id.clone();
    let command = Command::LeaveGroup(request);
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), command)
        .await
    {
        Some(Response::LeaveGroup(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
