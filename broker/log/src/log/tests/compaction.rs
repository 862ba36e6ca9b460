//! Compaction, told in stories: what goes, what stays and for how long.

mod beside_retention;
mod crash;
mod model;
mod room;
mod transactions;

use std::collections::BTreeMap;

use forebay_disk::{Disk, Effect, Fault, FaultyDisk, Operation, Survivors};
use forebay_records::{BatchBuilder, BatchOptions, Headers, RecordBatch, batches};

use super::*;
use crate::{CleanerError, CleanerOptions, CleaningRound, Pace, Unlimited};

pub(super) const DELETE_RETENTION_MS: i64 = 1000;

/// Small segments, cleaned whenever there is anything to clean.
pub(super) fn compacted() -> LogConfig {
    LogConfig {
        compact: true,
        delete: false,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: DELETE_RETENTION_MS,
        transaction_verification: false,
        file_delete_delay_ms: 0,
        ..small_segments()
    }
}

/// A batch of keys with values, of a producer or of none.
pub(super) fn keyed(
    records: &[(&str, Option<&str>)],
    producer: ProducerIdentity,
    transactional: bool,
    timestamp: Timestamp,
) -> Append {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer,
        transactional,
        ..BatchOptions::default()
    });
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        builder
            .append(timestamp, key, value, &Headers::EMPTY)
            .expect("fits");
    }
    request(validated(builder.build().expect("builds"), AppendOrigin::Client))
}

pub(super) fn marker(producer: ProducerIdentity, commit: bool, timestamp: Timestamp) -> Append {
    marker_of(producer, commit, 0, timestamp)
}

pub(super) fn producer(id: i64, sequence: i32) -> ProducerIdentity {
    identity(id, 0, sequence)
}

/// Appends at the time of the append, and lets it be replicated and synced.
pub(super) fn put(log: &Log, append: Append, now: Timestamp) -> i64 {
    let appended = log.append(EPOCH, now, vec![append]).pop().expect("one answer");
    let appended = appended.expect("appended");
    settle(log, now);
    appended.base_offset.value()
}

pub(super) fn settle(log: &Log, now: Timestamp) {
    let synced = log.sync(now).expect("synced");
    log.update_high_watermark(synced);
}

fn set(log: &Log, key: &str, value: &str) -> i64 {
    put(
        log,
        keyed(&[(key, Some(value))], ProducerIdentity::NONE, false, NOW),
        NOW,
    )
}

fn delete(log: &Log, key: &str) -> i64 {
    put(
        log,
        keyed(&[(key, None)], ProducerIdentity::NONE, false, NOW),
        NOW,
    )
}

/// Closes the segment that is written to, with a batch that needs one of its own.
pub(super) fn roll(log: &Log, now: Timestamp) {
    let end = log.log_end_offset();
    log.roll_for_test(end, now);
    settle(log, now);
}

pub(super) fn clean(directory: &LogDirectory, now: Timestamp) -> CleaningRound {
    directory.clean_dirtiest(&CleanerOptions::default(), now, &Unlimited)
}

/// Cleans until nothing is due, and must not fail.
pub(super) fn clean_all(directory: &LogDirectory, now: Timestamp) {
    loop {
        match clean(directory, now).cleaned {
            None => return,
            Some((_, cleaned)) => drop(cleaned.expect("cleaned")),
        }
    }
}

/// Every batch of the log as it lies there.
pub(super) fn all_batches(log: &Log) -> Vec<RecordBatch> {
    let mut found = Vec::new();
    let mut offset = log.log_start_offset();
    log.release_idle(Timestamp(i64::MAX));
    while offset < log.log_end_offset() {
        let result = log
            .read(&Read {
                max_bytes: 500,
                ..read(offset.value())
            })
            .expect("readable");
        assert!(result.next_offset > offset, "progress at {offset}");
        found.extend(batches(bytes_of(&result)).map(|batch| batch.expect("a batch")));
        offset = result.next_offset;
    }
    found
}

/// Offset, key and value of every record that is no marker.
pub(super) fn contents(log: &Log) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let mut records = Vec::new();
    for batch in all_batches(log)
        .iter()
        .filter(|batch| !batch.header().is_control())
    {
        batch.ensure_valid().expect("a right checksum");
        for record in batch.records().expect("records") {
            let record = record.expect("a record");
            let key = text(record.key.expect("a key"));
            records.push((record.offset.value(), key, record.value.map(text)));
        }
    }
    records
}

fn values(log: &Log) -> Vec<(i64, String)> {
    let records = contents(log).into_iter();
    records
        .map(|(offset, key, value)| (offset, format!("{key}={}", value.unwrap_or_default())))
        .collect()
}

