//! A topic whose deletion found no room, and one of its name made anew: nothing of the old one gets into the new one.

use forebay_disk::{Disk, DiskExt, Effect, Fault, FaultyDisk, Operation, Survivors};

use super::*;
use crate::Uuid;

#[test]
fn a_topic_made_anew_has_nothing_of_the_old_one() {
    let config = small_segments();
    let mut failed = 0;
    for operation in [Operation::Rename, Operation::Write, Operation::SyncDirectory] {
        for nth in 1..=6 {
            for repeated in [false, true] {
                let memory = MemoryDisk::new();
                let disk = FaultyDisk::new(Arc::new(memory.clone()));
                let directory = open(Arc::new(disk.clone()), &config).expect("open");
                let make = |id| directory.log_or_create(&partition(), id, &Arc::new(config.clone()));
                let old = make(topic_id()).expect("new");
                for tag in 0..12 {
                    append(&old, append_of(tag, 1, 150)).expect("appended");
                }
                old.sync(NOW).expect("synced");
                old.delete_records_before(Offset(5), Offset(12)).expect("deleted");
                directory.checkpoint(None).expect("written");
                let effect = if repeated {
                    Effect::NoSpaceFromNowOn
                } else {
                    Effect::NoSpace
                };
                disk.set(Fault {
                    operation,
                    nth,
                    effect,
                });
                failed += usize::from(directory.delete(&[partition()], 1, NOW).is_err());
                disk.clear();
                let new = make(Uuid([8; 16])).expect("usable");
                append(&new, append_of(99, 1, 1)).expect("appended");
                new.sync(NOW).expect("synced");
                for survivors in [Survivors::Everything, Survivors::OnlySynced, Survivors::Random(7)] {
                    let what = format!("{operation:?} {nth} {survivors:?}");
                    let left = memory.crash(survivors);
                    let again =
                        open(Arc::new(left), &config).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let log = again.log(&partition()).expect("open").expect("there");
                    assert_eq!(read_all(&log), [(0, 99)], "{what}");
                    assert_eq!(log.topic_id(), Uuid([8; 16]), "{what}");
                }
            }
        }
    }
    assert!(failed > 3, "{failed}");
}

/// Who deletes a topic on a full disk gets room by that, although nothing can be written.
#[test]
fn a_topic_is_deleted_on_a_full_disk() {
    let config = LogConfig {
        file_delete_delay_ms: 0,
        ..small_segments()
    };
    let (disk, Fixture { directory, log, .. }) = faulty_fixture(&config);
    append(&log, append_of(1, 1, 1)).expect("appended");
    log.sync(NOW).expect("synced");
    directory.checkpoint(None).expect("written");
    disk.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpaceFromNowOn,
    });
    directory.delete(&[partition()], 1, NOW).expect("deleted");
    directory.purge(NOW);
    let folders = disk.read_dir(directory.path()).expect("list");
    let left = folders
        .iter()
        .find(|entry| entry.name.to_string_lossy().contains("topic"));
    assert!(left.is_none(), "{left:?}");
    assert!(
        directory
            .log_or_create(&partition(), topic_id(), &Arc::new(config.clone()))
            .is_err()
    );
    disk.clear();
    let log = directory.log_or_create(&partition(), topic_id(), &Arc::new(config));
    append(&log.expect("there is room"), append_of(2, 1, 1)).expect("appended");
}

/// What becomes of the name after a deletion that found no room, before that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Nothing,
    /// A topic of that name is made, of which nothing is on the disk yet.
    MadeAnew,
    WrittenAnew,
}

