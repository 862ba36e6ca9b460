//! A log as its users see it: append and read; more in the modules below.

mod checkpoints;
mod compaction;
mod concurrent;
mod crash;
mod damage;
mod flips;
mod leftovers;
mod lookup;
mod model;
mod producers;
mod reading_on;
mod reopen;
mod retention;
mod sync;
mod transactions;
mod zeros;

use std::sync::Arc;

use forebay_disk::{Disk, FaultyDisk, MemoryDisk};
use forebay_records::{AppendOrigin, LeaderEpoch, Offset, ProducerIdentity, Timestamp};

use crate::testing::*;
use crate::{Append, Chunk, Error, Log, LogConfig, LogDirectory, Read, TransactionChecks};

struct Fixture {
    disk: MemoryDisk,
    directory: LogDirectory,
    log: Arc<Log>,
}

fn fixture(config: &LogConfig) -> Fixture {
    let disk = MemoryDisk::new();
    let directory = open(Arc::new(disk.clone()), config).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(config.clone()))
        .expect("created");
    Fixture { disk, directory, log }
}

/// The same on a disk that fails when it is told to.
fn faulty_fixture(config: &LogConfig) -> (FaultyDisk, Fixture) {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()));
    let directory = open(Arc::new(faulty.clone()), config).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(config.clone()))
        .expect("created");
    (faulty, Fixture { disk, directory, log })
}

/// What lies in a folder.
fn names(disk: &dyn Disk, folder: &str) -> Vec<String> {
    let entries = disk.read_dir(std::path::Path::new(folder)).expect("list");
    entries
        .into_iter()
        .map(|entry| entry.name.into_string().expect("text"))
        .collect()
}

fn append(log: &Log, append: Append) -> crate::Result<crate::Appended> {
    log.append(EPOCH, NOW, vec![append]).pop().expect("one answer")
}

fn read(offset: i64) -> Read {
    Read {
        offset: Offset(offset),
        up_to: Offset::MAX,
        max_bytes: 1 << 20,
        min_one_batch: true,
    }
}

#[test]
fn appended_batches_are_read_back_from_memory_and_from_files() {
    let Fixture { log, .. } = fixture(&LogConfig::default());
    let answers = log.append(
        EPOCH,
        NOW,
        vec![append_of(1, 3, 10), append_of(2, 1, 50_000), append_of(3, 2, 10)],
    );
    let offsets: Vec<(i64, i64)> = answers
        .into_iter()
        .map(|answer| answer.expect("appended"))
        .map(|appended| (appended.base_offset.value(), appended.last_offset.value()))
        .collect();
    assert_eq!(offsets, [(0, 2), (3, 3), (4, 5)]);
    let expected = vec![(0, 1), (1, 1), (2, 1), (3, 2), (4, 3), (5, 3)];
    assert!(
        log.read_cached(&read(0)).is_none(),
        "60 kB do not fit into the tail cache of the tests"
    );
    let result = log.read(&read(0)).expect("read");
    assert!(matches!(result.chunks[..], [Chunk::File(_)]));
    assert_eq!(
        (records_of(bytes_of(&result)), result.next_offset),
        (expected.clone(), Offset(6))
    );
    append(&log, append_of(4, 1, 10)).expect("appended");
    let result = log.read_cached(&read(6)).expect("in memory").expect("read");
    assert_eq!(records_of(bytes_of(&result)), [(6, 4)]);
    assert_eq!(read_all(&log).len(), 7);
}

#[test]
fn a_read_gives_whole_batches_within_its_bounds() {
    let config = LogConfig {
        index_interval_bytes: 50,
        ..LogConfig::default()
    };
    let Fixture { log, .. } = fixture(&config);
    for tag in 0..40 {
        append(&log, append_of(tag, 2, 20)).expect("appended");
    }
    let batch_bytes = log.size_in_bytes() as usize / 40;
    let check = |from_file: bool| {
        for offset in 0..80_i64 {
            let first = offset / 2;
            for (max_bytes, up_to, min_one_batch) in [
                (1, 80, true),
                (1, 80, false),
                (batch_bytes * 3 + 1, 80, true),
                (1 << 20, 61, true),
                (1 << 20, 80, true),
            ] {
                let read = Read {
                    offset: Offset(offset),
                    up_to: Offset(up_to),
                    max_bytes,
                    min_one_batch,
                };
                let result = log.read(&read).expect("readable");
                let is_file = result.chunks.iter().any(|chunk| matches!(chunk, Chunk::File(_)));
                assert!(result.chunks.is_empty() || is_file == from_file, "at {offset}");
                let visible = (up_to / 2 - first).max(0);
                let fitting = (max_bytes / batch_bytes).max(usize::from(min_one_batch));
                let count = visible.min(i64::try_from(fitting).expect("small"));
                let end = if count > 0 { (first + count) * 2 } else { offset };
                assert_eq!(result.next_offset, Offset(end), "{read:?}");
                let expected: Vec<(i64, u8)> = (first * 2..(first + count) * 2)
                    .map(|at| (at, (at / 2) as u8))
                    .collect();
                assert_eq!(records_of(bytes_of(&result)), expected, "{read:?}");
            }
        }
    };
    check(false);
    log.release_idle(NOW + 1);
    check(true);
    assert_eq!(log.read(&read(80)).expect("the end").size_in_bytes, 0);
    for outside in [-1, 81] {
        assert!(
            matches!(log.read(&read(outside)), Err(Error::OffsetOutOfRange { .. })),
            "{outside}"
        );
        assert!(
            matches!(
                log.read_cached(&read(outside)),
                Some(Err(Error::OffsetOutOfRange { .. }))
            ),
            "{outside}"
        );
    }
}

