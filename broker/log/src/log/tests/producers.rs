//! For how long a log knows its producers.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use forebay_disk::RealDisk;

use super::*;
use crate::DirectoryOptions;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn batch(sequence: i32, time: Timestamp) -> Append {
    request(batch_at(&[(b"value", time)], identity(7, 0, sequence)))
}

/// Stricter than Kafka, which goes by the timestamps of the records: one that sends what happened long ago would be forgotten
/// between a batch and its repetition, and one with a clock that is ahead would be remembered for ever.
#[test]
fn producers_are_forgotten_by_when_they_sent_not_by_what() {
    let config = LogConfig {
        producer_id_expiration_ms: DAY_MS,
        ..LogConfig::default()
    };
    for time in [NOW + -400 * DAY_MS, NOW + 400 * DAY_MS] {
        let Fixture { disk, directory, log } = fixture(&config);
        append(&log, batch(0, time)).expect("appended");
        log.remove_expired_producers(NOW + (DAY_MS - 1));
        assert!(append(&log, batch(0, time)).expect("recognised").duplicate);
        assert!(append(&log, batch(5, time)).is_err(), "out of order");
        // Killed, then ended properly: the log's batches tell of the producer, then the snapshot does.
        drop((log, directory));
        for end in ["killed", "closed"] {
            let directory = open(Arc::new(disk.clone()), &config).expect("open");
            let log = directory.log(&partition()).expect("open").expect("there");
            assert!(
                append(&log, batch(0, time)).expect("recognised").duplicate,
                "{end}"
            );
            log.remove_expired_producers(NOW + (DAY_MS - 1));
            assert_eq!(log.producer_count(), 1, "{end}");
            directory.shutdown(1, -1, NOW).expect("closed");
        }
        let directory = open(Arc::new(disk.clone()), &config).expect("open");
        let log = directory.log(&partition()).expect("open").expect("there");
        assert_eq!(log.producer_count(), 1);
        log.remove_expired_producers(NOW + DAY_MS);
        assert_eq!(
            log.producer_count(),
            0,
            "silent since it was loaded, as far as anybody knows"
        );
        append(&log, batch(5, time)).expect("nothing is known of it");
    }
}

/// A log on a real disk, on which files have times. Forty producers have sent to it when it is new.
fn opened(folder: &Path) -> (LogDirectory, Arc<Log>) {
    let config = Arc::new(LogConfig {
        producer_id_expiration_ms: DAY_MS,
        retention_ms: -1,
        ..small_segments()
    });
    let directory = LogDirectory::open(DirectoryOptions {
        path: folder.join("data"),
        ..directory_options(Arc::new(RealDisk))
    });
    let directory = directory.expect("open");
    directory.load(&|_| Arc::clone(&config), 1, NOW).expect("load");
    let log = directory.log_or_create(&partition(), topic_id(), &config);
    let log = log.expect("usable");
    if log.log_end_offset() == Offset::ZERO {
        for producer_id in 0..40 {
            append(&log, idempotent(producer_id, 0, 0, 1)).expect("appended");
        }
    }
    (directory, log)
}

/// Has a segment's file seem to be written so long ago.
fn set_age(folder: &Path, number: usize, ms: i64) {
    let mut names: Vec<_> = std::fs::read_dir(folder.join("data/topic-0"))
        .expect("list")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    names.sort_unstable();
    let modified = UNIX_EPOCH + Duration::from_millis(u64::try_from(NOW.0 - ms).expect("late"));
    let file = std::fs::File::options().write(true).open(&names[number]);
    file.expect("open").set_modified(modified).expect("set");
}

/// A log that is opened each day does not remember for ever who was there on the first.
#[test]
fn who_was_silent_for_long_before_a_start_is_forgotten_after_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (directory, log) = opened(folder.path());
    let (segments, producers) = (log.segment_count(), log.producer_count());
    assert!(segments > 2, "{segments}");
    directory.shutdown(1, -1, NOW).expect("closed");
    drop((log, directory));
    // As if two days had passed since the first segment was closed, and none since the second one was.
    set_age(folder.path(), 0, 2 * DAY_MS);
    set_age(folder.path(), 1, DAY_MS - 1);
    for _ in 0..2 {
        let (directory, log) = opened(folder.path());
        assert_eq!(
            log.producer_count(),
            producers,
            "the next round of upkeep forgets"
        );
        log.remove_expired_producers(NOW);
        let known = log.producer_count();
        assert!(0 < known && known < producers, "{known} of {producers}");
        assert!(append(&log, idempotent(39, 0, 0, 1)).expect("known").duplicate);
        log.remove_expired_producers(NOW + 1);
        assert!(log.producer_count() < known, "those of the second segment");
        // Not closed: the snapshot of the first end is what the next one finds.
        drop((log, directory));
    }
}

/// Of those whose batches retention has deleted only a snapshot tells: they are older than what is left.
#[test]
fn whose_batches_are_deleted_is_forgotten_after_a_start_too() {
    // All is deleted, so that an empty segment is left; all but the last one; all but some.
    for kept in [None, Some(0), Some(2)] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (directory, log) = opened(folder.path());
        let (end, producers) = (log.log_end_offset(), log.producer_count());
        let segments = log.segments();
        let start = kept.map_or(end, |kept| segments[segments.len() - 1 - kept].base_offset());
        log.delete_records_before(start, end).expect("deleted");
        if kept.is_none() {
            log.roll_for_test(end, NOW);
        }
        log.delete_segments_before_start(end, NOW).expect("deleted");
        assert_eq!(log.segment_count(), kept.unwrap_or(0) + 1);
        directory.shutdown(1, -1, NOW).expect("closed");
        drop((log, directory));
        // Those of a first segment that is closed are as old as it is.
        let forgotten = match kept {
            Some(2) => segments[segments.len() - 2].base_offset(),
            _ => start,
        };
        let known = producers - usize::try_from(forgotten.value()).expect("small");
        for (age_ms, known) in [(DAY_MS - 1, producers), (DAY_MS, known)] {
            set_age(folder.path(), 0, age_ms);
            let (directory, log) = opened(folder.path());
            assert_eq!(log.producer_count(), producers);
            log.remove_expired_producers(NOW);
            assert_eq!(log.producer_count(), known, "{kept:?}, {age_ms}");
            // Not closed: the next one finds the same snapshot.
            drop((log, directory));
        }
    }
}
