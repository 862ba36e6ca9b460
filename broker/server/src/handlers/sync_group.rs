//! SyncGroup: a member gets its assignment, once the leader has made it. Decided by the group coordinator.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::SyncGroupRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers a SyncGroup request.
pub(crate) async fn handle(call: &Call, request: SyncGroupRequest) -> Reply {
    let group = request.group_id.clone();
    let command = Command::SyncGroup(request);
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), command)
        .await
    {
        Some(Response::SyncGroup(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
