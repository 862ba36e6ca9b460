//! A topic whose deletion found no room, and one of its name made anew: nothing of the old one gets into the new one.

use forebay_disk::{Disk, Effect, Fault, FaultyDisk, Operation, Survivors};

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
