//! Membership in a classic group, whatever its members share out (Kafka's `AbstractCoordinator`): who the member is at the
//! moment, and the heartbeat that keeps it so. Consumers stand on it; [`Member`] is for groups of another protocol type, such
//! as the workers of Connect. Knows nothing of what members tell each other.

mod heartbeat;
mod join;
mod member;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forebay_protocol::{
    ErrorCode,
    messages::{LeaveGroupRequest, leave_group_request::MemberIdentity},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    cluster::{Cluster, CoordinatorKind, Lane},
    consumer::GroupMetadata,
    error::Error,
};
pub(crate) use heartbeat::{confirm, run as keep_alive};
pub use join::Protocol;
pub(crate) use join::{Attempt, is_worth_another};
pub use member::{Election, Joined, Member, MemberMetadata, Shares};

/// Which group, and how its coordinator knows that the member lives.
#[derive(Debug, Clone)]
pub struct Options {
    /// `group.id`
    pub group_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// What kind of group it is: `consumer`, `connect`.
    pub protocol_type: &'static str,
    /// `session.timeout.ms`
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// How long the coordinator waits for the member when the group rebalances.
    pub rebalance_timeout: Duration,
}

/// What decides when a member is alive beyond its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Its user has to poll it at least this often, or it leaves.
    Polled(Duration),
    /// The process. Its heartbeats go on, on a connection of their own, while it waits for the others to join.
    Running,
}

/// What a member and its tasks share.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) options: Options,
    liveness: Liveness,
    pub(crate) cluster: Cluster,
    state: Mutex<State>,
    /// Something has to be looked at: the member has to join, or has lost its place.
    pub(crate) changed: Notify,
    /// Wakes the heartbeat.
    beat: Notify,
}

#[derive(Debug)]
struct State {
    member_id: String,
    /// -1 outside of a generation.
    generation_id: i32,
    /// Why the member has to join, if it has to.
    rejoin: Option<&'static str>,
    /// A JoinGroup is under way. What is heard of the generation before it changes nothing any more.
    joining: bool,
    /// The generation ended without us: what we had may be somebody else's.
    lost: bool,
    /// What no joining helps against.
    fatal: Option<Error>,
    last_poll: Instant,
    /// When the last request was sent by which the coordinator prolonged the session; `None` outside of a generation.
    heard: Option<Instant>,
}

impl Membership {
    pub(crate) fn new(options: Options, liveness: Liveness, cluster: Cluster) -> Arc<Self> {
        Arc::new(Self {
            options,
            liveness,
            cluster,
            state: Mutex::new(State {
                member_id: String::new(),
                generation_id: -1,
                rejoin: Some("the member is new"),
                joining: false,
                lost: false,
                fatal: None,
                last_poll: Instant::now(),
                heard: None,
            }),
            changed: Notify::new(),
            beat: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the user is alive; gives what has gone wrong for good.
    pub(crate) fn polled(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.last_poll = Instant::now();
        state.fatal.clone().map_or(Ok(()), Err)
    }

    /// Whether the member has to join.
    pub(crate) fn must_join(&self) -> bool {
        self.lock().rejoin.is_some()
    }

    /// Has the member join.
    pub(crate) fn request_join(&self, reason: &'static str) {
        self.lock().rejoin.get_or_insert(reason);
        self.changed.notify_one();
    }

    /// Whether what it had is lost; forgets it.
    pub(crate) fn take_lost(&self) -> bool {
        std::mem::take(&mut self.lock().lost)
    }

    /// Who the member is.
    pub(crate) fn metadata(&self) -> GroupMetadata {
        let state = self.lock();
        GroupMetadata {
            group_id: self.options.group_id.clone(),
            generation_id: state.generation_id,
            member_id: if state.generation_id >= 0 {
                state.member_id.clone()
            } else {
                String::new()
            },
            group_instance_id: self.options.group_instance_id.clone(),
        }
    }

    /// Notes that the coordinator has prolonged the session, in answer to a request of this generation that was sent then.
    fn heard(&self, generation_id: i32, sent_at: Instant) {
        let mut state = self.lock();
        if state.generation_id == generation_id {
            state.heard = Some(state.heard.map_or(sent_at, |heard| heard.max(sent_at)));
        }
    }

    /// Takes a coordinator's error into account: the member may have to join again, perhaps as a new one. `generation_id` is
    /// that of the request: what is said of an old one means nothing.
    pub(crate) fn saw(&self, code: ErrorCode, generation_id: i32) {
        let mut state = self.lock();
        if state.generation_id != generation_id {
            return;
        }
        match code {
            ErrorCode::RebalanceInProgress if state.joining => return,
            ErrorCode::RebalanceInProgress => {
                state.rejoin.get_or_insert("the group is rebalancing");
            }
            // The new generation's number is on its way to us.
            ErrorCode::IllegalGeneration if state.joining => return,
            ErrorCode::IllegalGeneration => {
                state.generation_id = -1;
                (state.lost, state.heard) = (true, None);
                state
                    .rejoin
                    .get_or_insert("the group has gone on without the member");
            }
            ErrorCode::UnknownMemberId => {
                state.generation_id = -1;
                state.member_id.clear();
                (state.lost, state.heard) = (true, None);
                state.rejoin.get_or_insert("the group has removed the member");
            }
            ErrorCode::FencedInstanceId | ErrorCode::GroupAuthorizationFailed => {
                state.generation_id = -1;
                (state.lost, state.heard) = (true, None);
                let action = format!("stay in group {}", self.options.group_id);
                state.fatal = Some(Error::broker(action, code));
            }
            _ => return,
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Leaves the group. A static member stays: it will be back.
    pub(crate) async fn leave(&self, reason: &str) {
        let (member_id, was_member) = {
            let mut state = self.lock();
            let was_member = state.generation_id >= 0 || !state.member_id.is_empty();
            (state.generation_id, state.heard) = (-1, None);
            (std::mem::take(&mut state.member_id), was_member)
        };
        if was_member && self.options.group_instance_id.is_none() {
            let within = self.cluster.config().request_timeout;
            let group_id = &self.options.group_id;
            match tokio::time::timeout(within, self.send_leave(&member_id, reason)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("leaving group {group_id}: {error}"),
                Err(_) => tracing::debug!("leaving group {group_id} took too long"),
            }
        }
    }

    async fn send_leave(&self, member_id: &str, reason: &str) -> Result<(), Error> {
        let coordinator = self
            .cluster
            .coordinator(CoordinatorKind::Group, &self.options.group_id, Lane::Coordinator)
            .await?;
        let request = |version: i16| {
            let (group_id, member_id) = (self.options.group_id.as_str().into(), member_id.into());
            if version < 3 {
                return LeaveGroupRequest {
                    group_id,
                    member_id,
                    ..Default::default()
                };
            }
            let reason = (version >= 5).then(|| reason.into());
            let members = vec![MemberIdentity {
                member_id,
                reason,
                ..Default::default()
            }];
            LeaveGroupRequest {
                group_id,
                members,
                ..Default::default()
            }
        };
        coordinator.node.call(request).await.map(|_| ())
    }
}
