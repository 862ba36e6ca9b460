//! A consumer that reads on is answered without waiting for a disk, from files too.

use super::*;

/// Reads from `offset` to the end as [`Log::read_cached`] has it; how many reads that were, and the records.
fn read_on(log: &Log, mut offset: Offset, max_bytes: usize) -> (usize, Vec<(i64, u8)>) {
    let (mut reads, mut records) = (0, Vec::new());
    loop {
        let read = Read {
            offset,
            max_bytes,
            ..read(0)
        };
        let Some(result) = log.read_cached(&read) else {
            break;
        };
        let result = result.expect("readable");
        if result.next_offset == offset {
            break;
        }
        assert_eq!(result.next_offset, log.read(&read).expect("readable").next_offset);
        records.extend(records_of(bytes_of(&result)));
        offset = result.next_offset;
        reads += 1;
    }
    (reads, records)
}

#[test]
fn after_the_first_read_none_waits() {
    let Fixture { log, .. } = fixture(&LogConfig::default());
    for tag in 0..30 {
        append(&log, append_of(tag, 2, 300)).expect("appended");
    }
    log.release_idle(NOW + 1);
    let batch_bytes = log.size_in_bytes() as usize / 30;
    // Less than a batch, one, several, more than there is.
    for max_bytes in [1, batch_bytes, batch_bytes * 4 + 1, 1 << 20] {
        let first = Read { max_bytes, ..read(0) };
        let next = log.read(&first).expect("readable").next_offset;
        let (_, records) = read_on(&log, next, max_bytes);
        let expected: Vec<(i64, u8)> = (next.value()..60).map(|at| (at, (at / 2) as u8)).collect();
        assert_eq!(records, expected, "{max_bytes}");
    }
    let (reads, _) = read_on(&log, Offset(5), 1);
    assert_eq!(reads, 0, "no read has ended within a batch");
}

#[test]
fn many_consumers_of_one_segment_wait_once_each() {
    let Fixture { log, .. } = fixture(&LogConfig::default());
    for tag in 0..100 {
        append(&log, append_of(tag, 1, 300)).expect("appended");
    }
    log.release_idle(NOW + 1);
    let one = |offset: i64| Read {
        max_bytes: 1,
        ..read(offset)
    };
    for consumer in 0..50 {
        log.read(&one(consumer)).expect("readable");
    }
    for round in 1..50 {
        for consumer in 0..50 {
            let read = one(consumer + round);
            let result = log.read_cached(&read).expect("no need to wait");
            let next = result.expect("readable").next_offset;
            assert_eq!(next, read.offset.next(), "{consumer} in round {round}");
        }
    }
}

#[test]
fn what_was_cut_is_not_remembered() {
    let size_of = |append: Append| append.batches[0].batch.size_in_bytes();
    // As long as a batch of two records, so that one begins where the read had ended: with a later offset.
    let two = (100..).find_map(|two| {
        let size = size_of(append_of(0, 2, two));
        let three = (1..two).find(|three| size_of(append_of(0, 3, *three)) == size);
        three.map(|three| (two, three))
    });
    let (two, three) = two.expect("three records add three bytes each");
    let Fixture { log, directory, .. } = fixture(&LogConfig::default());
    for tag in 0..10 {
        append(&log, append_of(tag, 2, two)).expect("appended");
    }
    log.release_idle(NOW + 1);
    let half = Read {
        max_bytes: log.size_in_bytes() as usize / 2,
        ..read(0)
    };
    let next = log.read(&half).expect("readable").next_offset;
    assert_eq!(next, Offset(10));
    let read = Read { offset: next, ..half };
    assert!(log.read_cached(&read).is_some());
    directory.truncate_to(&partition(), Offset(6), NOW).expect("cut");
    for tag in 20..25 {
        append(&log, append_of(tag, 3, three)).expect("appended");
    }
    log.release_idle(NOW + 1);
    assert!(log.read_cached(&read).is_none());
    let records = records_of(bytes_of(&log.read(&read).expect("readable")));
    assert_eq!(records.first(), Some(&(9, 21)), "the batch that has offset 10");
}
