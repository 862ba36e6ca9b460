//! The replica itself: its state, the one mutator, and what requests are checked against.

mod check;
mod follower;
mod leader;

use std::collections::BTreeMap;

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, Offset, Timestamp};

use crate::fetch::{DelayedFetches, Ends};
use crate::isr::InSyncReplicas;
use crate::position::Positions;
use crate::produce::DelayedProduces;
use crate::replica::Replica;
use crate::{Action, AwaitFetch, AwaitProduce, Command, Error, LeaderAndIsr, RequiredAcks};

/// When the leader's own copy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcknowledgeAfter {
    /// When it is in the page cache.
    Append,
    /// When it is on disk (`flush.messages=1`): no acknowledgement, acks=1 included, and no high watermark passes an offset
    /// that is not synced.
    Sync,
}

/// A partition's part of the topic's and broker's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `min.insync.replicas`; more than there are replicas counts as all of them.
    pub min_insync_replicas: usize,
    /// By `flush.messages`.
    pub acknowledge_after: AcknowledgeAfter,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_ms_max: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_insync_replicas: 1,
            acknowledge_after: AcknowledgeAfter::Sync,
            replica_lag_time_ms_max: 30_000,
        }
    }
}

/// What the log says when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Its first offset.
    pub log_start_offset: Offset,
    /// After its last record.
    pub log_end_offset: Offset,
    /// All below is known to be on disk.
    pub synced_offset: Offset,
    /// From the high watermark checkpoint; brought within the log's bounds.
    pub high_watermark: Offset,
    /// First offset of the oldest open transaction.
    pub first_unstable_offset: Option<Offset>,
}

/// Who this broker is for the partition.
///
/// `Unassigned` -> `Leader` or `Follower` by metadata, to and fro with each newer epoch; any -> `Offline` when its log directory
/// fails, any -> `Deleted`; both are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The metadata have not been seen. Refuses everything.
    Unassigned,
    /// Appends for producers, advances the high watermark, watches over the in-sync replicas.
    Leader,
    /// Appends what the leader has, and takes over its high watermark.
    Follower,
    /// Refuses everything: the log directory failed.
    Offline,
    /// Refuses everything: the topic is gone.
    Deleted,
}

/// One replica of a partition, on this broker.
#[derive(Clone, Debug)]
pub struct Partition {
    node: NodeId,
    config: Config,
    role: Role,
    leader: Option<NodeId>,
    leader_epoch: LeaderEpoch,
    partition_epoch: i32,
    /// The log end offset when this leadership began.
    epoch_start_offset: Offset,
    isr: InSyncReplicas,
    /// The other replicas, while leader.
    replicas: BTreeMap<NodeId, Replica>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    synced_offset: Offset,
    sync_in_flight: bool,
    /// The sync on its way began before a truncation: its report says nothing of what was appended since.
    sync_is_stale: bool,
    high_watermark: Offset,
    /// While follower: as its leader last said.
    leaders_high_watermark: Offset,
    first_unstable_offset: Option<Offset>,
    positions: Positions,
    produces: DelayedProduces,
    fetches: DelayedFetches,
    /// What the waiting fetches have been told.
    reported_ends: Ends,
}

impl Partition {
    /// A replica on broker `node`, with its log just opened and no role yet.
    #[must_use]
    pub fn new(node: NodeId, config: Config, log: LogState) -> Self {
        let synced_offset = log.synced_offset.min(log.log_end_offset);
        let bound = match config.acknowledge_after {
            AcknowledgeAfter::Append => log.log_end_offset,
            AcknowledgeAfter::Sync => synced_offset,
        };
        let high_watermark = log.high_watermark.min(bound).max(log.log_start_offset);
        let partition = Self {
            node,
            config,
            role: Role::Unassigned,
            leader: None,
            leader_epoch: NO_LEADER_EPOCH,
            partition_epoch: -1,
            epoch_start_offset: log.log_end_offset,
            isr: InSyncReplicas::new([]),
            replicas: BTreeMap::new(),
            log_start_offset: log.log_start_offset,
            log_end_offset: log.log_end_offset,
            synced_offset,
            sync_in_flight: false,
            sync_is_stale: false,
            high_watermark,
            leaders_high_watermark: Offset::ZERO,
            first_unstable_offset: log.first_unstable_offset,
            positions: Positions::new(log.log_end_offset),
            produces: DelayedProduces::default(),
            fetches: DelayedFetches::default(),
            reported_ends: Ends::default(),
        };
        partition.assert_invariants();
        partition
    }

