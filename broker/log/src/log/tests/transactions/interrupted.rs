//! Recovery that was interrupted: by an error that passes, after which the broker ends properly, or by the next crash. Whatever start
//! comes through in the end finds what was there at first.

use std::path::Path;

use forebay_disk::{Disk, DiskExt, FileExt, OpenOptions};
use forebay_records::{HEADER_BYTES, batches};

use super::markers::segments;
use super::*;

const SEGMENT: &str = "/data/topic-0/00000000000000000000.log";

/// What recovery may do in which an error can come.
const OPERATIONS: [Operation; 9] = [
    Operation::Open,
    Operation::Read,
    Operation::Write,
    Operation::Sync,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::SetLength,
    Operation::Remove,
    Operation::Inspect,
];

/// What a log must be found to be.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    end: Offset,
    aborted: Vec<AbortedTransaction>,
    records: Vec<(i64, u8)>,
}

fn found(log: &Log) -> Found {
    let end = log.log_end_offset();
    log.update_high_watermark(end);
    Found {
        end,
        aborted: log.aborted_transactions(Offset::ZERO, end).expect("readable"),
        records: committed_records(log, 1 << 20),
    }
}

/// The log of a process that was killed in the middle of an append into zeros: behind aborted transactions, the head of a batch.
fn killed() -> (MemoryDisk, Found) {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let Fixture { disk, log, .. } = fixture(&config);
    for sequence in 0..2 {
        let guard = verify(&log, 0, 0, sequence);
        append(&log, sent(0, 0, sequence, (1, guard))).expect("open");
        append(&log, append_of(2, 1, 40)).expect("plain");
        append(&log, ended(0, 0, false)).expect("aborted");
    }
    let whole = found(&log);
    assert_eq!((whole.aborted.len(), whole.records.len()), (2, 2));
    let size = log.size_in_bytes();
    append(&log, append_of(3, 1, 40)).expect("appended");
    let left = disk.crash(Survivors::Everything);
    let file = left.open(Path::new(SEGMENT), OpenOptions::write()).expect("open");
    let body = size + HEADER_BYTES as u64;
    file.write_zeros_at(body, 4096).expect("zeros");
    (left, whole)
}

/// Loads the directory's logs with a fault; whether it could load all of them.
fn load(disk: &MemoryDisk, fault: Option<Fault>) -> (FaultyDisk, LogDirectory, bool) {
    let faulty = FaultyDisk::new(Arc::new(disk.clone()));
    let directory = LogDirectory::open(directory_options(Arc::new(faulty.clone()))).expect("open");
    match fault {
        Some(fault) => faulty.set(fault),
        None => faulty.clear(),
    }
    let of_all = Arc::new(config());
    let summary = directory.load(&|_| Arc::clone(&of_all), 1, NOW);
    let is_loaded = summary.is_ok_and(|summary| summary.failed.is_empty());
    (faulty, directory, is_loaded)
}

/// Every fault of these effects at each operation of an undisturbed start.
fn faults(disk: &MemoryDisk, effects: &[Effect]) -> Vec<Fault> {
    // Reading opens are counted only if opens can fail.
    let never = Fault {
        operation: Operation::Open,
        nth: u64::MAX,
        effect: Effect::Fail,
    };
    let (counter, _directory, is_loaded) = load(&disk.crash(Survivors::Everything), Some(never));
    assert!(is_loaded);
    let mut faults = Vec::new();
    for operation in OPERATIONS {
        for nth in 1..=counter.count(operation) {
            let fault = |effect: &Effect| Fault {
                operation,
                nth,
                effect: *effect,
            };
            faults.extend(effects.iter().map(fault));
        }
    }
    faults
}

/// What the next process finds.
fn next(disk: &MemoryDisk, survivors: Survivors) -> Found {
    let directory = open(Arc::new(disk.crash(survivors)), &config()).expect("open");
    found(&directory.log(&partition()).expect("open").expect("there"))
}

#[test]
fn a_log_that_could_not_be_recovered_is_recovered_after_a_clean_shutdown() {
    let (killed, whole) = killed();
    let mut failed = 0;
    for fault in faults(&killed, &[Effect::Fail]) {
        let disk = killed.crash(Survivors::Everything);
        let (faulty, directory, is_loaded) = load(&disk, Some(fault));
        faulty.clear();
        directory.shutdown(1, -1, NOW).expect("closed");
        assert_eq!(next(&disk, Survivors::Everything), whole, "{fault:?}");
        failed += usize::from(!is_loaded);
    }
    assert!(failed > 20, "{failed} starts failed");
}

