//! One flipped bit in a closed log (B16): what is derived is made anew, and what is damaged costs nothing else.

use std::path::{Path, PathBuf};

use forebay_disk::{Disk, OpenOptions, Operation, Survivors};

use super::compaction::{keyed, marker, producer, put, roll};
use super::*;
use crate::AbortedTransaction;

fn config() -> LogConfig {
    LogConfig {
        transaction_verification: false,
        ..small_segments()
    }
}

fn flip(disk: &MemoryDisk, path: &Path, position: u64, mask: u8) {
    let file = disk.open(path, OpenOptions::write()).expect("open");
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, position).expect("read"), 1);
    file.write_all_at(&[byte[0] ^ mask], position).expect("write");
}

fn reopened(disk: &MemoryDisk) -> Arc<Log> {
    let directory = open(Arc::new(disk.clone()), &config()).expect("open");
    directory.log(&partition()).expect("open").expect("there")
}

/// Closed segments with two aborted transactions, one within a segment and one over two of them, beside a committed one.
fn with_transactions() -> (MemoryDisk, Vec<AbortedTransaction>) {
    let Fixture { log, disk, directory } = fixture(&config());
    let records = |key| [(key, Some("value"))];
    put(&log, keyed(&records("a"), producer(1, 0), true, NOW), NOW);
    put(&log, marker(producer(1, 0), true, NOW), NOW);
    put(&log, keyed(&records("a"), producer(1, 1), true, NOW), NOW);
    put(&log, keyed(&records("b"), producer(2, 0), true, NOW), NOW);
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    roll(&log, NOW);
    put(&log, keyed(&records("c"), producer(3, 0), true, NOW), NOW);
    put(&log, marker(producer(2, 0), false, NOW), NOW);
    put(&log, marker(producer(3, 0), true, NOW), NOW);
    roll(&log, NOW);
    put(
        &log,
        keyed(&records("d"), ProducerIdentity::NONE, false, NOW),
        NOW,
    );
    let aborted = log
        .aborted_transactions(Offset(0), Offset(100))
        .expect("readable");
    assert_eq!(aborted.len(), 2);
    directory.shutdown(1, -1, NOW).expect("closed");
    (disk, aborted)
}

#[test]
fn a_transaction_index_with_a_flipped_bit_is_made_anew() {
    let (disk, aborted) = with_transactions();
    let folder = PathBuf::from("/data/topic-0");
    let indexes: Vec<PathBuf> = disk
        .read_dir(&folder)
        .expect("list")
        .into_iter()
        .map(|entry| folder.join(entry.name))
        .filter(|path| path.extension().is_some_and(|kind| kind == "txnindex"))
        .collect();
    assert_eq!(indexes.len(), 2);
    for path in &indexes {
        for position in 0..disk.metadata(path).expect("there").length {
            for mask in [1, 2, 4, 0x10, 0x80] {
                let flipped = disk.crash(Survivors::Everything);
                flip(&flipped, path, position, mask);
                let log = reopened(&flipped);
                let found = log
                    .aborted_transactions(Offset(0), Offset(100))
                    .expect("readable");
                // That of the stable offset may differ where no transaction hangs on it.
                let told = |all: &[AbortedTransaction]| -> Vec<_> {
                    let one = |one: &AbortedTransaction| (one.producer_id, one.first_offset, one.last_offset);
                    all.iter().map(one).collect()
                };
                assert_eq!(
                    told(&found),
                    told(&aborted),
                    "{} at {position} with {mask}",
                    path.display()
                );
            }
        }
    }
}

/// Segments before the recovery point are not read through; damage in them is for its readers to see, and takes nothing
/// behind it away.
#[test]
fn a_crash_has_only_what_was_not_synced_read_through() {
    let Fixture { log, disk, directory } = fixture(&config());
    for tag in 0..40 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
        if tag == 29 {
            log.sync(NOW).expect("synced");
            directory.checkpoint(None).expect("written");
        }
    }
    let killed = disk.crash(Survivors::Everything);
    let first = log.folder().join("00000000000000000000.log");
    flip(&killed, &first, 100, 1);
    let directory = LogDirectory::open(directory_options(Arc::new(killed))).expect("open");
    let of_all = Arc::new(config());
    let summary = directory.load(&|_| Arc::clone(&of_all), 1, NOW).expect("loaded");
    let report = summary.loaded[0].1;
    assert_eq!(
        (report.segments, report.recovered_segments, report.damaged_batches),
        (10, 3, 0),
        "offsets 28 to 39; the flipped bit was not looked at"
    );
    let log = directory.log(&partition()).expect("open").expect("there");
    assert_eq!(log.log_end_offset(), Offset(40));
    let damaged = log
        .read(&Read {
            max_bytes: 1,
            ..read(0)
        })
        .expect("given as it lies");
    let batch = forebay_records::batches(bytes_of(&damaged))
        .next()
        .expect("one")
        .expect("whole");
    assert!(
        batch.ensure_valid().is_err(),
        "its checksum tells whoever reads it"
    );
    let behind = log.read(&read(1)).expect("readable");
    assert_eq!(records_of(bytes_of(&behind)).first(), Some(&(1, 1)));
}

