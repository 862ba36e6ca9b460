//! Space filled ahead: when, how far, what is seen of it (nothing), and that nothing old ever lies in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use forebay_disk::{Disk, Effect, Fault, FaultyDisk, FileExt, OpenOptions, Operation, RealDisk, Survivors};

use super::*;
use crate::{DirectoryOptions, Filled};

const FIRST: &str = "00000000000000000000.log";
const MIB: u64 = 1024 * 1024;

fn config() -> LogConfig {
    LogConfig {
        flush_messages: 1,
        segment_bytes: 64 * MIB,
        ..LogConfig::default()
    }
}

fn length(disk: &dyn Disk, log: &Log, name: &str) -> u64 {
    disk.metadata(&log.folder().join(name)).expect("there").length
}

/// Appends a record and syncs it, so many times.
fn write(log: &Log, times: u8) {
    for tag in 0..times {
        append(log, append_of(tag, 1, 100)).expect("appended");
        log.sync(NOW).expect("synced");
    }
}

fn filled(log: &Log) -> u64 {
    match log.fill_ahead(NOW).expect("filled") {
        Filled::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zeros_are_wanted_where_many_small_syncs_are_waited_for() {
    let Fixture { log, .. } = fixture(&config());
    write(&log, 7);
    assert!(!log.wants_zeros(), "most partitions are written now and then");
    write(&log, 1);
    assert!(log.wants_zeros());
    let without = LogConfig {
        flush_messages: 2,
        ..config()
    };
    log.set_config(Arc::new(without));
    assert!(!log.wants_zeros(), "nobody waits for syncs");
    log.set_config(Arc::new(config()));
    for _ in 0..20 {
        append(&log, append_of(1, 1, 3 * MIB as usize)).expect("appended");
        log.sync(NOW).expect("synced");
    }
    assert!(!log.wants_zeros(), "large syncs gain nothing");
}

#[test]
fn nothing_is_seen_of_the_zeros_and_a_closed_segment_has_none() {
    let Fixture { disk, directory, log } = fixture(&config());
    write(&log, 9);
    let size = log.size_in_bytes();
    assert_eq!(filled(&log), MIB);
    assert_eq!(
        (length(&disk, &log, FIRST), log.size_in_bytes()),
        (size + MIB, size)
    );
    assert!(!log.wants_zeros(), "there are enough");
    write(&log, 40);
    assert_eq!(length(&disk, &log, FIRST), size + MIB, "the file did not grow");
    assert_eq!(read_all(&log).len(), 49);
    // As much is filled as a segment may have, and more the sooner it is used up.
    let small = LogConfig {
        segment_bytes: log.size_in_bytes() + 1500,
        ..config()
    };
    log.set_config(Arc::new(small));
    assert_eq!(log.fill_ahead(NOW).expect("no need"), Filled::Nothing);
    write(&log, 10);
    assert_eq!(log.segment_count(), 2);
    let second = "00000000000000000057.log";
    let first_size = length(&disk, &log, FIRST);
    assert!(first_size < size + MIB, "rolled: cut to its batches");
    assert!(filled(&log) > 0);
    assert_eq!(length(&disk, &log, second), log.config().segment_bytes);
    directory.shutdown(1, -1, NOW).expect("closed");
    assert_eq!(length(&disk, &log, FIRST), first_size);
    assert_eq!(length(&disk, &log, second), log.size_in_bytes() - first_size);
}

#[test]
fn a_killed_process_leaves_zeros_and_the_next_one_cuts_them() {
    for survivors in [Survivors::Everything, Survivors::OnlySynced, Survivors::Random(3)] {
        let Fixture { disk, log, .. } = fixture(&config());
        write(&log, 9);
        filled(&log);
        write(&log, 5);
        let left = disk.crash(survivors);
        let directory = open(Arc::new(left.clone()), &config()).expect("open");
        let again = directory.log(&partition()).expect("open").expect("there");
        assert_eq!(read_all(&again), read_all(&log));
        assert_eq!(
            length(&left, &again, FIRST),
            again.size_in_bytes(),
            "{survivors:?}"
        );
        write(&again, 9);
        assert_eq!(read_all(&again).len(), 23);
    }
}

/// Two batches of one size are cut, and one of that size is appended in the place of the first. Behind it would be the second, whole
/// and with the very offset that comes next, if the cut were less than a truncation.
#[test]
fn an_old_batch_behind_a_cut_never_returns() {
    let old = || vec![append_of(101, 1, 100), append_of(102, 1, 100)];
    let cut_by_a_leader = |directory: &LogDirectory, _disk: &FaultyDisk, log: &Log| {
        for appended in log.append(EPOCH, NOW, old()) {
            appended.expect("appended");
        }
        log.sync(NOW).expect("synced");
        assert!(directory.truncate_to(&partition(), Offset(9), NOW).expect("cut"));
    };
    let a_write_that_failed = |_directory: &LogDirectory, disk: &FaultyDisk, log: &Log| {
        disk.set(Fault {
            operation: Operation::Write,
            nth: 1,
            effect: Effect::ShortWrite { bytes: 10_000 },
        });
        assert!(log.append(EPOCH, NOW, old()).iter().all(Result::is_err));
        disk.clear();
    };
    type Cut<'a> = &'a dyn Fn(&LogDirectory, &FaultyDisk, &Log);
    let ways: [(&str, Cut<'_>); 2] = [
        ("cut by a leader", &cut_by_a_leader),
        ("a write that failed", &a_write_that_failed),
    ];
    for (what, cut) in ways {
        for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
            let (disk, fixture) = faulty_fixture(&config());
            let Fixture {
                disk: memory,
                directory,
                log,
            } = fixture;
            write(&log, 9);
            let mut expected = read_all(&log);
            if before {
                filled(&log);
            }
            cut(&directory, &disk, &log);
            assert_eq!(
                length(&memory, &log, FIRST),
                log.size_in_bytes(),
                "{what}: a real truncation"
            );
            if after {
                filled(&log);
            }
            append(&log, append_of(7, 1, 100)).expect("appended");
            log.sync(NOW).expect("synced");
            expected.push((9, 7));
            for survivors in [Survivors::Everything, Survivors::OnlySynced, Survivors::Random(1)] {
                let left = memory.crash(survivors);
                let directory = open(Arc::new(left), &config()).expect("open");
                let log = directory.log(&partition()).expect("open").expect("there");
                assert_eq!(
                    read_all(&log),
                    expected,
                    "{what}, {before}, {after}, {survivors:?}"
                );
            }
        }
    }
}

#[test]
fn without_space_appends_are_plain() {
    let (
        disk,
        Fixture {
            disk: memory, log, ..
        },
    ) = faulty_fixture(&config());
    write(&log, 9);
    disk.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpace,
    });
    assert_eq!(log.fill_ahead(NOW).expect("no fault"), Filled::NoSpace);
    disk.clear();
    assert_eq!(length(&memory, &log, FIRST), log.size_in_bytes());
    assert!(!log.wants_zeros(), "not again in this segment");
    write(&log, 9);
    assert_eq!(read_all(&log).len(), 18);
}