/// The other way round: whoever was loaded, or was closed properly before, is believed.
#[test]
fn a_marker_is_left_unless_a_log_is_still_to_be_recovered() {
    let marker = Path::new("/data/.kafka_cleanshutdown");
    let (killed, _) = killed();
    let (_, directory, is_loaded) = load(&killed, None);
    directory.shutdown(1, -1, NOW).expect("closed");
    assert!(is_loaded && killed.exists(marker).expect("exists"));
    let fault = Fault {
        operation: Operation::Open,
        nth: 1,
        effect: Effect::NoDescriptors,
    };
    let disk = killed.crash(Survivors::Everything);
    let (faulty, directory, is_loaded) = load(&disk, Some(fault));
    assert!(!is_loaded);
    faulty.clear();
    directory.shutdown(1, -1, NOW).expect("closed");
    assert!(disk.exists(marker).expect("exists"), "it was closed before");
}

/// A log of segments that are synced, and of which the recovery point is said to be at the end; nothing else has reached the disk.
fn synced() -> (MemoryDisk, Found) {
    let Fixture { disk, directory, log } = fixture(&config());
    for sequence in 0..6 {
        let guard = verify(&log, 0, 0, sequence);
        for one in [
            sent(0, 0, sequence, (1, guard)),
            ended(0, 0, sequence == 3),
            append_of(2, 1, 40),
        ] {
            append(&log, one).expect("appended");
            log.sync(NOW).expect("synced");
            directory.checkpoint(None).expect("written");
        }
    }
    let whole = found(&log);
    assert_eq!((whole.aborted.len(), log.segment_count()), (5, 2));
    (disk.crash(Survivors::OnlySynced), whole)
}

/// Flips a bit of a file.
fn flip(disk: &MemoryDisk, path: &Path, position: usize) {
    let mut bytes = disk.read(path, 10_000).expect("there");
    bytes[position] ^= 1;
    let file = disk.open(path, OpenOptions::write()).expect("open");
    file.write_all_at(&bytes, 0).expect("written");
    file.sync_data().expect("synced");
}

/// The same disk with the checksum of the marker at `offset` wrong.
fn with_damaged_marker(disk: &MemoryDisk, offset: Offset) -> MemoryDisk {
    let disk = disk.crash(Survivors::Everything);
    for path in segments(&disk) {
        let mut position = 0;
        for batch in batches(disk.read(&path, 10_000).expect("there").into()) {
            let batch = batch.expect("whole");
            position += batch.size_in_bytes();
            if batch.header().base_offset == offset {
                // The coordinator's epoch.
                flip(&disk, &path, position - 2);
                return disk;
            }
        }
    }
    panic!("there is no batch at {offset}")
}

#[test]
fn how_a_transaction_has_ended_is_synced_with_its_marker() {
    let (synced, whole) = synced();
    for aborted in &whole.aborted {
        let damaged = with_damaged_marker(&synced, aborted.last_offset);
        assert_eq!(next(&damaged, Survivors::OnlySynced), whole, "{aborted:?}");
    }
}

#[test]
fn no_interrupted_start_takes_an_abort_with_it() {
    let (synced, whole) = synced();
    let last = whole.aborted.last().expect("some").last_offset;
    let damaged_marker = with_damaged_marker(&synced, last);
    let damaged_index = synced.crash(Survivors::Everything);
    let index = Path::new(SEGMENT).with_extension("txnindex");
    flip(&damaged_index, &index, 9);
    for disk in [damaged_marker, damaged_index] {
        for fault in faults(&disk, &[Effect::Fail, Effect::Freeze]) {
            let disk = disk.crash(Survivors::Everything);
            drop(load(&disk, Some(fault)));
            for survivors in [
                Survivors::Everything,
                Survivors::OnlySynced,
                Survivors::Random(fault.nth),
            ] {
                assert_eq!(next(&disk, survivors), whole, "{fault:?}, {survivors:?}");
            }
        }
    }
}