/// What the transaction indexes say is right; what the batches say may not be. The heads of batches have their checksum in the middle.
#[test]
fn a_batch_with_a_flipped_bit_does_not_cost_what_is_known_of_transactions() {
    const HEAD_BYTES: u64 = 61;
    let (disk, aborted) = with_transactions();
    let log = reopened(&disk.crash(Survivors::Everything));
    let closed: Vec<(PathBuf, Offset)> = log
        .segments()
        .iter()
        .map(|segment| (segment.path().to_path_buf(), segment.base_offset()))
        .collect();
    let (mut flipped_heads, mut refused) = (0, 0);
    for index in 0..2 {
        let path = &closed[index].0;
        let hit = closed[index].1.value()..closed[index + 1].1.value();
        let mut position = 0;
        while position < disk.metadata(path).expect("there").length {
            let mut length = [0; 4];
            let file = disk.open(path, OpenOptions::read()).expect("there");
            assert_eq!(file.read_at(&mut length, position + 8).expect("read"), 4);
            for at in position..position + HEAD_BYTES {
                for mask in [1, 0x10, 0x80] {
                    let what = format!("{} at {at} with {mask}", path.display());
                    let flipped = disk.crash(Survivors::Everything);
                    flip(&flipped, path, at, mask);
                    flipped_heads += 1;
                    let directory = LogDirectory::open(directory_options(Arc::new(flipped))).expect("open");
                    let of_all = Arc::new(config());
                    directory.load(&|_| Arc::clone(&of_all), 1, NOW).expect("loaded");
                    let Ok(Some(log)) = directory.log(&partition()) else {
                        refused += 1;
                        continue;
                    };
                    let found = log
                        .aborted_transactions(Offset(0), Offset(100))
                        .expect("readable");
                    assert_eq!(found, aborted, "{what}");
                    for offset in (0..9).filter(|offset| !hit.contains(offset)) {
                        let read = log.read(&read(offset));
                        let read = read.unwrap_or_else(|error| panic!("{what}: {offset}: {error}"));
                        assert!(read.size_in_bytes > 0, "{what}: {offset}");
                    }
                }
            }
            position += 12 + u64::from(u32::from_be_bytes(length));
        }
    }
    assert!(
        flipped_heads > 1000 && refused * 20 < flipped_heads,
        "{refused} of {flipped_heads}"
    );
}

/// However many transactions lie over each other, and however long: a clean start looks at the two ends of each.
#[test]
fn a_clean_start_does_not_go_through_every_aborted_transaction() {
    const PRODUCERS: i64 = 20;
    let config = LogConfig {
        segment_bytes: 64 << 20,
        ..config()
    };
    let (disk, Fixture { directory, log, .. }) = faulty_fixture(&config);
    for id in 0..PRODUCERS {
        put(&log, keyed(&[("k", Some("v"))], producer(id, 0), true, NOW), NOW);
    }
    for tag in 0..20 {
        append(&log, append_of(tag, 1, 1 << 20)).expect("appended");
    }
    for id in 0..PRODUCERS {
        put(&log, marker(producer(id, 0), false, NOW), NOW);
    }
    roll(&log, NOW);
    put(
        &log,
        keyed(&[("k", Some("v"))], ProducerIdentity::NONE, false, NOW),
        NOW,
    );
    let aborted = log
        .aborted_transactions(Offset(0), Offset(100))
        .expect("readable");
    assert_eq!(aborted.len() as i64, PRODUCERS);
    directory.shutdown(1, -1, NOW).expect("closed");
    drop((log, directory));
    disk.clear();
    let directory = open(Arc::new(disk.clone()), &config).expect("open");
    let reads = disk.count(Operation::Read);
    assert!(reads < 12 * PRODUCERS as u64, "{reads} reads");
    let log = directory.log(&partition()).expect("open").expect("there");
    let found = log
        .aborted_transactions(Offset(0), Offset(100))
        .expect("readable");
    assert_eq!(found, aborted);
}

/// The checksum of a batch does not cover its leader epoch.
#[test]
fn a_leader_epoch_with_a_flipped_bit_is_not_believed() {
    const EPOCH_AT: u64 = 12;
    let Fixture { log, disk, directory } = fixture(&config());
    let mut heads = Vec::new();
    for number in 0..16_u8 {
        let segment = log.active();
        let position = segment.as_ref().map_or(0, |segment| segment.size());
        for answer in log.append(
            LeaderEpoch(2 + i32::from(number) / 4),
            NOW,
            vec![append_of(number, 1, 150)],
        ) {
            answer.expect("appended");
        }
        let active = log.active().expect("it has one");
        let rolled = segment.is_none_or(|segment| segment.base_offset() != active.base_offset());
        heads.push((active.path().to_path_buf(), if rolled { 0 } else { position }));
    }
    let expected = log.epoch_entries();
    assert_eq!(expected.len(), 4);
    directory.shutdown(1, -1, NOW).expect("closed");
    for (path, position) in heads {
        for byte in 0..4 {
            for mask in [0x04, 0x10, 0x40] {
                let flipped = disk.crash(Survivors::Everything);
                flip(&flipped, &path, position + EPOCH_AT + byte, mask);
                let log = reopened(&flipped);
                assert_eq!(log.epoch_entries(), expected, "{} {byte} {mask}", path.display());
            }
        }
    }
}
