//! Compaction where space or descriptors run out: others have their turn, what room there is stays for those who append, and the
//! directory goes on.

use forebay_disk::Space;

use super::*;
use crate::log::clean::GROUP_SEGMENTS_MAX;

const MIB: u64 = 1024 * 1024;

fn on_faulty_disk() -> (FaultyDisk, LogDirectory) {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let directory = open(Arc::new(disk.clone()), &compacted()).expect("open");
    (disk, directory)
}

fn log_of(directory: &LogDirectory, topic: &str) -> Arc<Log> {
    let partition = crate::TopicPartition::new(topic, 0).expect("valid");
    let log = directory.log_or_create(&partition, topic_id(), &Arc::new(compacted()));
    log.expect("usable")
}

fn cleaned_topic(round: &CleaningRound) -> Option<&str> {
    round.cleaned.as_ref().map(|(partition, _)| partition.topic())
}

#[test]
fn a_log_for_which_there_is_no_space_lets_others_go_first() {
    let (disk, directory) = on_faulty_disk();
    let (dirty, cleaner) = (log_of(&directory, "dirty"), log_of(&directory, "cleaner"));
    set(&cleaner, "k", "clean already");
    roll(&cleaner, NOW);
    clean_all(&directory, NOW);
    for log in [&dirty, &cleaner] {
        for number in 0..12 {
            set(log, "k", &number.to_string());
        }
        roll(log, NOW);
    }
    let no_space = Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpace,
    };
    disk.set(no_space);
    let round = clean(&directory, NOW);
    assert_eq!(cleaned_topic(&round), Some("dirty"), "all of it is dirty");
    assert!(round.cleaned.expect("tried").1.is_err());
    disk.clear();
    let round = clean(&directory, NOW);
    assert_eq!(cleaned_topic(&round), Some("cleaner"));
    assert!(round.cleaned.expect("due").1.is_ok());
    assert_eq!(cleaned_topic(&clean(&directory, NOW + 14_999)), None);
    // Each time that there is no space it rests for twice as long.
    disk.set(no_space);
    assert_eq!(cleaned_topic(&clean(&directory, NOW + 15_000)), Some("dirty"));
    disk.clear();
    assert_eq!(cleaned_topic(&clean(&directory, NOW + 44_999)), None);
    let round = clean(&directory, NOW + 45_000);
    assert_eq!(cleaned_topic(&round), Some("dirty"));
    assert!(round.cleaned.expect("due").1.is_ok() && values(&dirty).len() == 1);
}

/// A log whose replaced segments stay for a minute: keys that are written once, of which little goes, or one that is written again and again.
fn to_be_compacted(directory: &LogDirectory, is_dense: bool) -> Arc<Log> {
    let log = log_of(directory, "topic");
    let delayed = LogConfig {
        file_delete_delay_ms: 60_000,
        ..compacted()
    };
    log.set_config(Arc::new(delayed));
    for number in 0..24 {
        let number = number.to_string();
        set(&log, if is_dense { &number } else { "k" }, &number);
    }
    set(&log, "0", "again");
    roll(&log, NOW);
    log
}

fn replaced_files(disk: &FaultyDisk) -> usize {
    let names = names(disk, "/data/topic-0").into_iter();
    names.filter(|name| name.ends_with(".deleted")).count()
}

