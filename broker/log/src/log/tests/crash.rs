//! A scripted life of a log on a disk that fails, runs full, writes short or freezes at each operation in turn; then the
//! machine stops, and what the next process finds is compared with what was promised.

use std::collections::BTreeMap;

use forebay_disk::{Disk, Effect, Fault, FaultyDisk, Operation, Survivors};

use super::*;

const STEPS: u8 = 14;
const PRODUCER: i64 = 7;

/// What the log has promised.
#[derive(Debug, Default)]
struct Promises {
    /// First offset and tag of each acknowledged batch of two records.
    acknowledged: BTreeMap<i64, u8>,
    /// Tags of all batches that were ever sent for an offset.
    sent: BTreeMap<i64, Vec<u8>>,
    /// Offsets below are on the disk.
    synced: i64,
    /// Offsets below were deleted.
    deleted: i64,
    offline: bool,
    shut_down: bool,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

/// An idempotent batch of two records.
fn batch(tag: u8, sequence: i32) -> Append {
    let value = [tag; 60];
    request(batch_at(
        &[(&value, NOW), (&value, NOW)],
        identity(PRODUCER, 0, sequence),
    ))
}

/// Lives the life, noting promises, until the disk no longer lets it. Whatever fails, what is promised stays readable.
fn live(disk: &FaultyDisk) -> Promises {
    let mut promises = Promises::default();
    let Ok(directory) = open(Arc::new(disk.clone()), &config()) else {
        return promises;
    };
    let Ok(log) = directory.log_or_create(&partition(), topic_id(), &Arc::new(config())) else {
        return promises;
    };
    let mut sequence = 0;
    for tag in 1..=STEPS {
        let end = log.log_end_offset().value();
        promises.sent.entry(end).or_default().push(tag);
        match append(&log, batch(tag, sequence)) {
            Ok(appended) => {
                assert!(
                    !promises.offline,
                    "nothing is acknowledged once the directory is offline"
                );
                assert_eq!(appended.base_offset, Offset(end));
                promises.acknowledged.insert(end, tag);
                sequence += 2;
            }
            Err(error) => promises.offline |= matches!(error, Error::Offline { .. }),
        }
        if tag % 2 == 0 {
            match log.sync(NOW) {
                Ok(synced) => {
                    assert!(!promises.offline, "no sync succeeds after a failed one");
                    promises.synced = promises.synced.max(synced.value());
                }
                Err(error) => promises.offline |= matches!(error, Error::Offline { .. }),
            }
        }
        if tag % 3 == 0
            && let Err(error) = log.fill_ahead(NOW)
        {
            promises.offline |= matches!(error, Error::Offline { .. });
        }
        if tag % 5 == 0 {
            let _ = directory.checkpoint(None);
            log.release_idle(NOW);
        }
        if tag == 9 && log.delete_records_before(Offset(4), log.synced_offset()).is_ok() {
            promises.deleted = 4;
        }
        if tag == 11 {
            let _ = log.delete_old_segments(log.synced_offset(), NOW);
            log.purge(NOW + config().file_delete_delay_ms);
        }
        // Checkpoints and deletions may find out, too.
        promises.offline |= directory.check().is_err();
        if !promises.offline {
            let readable: BTreeMap<i64, u8> = read_all(&log).into_iter().collect();
            let expected = promised(&promises, promises.deleted, i64::MAX);
            assert_eq!(readable, expected, "after step {tag}");
        }
    }
    promises.shut_down = directory.shutdown(1, -1, NOW).is_ok();
    promises
}

/// Offset and tag of the acknowledged records in a range.
fn promised(promises: &Promises, from: i64, to: i64) -> BTreeMap<i64, u8> {
    let records = promises
        .acknowledged
        .iter()
        .flat_map(|(first, tag)| [(*first, *tag), (first + 1, *tag)]);
    records
        .filter(|(offset, _)| (from..to).contains(offset))
        .collect()
}

/// Opens what is left and compares it with the promises.
fn check(promises: &Promises, disk: &MemoryDisk, survivors: Survivors, what: &str) {
    let left = disk.crash(survivors);
    let directory = open(Arc::new(left.clone()), &config()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(config()))
        .expect("open");
    let (start, end) = (log.log_start_offset().value(), log.log_end_offset().value());
    assert!(start <= promises.deleted.max(0), "{what}: starts at {start}");
    let found: BTreeMap<i64, u8> = read_all(&log).into_iter().collect();
    assert!(
        found.keys().copied().eq(start..end),
        "{what}: offsets follow each other: {found:?}"
    );
    // A killed process has lost nothing that was acknowledged; a loss of power nothing that was synced.
    let durable = if survivors == Survivors::Everything {
        i64::MAX
    } else {
        promises.synced
    };
    for (offset, tag) in promised(promises, promises.deleted, durable) {
        assert_eq!(
            found.get(&offset),
            Some(&tag),
            "{what}: acknowledged at {offset}; {promises:?}"
        );
    }
    for (offset, tag) in &found {
        let first = offset / 2 * 2;
        assert!(
            promises.sent.get(&first).is_some_and(|sent| sent.contains(tag)),
            "{what}: {tag} at {offset}"
        );
    }
    // The log goes on, and knows the producer that wrote its last batch.
    if let Some(last) = promises.acknowledged.range(..end).next_back()
        && *last.0 + 2 == end
        && found.get(last.0) == Some(last.1)
    {
        let index = promises.acknowledged.range(..end).count() as i32 - 1;
        let repeated =
            append(&log, batch(*last.1, index * 2)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(
            repeated.duplicate,
            "{what}: the producer's last batch is recognised"
        );
    }
    let appended = append(&log, append_of(200, 2, 60)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(appended.base_offset, Offset(end), "{what}");
    log.sync(NOW).expect("synced");
    directory.shutdown(1, -1, NOW).expect("closed");
    drop((log, directory));
    let again = open(Arc::new(left), &config()).expect("open again");
    let log = again.log(&partition()).expect("open").expect("there");
    assert_eq!(log.log_end_offset(), Offset(end + 2), "{what}");
    assert_eq!(read_all(&log).last(), Some(&(end + 1, 200)), "{what}");
}

const SURVIVORS: [Survivors; 6] = [
    Survivors::OnlySynced,
    Survivors::Everything,
    Survivors::Random(1),
    Survivors::Random(2),
    Survivors::Random(3),
    Survivors::Random(4),
];

const OPERATIONS: [Operation; 8] = [
    Operation::Write,
    Operation::Sync,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::SetLength,
    Operation::Open,
    Operation::Remove,
    Operation::CreateDirectory,
];

#[test]
fn nothing_promised_is_lost_whatever_fails() {
    let disk = MemoryDisk::new();
    let counter = FaultyDisk::new(Arc::new(disk.clone()));
    let promises = live(&counter);
    assert_eq!(
        (promises.acknowledged.len(), promises.synced),
        (usize::from(STEPS), i64::from(STEPS) * 2)
    );
    assert!(promises.shut_down);
    for survivors in SURVIVORS {
        check(&promises, &disk, survivors, "without a fault");
    }
    let mut tried = 0;
    for operation in OPERATIONS {
        for nth in 1..=counter.count(operation) {
            let mut effects = vec![Effect::Fail, Effect::NoSpace, Effect::Freeze];
            if operation == Operation::Write {
                effects.extend([1, 61, 100, 250].map(|bytes| Effect::ShortWrite { bytes }));
                effects.push(Effect::NoSpaceFromNowOn);
            }
            for effect in effects {
                let fault = Fault {
                    operation,
                    nth,
                    effect,
                };
                let disk = MemoryDisk::new();
                let faulty = FaultyDisk::new(Arc::new(disk.clone()));
                faulty.set(fault);
                let promises = live(&faulty);
                for survivors in SURVIVORS {
                    check(&promises, &disk, survivors, &format!("{fault:?}, {survivors:?}"));
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried} faults were tried");
}

#[test]
fn a_failed_sync_takes_the_directory_offline_for_ever() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    let config = Arc::new(LogConfig::default());
    let log = directory
        .log_or_create(&partition(), topic_id(), &config)
        .expect("new");
    let other = crate::TopicPartition::new("other", 0).expect("valid");
    let other = directory.log_or_create(&other, topic_id(), &config).expect("new");
    append(&log, append_of(1, 1, 1)).expect("appended");
    append(&other, append_of(1, 1, 1)).expect("appended");
    disk.set(Fault {
        operation: Operation::Sync,
        nth: 1,
        effect: Effect::Fail,
    });
    let error = log.sync(NOW).expect_err("failed");
    assert!(
        matches!(&error, Error::Offline { .. }) && error.is_storage() && !error.is_retriable(),
        "{error}"
    );
    disk.clear();
    assert!(matches!(log.sync(NOW), Err(Error::Offline { .. })), "not retried");
    assert!(matches!(
        append(&log, append_of(1, 1, 1)),
        Err(Error::Offline { .. })
    ));
    assert!(
        matches!(append(&other, append_of(1, 1, 1)), Err(Error::Offline { .. })),
        "nor the other logs"
    );
    assert!(matches!(log.read(&read(0)), Err(Error::Offline { .. })));
    assert!(directory.check().is_err() && directory.shutdown(1, -1, NOW).is_err());
    assert!(directory.checkpoint(None).is_err());
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_space() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let directory = open(Arc::new(disk.clone()), &small_segments()).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(small_segments()))
        .expect("new");
    for tag in 0..10 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
    }
    disk.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpaceFromNowOn,
    });
    for tag in 10..30 {
        let error = append(&log, append_of(tag, 1, 150)).expect_err("full");
        assert!(error.is_retriable() && error.is_storage(), "{error}");
    }
    assert_eq!(read_all(&log).len(), 10, "reads go on");
    log.sync(NOW).expect("syncs go on");
    disk.clear();
    let appended = append(&log, append_of(30, 1, 150)).expect("space again");
    assert_eq!(appended.base_offset, Offset(10));
    let expected: Vec<(i64, u8)> = (0..10)
        .chain([30])
        .enumerate()
        .map(|(at, tag)| (at as i64, tag))
        .collect();
    assert_eq!(read_all(&log), expected);
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()));
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    let config = Arc::new(LogConfig::default());
    let log = directory
        .log_or_create(&partition(), topic_id(), &config)
        .expect("new");
    append(&log, append_of(1, 1, 100)).expect("appended");
    let length = || {
        let path = log.folder().join("00000000000000000000.log");
        memory.metadata(&path).expect("there").length
    };
    let before = length();
    for bytes in [1, 100, 300, 700] {
        disk.set(Fault {
            operation: Operation::Write,
            nth: 1,
            effect: Effect::ShortWrite { bytes },
        });
        let answers = log.append(
            EPOCH,
            NOW,
            vec![append_of(2, 1, 100), append_of(3, 1, 100), append_of(4, 1, 100)],
        );
        assert!(answers.iter().all(Result::is_err), "all that were in the write");
        assert_eq!(
            (length(), log.log_end_offset()),
            (before, Offset(1)),
            "{bytes} bytes were written"
        );
    }
    // If not even that works, nobody knows what is in the file.
    disk.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::Freeze,
    });
    let error = append(&log, append_of(2, 1, 100)).expect_err("frozen");
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    assert_eq!(read_all_of(&memory), [(0, 1)]);
}

