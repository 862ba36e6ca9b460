//! What happens in the life of a compacted log.

use forebay_disk::{Effect, Fault, Operation, Survivors};
use proptest::prelude::*;

use super::DELETE_RETENTION_MS;

#[derive(Debug, Clone)]
pub(super) enum Command {
    /// Records of an ordinary producer: key, and value if it is no tombstone.
    Put(Vec<(u8, bool)>),
    /// The same as one batch of an idempotent producer, or its last one again.
    Idempotent {
        records: Vec<(u8, bool)>,
        again: bool,
    },
    /// The same in a producer's transaction, which it begins if none is open.
    InTransaction {
        producer: usize,
        records: Vec<(u8, bool)>,
    },
    End {
        producer: usize,
        commit: bool,
    },
    Roll,
    /// After so many milliseconds, with room for so many keys.
    Clean {
        after_ms: i64,
        keys: u64,
    },
    /// A cleaning in the middle of which records are appended.
    CleanAndPut {
        operation: Operation,
        nth: u64,
        key: u8,
    },
    /// A cleaning in the middle of which the first records are deleted, up to a share of all.
    CleanAndDelete {
        operation: Operation,
        nth: u64,
        percent: usize,
    },
    /// A cleaning that ends in a crash.
    CleanAndCrash {
        fault: Fault,
        survivors: Survivors,
    },
    /// The next process may find no snapshots of producers.
    Crash {
        survivors: Survivors,
        snapshots: bool,
    },
    CleanEnd,
}

pub(super) fn commands() -> impl Strategy<Value = Vec<Command>> {
    let records = || prop::collection::vec((0..6_u8, prop::bool::weighted(0.7)), 1..4);
    let survivors = || {
        prop_oneof![
            Just(Survivors::Everything),
            Just(Survivors::OnlySynced),
            any::<u64>().prop_map(Survivors::Random),
        ]
    };
    let operation = || {
        prop::sample::select(vec![
            Operation::Write,
            Operation::Sync,
            Operation::SyncDirectory,
            Operation::Rename,
            Operation::SetLength,
            Operation::Remove,
        ])
    };
    let effect = prop::sample::select(vec![Effect::Freeze, Effect::Fail, Effect::NoSpace]);
    let fault = (operation(), 1..30_u64, effect).prop_map(|(operation, nth, effect)| Fault {
        operation,
        nth,
        effect,
    });
    let command = prop_oneof![
        8 => records().prop_map(Command::Put),
        4 => (records(), any::<bool>()).prop_map(|(records, again)| Command::Idempotent { records, again }),
        6 => (0..2_usize, records()).prop_map(|(producer, records)| Command::InTransaction { producer, records }),
        4 => (0..2_usize, any::<bool>()).prop_map(|(producer, commit)| Command::End { producer, commit }),
        4 => Just(Command::Roll),
        5 => (0..DELETE_RETENTION_MS * 3 / 2, prop::sample::select(vec![2, 4, 1000]))
            .prop_map(|(after_ms, keys)| Command::Clean { after_ms, keys }),
        2 => (operation(), 1..20_u64, 0..6_u8)
            .prop_map(|(operation, nth, key)| Command::CleanAndPut { operation, nth, key }),
        2 => (operation(), 1..20_u64, 0..101_usize)
            .prop_map(|(operation, nth, percent)| Command::CleanAndDelete { operation, nth, percent }),
        3 => (fault, survivors()).prop_map(|(fault, survivors)| Command::CleanAndCrash { fault, survivors }),
        1 => (survivors(), any::<bool>()).prop_map(|(survivors, snapshots)| Command::Crash { survivors, snapshots }),
        1 => Just(Command::CleanEnd),
    ];
    prop::collection::vec(command, 1..50)
}
