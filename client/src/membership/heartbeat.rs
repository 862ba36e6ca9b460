//! The heartbeat of a member: tells the coordinator that it lives, and hears from it that the group rebalances. A member
//! that has to be polled and is not leaves: others can do its work. Ends with the member.

use std::{sync::Arc, time::Duration};

use forebay_protocol::{ErrorCode, Utf8Bytes, messages::HeartbeatRequest};
use tokio::time::{Instant, timeout};

use super::{Liveness, Membership};
use crate::{
    cluster::{CoordinatorKind, Lane},
    error::Error,
};

pub(crate) async fn run(membership: Arc<Membership>) {
    let interval = membership.options.heartbeat_interval;
    let mut heard = Instant::now();
    let mut failures = 0;
    loop {
        let pause = if failures > 0 {
            membership.cluster.backoff().delay(failures).min(interval)
        } else {
            interval
        };
        let joined = timeout(pause, membership.beat.notified()).await.is_ok();
        if joined {
            heard = Instant::now();
            failures = 0;
            continue;
        }
        let Some(generation_id) = generation(&membership) else {
            heard = Instant::now();
            continue;
        };
        if let Some(poll_interval_max) = overdue(&membership) {
            leave(&membership, poll_interval_max).await;
            continue;
        }
        let sent_at = Instant::now();
        match send(&membership).await {
            Ok(code) => {
                (heard, failures) = (Instant::now(), 0);
                if matches!(code, ErrorCode::None | ErrorCode::RebalanceInProgress) {
                    membership.heard(generation_id, sent_at);
                }
                membership.saw(code, generation_id);
            }
            Err(error) => {
                failures += 1;
                tracing::debug!("heartbeat of group {}: {error}", membership.options.group_id);
                if heard.elapsed() > membership.options.session_timeout {
                    // Whether it is still a member, the coordinator will say when it can be reached.
                    membership.request_join("the coordinator could not be reached for session.timeout.ms");
                    heard = Instant::now();
                }
            }
        }
    }
}

/// Asks the coordinator now whether a generation still stands.
pub(crate) async fn confirm(membership: &Membership, generation_id: i32) -> Result<(), Error> {
    let action = || {
        format!(
            "confirm generation {generation_id} of group {}",
            membership.options.group_id
        )
    };
    let is_current = || membership.metadata().generation_id == generation_id;
    if !is_current() {
        return Err(Error::broker(action(), ErrorCode::IllegalGeneration));
    }
    let sent_at = Instant::now();
    let code = send(membership).await?;
    let is_member = matches!(code, ErrorCode::None | ErrorCode::RebalanceInProgress);
    if is_member && is_current() {
        membership.heard(generation_id, sent_at);
    }
    membership.saw(code, generation_id);
    match code {
        _ if is_member && is_current() => Ok(()),
        ErrorCode::None | ErrorCode::RebalanceInProgress => {
            Err(Error::broker(action(), ErrorCode::IllegalGeneration))
        }
        code => Err(Error::broker(action(), code)),
    }
}

/// The generation, if there is one to keep up. The coordinator knows that who waits in a JoinGroup is alive; whether the
/// coordinator still is, only a member that must not outlive its session has to know.
fn generation(membership: &Membership) -> Option<i32> {
    let state = membership.lock();
    let beats = membership.liveness == Liveness::Running || !state.joining;
    Some(state.generation_id).filter(|generation_id| *generation_id >= 0 && beats)
}

fn overdue(membership: &Membership) -> Option<Duration> {
    match membership.liveness {
        Liveness::Polled(interval_max) => {
            let is_overdue = membership.lock().last_poll.elapsed() > interval_max;
            is_overdue.then_some(interval_max)
        }
        Liveness::Running => None,
    }
}

async fn leave(membership: &Membership, poll_interval_max: Duration) {
    tracing::warn!(
        "the consumer of group {} leaves it: it was not polled for {} ms (max.poll.interval.ms); poll more often, or give \
         fewer records to each poll (max.poll.records)",
        membership.options.group_id,
        poll_interval_max.as_millis()
    );
    membership.leave("consumer poll timeout has expired").await;
    // Nothing more to do until there is a poll: it joins.
    let mut state = membership.lock();
    state.lost = true;
    state.rejoin.get_or_insert("the consumer is polled again");
}

async fn send(membership: &Membership) -> Result<ErrorCode, Error> {
    let lane = match membership.liveness {
        Liveness::Polled(_) => Lane::Coordinator,
        // There a JoinGroup may be waiting.
        Liveness::Running => Lane::Main,
    };
    let group_id = &membership.options.group_id;
    let coordinator = membership
        .cluster
        .coordinator(CoordinatorKind::Group, group_id, lane);
    let coordinator = coordinator.await?;
    let version = coordinator.node.version::<HeartbeatRequest>(i16::MAX)?;
    let metadata = membership.metadata();
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
    let within = membership
        .options
        .session_timeout
        .min(membership.cluster.config().request_timeout);
    let answer = coordinator
        .node
        .start(version, request, within)
        .await
        .inspect_err(|error| coordinator.saw(error))?;
    let code = ErrorCode::from_i16(answer.error_code);
    match code {
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
            let error = Error::broker(format!("send a heartbeat for group {group_id}"), code);
            coordinator.saw(&error);
            Err(error)
        }
        ErrorCode::CoordinatorLoadInProgress => Err(Error::broker(
            format!("send a heartbeat for group {group_id}"),
            code,
        )),
        code => Ok(code),
    }
}
