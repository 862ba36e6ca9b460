//! Torn ends, flipped bits, and batches of an earlier life (B15, B16).

use std::path::Path;

use forebay_disk::{Disk, DiskExt, OpenOptions, Survivors};

use super::*;

const SEGMENT: &str = "/data/topic-0/00000000000000000000.log";

/// A killed log of one segment: five batches of two records, tags 1 to 5, of which the first `synced` are synced.
fn killed_log(synced: usize) -> (MemoryDisk, Vec<u8>, usize) {
    let Fixture { log, disk, directory } = fixture(&LogConfig::default());
    for tag in 0..5_u8 {
        append(&log, append_of(tag + 1, 2, 20)).expect("appended");
        if usize::from(tag) + 1 == synced {
            log.sync(NOW).expect("synced");
            directory.checkpoint(None).expect("written");
        }
    }
    let bytes = disk.read(Path::new(SEGMENT), 10_000).expect("read");
    let batch = bytes.len() / 5;
    (disk.crash(Survivors::Everything), bytes, batch)
}

fn put(disk: &MemoryDisk, bytes: &[u8]) {
    let file = disk
        .open(Path::new(SEGMENT), OpenOptions::replace())
        .expect("open");
    file.write_all_at(bytes, 0).expect("write");
}

fn expected(batches: usize) -> Vec<(i64, u8)> {
    (0..batches * 2)
        .map(|offset| (offset as i64, (offset / 2) as u8 + 1))
        .collect()
}

fn reopened(disk: &MemoryDisk) -> (LogDirectory, Arc<Log>) {
    let directory = open(Arc::new(disk.clone()), &LogConfig::default()).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    (directory, log)
}

#[test]
fn a_torn_end_is_cut_to_the_last_whole_batch_wherever_it_is_torn() {
    let (disk, bytes, batch) = killed_log(0);
    for length in 0..=bytes.len() {
        for garbage in [&[][..], &[0; 200], &[0xff; 200], &bytes[10..batch - 1]] {
            let torn = disk.crash(Survivors::Everything);
            let left = [&bytes[..length], garbage].concat();
            // Garbage may happen to be what was torn off.
            let whole = (0..=5)
                .rev()
                .find(|count| left.starts_with(&bytes[..count * batch]))
                .expect("0 at least");
            put(&torn, &left);
            let (_directory, log) = reopened(&torn);
            assert_eq!(
                read_all(&log),
                expected(whole),
                "{length} bytes and {} of garbage",
                garbage.len()
            );
            let on_disk = torn.metadata(Path::new(SEGMENT)).expect("there").length;
            assert_eq!(on_disk, (whole * batch) as u64, "really cut");
            let appended = append(&log, append_of(77, 1, 1)).expect("appended");
            assert_eq!(appended.base_offset, Offset(whole as i64 * 2), "offsets go on");
            assert_eq!(read_all(&log).last(), Some(&(whole as i64 * 2, 77)));
        }
    }
}

#[test]
fn a_flipped_bit_after_the_recovery_point_cuts_there() {
    let (disk, bytes, batch) = killed_log(2);
    for position in batch * 2..bytes.len() {
        let flipped = disk.crash(Survivors::Everything);
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        put(&flipped, &damaged);
        let (_directory, log) = reopened(&flipped);
        let in_batch = position % batch;
        let whole = position / batch;
        // The checksum does not cover base offset, length and leader epoch. An epoch is not used to find the end.
        if (12..16).contains(&in_batch) {
            assert_eq!(log.log_end_offset(), Offset(10), "at {position}");
        } else if in_batch < 8 && log.log_end_offset() > Offset(whole as i64 * 2) {
            // A larger base offset looks like a gap, which old compacted logs have; a smaller one goes back.
            assert!(damaged[position] > bytes[position], "at {position}");
        } else {
            assert_eq!(read_all(&log), expected(whole), "at {position}");
        }
    }
}

#[test]
fn damage_before_the_recovery_point_never_costs_what_is_behind_it() {
    let (disk, bytes, batch) = killed_log(5);
    for position in 0..bytes.len() {
        let flipped = disk.crash(Survivors::Everything);
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        put(&flipped, &damaged);
        match open(Arc::new(flipped.clone()), &LogConfig::default()) {
            Ok(directory) => {
                let log = directory.log(&partition()).expect("open").expect("there");
                assert!(log.log_end_offset() >= Offset(10), "at {position}");
                let after = Read {
                    offset: Offset((position / batch) as i64 * 2 + 2),
                    ..read(0)
                };
                if position % batch >= 16 && after.offset < Offset(10) {
                    let rest = records_of(bytes_of(&log.read(&after).expect("readable")));
                    assert_eq!(rest, expected(5)[(position / batch + 1) * 2..], "at {position}");
                }
            }
            Err(error) => assert!(
                matches!(
                    error,
                    Error::Corrupt { .. } | Error::Hole { .. } | Error::UnsupportedFormat { .. }
                ),
                "{error}"
            ),
        }
        let on_disk = flipped.metadata(Path::new(SEGMENT)).expect("there").length;
        assert_eq!(on_disk, bytes.len() as u64, "nothing was cut, at {position}");
    }
}