/// Of a small device a twentieth belongs to those who append, of a large one 64 MiB. If there is no more than that, compaction would never
/// make any again: a group has three quarters of what there is, if that suffices, and the space of what it replaces is free at once.
#[test]
fn what_little_room_there_is_serves_to_make_more() {
    for (total, left) in [(100 * MIB, 5 * MIB), (100_000 * MIB, 64 * MIB)] {
        // What is there, whether much is kept, whether that suffices, and whether it would without a look at how much is kept.
        for (usable, is_dense, suffices, is_enough) in [
            (left + MIB, true, true, true),
            (left, true, true, false),
            (300, false, true, false),
            (300, true, false, false),
            (0, false, false, false),
        ] {
            let (disk, directory) = on_faulty_disk();
            let log = to_be_compacted(&directory, is_dense);
            let before = values(&log);
            disk.set_space(Space { total, usable });
            let (_, cleaned) = clean(&directory, NOW).cleaned.expect("due");
            let what = format!("{usable} of {total}: {cleaned:?}");
            assert!(log.uncleanable_reason().is_none() && directory.check().is_ok());
            if suffices {
                cleaned.expect(&what);
                assert_eq!(values(&log).len(), if is_dense { 24 } else { 2 }, "{what}");
                assert_eq!(replaced_files(&disk) > 0, is_enough, "{what}");
            } else {
                let is_passing =
                    |error: &CleanerError| matches!(error, CleanerError::Log(error) if error.is_retriable());
                assert!(cleaned.as_ref().is_err_and(is_passing), "{what}");
                assert_eq!(values(&log), before, "{what}");
                let usable = left + MIB;
                disk.set_space(Space { total, usable });
                assert!(
                    cleaned_topic(&clean(&directory, NOW + 14_999)).is_none(),
                    "{what}"
                );
                clean_all(&directory, NOW + 15_000);
                assert!(values(&log).len() < before.len());
            }
        }
    }
}

/// All files of a group are open when another one takes its place: there is a bound to that, and they are closed again.
#[test]
fn many_small_segments_do_not_take_all_descriptors() {
    let (disk, directory) = on_faulty_disk();
    let log = log_of(&directory, "topic");
    for number in 0..50 {
        set(&log, "k", &number.to_string());
        roll(&log, NOW);
    }
    let large = LogConfig {
        segment_bytes: 1_000_000,
        ..compacted()
    };
    log.set_config(Arc::new(large));
    let segments = log.segments();
    let open_ones = || {
        for _ in 0..2 {
            log.release_idle(Timestamp(i64::MAX));
        }
        segments.iter().filter(|segment| segment.is_open()).count()
    };
    let mut interrupted = 0;
    for nth in 1.. {
        disk.set(Fault {
            operation: Operation::Open,
            nth,
            effect: Effect::NoDescriptors,
        });
        let now = NOW + nth as i64 * 3_600_000;
        let (_, cleaned) = clean(&directory, now).cleaned.expect("due");
        let all_opened = disk.count(Operation::Open) < nth;
        disk.clear();
        assert!(
            directory.check().is_ok() && log.uncleanable_reason().is_none(),
            "{nth}: {cleaned:?}"
        );
        if all_opened || log.segment_count() < 50 {
            break;
        }
        interrupted += 1;
        assert_eq!(open_ones(), 0, "{nth}: {cleaned:?}");
    }
    assert!(interrupted > GROUP_SEGMENTS_MAX, "{interrupted}");
    assert!(log.segment_count() >= 50 / GROUP_SEGMENTS_MAX, "not all at once");
    clean_all(&directory, NOW + 1000 * 3_600_000);
    let newest: Vec<_> = values(&log).into_iter().map(|(_, text)| text).collect();
    assert_eq!(newest, ["k=49"]);
}

/// Where there is no way back any more, the want of descriptors is waited out.
#[test]
fn a_swap_waits_for_descriptors() {
    for nth in 1..=3 {
        let (disk, directory) = on_faulty_disk();
        let log = log_of(&directory, "topic");
        for number in 0..12 {
            set(&log, "k", &number.to_string());
        }
        roll(&log, NOW);
        disk.set(Fault {
            operation: Operation::SyncDirectory,
            nth,
            effect: Effect::NoDescriptors,
        });
        let (_, cleaned) = clean(&directory, NOW).cleaned.expect("due");
        cleaned.unwrap_or_else(|error| panic!("{nth}: {error}"));
        assert!(disk.count(Operation::SyncDirectory) > nth, "it was tried again");
        assert!(directory.check().is_ok() && values(&log).len() == 1);
    }
}
