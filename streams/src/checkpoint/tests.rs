//! Crashes at every write and sync, damage of every kind: the query goes on from a commit, or says why it cannot.

use forebay_disk::{Effect, Fault, FaultyDisk, MemoryDisk, Operation, Survivors};
use forebay_records::Offset;

use super::*;
use crate::state::{MemoryStateStore, StateStore};
use crate::words::Counts;

const DIRECTORY: &str = "/checkpoint";

fn metadata() -> Metadata {
    Metadata {
        id: "q".to_owned(),
        query: "wordcount".to_owned(),
        topic_id: "t1".to_owned(),
    }
}

fn state(epoch: u64) -> RecordBatch {
    let mut store = MemoryStateStore::default();
    let counts: Counts = [(b"word"[..].into(), i64::try_from(epoch).unwrap())].into();
    store.apply(&counts).unwrap();
    store.scan().unwrap()
}

fn offsets(epoch: u64) -> Offsets {
    [(0, Offset(i64::try_from(epoch).unwrap() * 10))].into()
}

fn open(disk: &Arc<dyn Disk>) -> Result<(Checkpoint, Option<Restored>), Error> {
    Checkpoint::open(Arc::clone(disk), Path::new(DIRECTORY), "t", &metadata())
}

fn epochs(checkpoint: &Checkpoint, from: u64, to: u64) -> Result<(), Error> {
    for epoch in from..to {
        let start = epoch
            .checked_sub(1)
            .map_or_else(|| [(0, Offset(0))].into(), offsets);
        checkpoint.plan(
            &Plan {
                epoch,
                start,
                end: offsets(epoch),
            },
            0,
        )?;
        checkpoint.commit(epoch, &offsets(epoch), &state(epoch))?;
    }
    Ok(())
}

fn flip(disk: &dyn Disk, path: &str) {
    let path = Path::new(path);
    let mut bytes = disk.read(path, 1 << 20).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.write_atomically(path, &bytes).unwrap();
}

#[test]
fn a_query_goes_on_where_it_committed() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let (checkpoint, restored) = open(&disk).unwrap();
    assert!(restored.is_none());
    epochs(&checkpoint, 0, 5).unwrap();
    let plan = Plan {
        epoch: 5,
        start: offsets(4),
        end: offsets(5),
    };
    checkpoint.plan(&plan, 0).unwrap();
    assert!(open(&disk).is_err(), "a second process is kept out");
    drop(checkpoint);
    let (checkpoint, restored) = open(&disk).unwrap();
    let restored = restored.unwrap();
    assert_eq!(
        (restored.epoch, restored.offsets, restored.state),
        (4, offsets(4), state(4))
    );
    assert_eq!(checkpoint.planned(5).unwrap(), Some(plan));
    assert_eq!(checkpoint.planned(6).unwrap(), None);
    assert_eq!(
        checkpoint.epochs("state", ".snapshot").unwrap(),
        [3, 4],
        "old ones are deleted"
    );
}

#[test]
fn every_crash_leaves_a_commit_that_was_made() {
    for operation in [Operation::Write, Operation::Sync] {
        for nth in 1..40 {
            let memory = MemoryDisk::new();
            let faulty = Arc::new(FaultyDisk::new(Arc::new(memory.clone())));
            faulty.set(Fault {
                operation,
                nth,
                effect: Effect::Freeze,
            });
            let disk: Arc<dyn Disk> = faulty;
            let mut committed = None;
            if let Ok((checkpoint, _)) = open(&disk) {
                for epoch in 0..6 {
                    if epochs(&checkpoint, epoch, epoch + 1).is_ok() {
                        committed = Some(epoch);
                    }
                }
            }
            for survivors in [
                Survivors::OnlySynced,
                Survivors::Everything,
                Survivors::Random(nth),
            ] {
                let after: Arc<dyn Disk> = Arc::new(memory.crash(survivors));
                let (_, restored) =
                    open(&after).unwrap_or_else(|error| panic!("{operation:?} {nth}: {error}"));
                if let Some(restored) = &restored {
                    assert_eq!(restored.state, state(restored.epoch));
                    assert_eq!(restored.offsets, offsets(restored.epoch));
                }
                let found = restored.map(|restored| restored.epoch);
                // What was committed is there; the epoch that failed may be, if only its last step was not confirmed.
                let next = committed.map_or(0, |epoch| epoch + 1);
                assert!(
                    found == committed || found == Some(next),
                    "{operation:?} {nth}: {found:?} of {committed:?}"
                );
            }
        }
    }
}

#[test]
fn damage_is_passed_over_where_that_is_safe_and_told_where_it_is_not() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    epochs(&open(&disk).unwrap().0, 0, 3).unwrap();
    flip(&*disk, "/checkpoint/state/2.snapshot");
    let (checkpoint, restored) = open(&disk).unwrap();
    assert_eq!(restored.unwrap().epoch, 1);
    assert_eq!(
        checkpoint.planned(2).unwrap().unwrap().end,
        offsets(2),
        "and epoch 2 runs again as planned"
    );
    drop(checkpoint);
    flip(&*disk, "/checkpoint/state/1.snapshot");
    assert!(
        matches!(open(&disk), Err(Error::Damaged { .. })),
        "never from the beginning without a word"
    );
    disk.write_atomically(Path::new("/checkpoint/state/1.snapshot"), b"")
        .unwrap();
    assert!(matches!(open(&disk), Err(Error::Damaged { .. })));
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    epochs(&open(&disk).unwrap().0, 0, 1).unwrap();
    let other = |metadata: Metadata| {
        Checkpoint::open(Arc::clone(&disk), Path::new(DIRECTORY), "t", &metadata)
            .map(|_| ())
            .unwrap_err()
    };
    let query = Metadata {
        query: "another".to_owned(),
        ..metadata()
    };
    assert!(matches!(other(query), Error::OtherQuery { .. }));
    let topic = Metadata {
        topic_id: "t2".to_owned(),
        ..metadata()
    };
    assert!(matches!(other(topic), Error::OtherTopic { .. }));
    disk.remove_file(Path::new("/checkpoint/metadata")).unwrap();
    assert!(matches!(open(&disk), Err(Error::Damaged { .. })));
}
