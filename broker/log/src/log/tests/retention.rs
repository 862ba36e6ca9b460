//! What is deleted, when, and what readers see of it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use forebay_disk::{DiskExt, MemoryDisk, Operation, Survivors};

use super::*;

const DAY_MS: i64 = 86_400_000;

/// How many of the log's files have a name that ends so.
fn count(disk: &MemoryDisk, suffix: &str) -> usize {
    let names = names(disk, "/data/topic-0").into_iter();
    names.filter(|name| name.ends_with(suffix)).count()
}

fn append_at(log: &Log, tag: u8, timestamp: Timestamp) {
    let value = [tag; 150];
    let batch = batch_at(&[(&value, timestamp)], ProducerIdentity::NONE);
    append(log, request(batch)).expect("appended");
}

/// Records 0 to 9, in segments of four, each as old as `age_ms` says of its number.
fn append_ten(log: &Log, age_ms: impl Fn(i64) -> i64) {
    for tag in 0..10 {
        append_at(log, tag, NOW - age_ms(i64::from(tag)));
    }
    assert_eq!(log.segment_count(), 3, "offsets 0-3, 4-7, 8-9");
}

#[test]
fn by_time_whole_segments_and_all_of_them_if_all_are_old() {
    let config = LogConfig {
        retention_ms: DAY_MS,
        ..small_segments()
    };
    let Fixture { log, disk, .. } = fixture(&config);
    append_ten(&log, |number| -1000 * number);
    let all = Offset(10);
    let delete = |after_ms: i64| {
        log.delete_old_segments(all, NOW + DAY_MS + after_ms)
            .expect("deleted")
    };
    assert_eq!(
        delete(3000),
        0,
        "the newest record of the first segment is exactly a day old"
    );
    assert_eq!(delete(3001), 1);
    assert_eq!((log.log_start_offset(), read_all(&log)[0]), (Offset(4), (4, 4)));
    assert_eq!(
        log.delete_old_segments(Offset(7), NOW + 9 * DAY_MS)
            .expect("none"),
        0,
        "not replicated"
    );
    assert_eq!(delete(9 * DAY_MS), 2);
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset(), log.segment_count()),
        (Offset(10), Offset(10), 1)
    );
    assert_eq!(delete(99 * DAY_MS), 0, "an empty segment stays");
    append_at(&log, 10, NOW);
    assert_eq!(read_all(&log), [(10, 10)]);
    assert_eq!(count(&disk, ".log.deleted"), 3);
    let first_due = NOW + DAY_MS + 3001 + config.file_delete_delay_ms;
    for (now, left) in [(first_due - 1, 1), (first_due, 0)] {
        log.purge(now);
        assert_eq!(count(&disk, "00000000000000000000.log.deleted"), left);
    }
    log.purge(NOW + 900 * DAY_MS);
    assert_eq!(count(&disk, ".deleted"), 0);
    let crashed = open(Arc::new(disk.crash(Survivors::Everything)), &config).expect("open");
    let log = crashed.log(&partition()).expect("open").expect("there");
    assert_eq!(
        (read_all(&log), log.log_end_offset()),
        (vec![(10, 10)], Offset(11))
    );
}

#[test]
fn by_size_and_not_at_all_without_the_policy() {
    let config = LogConfig {
        retention_bytes: 1500,
        retention_ms: -1,
        ..small_segments()
    };
    let Fixture { log, .. } = fixture(&config);
    for tag in 0..12 {
        append_at(&log, tag, NOW);
    }
    let segment = log.size_in_bytes() / 3;
    assert!((850..1000).contains(&segment));
    log.set_config(Arc::new(LogConfig {
        delete: false,
        ..config.clone()
    }));
    assert_eq!(log.delete_old_segments(Offset(12), NOW).expect("kept"), 0);
    log.set_config(Arc::new(config.clone()));
    assert_eq!(
        log.delete_old_segments(Offset(12), NOW).expect("deleted"),
        1,
        "two segments are still enough"
    );
    assert_eq!(log.delete_old_segments(Offset(12), NOW).expect("deleted"), 0);
    log.set_config(Arc::new(LogConfig {
        retention_bytes: 0,
        ..config
    }));
    assert_eq!(log.delete_old_segments(Offset(12), NOW).expect("deleted"), 2);
    assert_eq!((log.log_start_offset(), log.size_in_bytes()), (Offset(12), 0));
}

