//! JoinGroup: a member joins, and waits for the others. Decided by the group coordinator.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::JoinGroupRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};
use crate::random::random_bits;

/// Answers a JoinGroup request.
pub(crate) async fn handle(call: &Call, request: JoinGroupRequest) -> Reply {
    let group = request.group_id.clone();
    let command = Command::JoinGroup(request, random_bits());
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), command)
        .await
    {
        Some(Response::JoinGroup(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
