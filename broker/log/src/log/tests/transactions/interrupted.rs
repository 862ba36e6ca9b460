//! Recovery that was interrupted: by an error that passes, after which the broker ends properly, or by the next crash. Whatever start
//! comes through in the end finds what was there at first.

use std::path::Path;

use forebay_disk::{Disk, DiskExt, FileExt, OpenOptions};
use forebay_records::HEADER_BYTES;

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