#[test]
fn deleted_records_stay_deleted() {
    let config = LogConfig {
        delete: false,
        ..small_segments()
    };
    let Fixture { log, disk, directory } = fixture(&config);
    append_ten(&log, |_| 0);
    log.sync(NOW).expect("synced");
    let beyond = log.delete_records_before(Offset(8), Offset(7));
    assert!(
        matches!(beyond, Err(Error::OffsetOutOfRange { .. })),
        "{beyond:?}"
    );
    assert_eq!(
        log.delete_records_before(Offset(6), Offset(10)).expect("deleted"),
        Offset(6)
    );
    assert_eq!(
        log.delete_records_before(Offset(5), Offset(10)).expect("already"),
        Offset(6)
    );
    assert!(matches!(log.read(&read(5)), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(read_all(&log), [(6, 6), (7, 7), (8, 8), (9, 9)]);
    assert_eq!(
        log.delete_old_segments(Offset(10), NOW)
            .expect("the first segment"),
        1
    );
    directory.checkpoint(None).expect("written");
    let crashed = open(Arc::new(disk.crash(Survivors::OnlySynced)), &config).expect("open");
    let log = crashed.log(&partition()).expect("open").expect("there");
    assert_eq!(log.log_start_offset(), Offset(6));
    assert_eq!(read_all(&log), [(6, 6), (7, 7), (8, 8), (9, 9)]);
}

#[test]
fn a_reader_keeps_the_file_of_a_deleted_segment() {
    let config = LogConfig {
        retention_ms: 0,
        file_delete_delay_ms: 0,
        ..small_segments()
    };
    let Fixture { log, .. } = fixture(&config);
    append_ten(&log, |_| 0);
    log.release_idle(NOW + 1);
    let slow = log.read(&read(0)).expect("a range of the first segment's file");
    assert!(matches!(slow.chunks[..], [Chunk::File(_)]));
    assert_eq!(log.delete_old_segments(Offset(10), NOW + 1).expect("all"), 3);
    log.purge(NOW + 1);
    assert_eq!(records_of(bytes_of(&slow)).len(), 4, "still readable");
    assert!(matches!(log.read(&read(0)), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(log.offset_for_timestamp(Timestamp(0)).expect("nothing"), None);
}

#[test]
fn a_cut_log_goes_on_from_there() {
    let config = small_segments();
    for cut_at in 0..=20_i64 {
        let Fixture { log, disk, directory } = fixture(&config);
        for tag in 0..10 {
            log.append(LeaderEpoch(i32::from(tag) / 4), NOW, vec![append_of(tag, 2, 150)]);
        }
        log.sync(NOW).expect("synced");
        directory.checkpoint(None).expect("written");
        let anything = directory
            .truncate_to(&partition(), Offset(cut_at), NOW)
            .expect("cut");
        assert_eq!(anything, cut_at < 20);
        // A batch goes as a whole.
        let left = cut_at / 2 * 2;
        let expected: Vec<(i64, u8)> = (0..left).map(|offset| (offset, (offset / 2) as u8)).collect();
        assert_eq!(
            (read_all(&log), log.log_end_offset()),
            (expected.clone(), Offset(left)),
            "cut at {cut_at}"
        );
        assert!(
            log.latest_epoch()
                .is_none_or(|epoch| i64::from(epoch.value()) <= (left - 1) / 8)
        );
        append(&log, append_of(99, 1, 1)).expect("appended");
        log.sync(NOW).expect("synced");
        let crashed = open(Arc::new(disk.crash(Survivors::OnlySynced)), &config).expect("open");
        let log = crashed.log(&partition()).expect("open").expect("there");
        let expected: Vec<(i64, u8)> = expected.into_iter().chain([(left, 99)]).collect();
        assert_eq!(read_all(&log), expected, "cut at {cut_at}, after a crash");
    }
}

#[test]
fn a_log_can_start_anew_elsewhere() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    append(&log, idempotent(7, 0, 0, 3)).expect("appended");
    directory.checkpoint(None).expect("written");
    directory
        .truncate_fully_and_start_at(&partition(), Offset(100), NOW)
        .expect("emptied");
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset(), log.producer_count()),
        (Offset(100), Offset(100), 0)
    );
    append(&log, append_of(1, 1, 1)).expect("appended");
    log.sync(NOW).expect("synced");
    let crashed = open(Arc::new(disk.crash(Survivors::OnlySynced)), &config).expect("open");
    assert_eq!(
        read_all(&crashed.log(&partition()).expect("open").expect("there")),
        [(100, 1)]
    );
    assert!(
        !disk
            .exists(std::path::Path::new("/data/topic-0/00000000000000000000.log"))
            .expect("exists")
    );
}

/// DeleteRecords takes away what it was asked for; what is too old waits for its own time.
#[test]
fn what_lies_before_the_start_goes_without_the_rest() {
    let config = LogConfig {
        retention_ms: 1,
        retention_bytes: 0,
        ..small_segments()
    };
    let Fixture { log, .. } = fixture(&config);
    append_ten(&log, |_| 0);
    let (end, much_later) = (Offset(10), NOW + DAY_MS);
    log.delete_records_before(Offset(5), end).expect("deleted");
    let deleted = log.delete_segments_before_start(end, much_later);
    assert_eq!((deleted.expect("deleted"), log.segment_count()), (1, 2));
    assert_eq!(log.log_start_offset(), Offset(5));
    assert_eq!(log.delete_old_segments(end, much_later).expect("deleted"), 2);
}

/// Where the new start is that of a segment, its files' names remember it, once they are synced.
#[test]
fn a_deletion_up_to_a_segment_lasts_before_its_names_are_synced() {
    let config = LogConfig {
        delete: false,
        ..small_segments()
    };
    let Fixture { log, disk, directory } = fixture(&config);
    append_ten(&log, |_| 0);
    log.sync(NOW).expect("synced");
    log.delete_records_before(Offset(4), Offset(10)).expect("deleted");
    directory.checkpoint(None).expect("written");
    assert_eq!(
        log.delete_segments_before_start(Offset(10), NOW)
            .expect("deleted"),
        1
    );
    for checkpoint in [true, false] {
        if checkpoint {
            directory.checkpoint(None).expect("written");
        } else {
            directory.checkpoint_log_starts().expect("written");
        }
        let crashed = open(Arc::new(disk.crash(Survivors::OnlySynced)), &config).expect("open");
        let log = crashed.log(&partition()).expect("open").expect("there");
        assert_eq!(log.log_start_offset(), Offset(4), "acknowledged");
    }
    append_at(&log, 10, NOW);
    log.sync(NOW).expect("synced");
    directory.checkpoint(None).expect("written");
    let path = std::path::Path::new("/data/log-start-offset-checkpoint");
    assert_eq!(
        disk.read(path, 100).expect("there"),
        b"0\n0\n",
        "not needed any more"
    );
}

#[test]
fn an_append_does_not_wait_for_files_that_are_removed() {
    let config = LogConfig {
        file_delete_delay_ms: 0,
        ..small_segments()
    };
    let (disk, Fixture { log, .. }) = faulty_fixture(&config);
    append_ten(&log, |_| 0);
    log.delete_records_before(Offset(10), Offset(10))
        .expect("deleted");
    assert!(
        log.delete_segments_before_start(Offset(10), NOW)
            .expect("deleted")
            > 0
    );
    let (appending, (sender, appended)) = (Arc::clone(&log), mpsc::channel());
    let (told, outcome) = mpsc::channel();
    disk.call_at(Operation::Remove, 1, move || {
        thread::spawn(move || sender.send(append(&appending, append_of(1, 1, 1)).is_ok()));
        told.send(appended.recv_timeout(Duration::from_secs(5)))
            .expect("the test waits");
        None
    });
    log.purge(NOW);
    assert_eq!(outcome.recv().expect("something is removed"), Ok(true));
}

#[test]
fn the_greatest_timestamp_is_found_while_segments_go() {
    let (disk, Fixture { log, .. }) = faulty_fixture(&small_segments());
    // The first segment has the greatest.
    append_ten(&log, |number| number);
    for _ in 0..2 {
        log.release_idle(Timestamp(i64::MAX));
    }
    log.sync(NOW).expect("synced");
    for _ in 0..2 {
        log.release_idle(Timestamp(i64::MAX));
    }
    let deleting = Arc::clone(&log);
    disk.call_at(Operation::Open, 1, move || {
        deleting
            .delete_records_before(Offset(4), Offset(10))
            .expect("deleted");
        deleting
            .delete_segments_before_start(Offset(10), NOW)
            .expect("deleted");
        None
    });
    let newest = log.max_timestamp().expect("no failure").expect("there is one");
    assert_eq!((newest.offset, newest.timestamp), (Offset(4), NOW - 4));
}
