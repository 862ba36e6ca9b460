//! ConsumerGroupHeartbeat: a member of a consumer group joins, stays, leaves (KIP-848). Decided by the group coordinator.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::coordinator_context;
use crate::call::{Call, Reply};
use crate::random::random_bits;

/// Answers a ConsumerGroupHeartbeat request.
pub(crate) async fn handle(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Reply {
    let group = request.group_id.clone();
    let command = Command::ConsumerGroupHeartbeat(request, random_bits());
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), command)
        .await
    {
        Some(Response::ConsumerGroupHeartbeat(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}