fn told(records: &[(i64, &str)]) -> Vec<(i64, String)> {
    records
        .iter()
        .map(|(offset, text)| (*offset, (*text).to_owned()))
        .collect()
}

#[test]
fn the_newest_record_of_each_key_stays_where_it_is() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2")] {
        set(&log, key, value);
    }
    assert_eq!(
        clean(&directory, NOW).cleaned.map(|_| ()),
        None,
        "there is only the active segment"
    );
    roll(&log, NOW);
    set(&log, "a", "3");
    let (_, cleaned) = clean(&directory, NOW).cleaned.expect("due");
    let cleaned = cleaned.expect("cleaned");
    assert_eq!(
        (
            cleaned.records_read,
            cleaned.records_kept,
            cleaned.first_dirty_offset
        ),
        (5, 3, Offset(5))
    );
    let expected = told(&[(2, "a=2"), (3, "c=1"), (4, "b=2"), (5, "a=3")]);
    assert_eq!(values(&log), expected, "the active segment does not count");
    assert_eq!(
        (log.log_start_offset(), log.log_end_offset()),
        (Offset(0), Offset(6))
    );
    assert_eq!(
        clean(&directory, NOW).cleaned.map(|_| ()),
        None,
        "nothing is dirty"
    );
    // By timestamp over the gap, and after a restart.
    let first = log
        .offset_for_timestamp(Timestamp(0))
        .expect("readable")
        .expect("found");
    assert_eq!(first.offset, Offset(2));
    let again = open(Arc::new(disk.crash(Survivors::Everything)), &compacted()).expect("open");
    let log = again.log(&partition()).expect("open").expect("there");
    assert_eq!(values(&log), expected);
    assert_eq!(log.log_start_offset(), Offset(0));
    assert_eq!(
        clean(&again, NOW).cleaned.map(|_| ()),
        None,
        "the checkpoint is remembered"
    );
}

#[test]
fn how_much_is_dirty_and_for_how_long_says_when() {
    let hour = 3_600_000;
    let config = LogConfig {
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: hour,
        ..compacted()
    };
    let Fixture { log, directory, .. } = fixture(&config);
    for round in 0..4 {
        put(
            &log,
            keyed(&[("k", Some("v"))], ProducerIdentity::NONE, false, NOW + round),
            NOW,
        );
        roll(&log, NOW);
    }
    let round = clean(&directory, NOW + hour);
    assert!(
        round.cleaned.is_some(),
        "only the first is old enough, but it is all that counts"
    );
    assert_eq!(values(&log).len(), 4);
    assert!(clean(&directory, NOW + hour + 2).cleaned.is_some());
    assert_eq!(
        values(&log).len(),
        2,
        "the third is the newest of those that are old enough"
    );
    let round = clean(&directory, NOW + hour + 3);
    assert!(
        round.cleaned.is_none() && round.max_dirty_ratio <= 0.5,
        "{}",
        round.max_dirty_ratio
    );
    // Records may not wait for longer than this, however few they are.
    log.set_config(Arc::new(LogConfig {
        max_compaction_lag_ms: 10,
        min_compaction_lag_ms: 0,
        min_cleanable_dirty_ratio: 1.0,
        ..compacted()
    }));
    assert!(clean(&directory, NOW + 3 + 10).cleaned.is_none());
    let round = clean(&directory, NOW + 3 + 11);
    assert!(round.cleaned.is_some() && round.max_overdue_ms == 1);
    assert_eq!(values(&log), told(&[(3, "k=v")]));
}

#[test]
fn a_tombstone_stays_for_delete_retention_ms_after_it_was_cleaned() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    set(&log, "a", "1");
    set(&log, "b", "1");
    delete(&log, "a");
    roll(&log, NOW);
    let later = NOW + 500_000;
    clean_all(&directory, later);
    assert_eq!(values(&log), told(&[(1, "b=1"), (2, "a=")]));
    let horizon = all_batches(&log)
        .last()
        .expect("the tombstone's")
        .header()
        .delete_horizon();
    assert_eq!(horizon, Some(later + DELETE_RETENTION_MS));
    let stamp = all_batches(&log)
        .last()
        .and_then(|batch| batch.records().ok()?.next()?.ok());
    assert_eq!(stamp.expect("it").timestamp, NOW, "its own time is as it was");
    for (after, stays) in [(DELETE_RETENTION_MS - 1, true), (DELETE_RETENTION_MS, false)] {
        set(&log, "c", "1");
        roll(&log, later);
        clean_all(&directory, later + after);
        let has = values(&log).iter().any(|(_, text)| text == "a=");
        assert_eq!(has, stays, "{after} ms later");
    }
}