    /// Takes in what happened at `now` and appends to `actions` what is to be done, in order.
    pub fn handle(&mut self, command: Command, now: Timestamp, actions: &mut Vec<Action>) {
        if matches!(self.role, Role::Offline | Role::Deleted) {
            self.refuse(&command, actions);
            return;
        }
        match command {
            Command::BecomeLeader(leader) => self.become_leader(&leader, now, actions),
            Command::BecomeFollower {
                leader,
                leader_epoch,
                partition_epoch,
            } => {
                self.become_follower(leader, leader_epoch, partition_epoch, actions);
            }
            Command::Delete => self.end(Role::Deleted, actions),
            Command::Fail => self.end(Role::Offline, actions),
            Command::Configure(config) => self.config = config,
            Command::Appended {
                log_end_offset,
                bytes,
                first_unstable_offset,
            } => {
                self.appended(log_end_offset, bytes, first_unstable_offset);
            }
            Command::FirstUnstableOffset { offset } => self.first_unstable_offset = offset,
            Command::Synced { offset } => self.synced(offset),
            Command::LogStart { offset } => {
                self.log_start_offset = self.log_start_offset.max(offset.min(self.high_watermark));
            }
            Command::Truncated { log_end_offset } => self.truncated(log_end_offset, actions),
            Command::StartedAt { offset } => self.started_at(offset, actions),
            Command::ReplicaFetched {
                replica,
                fetch_offset,
                log_start_offset,
            } => {
                self.replica_fetched(replica, fetch_offset, log_start_offset, now, actions);
            }
            Command::LeaderState { high_watermark } => self.leaders_high_watermark = high_watermark,
            Command::AlterIsrRefused => self.isr.refused(),
            Command::AwaitProduce(wait) => self.await_produce(wait, actions),
            Command::AwaitFetch(wait) => self.await_fetch(wait, actions),
            Command::CancelFetch(waiter) => self.fetches.remove(waiter),
            Command::CancelProduce(waiter) => {
                self.produces.remove(waiter);
            }
            Command::Tick => self.shrink_isr(now, actions),
        }
        self.settle(actions);
        self.assert_invariants();
    }

