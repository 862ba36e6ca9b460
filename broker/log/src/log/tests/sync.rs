//! Syncs that meet: of one log, and of two in one directory. The kernel tells of a failed write-back once per open file.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use forebay_disk::{DiskExt, Effect, FaultyDisk, Operation};

use super::*;
use crate::TopicPartition;

/// A directory on a disk of whose syncs the test decides.
fn directory() -> (FaultyDisk, LogDirectory) {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    (disk, directory)
}

/// A log with one record that is not synced.
fn log_of(directory: &LogDirectory, index: i32) -> Arc<Log> {
    let partition = TopicPartition::new("topic", index).expect("valid");
    let log = directory
        .log_or_create(&partition, topic_id(), &Arc::new(LogConfig::default()))
        .expect("created");
    append(&log, append_of(1, 1, 10)).expect("appended");
    log
}

/// Upkeep's sync hears of the I/O error, and the writer's, which came while that one was under way, must not be told that
/// its records are on the disk.
#[test]
fn an_error_that_one_sync_is_told_of_is_every_ones() {
    let (disk, directory) = directory();
    let log = log_of(&directory, 0);
    let (entered, upkeep_is_inside) = mpsc::channel();
    let (returned, writer_is_back) = mpsc::channel();
    disk.call_at(Operation::Sync, 1, move || {
        entered.send(()).expect("the test waits");
        // A writer that does not wait for this sync is back at once; one that does never comes.
        let _time_out = writer_is_back.recv_timeout(Duration::from_millis(200));
        Some(Effect::Fail)
    });
    std::thread::scope(|scope| {
        let upkeep = scope.spawn(|| log.sync(NOW));
        upkeep_is_inside.recv().expect("it syncs");
        let writers = log.sync(NOW);
        // The time may be up.
        let _nobody = returned.send(());
        let upkeeps = upkeep.join().expect("no panic");
        assert!(matches!(upkeeps, Err(Error::Offline { .. })), "{upkeeps:?}");
        assert!(matches!(writers, Err(Error::Offline { .. })), "{writers:?}");
    });
    assert_eq!(log.synced_offset(), Offset(0));
}

/// A sync that succeeds while another one takes the directory offline acknowledges nothing any more.
#[test]
fn no_offset_is_synced_once_the_directory_is_offline() {
    let (disk, directory) = directory();
    let (log, other) = (log_of(&directory, 0), log_of(&directory, 1));
    let inner = disk.clone();
    disk.call_at(Operation::Sync, 1, move || {
        inner.call_at(Operation::Sync, 1, || Some(Effect::Fail));
        let failed = other.sync(NOW);
        assert!(matches!(failed, Err(Error::Offline { .. })), "{failed:?}");
        None
    });
    let synced = log.sync(NOW);
    assert!(matches!(synced, Err(Error::Offline { .. })), "{synced:?}");
    assert_eq!(log.synced_offset(), Offset(0));
}

/// Whoever closes or cuts a log syncs its file as well.
#[test]
fn a_log_that_is_closed_or_cut_during_a_failing_sync_does_not_go_on() {
    let closing: fn(&LogDirectory) -> crate::Result<()> = |directory| directory.shutdown(1, -1, NOW);
    let cutting: fn(&LogDirectory) -> crate::Result<()> =
        |directory| directory.truncate_to(&partition(), Offset(1), NOW).map(drop);
    for (end, name) in [(closing, "closed"), (cutting, "cut")] {
        let (disk, directory) = directory();
        let log = log_of(&directory, 0);
        append(&log, append_of(2, 1, 10)).expect("appended");
        let (entered, upkeep_is_inside) = mpsc::channel();
        let (returned, other_is_back) = mpsc::channel();
        disk.call_at(Operation::Sync, 1, move || {
            entered.send(()).expect("the test waits");
            let _time_out = other_is_back.recv_timeout(Duration::from_millis(200));
            Some(Effect::Fail)
        });
        std::thread::scope(|scope| {
            let upkeep = scope.spawn(|| log.sync(NOW));
            upkeep_is_inside.recv().expect("it syncs");
            let ended = end(&directory);
            let _nobody = returned.send(());
            assert!(upkeep.join().expect("no panic").is_err());
            assert!(matches!(ended, Err(Error::Offline { .. })), "{name}: {ended:?}");
        });
        let marker = Path::new("/data/.kafka_cleanshutdown");
        assert!(
            !disk.exists(marker).expect("exists"),
            "{name}: not marked as clean"
        );
    }
}
