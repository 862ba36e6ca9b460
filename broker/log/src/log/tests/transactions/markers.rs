//! Markers that were damaged on the disk, and writes that take long.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use forebay_disk::{Disk, DiskExt, OpenOptions};
use forebay_records::{HEADER_BYTES, batches};

use super::*;
use crate::locks::lock;

const FOLDER: &str = "/data/topic-0";

/// Who tells how far the log is replicated may hold what others wait for: a write that takes long does not hold it up.
#[test]
fn the_high_watermark_does_not_wait_for_a_write() {
    let Fixture { log, .. } = fixture(&config());
    let guard = verify(&log, 0, 0, 0);
    append(&log, sent(0, 0, 0, (1, guard))).expect("open");
    append(&log, append_of(2, 1, 40)).expect("plain");
    let writing = lock(&log.writer);
    let (told, stable) = mpsc::channel();
    let other = Arc::clone(&log);
    std::thread::spawn(move || told.send(other.update_high_watermark(Offset(2))));
    let stable = stable.recv_timeout(Duration::from_secs(20));
    drop(writing);
    assert_eq!(stable, Ok(Offset(0)), "as soon as it is told");
    append(&log, ended(0, 0, true)).expect("ended");
    assert_eq!(
        log.last_stable_offset(),
        Offset(0),
        "the marker is not replicated"
    );
    assert_eq!(log.update_high_watermark(Offset(3)), Offset(3));
}

/// Neither does the question that each fetch of committed records asks, whoever writes or reads a transaction index meanwhile.
#[test]
fn asking_for_aborted_transactions_does_not_wait() {
    let Fixture { log, .. } = fixture(&config());
    append(&log, append_of(2, 1, 40)).expect("plain");
    assert!(!log.may_have_aborted_transactions(Offset::ZERO));
    let (asked, answer) = mpsc::channel();
    let other = Arc::clone(&log);
    let answer = log.active().expect("a segment").while_index_changes(|| {
        std::thread::spawn(move || asked.send(other.may_have_aborted_transactions(Offset::ZERO)));
        answer.recv_timeout(Duration::from_secs(20))
    });
    assert_eq!(answer, Ok(true), "there may be one in a moment");
}

/// The files of the log's segments.
pub(super) fn segments(disk: &MemoryDisk) -> Vec<PathBuf> {
    let names = names(disk, FOLDER).into_iter();
    let segments = names.filter(|name| name.ends_with(".log"));
    segments.map(|name| Path::new(FOLDER).join(name)).collect()
}

/// Flips a bit, in the file and at the position.
fn flip(disk: &MemoryDisk, path: &Path, position: usize, bit: u8) {
    let mut bytes = disk.read(path, 100_000).expect("read");
    bytes[position] ^= bit;
    let file = disk.open(path, OpenOptions::replace()).expect("open");
    file.write_all_at(&bytes, 0).expect("write");
}

/// Transactions that were committed and aborted, in segments that are closed and in the last one; all of it is synced.
fn synced_log() -> (MemoryDisk, Vec<AbortedTransaction>, Offset) {
    let Fixture { disk, directory, log } = fixture(&config());
    for round in 0..6_i32 {
        let producer = usize::try_from(round % 2).expect("0 or 1");
        let sequence = round / 2;
        let guard = verify(&log, producer, 0, sequence);
        append(&log, sent(producer, 0, sequence, (1, guard))).expect("open");
        append(&log, ended(producer, 0, producer == 0)).expect("ended");
        append(&log, append_of(2, 1, 40)).expect("plain");
    }
    log.sync(NOW).expect("synced");
    directory.checkpoint(None).expect("written");
    let end = log.log_end_offset();
    assert_eq!(log.update_high_watermark(end), end);
    let aborted = log.aborted_transactions(Offset(0), end).expect("readable");
    assert_eq!(aborted.len(), 3);
    assert!(log.segment_count() > 1);
    (disk.crash(Survivors::Everything), aborted, end)
}

