//! Markers, aborted records, and the producers' sequences.

use super::*;

#[test]
fn aborted_records_go_and_markers_stay_as_long_as_what_they_decide() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    let mut now = NOW;
    set(&log, "a", "committed");
    put(
        &log,
        keyed(
            &[("a", Some("aborted")), ("b", Some("aborted"))],
            producer(1, 0),
            true,
            NOW,
        ),
        NOW,
    );
    put(&log, keyed(&[("c", Some("1"))], producer(2, 0), true, NOW), NOW);
    let abort = put(&log, marker(producer(1, 0), false, NOW), NOW);
    let commit = put(&log, marker(producer(2, 0), true, NOW), NOW);
    // Other batches are the last of their producers, so that these may go.
    put(&log, keyed(&[("x", Some("1"))], producer(1, 2), false, NOW), NOW);
    put(&log, keyed(&[("x", Some("1"))], producer(2, 1), false, NOW), NOW);
    roll(&log, NOW);
    let markers = |log: &Log| -> Vec<(i64, bool)> {
        let control = all_batches(log)
            .into_iter()
            .filter(|batch| batch.header().is_control());
        control
            .map(|batch| {
                (
                    batch.base_offset().value(),
                    batch.header().delete_horizon().is_some(),
                )
            })
            .collect()
    };
    let aborted = |log: &Log| {
        log.aborted_transactions(Offset(0), Offset(100))
            .expect("readable")
            .len()
    };
    clean_all(&directory, now);
    assert_eq!(values(&log), told(&[(0, "a=committed"), (3, "c=1"), (7, "x=1")]));
    assert_eq!(
        (markers(&log), aborted(&log)),
        (vec![(abort, false), (commit, false)], 1)
    );
    // Nothing of the aborted one is left: its marker stays for a while longer. The other's record is outdated.
    set(&log, "c", "2");
    roll(&log, now);
    clean_all(&directory, now);
    assert_eq!(values(&log), told(&[(0, "a=committed"), (7, "x=1"), (8, "c=2")]));
    assert_eq!(
        (markers(&log), aborted(&log)),
        (vec![(abort, true), (commit, false)], 0)
    );
    for (pass, expected) in [
        (DELETE_RETENTION_MS, vec![(commit, true)]),
        (DELETE_RETENTION_MS - 1, vec![(commit, true)]),
        (1, vec![]),
    ] {
        now = now + pass;
        set(&log, "d", "1");
        roll(&log, now);
        clean_all(&directory, now);
        assert_eq!(markers(&log), expected, "at {now}");
    }
}

#[test]
fn nothing_of_an_open_transaction_is_touched() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    set(&log, "a", "1");
    set(&log, "a", "2");
    roll(&log, NOW);
    put(
        &log,
        keyed(&[("a", Some("open"))], producer(1, 0), true, NOW),
        NOW,
    );
    roll(&log, NOW);
    set(&log, "a", "3");
    roll(&log, NOW);
    clean_all(&directory, NOW);
    assert_eq!(values(&log), told(&[(1, "a=2"), (2, "a=open"), (3, "a=3")]));
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    roll(&log, NOW);
    clean_all(&directory, NOW);
    assert_eq!(values(&log), told(&[(3, "a=3")]));
}

#[test]
fn the_last_batch_of_a_producer_stays_be_it_empty() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    put(
        &log,
        keyed(&[("a", Some("1")), ("b", Some("1"))], producer(1, 0), false, NOW),
        NOW,
    );
    put(
        &log,
        keyed(&[("a", Some("2")), ("b", Some("2"))], producer(1, 2), false, NOW),
        NOW,
    );
    set(&log, "a", "3");
    set(&log, "b", "3");
    roll(&log, NOW);
    clean_all(&directory, NOW);
    assert_eq!(values(&log), told(&[(4, "a=3"), (5, "b=3")]));
    let shapes: Vec<(i64, i64, i32)> = all_batches(&log)
        .iter()
        .map(|batch| {
            (
                batch.base_offset().value(),
                batch.last_offset().value(),
                batch.header().count,
            )
        })
        .collect();
    assert_eq!(shapes, [(2, 3, 0), (4, 4, 1), (5, 5, 1)]);
    // Also to who reads the log only: no snapshot is left.
    let left = disk.crash(Survivors::Everything);
    for entry in left.read_dir(log.folder()).expect("list") {
        if entry.name.to_string_lossy().ends_with(".snapshot") {
            left.remove_file(&log.folder().join(&entry.name))
                .expect("removed");
        }
    }
    let directory = open(Arc::new(left), &compacted()).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    let again = append(
        &log,
        keyed(&[("a", Some("2")), ("b", Some("2"))], producer(1, 2), false, NOW),
    );
    let again = again.expect("known");
    assert!(again.duplicate && again.base_offset == Offset(2));
    let wrong = append(&log, keyed(&[("a", Some("4"))], producer(1, 5), false, NOW));
    assert!(
        matches!(wrong, Err(Error::OutOfOrderSequence { .. })),
        "{wrong:?}"
    );
    append(&log, keyed(&[("a", Some("4"))], producer(1, 4), false, NOW)).expect("the next one");
    // A producer that is forgotten keeps nothing.
    roll(&log, NOW);
    settle(&log, NOW);
    log.remove_expired_producers(Timestamp(i64::MAX));
    clean_all(&directory, NOW);
    assert_eq!(
        all_batches(&log)
            .iter()
            .filter(|batch| batch.header().count == 0)
            .count(),
        0
    );
}

#[test]
fn a_transaction_index_that_misses_an_abort_is_noticed() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    set(&log, "a", "committed");
    put(
        &log,
        keyed(&[("a", Some("aborted"))], producer(1, 0), true, NOW),
        NOW,
    );
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    roll(&log, NOW);
    settle(&log, NOW);
    directory.shutdown(1, -1, NOW).expect("closed");
    let path = log.folder().join("00000000000000000000.txnindex");
    disk.remove_file(&path).expect("there");
    drop((log, directory));
    let directory = open(Arc::new(disk.clone()), &compacted()).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    log.update_high_watermark(log.log_end_offset());
    let (_, cleaned) = clean(&directory, NOW).cleaned.expect("tried");
    assert!(
        matches!(cleaned, Err(CleanerError::Log(Error::Corrupt { .. }))),
        "{cleaned:?}"
    );
    assert_eq!(values(&log)[0], (0, "a=committed".to_owned()));
}

/// The second round begins behind the abort, in the middle of a batch: the producer's next transaction is another one.
#[test]
fn a_transaction_that_ended_before_the_dirty_part_says_nothing_of_the_next() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    let small = CleanerOptions {
        dedupe_buffer_bytes: 24 * 2,
        ..CleanerOptions::default()
    };
    put(&log, keyed(&[("a", None)], producer(1, 0), true, NOW), NOW);
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    let two = keyed(
        &[("b", Some("1")), ("a", Some("1"))],
        ProducerIdentity::NONE,
        false,
        NOW,
    );
    put(&log, two, NOW);
    put(&log, keyed(&[("b", Some("2"))], producer(1, 1), true, NOW), NOW);
    put(&log, marker(producer(1, 0), true, NOW), NOW);
    roll(&log, NOW);
    for clean_to in [3, 4, 6] {
        let (_, cleaned) = directory
            .clean_dirtiest(&small, NOW, &Unlimited)
            .cleaned
            .expect("due");
        assert_eq!(cleaned.expect("cleaned").first_dirty_offset, Offset(clean_to));
    }
    assert_eq!(values(&log), told(&[(3, "a=1"), (4, "b=2")]));
}