#[test]
fn a_tombstone_beyond_the_map_does_not_begin_to_age() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    set(&log, "z", "1");
    roll(&log, NOW);
    clean_all(&directory, NOW);
    // A segment of one batch: three keys fit into the map, the fourth, a tombstone, does not.
    let records = [("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("z", None)];
    put(&log, keyed(&records, ProducerIdentity::NONE, false, NOW), NOW);
    roll(&log, NOW);
    let small = CleanerOptions {
        dedupe_buffer_bytes: 24 * 4,
        load_factor: 0.75,
        ..CleanerOptions::default()
    };
    let clean_to = |now| {
        let round = directory.clean_dirtiest(&small, now, &Unlimited);
        let (_, cleaned) = round.cleaned.expect("due");
        cleaned.expect("cleaned").first_dirty_offset
    };
    assert_eq!(clean_to(NOW), Offset(4));
    assert_eq!(values(&log).len(), 5, "z=1 is still there");
    assert_eq!(clean_to(NOW + 10 * DELETE_RETENTION_MS), Offset(5));
    assert_eq!(
        values(&log),
        told(&[(1, "a=1"), (2, "b=1"), (3, "c=1"), (4, "z=")]),
        "who has seen z=1 must be able to see that it is gone"
    );
}

#[test]
fn a_map_that_is_full_means_more_rounds() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    for round in 0..3 {
        for key in 0..20 {
            set(&log, &format!("k{key}"), &format!("{round}"));
        }
    }
    roll(&log, NOW);
    let small = CleanerOptions {
        dedupe_buffer_bytes: 24 * 8,
        load_factor: 0.75,
        ..CleanerOptions::default()
    };
    let mut clean_to = 0;
    let mut rounds = 0;
    while let Some((_, cleaned)) = directory.clean_dirtiest(&small, NOW, &Unlimited).cleaned {
        let next = cleaned.expect("cleaned").first_dirty_offset.value();
        assert!(next > clean_to, "progress");
        clean_to = next;
        rounds += 1;
    }
    assert!(rounds >= 10, "{rounds} rounds of six keys");
    let newest: Vec<i64> = values(&log).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(newest, (40..60).collect::<Vec<i64>>());
}

#[test]
fn small_segments_become_one_again() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    for number in 0..60 {
        set(
            &log,
            &format!("k{}", number % 5),
            "0123456789012345678901234567890123456789",
        );
    }
    let before = log.segment_count();
    // Once to make them small, once to join them.
    for _ in 0..2 {
        roll(&log, NOW);
        clean_all(&directory, NOW);
        set(&log, "k0", "1");
    }
    assert!(
        before >= 6 && log.segment_count() == 2,
        "{before} became {}",
        log.segment_count()
    );
    assert_eq!(
        contents(&log).len(),
        6,
        "five keys, and one once more in the active segment"
    );
    directory.purge(NOW);
    let names = disk.read_dir(log.folder()).expect("list");
    let segments = names
        .iter()
        .filter(|entry| entry.name.to_string_lossy().ends_with(".log"));
    assert_eq!((segments.count(), names.len()), (2, 8), "{names:?}");
    // Segments that do not fit together stay apart.
    for number in 0..40 {
        set(
            &log,
            &format!("other{number}"),
            "0123456789012345678901234567890123456789",
        );
    }
    roll(&log, NOW);
    clean_all(&directory, NOW);
    assert_eq!(contents(&log).len(), 45);
    for entry in disk.read_dir(log.folder()).expect("list") {
        assert!(
            disk.metadata(&log.folder().join(&entry.name))
                .expect("there")
                .length
                <= 1000
        );
    }
}

/// The batch with the greatest timestamp is kept empty, as it has a producer's sequence.
#[test]
fn the_greatest_timestamp_is_that_of_a_record() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    let at =
        |key, sequence, timestamp: i64| keyed(&[(key, Some("1"))], sequence, false, Timestamp(timestamp));
    put(&log, at("b", ProducerIdentity::NONE, 500), NOW);
    roll(&log, NOW);
    put(&log, at("a", producer(1, 0), 900), NOW);
    put(&log, at("a", ProducerIdentity::NONE, 400), NOW);
    roll(&log, NOW);
    put(&log, at("c", ProducerIdentity::NONE, 300), NOW);
    let newest = |log: &Log| {
        let found = log.max_timestamp().expect("readable").expect("found");
        (found.timestamp.value(), found.offset.value())
    };
    assert_eq!(newest(&log), (900, 1));
    clean_all(&directory, NOW);
    assert_eq!(values(&log), told(&[(0, "b=1"), (2, "a=1"), (3, "c=1")]));
    assert_eq!(newest(&log), (500, 0));
}
