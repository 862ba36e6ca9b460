//! A consumer as a member of a classic group: joining and heartbeats run beside it; what they find is picked up by the next
//! poll.

mod assignor;
mod join;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::AbortHandle;

pub(super) use crate::membership::is_worth_another;
use crate::{
    ConsumerConfig,
    cluster::Cluster,
    membership::{self, Liveness, Membership},
};
pub(super) use assignor::Assignor;
pub(super) use join::{Joined, Wish, join};

/// What the consumer holds of its membership.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) shared: Arc<Membership>,
    pub(super) assignors: Vec<Assignor>,
    heartbeat: AbortHandle,
}

impl Group {
    pub(super) fn new(config: &ConsumerConfig, cluster: &Cluster, group_id: &str) -> Self {
        let options = membership::Options {
            group_id: group_id.to_owned(),
            group_instance_id: config.group_instance_id.clone(),
            protocol_type: "consumer",
            session_timeout: config.session_timeout,
            heartbeat_interval: config.heartbeat_interval,
            rebalance_timeout: config.max_poll_interval,
        };
        let liveness = Liveness::Polled(config.max_poll_interval);
        let shared = Membership::new(options, liveness, cluster.clone());
        let assignors = config
            .assignors
            .iter()
            .filter_map(|name| Assignor::by_name(name))
            .collect();
        let heartbeat = tokio::spawn(membership::keep_alive(shared.clone())).abort_handle();
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

/// The partition counts that an assignment was made from, for a leader to notice when they change.
pub(super) type AssignedFrom = BTreeMap<String, usize>;
