//! What a leader does besides: takes office, advances the high watermark, watches over its in-sync replicas.

use forebay_protocol::NodeId;
use forebay_records::{Offset, Timestamp};

use super::{Error, InSyncReplicas, LeaderAndIsr, Partition, Replica, Role};
use crate::Action;

impl Partition {
    pub(super) fn become_leader(&mut self, new: &LeaderAndIsr, now: Timestamp, actions: &mut Vec<Action>) {
        if new.leader_epoch < self.leader_epoch || new.partition_epoch < self.partition_epoch {
            return;
        }
        let new_leader = self.role != Role::Leader;
        let new_epoch = new.leader_epoch > self.leader_epoch;
        self.role = Role::Leader;
        self.leader = Some(self.node);
        self.leader_epoch = new.leader_epoch;
        self.partition_epoch = new.partition_epoch;
        self.isr = InSyncReplicas::new(new.isr.iter().copied());
        if new_leader || new_epoch {
            self.epoch_start_offset = self.log_end_offset;
            // Under the new epoch the answer is another one. Producers wait on: what they appended is still here.
            self.fetches.wake_all(actions);
        }
        if new_leader {
            self.replicas.clear();
        }
        let others = new
            .replicas
            .iter()
            .copied()
            .filter(|replica| *replica != self.node);
        let known = std::mem::take(&mut self.replicas);
        self.replicas = others
            .map(|id| {
                let fresh = || Replica::new(new.isr.contains(&id), now);
                (id, known.get(&id).copied().unwrap_or_else(fresh))
            })
            .collect();
    }

    pub(super) fn replica_fetched(
        &mut self,
        id: NodeId,
        fetch_offset: Offset,
        log_start_offset: Offset,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if self.role != Role::Leader {
            return;
        }
        let leader_end = self.log_end_offset;
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        // No replica has more than its leader: an offset beyond is answered with OFFSET_OUT_OF_RANGE, and counts nothing.
        if fetch_offset > leader_end {
            return;
        }
        replica.fetched(fetch_offset, log_start_offset, leader_end, now);
        let caught_up = fetch_offset >= self.high_watermark && fetch_offset >= self.epoch_start_offset;
        if caught_up && !self.isr.is_in_flight() && !self.isr.committed().contains(&id) {
            let isr = self.isr.propose_with(id);
            self.alter_isr(isr, actions);
        }
    }

    /// Proposes to go on without the replicas that lag.
    pub(super) fn shrink_isr(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.role != Role::Leader || self.isr.is_in_flight() {
            return;
        }
        let lagging: Vec<NodeId> = self
            .lag_times()
            .filter(|(_, at)| *at <= now)
            .map(|(id, _)| id)
            .collect();
        if !lagging.is_empty() {
            let isr = self.isr.propose_without(&lagging);
            self.alter_isr(isr, actions);
        }
    }

    pub(super) fn next_lag_check(&self) -> Option<Timestamp> {
        if self.role != Role::Leader || self.isr.is_in_flight() {
            return None;
        }
        self.lag_times().map(|(_, at)| at).min()
    }

    /// The least of what the in-sync replicas have, never back, and not while there are too few of them (KIP-966).
    pub(super) fn advance_high_watermark(&mut self, actions: &mut Vec<Action>) {
        if self.isr.committed().len() < self.min_insync_replicas() {
            return;
        }
        let others = self
            .replicas
            .iter()
            .filter(|(id, _)| self.isr.maximal_contains(**id));
        let least = others
            .map(|(_, replica)| replica.log_end_offset)
            .fold(self.acknowledged_offset(), Offset::min);
        self.raise_high_watermark(least, actions);
    }

    /// What a producer is told whose records the high watermark has passed.
    pub(super) fn after_append_result(&self) -> Result<(), Error> {
        let in_sync_replicas = self.isr.maximal_len();
        let min_insync_replicas = self.min_insync_replicas();
        if in_sync_replicas < min_insync_replicas {
            return Err(Error::NotEnoughReplicasAfterAppend {
                in_sync_replicas,
                min_insync_replicas,
            });
        }
        Ok(())
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    pub(super) fn min_insync_replicas(&self) -> usize {
        self.config.min_insync_replicas.min(self.replicas.len() + 1)
    }

    /// The least log start offset of all replicas: what DeleteRecords waits for and answers. Replicas that never fetched
    /// count as having everything.
    #[must_use]
    pub fn low_watermark(&self) -> Offset {
        let others = self
            .replicas
            .values()
            .filter(|replica| replica.log_start_offset.is_some());
        others
            .map(|replica| replica.log_start_offset)
            .fold(self.log_start_offset, Offset::min)
    }

    /// The followers in sync that do not have everything, and when each is out.
    fn lag_times(&self) -> impl Iterator<Item = (NodeId, Timestamp)> + '_ {
        let followers = self
            .replicas
            .iter()
            .filter(|(id, _)| self.isr.committed().contains(id));
        followers.filter_map(|(id, replica)| {
            Some((
                *id,
                replica.lags_at(self.log_end_offset, self.config.replica_lag_time_ms_max)?,
            ))
        })
    }

    fn alter_isr(&self, isr: Vec<NodeId>, actions: &mut Vec<Action>) {
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        actions.push(Action::AlterIsr {
            isr,
            leader_epoch,
            partition_epoch,
        });
    }
}
