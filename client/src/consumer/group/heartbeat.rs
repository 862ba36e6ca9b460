//! The heartbeat of a member: tells the coordinator that it lives, and hears from it that the group rebalances. A member
//! that is not polled for `max.poll.interval.ms` leaves: others can do its work. Ends with the consumer.

use std::sync::Arc;

use forebay_protocol::{ErrorCode, Utf8Bytes, messages::HeartbeatRequest};
use tokio::time::{Instant, timeout};

use super::Shared;
use crate::{
    cluster::{CoordinatorKind, Lane},
    error::Error,
};

pub(super) async fn run(shared: Arc<Shared>) {
    let interval = shared.config.heartbeat_interval;
    let mut heard = Instant::now();
    let mut failures = 0;
    loop {
        let pause = if failures > 0 {
            shared.cluster.backoff().delay(failures).min(interval)
        } else {
            interval
        };
        let joined = timeout(pause, shared.beat.notified()).await.is_ok();
        if joined {
            heard = Instant::now();
            failures = 0;
            continue;
        }
        let Some(generation_id) = generation(&shared) else {
            heard = Instant::now();
            continue;
        };
        if is_overdue(&shared) {
            leave(&shared).await;
            continue;
        }
        match send(&shared).await {
            Ok(code) => {
                (heard, failures) = (Instant::now(), 0);
                shared.saw(code, generation_id);
            }
            Err(error) => {
                failures += 1;
                tracing::debug!("heartbeat of group {}: {error}", shared.group_id);
                if heard.elapsed() > shared.config.session_timeout {
                    // Whether it is still a member, the coordinator will say when it can be reached.
                    shared.request_join("the coordinator could not be reached for session.timeout.ms");
                    heard = Instant::now();
                }
            }
        }
    }
}

/// The generation, if there is one to keep up. Who waits in a JoinGroup is known to be alive.
fn generation(shared: &Shared) -> Option<i32> {
    let state = shared.lock();
    Some(state.generation_id).filter(|generation_id| *generation_id >= 0 && !state.joining)
}

fn is_overdue(shared: &Shared) -> bool {
    shared.lock().last_poll.elapsed() > shared.config.max_poll_interval
}

async fn leave(shared: &Shared) {
    tracing::warn!(
        "the consumer of group {} leaves it: it was not polled for {} ms (max.poll.interval.ms); poll more often, or give \
         fewer records to each poll (max.poll.records)",
        shared.group_id,
        shared.config.max_poll_interval.as_millis()
    );
    shared.leave("consumer poll timeout has expired").await;
    // Nothing more to do until there is a poll: it joins.
    let mut state = shared.lock();
    state.lost = true;
    state.rejoin.get_or_insert("the consumer is polled again");
}

async fn send(shared: &Shared) -> Result<ErrorCode, Error> {
    let coordinator = shared
        .cluster
        .coordinator(CoordinatorKind::Group, &shared.group_id, Lane::Coordinator);
    let coordinator = coordinator.await?;
    let version = coordinator.node.version::<HeartbeatRequest>(i16::MAX)?;
    let metadata = shared.metadata();
    let request = HeartbeatRequest {
        group_id: metadata.group_id.into(),
        generation_id: metadata.generation_id,
        member_id: metadata.member_id.into(),
        group_instance_id: metadata
            .group_instance_id
            .map(Utf8Bytes::from)
            .filter(|_| version >= 3),
        ..Default::default()
    };
    let within = shared
        .config
        .session_timeout
        .min(shared.config.client.request_timeout);
    let answer = coordinator
        .node
        .start(version, request, within)
        .await
        .inspect_err(|error| coordinator.saw(error))?;
    let code = ErrorCode::from_i16(answer.error_code);
    match code {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
            let error = Error::broker(format!("send a heartbeat for group {}", shared.group_id), code);
            coordinator.saw(&error);
            Err(error)
        }
        ErrorCode::CoordinatorLoadInProgress => Err(Error::broker(
            format!("send a heartbeat for group {}", shared.group_id),
            code,
        )),
        code => Ok(code),
    }
}