    /// When a [`Command::Tick`] is due: a follower may have fallen too far behind.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.next_lag_check()
    }

    /// After each command: whatever follows from the new state.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.role, Role::Offline | Role::Deleted) {
            return;
        }
        if self.role == Role::Follower {
            // A follower's high watermark is its leader's, as far as its own log goes.
            self.raise_high_watermark(
                self.leaders_high_watermark.min(self.acknowledged_offset()),
                actions,
            );
        }
        if self.role == Role::Leader {
            self.advance_high_watermark(actions);
            let result = self.after_append_result();
            self.produces
                .complete(RequiredAcks::All, self.high_watermark, &result, actions);
            self.produces
                .complete(RequiredAcks::Leader, self.acknowledged_offset(), &Ok(()), actions);
        }
        let ends = self.ends();
        if ends != self.reported_ends {
            self.reported_ends = ends;
            self.fetches.report(&ends, &self.positions, actions);
        }
        self.ask_for_sync(actions);
    }

    fn appended(&mut self, log_end_offset: Offset, bytes: u64, first_unstable_offset: Option<Offset>) {
        assert!(
            log_end_offset >= self.log_end_offset,
            "appends are told in the order of the log"
        );
        self.log_end_offset = log_end_offset;
        self.first_unstable_offset = first_unstable_offset;
        self.positions.appended(log_end_offset, bytes);
    }

    fn synced(&mut self, offset: Offset) {
        self.sync_in_flight = false;
        if !std::mem::take(&mut self.sync_is_stale) {
            self.synced_offset = self.synced_offset.max(offset.min(self.log_end_offset));
        }
    }

    fn raise_high_watermark(&mut self, offset: Offset, actions: &mut Vec<Action>) {
        if offset > self.high_watermark {
            self.high_watermark = offset;
            actions.push(Action::HighWatermark { offset });
        }
    }

    fn await_produce(&mut self, wait: AwaitProduce, actions: &mut Vec<Action>) {
        debug_assert!(wait.acks != RequiredAcks::None, "with acks=0 nobody waits");
        if self.role == Role::Leader {
            // What is fulfilled already, or late, is completed when the state settles.
            self.produces.insert(wait);
        } else {
            let result = Err(Error::NotLeaderOrFollower);
            actions.push(Action::CompleteProduce {
                waiter: wait.waiter,
                result,
            });
        }
    }

    fn await_fetch(&mut self, wait: AwaitFetch, actions: &mut Vec<Action>) {
        let serves = matches!(self.role, Role::Leader | Role::Follower);
        if serves && wait.leader_epoch == self.leader_epoch {
            self.fetches.insert(wait, &self.ends(), &self.positions, actions);
        } else {
            actions.push(Action::WakeFetch { waiter: wait.waiter });
        }
    }

    /// With [`AcknowledgeAfter::Sync`], asks for a sync unless one is on its way.
    fn ask_for_sync(&mut self, actions: &mut Vec<Action>) {
        let wanted = self.config.acknowledge_after == AcknowledgeAfter::Sync;
        if wanted && !self.sync_in_flight && self.synced_offset < self.log_end_offset {
            self.sync_in_flight = true;
            actions.push(Action::Sync {
                up_to: self.log_end_offset,
            });
        }
    }

    fn end(&mut self, role: Role, actions: &mut Vec<Action>) {
        self.role = role;
        let error = self.role_error();
        self.produces.fail_all(&error, actions);
        self.fetches.wake_all(actions);
    }

    /// Offline or deleted: whoever comes to wait is sent away.
    fn refuse(&mut self, command: &Command, actions: &mut Vec<Action>) {
        match command {
            Command::AwaitProduce(wait) => {
                let result = Err(self.role_error());
                actions.push(Action::CompleteProduce {
                    waiter: wait.waiter,
                    result,
                });
            }
            Command::AwaitFetch(wait) => actions.push(Action::WakeFetch { waiter: wait.waiter }),
            // A failed log can still be deleted.
            Command::Delete => self.role = Role::Deleted,
            _ => {}
        }
    }

    /// Why a role other than leader refuses.
    fn role_error(&self) -> Error {
        match self.role {
            Role::Offline => Error::Storage,
            Role::Deleted => Error::UnknownTopicOrPartition,
            Role::Unassigned | Role::Leader | Role::Follower => Error::NotLeaderOrFollower,
        }
    }

    /// How far this replica's own copy counts.
    fn acknowledged_offset(&self) -> Offset {
        match self.config.acknowledge_after {
            AcknowledgeAfter::Append => self.log_end_offset,
            AcknowledgeAfter::Sync => self.synced_offset,
        }
    }

    fn ends(&self) -> Ends {
        Ends {
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset(),
        }
    }

    fn assert_invariants(&self) {
        assert!(
            self.log_start_offset <= self.high_watermark,
            "log start <= high watermark: {self:?}"
        );
        assert!(
            self.log_start_offset <= self.last_stable_offset(),
            "log start <= LSO: {self:?}"
        );
        assert!(
            self.last_stable_offset() <= self.high_watermark,
            "LSO <= high watermark: {self:?}"
        );
        assert!(
            self.high_watermark <= self.log_end_offset,
            "high watermark <= log end: {self:?}"
        );
        assert!(
            self.synced_offset <= self.log_end_offset,
            "synced <= log end: {self:?}"
        );
    }
}

/// What can be asked at any time.
impl Partition {
    /// Who this broker is for the partition.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Who leads, as far as known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The newest leader epoch known.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The newest partition epoch known.
    #[must_use]
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// In-sync replicas as the controller has them; empty unless leader.
    pub fn isr(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.isr.committed().iter().copied()
    }

    /// The log's first offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// After the log's last record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// All below is on disk.
    #[must_use]
    pub fn synced_offset(&self) -> Offset {
        self.synced_offset
    }

    /// All below is acknowledged by the in-sync replicas.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// All below is acknowledged and belongs to no open transaction.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        // DeleteRecords may have removed the beginning of an open transaction.
        let unstable = self
            .first_unstable_offset
            .map(|offset| offset.max(self.log_start_offset));
        unstable.map_or(self.high_watermark, |offset| offset.min(self.high_watermark))
    }

    /// How many producers wait.
    #[must_use]
    pub fn waiting_produces(&self) -> usize {
        self.produces.len()
    }

    /// How many fetches wait.
    #[must_use]
    pub fn waiting_fetches(&self) -> usize {
        self.fetches.len()
    }
}
