//! Random commands, and after each a comparison with a reference that keeps everything in plain lists and computes each
//! answer from scratch: the high watermark, who is acknowledged, who is woken, how many bytes a fetch can get.

mod apply;
mod checks;
mod event;

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::NodeId;
use forebay_records::{Offset, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use self::event::{Event, event};
use crate::{
    AcknowledgeAfter, AwaitProduce, Config, FetchIsolation, FetchPurgatory, LogState, Partition, Role,
};

const SELF: i32 = 0;
const FOLLOWERS: [i32; 2] = [1, 2];

#[derive(Clone, Debug)]
struct Fetch {
    offset: i64,
    isolation: FetchIsolation,
    bytes_max: u64,
    reported: u64,
}

/// The reference beside the real thing.
#[derive(Debug)]
struct Model {
    partition: Partition,
    now: i64,
    config: Config,
    role: Role,
    epoch: i32,
    partition_epoch: i32,
    start: i64,
    end: i64,
    synced: i64,
    sync_in_flight: bool,
    sync_is_stale: bool,
    high_watermark: i64,
    leaders_high_watermark: i64,
    unstable: Option<i64>,
    appends: Vec<(i64, u64)>,
    /// What each follower has, once it has fetched.
    followers: BTreeMap<i32, Option<i64>>,
    isr: BTreeSet<i32>,
    proposed: Option<BTreeSet<i32>>,
    produces: BTreeMap<u64, AwaitProduce>,
    fetches: BTreeMap<u64, Fetch>,
    next_waiter: u64,
}

impl Model {
    fn new(sync: bool) -> Self {
        let config = Config {
            min_insync_replicas: 1,
            acknowledge_after: if sync {
                AcknowledgeAfter::Sync
            } else {
                AcknowledgeAfter::Append
            },
            replica_lag_time_ms_max: 100,
        };
        let log = LogState {
            log_start_offset: Offset(3),
            log_end_offset: Offset(10),
            synced_offset: Offset(10),
            high_watermark: Offset(5),
            first_unstable_offset: None,
        };
        Self {
            partition: Partition::new(NodeId(SELF), config, log),
            now: 1000,
            config,
            role: Role::Unassigned,
            epoch: -1,
            partition_epoch: -1,
            start: 3,
            end: 10,
            synced: 10,
            sync_in_flight: false,
            sync_is_stale: false,
            high_watermark: 5,
            leaders_high_watermark: 0,
            unstable: None,
            appends: vec![(10, 0)],
            followers: BTreeMap::new(),
            isr: BTreeSet::new(),
            proposed: None,
            produces: BTreeMap::new(),
            fetches: BTreeMap::new(),
            next_waiter: 0,
        }
    }

    fn serves(&self) -> bool {
        matches!(self.role, Role::Leader | Role::Follower)
    }

    fn acknowledged(&self) -> i64 {
        if self.config.acknowledge_after == AcknowledgeAfter::Sync {
            self.synced
        } else {
            self.end
        }
    }

    fn stable(&self) -> i64 {
        self.unstable.map_or(self.high_watermark, |offset| {
            offset.max(self.start).min(self.high_watermark)
        })
    }

    fn maximal(&self) -> BTreeSet<i32> {
        self.isr
            .union(self.proposed.as_ref().unwrap_or(&self.isr))
            .copied()
            .collect()
    }

    fn min_insync_replicas(&self) -> usize {
        self.config.min_insync_replicas.min(self.followers.len() + 1)
    }

    fn available(&self, fetch: &Fetch) -> u64 {
        let to = match fetch.isolation {
            FetchIsolation::LogEnd => self.end,
            FetchIsolation::HighWatermark => self.high_watermark,
            FetchIsolation::TxnCommitted => self.stable(),
        };
        if fetch.offset >= to {
            return 0;
        }
        let first = self.appends[0].0;
        if fetch.offset < first || to < first {
            // Before what this broker has seen appended: plenty.
            return fetch.bytes_max;
        }
        let bytes = |up_to: i64| -> u64 {
            self.appends
                .iter()
                .filter(|(end, _)| *end <= up_to)
                .map(|(_, bytes)| bytes)
                .sum()
        };
        (bytes(to) - bytes(fetch.offset)).min(fetch.bytes_max)
    }

    fn step(&mut self, event: &Event) {
        let mut woken = BTreeSet::new();
        let Some(command) = self.apply(event, &mut woken) else {
            return;
        };
        let mut actions = Vec::new();
        self.partition.handle(command, Timestamp(self.now), &mut actions);
        self.take_proposals(&actions);
        self.check_offsets(&actions);
        self.check_produces(&actions);
        self.check_fetches(&actions, woken);
        self.check_sync(&actions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_commands_agree_with_the_reference(sync in any::<bool>(), events in vec(event(), 1..120)) {
        let mut model = Model::new(sync);
        for event in &events {
            model.step(event);
        }
    }

    #[test]
    fn a_fetch_is_answered_exactly_once(
        fetches in vec((0..60_u64, 1..4_usize), 1..8),
        events in vec((0..4_u8, any::<prop::sample::Index>(), 0..4_usize, 0..50_u64), 0..80),
    ) {
        let mut purgatory = FetchPurgatory::new();
        let mut reference = BTreeMap::new();
        for (min_bytes, partitions) in fetches {
            let waiter = purgatory.register(min_bytes, partitions);
            reference.insert(waiter, (min_bytes.max(1), vec![0; partitions]));
        }
        let all: Vec<_> = reference.keys().copied().collect();
        for (kind, which, index, number) in events {
            let waiter = all[which.index(all.len())];
            match kind {
                0 => prop_assert_eq!(purgatory.cancel(waiter), reference.remove(&waiter).is_some()),
                1 => prop_assert_eq!(purgatory.wake(waiter), reference.remove(&waiter).is_some()),
                _ => {
                    let mut complete = false;
                    if let Some((min_bytes, bytes)) = reference.get_mut(&waiter) {
                        if let Some(place) = bytes.get_mut(index) {
                            *place = number;
                        }
                        complete = bytes.iter().sum::<u64>() >= *min_bytes;
                    }
                    prop_assert_eq!(purgatory.progress(waiter, index, number), complete);
                    if complete {
                        reference.remove(&waiter);
                    }
                }
            }
            prop_assert_eq!(purgatory.len(), reference.len());
        }
    }
}