/// The next start need not know what was deleted once that is said to be done: neither under its old name nor as another topic's is
/// anything of it there then, whatever the machine has lost.
#[test]
fn a_deletion_that_found_no_room_is_finished_when_there_is_some() {
    let config = small_segments();
    let mut retried = 0;
    for (operation, nth) in [
        (Operation::Rename, 1),
        (Operation::Rename, 2),
        (Operation::Rename, 3),
        (Operation::SyncDirectory, 1),
        (Operation::SyncDirectory, 2),
        (Operation::SyncDirectory, 3),
    ] {
        for since in [Since::Nothing, Since::MadeAnew, Since::WrittenAnew] {
            for has_records in [true, false] {
                let what = format!("{operation:?} {nth}, {since:?}, {has_records}");
                let memory = MemoryDisk::new();
                let disk = FaultyDisk::new(Arc::new(memory.clone()));
                let directory = open(Arc::new(disk.clone()), &config).expect("open");
                let make = |id| directory.log_or_create(&partition(), id, &Arc::new(config.clone()));
                let old = make(topic_id()).expect("new");
                append(&old, append_of(1, 1, 150)).expect("appended");
                old.sync(NOW).expect("synced");
                directory.checkpoint(None).expect("written");
                if !has_records {
                    let log = std::path::Path::new("/data/topic-0/00000000000000000000.log");
                    disk.remove_file(log).expect("there");
                }
                disk.set(Fault {
                    operation,
                    nth,
                    effect: Effect::NoDescriptors,
                });
                let deleted = directory.delete(&[partition()], 1, NOW);
                assert_eq!(directory.has_undeleted(), deleted.is_err(), "{what}");
                disk.clear();
                if since != Since::Nothing {
                    let new = make(Uuid([8; 16])).expect("usable");
                    if since == Since::WrittenAnew {
                        append(&new, append_of(99, 1, 1)).expect("appended");
                        new.sync(NOW).expect("synced");
                    }
                }
                retried += usize::from(deleted.is_err());
                directory.purge(NOW);
                assert!(!directory.has_undeleted() && directory.check().is_ok(), "{what}");
                for survivors in [Survivors::Everything, Survivors::OnlySynced, Survivors::Random(7)] {
                    let again = open(Arc::new(memory.crash(survivors)), &config);
                    let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
                    let found = again.log(&partition()).expect("open");
                    let found = found.map(|log| (log.topic_id(), read_all(&log)));
                    let expected = (since == Since::WrittenAnew).then(|| (Uuid([8; 16]), vec![(0, 99)]));
                    assert_eq!(found, expected, "{what}, {survivors:?}");
                }
            }
        }
    }
    assert!(retried >= 12, "{retried}");
}

/// Who comes in the middle has his log.
#[test]
fn a_deletion_is_tried_again_beside_a_topic_made_anew() {
    let config = Arc::new(small_segments());
    let (disk, Fixture { directory, log, .. }) = faulty_fixture(&config);
    let directory = Arc::new(directory);
    append(&log, append_of(1, 1, 1)).expect("appended");
    disk.set(Fault {
        operation: Operation::Rename,
        nth: 1,
        effect: Effect::NoDescriptors,
    });
    // The checkpoints have nothing to forget: the folder's is the first.
    assert!(directory.delete(&[partition()], 1, NOW).is_err());
    let other = Arc::clone(&directory);
    let (made, is_made) = std::sync::mpsc::channel();
    disk.call_at(Operation::Rename, 1, move || {
        let making = std::thread::spawn(move || {
            let new = other.log_or_create(&partition(), Uuid([8; 16]), &config);
            let new = new.expect("usable");
            append(&new, append_of(99, 1, 1)).expect("appended");
            new
        });
        // One that does not wait for this is done at once; one that does never is.
        let until = std::time::Instant::now() + std::time::Duration::from_millis(200);
        while !making.is_finished() && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        made.send(making).expect("the test waits");
        None
    });
    directory.purge(NOW);
    let making = is_made.recv().expect("it is begun");
    let new = making.join().expect("it is made");
    directory.purge(NOW + 1_000_000);
    assert_eq!(read_all(&new), [(0, 99)]);
    assert!(disk.exists(new.folder()).expect("exists"));
}

#[test]
fn what_nobody_knows_is_set_aside_and_stays() {
    let config = small_segments();
    let (disk, Fixture { directory, log, .. }) = faulty_fixture(&config);
    append(&log, append_of(1, 1, 1)).expect("appended");
    directory.set_stray(&[partition()], 7).expect("set aside");
    assert!(append(&log, append_of(1, 1, 1)).is_err());
    let new = directory.log_or_create(&partition(), Uuid([8; 16]), &Arc::new(config.clone()));
    append(&new.expect("usable"), append_of(2, 1, 1)).expect("appended");
    directory.purge(NOW + 1_000_000);
    drop(directory);
    let directory = open(Arc::new(disk.clone()), &config).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    assert_eq!(read_all(&log), [(0, 2)]);
    let aside = format!("/data/topic-0.{:032x}-stray/00000000000000000000.log", 7);
    assert!(disk.exists(std::path::Path::new(&aside)).expect("exists"));
}