/// A transaction that was ended stays so, in the way in which it was, though nobody can read its marker any more.
#[test]
fn a_damaged_marker_has_ended_its_transaction() {
    let (disk, aborted, end) = synced_log();
    let mut flipped = 0;
    for path in segments(&disk) {
        let bytes = disk.read(&path, 100_000).expect("read");
        let mut start = 0;
        for batch in batches(bytes.into()).map(|batch| batch.expect("whole")) {
            let (at, size) = (start, batch.size_in_bytes());
            start += size;
            if !batch.header().is_control() {
                continue;
            }
            for (position, bit) in (at + HEADER_BYTES..at + size).flat_map(|at| [(at, 1), (at, 0x10)]) {
                let left = disk.crash(Survivors::Everything);
                flip(&left, &path, position, bit);
                // Snapshots would spare the replay.
                for entry in left.read_dir(Path::new(FOLDER)).expect("list") {
                    let name = Path::new(FOLDER).join(entry.name);
                    if name.extension().is_some_and(|extension| extension == "snapshot") {
                        left.remove_file(&name).expect("there");
                    }
                }
                let directory = open(Arc::new(left), &config()).expect("open");
                let log = directory.log(&partition()).expect("open").expect("there");
                let what = format!("{position} of {}", path.display());
                assert_eq!(log.log_end_offset(), end, "{what}");
                assert_eq!(log.update_high_watermark(end), end, "{what}");
                let found = log.aborted_transactions(Offset(0), end).expect("readable");
                assert_eq!(found, aborted, "{what}");
                flipped += 1;
            }
        }
    }
    assert!(flipped >= 6 * 2 * 15, "{flipped}");
}

/// Tags of the intact records that a consumer of committed records is given; none if the log refuses.
fn visible(log: &Log) -> Option<Vec<u8>> {
    log.update_high_watermark(log.log_end_offset());
    let stable = log.last_stable_offset();
    let aborted = log.aborted_transactions(Offset(0), stable).expect("readable");
    let mut tags = Vec::new();
    let mut offset = Offset(0);
    while offset < stable {
        let read = Read {
            up_to: stable,
            ..read(offset.value())
        };
        let result = log.read(&read).ok()?;
        let intact = batches(bytes_of(&result)).map_while(Result::ok);
        for batch in intact.filter(|batch| batch.ensure_valid().is_ok() && !batch.header().is_control()) {
            let header = batch.header();
            let is_aborted = header.is_transactional()
                && aborted.iter().any(|one| {
                    one.producer_id == header.producer_id
                        && (one.first_offset..one.last_offset).contains(&header.base_offset)
                });
            if !is_aborted {
                tags.extend(records_of(batch.bytes().clone()).iter().map(|(_, tag)| *tag));
            }
        }
        if result.next_offset <= offset {
            break;
        }
        offset = result.next_offset;
    }
    Some(tags)
}

/// Records that were not committed are not given out because a bit has flipped in the head of another batch, or of a marker. A marker of
/// which one bit has flipped ends its transaction as it did.
#[test]
fn a_flipped_bit_in_a_head_commits_nothing() {
    let config = LogConfig {
        segment_bytes: 1 << 20,
        ..config()
    };
    let Fixture { disk, directory, log } = fixture(&config);
    // Aborted, committed, still open: so small that a batch could be a marker.
    let mut sequence = 0;
    for (tags, end) in [([1, 2], Some(false)), ([3, 4], Some(true)), ([5, 6], None)] {
        for tag in tags {
            let guard = verify(&log, 0, 0, sequence);
            append(&log, sent(0, 0, sequence, (tag, guard))).expect("sent");
            sequence += 1;
        }
        if let Some(commit) = end {
            append(&log, ended(0, 0, commit)).expect("ended");
        }
    }
    log.sync(NOW).expect("synced");
    directory.checkpoint(None).expect("written");
    assert_eq!(visible(&log), Some(vec![3, 4]));
    let stable = log.last_stable_offset();
    let killed = disk.crash(Survivors::Everything);
    let path = &segments(&killed)[0];
    let (mut start, mut loaded) = (0, 0);
    for batch in batches(killed.read(path, 100_000).expect("read").into()) {
        let head = start..start + HEADER_BYTES;
        let batch = batch.expect("whole");
        start += batch.size_in_bytes();
        // From the checksum on, of a marker; but where it says that it has other offsets, none fits what is around it.
        let can_be_mended = |at: usize| {
            let at = at - head.start;
            batch.header().is_control() && at >= 17 && !(23..27).contains(&at)
        };
        for (position, bit) in head.clone().flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))) {
            let left = killed.crash(Survivors::Everything);
            flip(&left, path, position, bit);
            // Where nothing makes sense any more the partition is offline.
            let Ok(directory) = open(Arc::new(left), &config) else {
                assert!(!can_be_mended(position), "{position} ^ {bit}");
                continue;
            };
            let log = directory.log(&partition()).expect("open").expect("there");
            if let Some(tags) = visible(&log) {
                let is_committed = |tag: &u8| [3, 4].contains(tag);
                assert!(tags.iter().all(is_committed), "{position} ^ {bit}: {tags:?}");
                if can_be_mended(position) {
                    assert_eq!(log.last_stable_offset(), stable, "{position} ^ {bit}");
                    assert_eq!(tags, [3, 4], "{position} ^ {bit}");
                }
                loaded += 1;
            }
        }
    }
    assert!(loaded > 2000, "{loaded}");
}
