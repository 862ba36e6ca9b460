//! What a follower does besides: takes its leader's word, and cuts its log back to its leader's.

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, Offset};

use super::{Error, InSyncReplicas, Partition, Positions, Role};
use crate::Action;

impl Partition {
    pub(super) fn become_follower(
        &mut self,
        leader: Option<NodeId>,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        actions: &mut Vec<Action>,
    ) {
        if leader_epoch < self.leader_epoch || partition_epoch < self.partition_epoch {
            return;
        }
        let changed = self.role != Role::Follower || leader_epoch > self.leader_epoch;
        self.role = Role::Follower;
        self.leader = leader;
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        if changed {
            self.leaders_high_watermark = Offset::ZERO;
            self.replicas.clear();
            self.isr = InSyncReplicas::new([]);
            self.produces.fail_all(&Error::NotLeaderOrFollower, actions);
            self.fetches.wake_all(actions);
        }
    }

    /// Only followers truncate. The high watermark may go back with the log: what is cut off was never acknowledged by this
    /// epoch's leader.
    pub(super) fn truncated(&mut self, log_end_offset: Offset, actions: &mut Vec<Action>) {
        assert!(self.role != Role::Leader, "a leader's log is never truncated");
        self.log_end_offset = self.log_end_offset.min(log_end_offset);
        self.synced_offset = self.synced_offset.min(self.log_end_offset);
        self.high_watermark = self.high_watermark.min(self.log_end_offset);
        self.log_start_offset = self.log_start_offset.min(self.log_end_offset);
        self.first_unstable_offset = self
            .first_unstable_offset
            .filter(|offset| *offset < self.log_end_offset);
        self.sync_is_stale = self.sync_in_flight;
        self.positions.truncated(self.log_end_offset);
        self.fetches.wake_all(actions);
    }

    pub(super) fn started_at(&mut self, offset: Offset, actions: &mut Vec<Action>) {
        assert!(self.role != Role::Leader, "a leader's log is never truncated");
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        self.synced_offset = offset;
        self.high_watermark = offset;
        self.first_unstable_offset = None;
        self.sync_is_stale = self.sync_in_flight;
        self.positions = Positions::new(offset);
        self.fetches.wake_all(actions);
    }
}
