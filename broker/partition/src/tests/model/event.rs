//! What can happen to a partition, at random.

use proptest::prelude::*;

use crate::FetchIsolation;

/// Something that happens; numbers are taken relative to the state in which it does.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Leader {
        newer_epoch: bool,
        isr: [bool; 2],
    },
    Follower {
        newer_epoch: bool,
    },
    Append {
        records: i64,
        bytes: u64,
        in_transaction: bool,
    },
    EndTransaction,
    Synced {
        short_of_end: i64,
    },
    LogStart {
        ahead: i64,
    },
    Truncated {
        back: i64,
    },
    StartedAt {
        ahead: i64,
    },
    Fetched {
        follower: usize,
        behind: i64,
    },
    LeaderState {
        ahead: i64,
    },
    Produce {
        all: bool,
        behind: i64,
    },
    Fetch {
        behind: i64,
        isolation: FetchIsolation,
        bytes_max: u64,
        stale: bool,
    },
    CancelProduce {
        nth: usize,
    },
    CancelFetch {
        nth: usize,
    },
    AlterIsr {
        accepted: bool,
    },
    Configure {
        sync: bool,
        min_insync_replicas: usize,
    },
    Time {
        ms: i64,
    },
    Fail,
    Delete,
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let isolation = prop::sample::select(vec![
        FetchIsolation::LogEnd,
        FetchIsolation::HighWatermark,
        FetchIsolation::TxnCommitted,
    ]);
    prop_oneof![
        8 => (any::<bool>(), any::<[bool; 2]>()).prop_map(|(newer_epoch, isr)| Event::Leader { newer_epoch, isr }),
        2 => any::<bool>().prop_map(|newer_epoch| Event::Follower { newer_epoch }),
        20 => (1..5_i64, 1..500_u64, any::<bool>())
            .prop_map(|(records, bytes, in_transaction)| Event::Append { records, bytes, in_transaction }),
        5 => Just(Event::EndTransaction),
        15 => (0..4_i64).prop_map(|short_of_end| Event::Synced { short_of_end }),
        3 => (0..4_i64).prop_map(|ahead| Event::LogStart { ahead }),
        3 => (0..6_i64).prop_map(|back| Event::Truncated { back }),
        1 => (0..6_i64).prop_map(|ahead| Event::StartedAt { ahead }),
        25 => (0..2_usize, -1..3_i64).prop_map(|(follower, behind)| Event::Fetched { follower, behind }),
        4 => (0..6_i64).prop_map(|ahead| Event::LeaderState { ahead }),
        15 => (any::<bool>(), 0..3_i64).prop_map(|(all, behind)| Event::Produce { all, behind }),
        15 => (-1..8_i64, isolation, 1..900_u64, prop::bool::weighted(0.1))
            .prop_map(|(behind, isolation, bytes_max, stale)| Event::Fetch { behind, isolation, bytes_max, stale }),
        2 => (0..9_usize).prop_map(|nth| Event::CancelProduce { nth }),
        4 => (0..9_usize).prop_map(|nth| Event::CancelFetch { nth }),
        8 => any::<bool>().prop_map(|accepted| Event::AlterIsr { accepted }),
        2 => (any::<bool>(), 1..4_usize)
            .prop_map(|(sync, min_insync_replicas)| Event::Configure { sync, min_insync_replicas }),
        8 => (0..80_i64).prop_map(|ms| Event::Time { ms }),
        1 => prop_oneof![9 => Just(Event::Time { ms: 1 }), 1 => Just(Event::Fail), 1 => Just(Event::Delete)],
    ]
}