#[test]
fn one_append_of_many_requests_gives_each_its_own_answer() {
    let Fixture { log, .. } = fixture(&small_segments());
    let answers = log.append(
        EPOCH,
        NOW,
        vec![
            idempotent(7, 0, 0, 2),
            idempotent(7, 0, 2, 3),
            idempotent(7, 0, 0, 2),
            idempotent(7, 0, 9, 1),
            append_of(1, 1, 2000),
            idempotent(7, 0, 5, 1),
        ],
    );
    let told: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Ok(appended) => format!(
                "{}-{} {}",
                appended.base_offset, appended.last_offset, appended.duplicate
            ),
            Err(Error::OutOfOrderSequence { last_sequence, .. }) => {
                format!("out of order after {last_sequence}")
            }
            Err(Error::RecordBatchTooLarge { .. }) => "too large".to_owned(),
            Err(other) => other.to_string(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "0-1 false",
            "2-4 false",
            "0-1 true",
            "out of order after 4",
            "too large",
            "5-5 false"
        ]
    );
    assert_eq!(log.log_end_offset(), Offset(6));
    assert_eq!(read_all(&log).len(), 6);
}

#[test]
fn segments_roll_when_they_are_full() {
    let Fixture { log, .. } = fixture(&small_segments());
    for tag in 0..50 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
    }
    assert_eq!(log.segment_count(), 13, "four batches of some 230 bytes in each");
    let expected: Vec<(i64, u8)> = (0..50).map(|tag| (i64::from(tag), tag)).collect();
    assert_eq!(read_all(&log), expected);
    // Many in one call roll as well.
    log.append(EPOCH, NOW, (50..100).map(|tag| append_of(tag, 1, 150)).collect());
    assert_eq!(log.segment_count(), 25);
    assert_eq!(read_all(&log).len(), 100);
}

#[test]
fn nothing_is_on_disk_before_the_first_append() {
    let Fixture {
        disk,
        log,
        directory: _directory,
    } = fixture(&LogConfig::default());
    let names = || names(&disk, "/data");
    assert_eq!(names(), [".lock", "meta.properties"]);
    assert_eq!(log.sync(NOW).expect("nothing to do"), Offset(0));
    assert_eq!(log.read(&read(0)).expect("empty").size_in_bytes, 0);
    assert_eq!(log.delete_old_segments(Offset(0), NOW).expect("nothing to do"), 0);
    assert_eq!(names(), [".lock", "meta.properties"]);
    append(&log, append_of(1, 1, 1)).expect("appended");
    assert_eq!(names(), [".lock", "meta.properties", "topic-0"]);
    let batch = batch_at(&[(b"v", Timestamp(5))], ProducerIdentity::NONE);
    let assigned = batch
        .batch
        .assign(&batch.validated.assignment(Offset(8), LeaderEpoch(9)))
        .into_batch();
    log.append_as_follower(assigned.bytes().clone(), NOW)
        .expect("a gap is fine for a follower");
    let behind = log.append_as_follower(assigned.bytes().clone(), NOW);
    assert!(
        matches!(behind, Err(Error::UnexpectedAppendOffset { .. })),
        "{behind:?}"
    );
    assert_eq!(
        (log.log_end_offset(), log.latest_epoch()),
        (Offset(9), Some(LeaderEpoch(9)))
    );
    let empty = Append {
        batches: vec![],
        origin: AppendOrigin::Client,
        transaction: TransactionChecks::default(),
    };
    assert!(append(&log, empty).is_err());
}