#[test]
fn a_sync_of_zeros_that_fails_takes_the_directory_offline() {
    let (disk, Fixture { log, .. }) = faulty_fixture(&config());
    write(&log, 9);
    disk.set(Fault {
        operation: Operation::Sync,
        nth: 1,
        effect: Effect::Fail,
    });
    assert!(matches!(log.fill_ahead(NOW), Err(Error::Offline { .. })));
    disk.clear();
    assert!(matches!(
        append(&log, append_of(1, 1, 1)),
        Err(Error::Offline { .. })
    ));
}

/// An append that comes while zeros are being written where it goes waits for them; else they would fall on it.
#[test]
fn an_append_beyond_the_zeros_waits_while_there_are_more_to_come() {
    let (disk, Fixture { log, .. }) = faulty_fixture(&config());
    write(&log, 9);
    let (writer, (sender, appended)) = (Arc::clone(&log), mpsc::channel());
    disk.call_at(Operation::Write, 1, move || {
        let append = move || {
            append(&writer, append_of(9, 1, 100)).expect("appended");
            // The test may have waited long enough.
            let _nobody = sender.send(());
        };
        thread::spawn(append);
        // One that does not wait is done now; one that does never comes.
        let _time_out = appended.recv_timeout(Duration::from_millis(200));
        None
    });
    filled(&log);
    log.sync(NOW).expect("synced");
    while log.log_end_offset() < Offset(10) {
        thread::yield_now();
    }
    log.release_idle(NOW + 1);
    let expected: Vec<(i64, u8)> = (0..10).map(|at| (at, at as u8)).collect();
    assert_eq!(read_all(&log), expected);
}

/// The writer asks after each round; it must not wait for zeros that are being written.
#[test]
fn whoever_asks_for_zeros_does_not_wait_for_those_to_come() {
    let (disk, Fixture { log, .. }) = faulty_fixture(&config());
    write(&log, 9);
    let (asking, (sender, answer)) = (Arc::clone(&log), mpsc::channel());
    let (told, outcome) = mpsc::channel();
    disk.call_at(Operation::Write, 1, move || {
        thread::spawn(move || sender.send(asking.wants_zeros()));
        told.send(answer.recv_timeout(Duration::from_secs(5)))
            .expect("the test waits");
        None
    });
    filled(&log);
    assert_eq!(outcome.recv().expect("asked"), Ok(false));
}

#[test]
fn a_segment_that_was_closed_meanwhile_takes_no_zeros() {
    let Fixture { disk, log, .. } = fixture(&small_segments());
    write(&log, 1);
    let first = log.active().expect("it has one");
    write(&log, 9);
    assert!(log.segment_count() > 1);
    let before = length(&disk, &log, FIRST);
    let file = first.file().expect("open");
    let outcome = first.fill_ahead(&*file, MIB, 64 * MIB);
    assert_eq!(outcome.expect("refused"), Filled::Nothing);
    assert_eq!(length(&disk, &log, FIRST), before);
}

/// Appends, rolls and fills at once, on a real disk: no zero ever falls on a batch.
#[test]
fn zeros_never_fall_on_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || DirectoryOptions {
        path: folder.path().to_path_buf(),
        ..directory_options(Arc::new(RealDisk))
    };
    let config = LogConfig {
        segment_bytes: 100_000,
        ..config()
    };
    let directory = LogDirectory::open(options()).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(config.clone()))
        .expect("new");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.fill_ahead(NOW).expect("filled");
            }
        });
        for tag in 0..2000_u32 {
            append(&log, append_of(tag as u8, 1, 400)).expect("appended");
        }
        done.store(true, Ordering::Release);
    });
    let expected: Vec<(i64, u8)> = (0..2000).map(|at| (at, at as u8)).collect();
    log.release_idle(NOW + 1);
    assert_eq!(read_all(&log), expected);
    directory.shutdown(1, -1, NOW).expect("closed");
    let file = RealDisk
        .open(&log.folder().join(FIRST), OpenOptions::read())
        .expect("there");
    let mut bytes = vec![0; file.len().expect("inspected") as usize];
    file.read_exact_at(&mut bytes, 0, log.folder()).expect("read");
    assert!(!records_of(bytes.into()).is_empty(), "batches and nothing else");
}
