//! ConsumerGroupHeartbeat: a member of a consumer group joins, stays, leaves (KIP-848). Decided by the group coordinator.

use std::sync::Arc;

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;
use tokio::task::spawn_blocking;

use super::coordinator_context;
use crate::call::{Call, Reply};
use crate::random::random_bits;

/// Answers a ConsumerGroupHeartbeat request.
pub(crate) async fn handle(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Reply {
    let group = request.group_id.clone();
    let command = match command(call, request).await {
        Some(command) => command,
        None => return Reply::STOPPING,
    };
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

/// What the coordinator is asked. A regular expression is judged beside everything else, one at a time: that takes milliseconds.
async fn command(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Option<Command> {
    let random = random_bits();
    if request
        .subscribed_topic_regex
        .as_ref()
        .is_none_or(|regex| regex.is_empty())
    {
        return Some(Command::consumer_group_heartbeat(request, random));
    }
    let turn = Arc::clone(&call.core.judging).acquire_owned().await.ok()?;
    let judge = move || {
        let _turn = turn;
        Command::consumer_group_heartbeat(request, random)
    };
    spawn_blocking(judge).await.ok()
}
