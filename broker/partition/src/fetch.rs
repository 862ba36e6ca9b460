//! What a fetch may read, and fetches that wait for this partition.

use std::collections::BTreeMap;

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, Offset};

use crate::position::Positions;
use crate::{Action, AwaitFetch, EpochEndOffset, FetchWaiter};

/// Up to where a fetch reads (Kafka's `FetchIsolation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchIsolation {
    /// Replicas: everything.
    LogEnd,
    /// Consumers with `read_uncommitted`.
    HighWatermark,
    /// Consumers with `read_committed`.
    TxnCommitted,
}

/// What a fetch (or a lookup of offsets) says of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchCheck {
    /// From where it wants to read.
    pub fetch_offset: Offset,
    /// Up to where it may.
    pub isolation: FetchIsolation,
    /// The leader epoch that the client knows; none from old clients.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record it has; none if it does not ask for divergence (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The follower that fetches; none for consumers.
    pub replica: Option<NodeId>,
    /// Whether only the leader may answer: replicas, and consumers before version 11 (KIP-392).
    pub leader_only: bool,
}

/// The offsets that a read keeps to and a fetch response carries, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchBounds {
    /// Read below this offset only. May be below the fetch offset: then there is nothing to read yet.
    pub end_offset: Offset,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// After the log's last record.
    pub log_end_offset: Offset,
    /// All below is acknowledged by the in-sync replicas.
    pub high_watermark: Offset,
    /// All below is acknowledged and belongs to no open transaction.
    pub last_stable_offset: Offset,
    /// The role's epoch: what [`AwaitFetch`] has to say if it waits after this read.
    pub leader_epoch: LeaderEpoch,
}

/// Whether a fetch may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchAnswer {
    /// Within these bounds.
    Read(FetchBounds),
    /// The fetcher has records that this leader's log has not: it must cut its log there, and gets none now.
    Diverging {
        /// The last epoch that both have, and where it ends here.
        end: EpochEndOffset,
        /// For the rest of the response.
        bounds: FetchBounds,
    },
}

/// The fetches that wait here.
#[derive(Clone, Debug, Default)]
pub(crate) struct DelayedFetches {
    waiting: BTreeMap<FetchWaiter, Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    wait: AwaitFetch,
    reported_bytes: u64,
}

/// Where each isolation ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable_offset: Offset,
}

impl Ends {
    pub(crate) fn of(&self, isolation: FetchIsolation) -> Offset {
        match isolation {
            FetchIsolation::LogEnd => self.log_end_offset,
            FetchIsolation::HighWatermark => self.high_watermark,
            FetchIsolation::TxnCommitted => self.last_stable_offset,
        }
    }
}

impl DelayedFetches {
    /// Begins to wait, and is told at once what there is already.
    pub(crate) fn insert(
        &mut self,
        wait: AwaitFetch,
        ends: &Ends,
        positions: &Positions,
        actions: &mut Vec<Action>,
    ) {
        let mut waiting = Waiting {
            wait,
            reported_bytes: 0,
        };
        if waiting.report(ends, positions, actions) {
            self.waiting.insert(wait.waiter, waiting);
        }
    }

    pub(crate) fn remove(&mut self, waiter: FetchWaiter) {
        self.waiting.remove(&waiter);
    }

    /// Tells those who wait what has become available, and lets go of those whose offset is gone.
    pub(crate) fn report(&mut self, ends: &Ends, positions: &Positions, actions: &mut Vec<Action>) {
        self.waiting
            .retain(|_, waiting| waiting.report(ends, positions, actions));
    }

    /// Lets go of all: the partition's answer has changed.
    pub(crate) fn wake_all(&mut self, actions: &mut Vec<Action>) {
        for waiter in std::mem::take(&mut self.waiting).into_keys() {
            actions.push(Action::WakeFetch { waiter });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Waiting {
    /// False if there is nothing to wait for any more.
    fn report(&mut self, ends: &Ends, positions: &Positions, actions: &mut Vec<Action>) -> bool {
        let AwaitFetch {
            waiter,
            index,
            fetch_offset,
            isolation,
            bytes_max,
            ..
        } = self.wait;
        if fetch_offset < ends.log_start_offset || fetch_offset > ends.log_end_offset {
            actions.push(Action::WakeFetch { waiter });
            return false;
        }
        let available_bytes = positions
            .bytes_between(fetch_offset, ends.of(isolation))
            .min(bytes_max);
        if available_bytes > self.reported_bytes {
            self.reported_bytes = available_bytes;
            actions.push(Action::FetchProgress {
                waiter,
                index,
                available_bytes,
            });
        }
        true
    }
}