/// What the next process reads.
fn read_all_of(disk: &MemoryDisk) -> Vec<(i64, u8)> {
    let crashed = disk.crash(Survivors::Everything);
    let directory = open(Arc::new(crashed), &LogConfig::default()).expect("open");
    read_all(&directory.log(&partition()).expect("open").expect("there"))
}

#[test]
fn one_sync_covers_all_appends_before_it_and_flush_messages_says_when() {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory));
    let config = LogConfig {
        flush_messages: 3,
        flush_ms: 1000,
        ..LogConfig::default()
    };
    let directory = open(Arc::new(disk.clone()), &config).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(config.clone()))
        .expect("new");
    assert!(!log.sync_required() && !log.sync_due(NOW + 9999));
    append(&log, append_of(1, 2, 1)).expect("appended");
    assert!(!log.sync_required());
    append(&log, append_of(1, 1, 1)).expect("appended");
    assert!(log.sync_required());
    assert!(!log.sync_due(NOW + 999) && log.sync_due(NOW + 1000));
    assert_eq!(log.sync(NOW).expect("synced"), Offset(3));
    assert!(!log.sync_required() && !log.sync_due(NOW + 9999));
    disk.clear();
    log.append(EPOCH, NOW, (0..50).map(|_| append_of(1, 1, 1)).collect());
    assert_eq!(disk.count(Operation::Write), 1, "one write for all");
    assert_eq!(
        (log.sync(NOW).expect("synced"), disk.count(Operation::Sync)),
        (Offset(53), 1)
    );
    assert_eq!(
        (log.sync(NOW).expect("nothing new"), disk.count(Operation::Sync)),
        (Offset(53), 1)
    );
}
