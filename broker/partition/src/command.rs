//! What a partition is told and what it tells its driver to do.

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, Offset};

use crate::fetch::FetchIsolation;
use crate::{Config, Error};

/// Something happened, or someone waits. All are taken by [`Partition::handle`](crate::Partition::handle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The metadata name this broker as the leader. An older leader or partition epoch than known is ignored.
    BecomeLeader(LeaderAndIsr),
    /// The metadata name another leader, or none. An older epoch than known is ignored.
    BecomeFollower {
        /// Who leads.
        leader: Option<NodeId>,
        /// Since which epoch.
        leader_epoch: LeaderEpoch,
        /// Of the metadata record.
        partition_epoch: i32,
    },
    /// The topic is deleted. Everybody who waits is told; nothing is served any more.
    Delete,
    /// A write or sync failed: the log directory is offline. Everybody who waits is told; nothing is served any more.
    Fail,
    /// The topic's configuration changed.
    Configure(Config),
    /// Batches were appended, by a producer or from the leader. To be told in the order of the log.
    Appended {
        /// After the last of them.
        log_end_offset: Offset,
        /// Their bytes in the log.
        bytes: u64,
        /// First offset of the oldest open transaction after them.
        first_unstable_offset: Option<Offset>,
    },
    /// A transaction ended, or producer state expired.
    FirstUnstableOffset {
        /// First offset of the oldest open transaction.
        offset: Option<Offset>,
    },
    /// All below this offset has been synced to disk. The answer to [`Action::Sync`]; without one it may be told too (the log
    /// syncs when it rolls a segment), but not of a sync that ran across a truncation.
    Synced {
        /// At most the log end offset.
        offset: Offset,
    },
    /// Retention or DeleteRecords removed the log's beginning.
    LogStart {
        /// At most the high watermark.
        offset: Offset,
    },
    /// A follower cut its log back to its leader's.
    Truncated {
        /// After the last record that is left.
        log_end_offset: Offset,
    },
    /// A follower threw its log away to begin at its leader's log start offset, which its own log did not reach.
    StartedAt {
        /// First and next offset of the empty log.
        offset: Offset,
    },
    /// A replica fetched from us, the leader: it has everything below that offset (and with `flush.messages=1` synced it).
    ReplicaFetched {
        /// Who.
        replica: NodeId,
        /// Its log end offset.
        fetch_offset: Offset,
        /// Its log start offset.
        log_start_offset: Offset,
    },
    /// We, a follower, have appended a fetch response: what its leader says of itself.
    LeaderState {
        /// The leader's.
        high_watermark: Offset,
    },
    /// The controller did not accept the proposed in-sync replicas; after a metadata update they are proposed again if needed.
    AlterIsrRefused,
    /// A producer waits for its acknowledgement.
    AwaitProduce(AwaitProduce),
    /// A fetch waits for records.
    AwaitFetch(AwaitFetch),
    /// The fetch is complete or its connection gone: no more progress is reported to it.
    CancelFetch(FetchWaiter),
    /// The producer's time is over, or its connection gone: no result is reported.
    CancelProduce(ProduceWaiter),
    /// Time passed: see [`Partition::next_deadline`](crate::Partition::next_deadline).
    Tick,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A producer's wait is over. Given once for each [`AwaitProduce`] that is not cancelled.
    CompleteProduce {
        /// Who waited.
        waiter: ProduceWaiter,
        /// What to answer.
        result: Result<(), Error>,
    },
    /// A waiting fetch can now get so many bytes from this partition: tell [`FetchPurgatory::progress`](crate::FetchPurgatory::progress).
    FetchProgress {
        /// Who waits.
        waiter: FetchWaiter,
        /// This partition's place in that fetch.
        index: usize,
        /// Replaces what was reported before; at most the fetch's own bound.
        available_bytes: u64,
    },
    /// A waiting fetch must be answered now, as this partition's answer has changed (another leader or epoch, deleted, failed,
    /// truncated, offset gone): tell [`FetchPurgatory::wake`](crate::FetchPurgatory::wake). This partition has forgotten it.
    WakeFetch {
        /// Who waits.
        waiter: FetchWaiter,
    },
    /// Sync the log to disk and report [`Command::Synced`] (or [`Command::Fail`]). One at a time: the next is asked for after
    /// the report, so that all appends in between share it.
    Sync {
        /// What is waited for; more may be synced.
        up_to: Offset,
    },
    /// The high watermark has grown.
    HighWatermark {
        /// Where it is.
        offset: Offset,
    },
    /// Ask the controller for other in-sync replicas (AlterPartition, KIP-497); the answer is a [`Command::BecomeLeader`] with
    /// a newer partition epoch, or [`Command::AlterIsrRefused`].
    AlterIsr {
        /// All, this broker included.
        isr: Vec<NodeId>,
        /// Under which we lead.
        leader_epoch: LeaderEpoch,
        /// On which the proposal builds.
        partition_epoch: i32,
    },
}

/// A leader's view of its partition, from a metadata record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderAndIsr {
    /// Of this leadership.
    pub leader_epoch: LeaderEpoch,
    /// Of the metadata record.
    pub partition_epoch: i32,
    /// All assigned, this broker included.
    pub replicas: Vec<NodeId>,
    /// In sync, this broker included.
    pub isr: Vec<NodeId>,
}

/// Names a producer's wait in one partition; chosen by the driver, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProduceWaiter(pub u64);

/// Names a fetch over one or more partitions; given by [`FetchPurgatory::register`](crate::FetchPurgatory::register).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchWaiter(pub u64);

/// Whose acknowledgement a producer wants (`acks`; with 0 nobody waits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequiredAcks {
    /// `acks=0`: none. Only for [`Partition::check_append`](crate::Partition::check_append).
    None,
    /// `acks=1`: the leader has it; with `flush.messages=1` on its disk.
    Leader,
    /// `acks=all`: the high watermark has passed it.
    All,
}

/// A producer's wait, begun right after its append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitProduce {
    /// Who.
    pub waiter: ProduceWaiter,
    /// For whom.
    pub acks: RequiredAcks,
    /// The offset after the producer's last record.
    pub required_offset: Offset,
}

/// A fetch's wait for one of its partitions, begun after a read that gave too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitFetch {
    /// Who.
    pub waiter: FetchWaiter,
    /// This partition's place in that fetch.
    pub index: usize,
    /// From where.
    pub fetch_offset: Offset,
    /// Up to which bound.
    pub isolation: FetchIsolation,
    /// At most so much counts (`partition_max_bytes`).
    pub bytes_max: u64,
    /// The role and epoch under which the read was made: if they have changed since, it is woken at once.
    pub leader_epoch: LeaderEpoch,
}