#[test]
fn a_flipped_bit_in_a_clean_log_does_not_cost_other_batches() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for tag in 0..12 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
    }
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let length = disk.metadata(Path::new(SEGMENT)).expect("there").length;
    for position in 0..length {
        let flipped = disk.crash(Survivors::Everything);
        let mut bytes = flipped.read(Path::new(SEGMENT), 10_000).expect("read");
        bytes[usize::try_from(position).expect("small")] ^= 0x10;
        put(&flipped, &bytes);
        match open(Arc::new(flipped.clone()), &config) {
            Ok(directory) => {
                let log = directory.log(&partition()).expect("open").expect("there");
                let read = Read {
                    offset: Offset(4),
                    max_bytes: 5,
                    ..read(0)
                };
                let later = records_of(bytes_of(&log.read(&read).expect("readable")));
                assert_eq!(
                    (later, log.log_end_offset()),
                    (vec![(4, 4)], Offset(12)),
                    "at {position}"
                );
            }
            Err(error) => assert!(
                matches!(error, Error::Hole { .. } | Error::Corrupt { .. }),
                "at {position}: {error}"
            ),
        }
        assert_eq!(
            flipped.metadata(Path::new(SEGMENT)).expect("there").length,
            length,
            "at {position}"
        );
    }
}

#[test]
fn a_batch_of_an_earlier_life_never_comes_back() {
    // Batches 0 to 4; the third is torn. The fourth and fifth are valid, and exactly behind the place where the next
    // append of the same size would end.
    let (disk, bytes, batch) = killed_log(0);
    let mut torn = bytes.clone();
    torn[batch * 2 + 70] ^= 1;
    put(&disk, &torn);
    let (directory, log) = reopened(&disk);
    assert_eq!(read_all(&log), expected(2));
    append(&log, append_of(77, 2, 20)).expect("as large as the torn one");
    let now = [expected(2), vec![(4, 77), (5, 77)]].concat();
    assert_eq!(read_all(&log), now);
    for survivors in [
        Survivors::Everything,
        Survivors::OnlySynced,
        Survivors::Random(1),
        Survivors::Random(2),
    ] {
        let (_directory, log) = reopened(&disk.crash(survivors));
        let found = read_all(&log);
        assert!(found == now || found == expected(2), "{survivors:?}: {found:?}");
    }
    drop(directory);
}

#[test]
fn zeros_filled_ahead_are_not_part_of_the_log() {
    let (disk, bytes, _) = killed_log(0);
    put(&disk, &[&bytes[..], &[0; 5000]].concat());
    let (directory, log) = reopened(&disk);
    assert_eq!(
        (read_all(&log), log.size_in_bytes()),
        (expected(5), bytes.len() as u64)
    );
    directory.shutdown(1, -1, NOW).expect("closed");
    drop((directory, log));
    // The same after a clean end.
    put(&disk, &[&bytes[..], &[0; 5000]].concat());
    let (directory, log) = reopened(&disk);
    assert_eq!(
        (read_all(&log), log.size_in_bytes()),
        (expected(5), bytes.len() as u64)
    );
    append(&log, append_of(6, 2, 20)).expect("into the zeros");
    assert_eq!(read_all(&log), expected(6));
    directory.shutdown(1, -1, NOW).expect("closed");
    let length = disk.metadata(Path::new(SEGMENT)).expect("there").length;
    assert_eq!(length, bytes.len() as u64 / 5 * 6, "cut to what was appended");
}

/// One message of format 1 with the value `hello`, as Kafka 0.10 wrote it.
const OLD_MESSAGE: [u8; 39] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1b, 0x8e, 0xe3, 0x0b, 0xba, 0x01,
    0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x05,
    0x68, 0x65, 0x6c, 0x6c, 0x6f,
];

#[test]
fn old_formats_are_named_and_left_alone() {
    let (disk, _, _) = killed_log(0);
    put(&disk, &OLD_MESSAGE);
    let error = open(Arc::new(disk.clone()), &LogConfig::default()).expect_err("old");
    assert!(
        matches!(error, Error::UnsupportedFormat { magic: 1, .. }),
        "{error}"
    );
    assert_eq!(disk.read(Path::new(SEGMENT), 10_000).expect("read"), OLD_MESSAGE);
    // Garbage that happens to look like it at first is cut like any other.
    put(&disk, &[&OLD_MESSAGE[..20], &[9; 100]].concat());
    let (_directory, log) = reopened(&disk);
    assert_eq!(log.log_end_offset(), Offset(0));
}
