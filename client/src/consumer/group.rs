//! Membership in a classic group: who the member is at the moment, and the tasks that keep it so. Joining and heartbeats
//! run beside the consumer; what they find is picked up by the next poll.

mod assignor;
mod heartbeat;
mod join;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_protocol::{
    ErrorCode,
    messages::{LeaveGroupRequest, leave_group_request::MemberIdentity},
};
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::GroupMetadata;
use crate::{
    ConsumerConfig,
    cluster::{Cluster, CoordinatorKind, Lane},
    error::Error,
};
pub(super) use assignor::Assignor;
pub(super) use join::{Joined, Wish, is_worth_another, join};

/// What the consumer holds of its membership.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) shared: Arc<Shared>,
    pub(super) assignors: Vec<Assignor>,
    heartbeat: AbortHandle,
}

/// What the consumer and its tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ConsumerConfig,
    pub(super) group_id: String,
    cluster: Cluster,
    state: Mutex<State>,
    /// Wakes a poll that waits.
    pub(super) changed: Notify,
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
}

impl Group {
    pub(super) fn new(config: &ConsumerConfig, cluster: &Cluster, group_id: &str) -> Self {
        let shared = Arc::new(Shared {
            config: config.clone(),
            group_id: group_id.to_owned(),
            cluster: cluster.clone(),
            state: Mutex::new(State {
                member_id: String::new(),
                generation_id: -1,
                rejoin: Some("the member is new"),
                joining: false,
                lost: false,
                fatal: None,
                last_poll: Instant::now(),
            }),
            changed: Notify::new(),
            beat: Notify::new(),
        });
        let assignors = config
            .assignors
            .iter()
            .filter_map(|name| Assignor::by_name(name))
            .collect();
        let heartbeat = tokio::spawn(heartbeat::run(shared.clone())).abort_handle();
        Self {
            shared,
            assignors,
            heartbeat,
        }
    }

    /// Whether members keep their partitions while they join: only if all that might be agreed upon allow it.
    pub(super) fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| assignor.is_cooperative())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the consumer is alive; gives what has gone wrong for good.
    pub(super) fn polled(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.last_poll = Instant::now();
        state.fatal.clone().map_or(Ok(()), Err)
    }

    /// Whether the member has to join.
    pub(super) fn must_join(&self) -> bool {
        self.lock().rejoin.is_some()
    }

    /// Has the member join.
    pub(super) fn request_join(&self, reason: &'static str) {
        self.lock().rejoin.get_or_insert(reason);
        self.changed.notify_one();
    }

    /// Whether the partitions are lost; forgets it.
    pub(super) fn take_lost(&self) -> bool {
        std::mem::take(&mut self.lock().lost)
    }

    /// Who the member is.
    pub(super) fn metadata(&self) -> GroupMetadata {
        let state = self.lock();
        GroupMetadata {
            group_id: self.group_id.clone(),
            generation_id: state.generation_id,
            member_id: if state.generation_id >= 0 {
                state.member_id.clone()
            } else {
                String::new()
            },
            group_instance_id: self.config.group_instance_id.clone(),
        }
    }

    /// Takes a coordinator's error into account: the member may have to join again, perhaps as a new one. `generation_id` is
    /// that of the request: what is said of an old one means nothing.
    pub(super) fn saw(&self, code: ErrorCode, generation_id: i32) {
        let mut state = self.lock();
        if state.generation_id != generation_id {
            return;
        }
        match code {
            ErrorCode::RebalanceInProgress if state.joining => return,
            ErrorCode::RebalanceInProgress => {
                state.rejoin.get_or_insert("the group is rebalancing");
            }
            ErrorCode::IllegalGeneration => {
                state.generation_id = -1;
                state.lost = true;
                state
                    .rejoin
                    .get_or_insert("the group has gone on without the member");
            }
            ErrorCode::UnknownMemberId => {
                state.generation_id = -1;
                state.member_id.clear();
                state.lost = true;
                state.rejoin.get_or_insert("the group has removed the member");
            }
            ErrorCode::FencedInstanceId | ErrorCode::GroupAuthorizationFailed => {
                state.generation_id = -1;
                state.lost = true;
                state.fatal = Some(Error::broker(format!("stay in group {}", self.group_id), code));
            }
            _ => return,
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Leaves the group. A static member stays: it will be back.
    pub(super) async fn leave(&self, reason: &str) {
        let (member_id, was_member) = {
            let mut state = self.lock();
            let was_member = state.generation_id >= 0 || !state.member_id.is_empty();
            state.generation_id = -1;
            (std::mem::take(&mut state.member_id), was_member)
        };
        if was_member && self.config.group_instance_id.is_none() {
            let within = self.config.client.request_timeout;
            match tokio::time::timeout(within, self.send_leave(&member_id, reason)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!("leaving group {}: {error}", self.group_id),
                Err(_) => tracing::debug!("leaving group {} took too long", self.group_id),
            }
        }
    }

    async fn send_leave(&self, member_id: &str, reason: &str) -> Result<(), Error> {
        let coordinator = self
            .cluster
            .coordinator(CoordinatorKind::Group, &self.group_id, Lane::Coordinator)
            .await?;
        let request = |version: i16| {
            let (group_id, member_id) = (self.group_id.as_str().into(), member_id.into());
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

/// The partition counts that an assignment was made from, for a leader to notice when they change.
pub(super) type AssignedFrom = BTreeMap<String, usize>;
