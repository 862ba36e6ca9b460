//! A log that is closed or killed and opened again; a data directory that is not ours to open.

use forebay_disk::{Disk, DiskExt, OpenOptions, Survivors};

use super::*;
use crate::{LogDirectory, Uuid};

const FOLDER: &str = "/data/topic-0";

fn reopen(disk: &MemoryDisk, config: &LogConfig) -> (LogDirectory, Arc<Log>) {
    let directory = open(Arc::new(disk.clone()), config).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    (directory, log)
}

#[test]
fn a_clean_end_leaves_nothing_to_do() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for sequence in 0..10 {
        append(&log, idempotent(7, 0, sequence * 3, 3)).expect("appended");
    }
    append(&log, append_of(1, 1, 300)).expect("appended");
    let before = read_all(&log);
    directory.shutdown(3, 42, NOW).expect("closed");
    assert!(matches!(
        append(&log, append_of(1, 1, 1)),
        Err(Error::Closed { .. })
    ));
    drop(directory);
    let marker = disk
        .read(std::path::Path::new("/data/.kafka_cleanshutdown"), 100)
        .expect("read");
    assert_eq!(marker, br#"{"version":0,"brokerEpoch":42}"#);
    let left = names(&disk, FOLDER);
    assert!(
        left.contains(&"00000000000000000031.snapshot".to_owned()),
        "{left:?}"
    );
    let checkpoint = disk
        .read(
            std::path::Path::new("/data/recovery-point-offset-checkpoint"),
            100,
        )
        .expect("read");
    assert_eq!(checkpoint, b"0\n1\ntopic 0 31\n");

    let directory = LogDirectory::open(directory_options(Arc::new(disk.clone()))).expect("open");
    let config = Arc::new(config);
    let summary = directory.load(&|_| Arc::clone(&config), 1, NOW).expect("loaded");
    assert!(summary.clean && summary.failed.is_empty());
    assert_eq!(
        summary.loaded[0].1,
        crate::LoadReport {
            segments: log.segment_count(),
            ..Default::default()
        }
    );
    assert_eq!(names(&disk, FOLDER), left, "nothing was changed");
    assert!(
        !disk
            .exists(std::path::Path::new("/data/.kafka_cleanshutdown"))
            .expect("exists"),
        "the marker is used up"
    );
    let log = directory.log(&partition()).expect("open").expect("there");
    assert_eq!((read_all(&log), log.topic_id()), (before, topic_id()));
    assert_eq!(
        (log.log_end_offset(), log.synced_offset(), log.producer_count()),
        (Offset(31), Offset(31), 1)
    );
    let repeated = append(&log, idempotent(7, 0, 27, 3)).expect("recognised");
    assert_eq!(
        (repeated.duplicate, repeated.base_offset),
        (true, Offset(27)),
        "only the last batch is known"
    );
    append(&log, idempotent(7, 0, 30, 1)).expect("in sequence");
    // Another clean end without anything new writes nothing into the folder.
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let (directory, _) = reopen(&disk, &config);
    let left = names(&disk, FOLDER);
    directory.shutdown(1, -1, NOW).expect("closed");
    assert_eq!(names(&disk, FOLDER), left);
}

#[test]
fn after_a_kill_everything_that_was_appended_is_there() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for sequence in 0..10 {
        append(&log, idempotent(7, 0, sequence * 3, 3)).expect("appended");
        if sequence == 5 {
            log.sync(NOW).expect("synced");
            directory.checkpoint(None).expect("written");
        }
    }
    let killed = disk.crash(Survivors::Everything);
    let (directory, recovered) = reopen(&killed, &config);
    assert_eq!(
        (read_all(&recovered), recovered.synced_offset()),
        (read_all(&log), Offset(30))
    );
    for sequence in 5..10 {
        let repeated = append(&recovered, idempotent(7, 0, sequence * 3, 3)).expect("recognised");
        assert_eq!(
            (repeated.duplicate, repeated.base_offset.value()),
            (true, i64::from(sequence) * 3)
        );
    }
    append(&recovered, idempotent(7, 0, 30, 1)).expect("in sequence");
    // What was recovered is synced: a loss of power right after the start takes nothing back.
    let off = killed.crash(Survivors::OnlySynced);
    let (_directory, log) = reopen(&off, &config);
    assert_eq!(log.log_end_offset(), Offset(30));
    drop(directory);
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_anew() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for tag in 0..20 {
        let timestamp = NOW + i64::from(tag);
        let batch = batch_at(&[(&[tag; 150], timestamp)], ProducerIdentity::NONE);
        append(
            &log,
            Append {
                batches: vec![batch],
                origin: AppendOrigin::Client,
                transaction: TransactionChecks::default(),
            },
        )
        .expect("appended");
    }
    let before = read_all(&log);
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let indexes: Vec<String> = names(&disk, FOLDER)
        .into_iter()
        .filter(|name| name.ends_with("index"))
        .collect();
    assert_eq!(indexes.len(), 10);
    let check = |disk: &MemoryDisk, what: &str| {
        let (_directory, log) = reopen(disk, &config);
        assert_eq!(read_all(&log), before, "{what}");
        for tag in 0..20 {
            let found = log
                .offset_for_timestamp(NOW + tag)
                .expect("found")
                .expect("there");
            assert_eq!(found.offset, Offset(tag), "{what}: time of {tag}");
        }
        let max = log.max_timestamp().expect("found").expect("there");
        assert_eq!(max.offset, Offset(19), "{what}");
        assert_eq!(
            log.delete_old_segments(Offset(20), NOW + config.retention_ms)
                .expect("none"),
            0,
            "{what}"
        );
    };
    for name in &indexes {
        let path = std::path::Path::new(FOLDER).join(name);
        let length = disk.metadata(&path).expect("there").length;
        let missing = disk.crash(Survivors::Everything);
        missing.remove_file(&path).expect("removed");
        check(&missing, &format!("{name} is missing"));
        let torn = disk.crash(Survivors::Everything);
        torn.open(&path, OpenOptions::write())
            .expect("open")
            .set_len(length - 1)
            .expect("cut");
        check(&torn, &format!("{name} is torn"));
        for position in 0..length {
            let flipped = disk.crash(Survivors::Everything);
            flip(&flipped, &path, position, 0x40);
            check(&flipped, &format!("{name} has a flipped bit at {position}"));
        }
    }
}

fn flip(disk: &MemoryDisk, path: &std::path::Path, position: u64, mask: u8) {
    let file = disk.open(path, OpenOptions::write()).expect("open");
    let mut byte = [0];
    assert_eq!(file.read_at(&mut byte, position).expect("read"), 1);
    file.write_all_at(&[byte[0] ^ mask], position).expect("write");
}

#[test]
fn derived_files_with_a_flipped_bit_are_made_anew() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for sequence in 0..20 {
        log.append(
            LeaderEpoch(sequence / 7),
            NOW,
            vec![idempotent(7, 0, sequence * 3, 3)],
        );
    }
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let epochs = |log: &Log| {
        [0, 1, 2].map(|epoch| {
            log.end_offset_for_epoch(LeaderEpoch(epoch))
                .map(|(epoch, end)| (epoch.value(), end.value()))
        })
    };
    let expected = [Some((0, 21)), Some((1, 42)), Some((2, 60))];
    for name in ["leader-epoch-checkpoint", "00000000000000000060.snapshot"] {
        let path = std::path::Path::new(FOLDER).join(name);
        for position in 0..disk.metadata(&path).expect("there").length {
            for mask in [1, 4, 0x10] {
                let flipped = disk.crash(Survivors::Everything);
                flip(&flipped, &path, position, mask);
                let (_directory, log) = reopen(&flipped, &config);
                assert_eq!(epochs(&log), expected, "{name} at {position} with {mask}");
                let repeated = append(&log, idempotent(7, 0, 57, 3)).expect("recognised");
                assert!(repeated.duplicate, "{name} at {position} with {mask}");
            }
        }
    }
}

#[test]
fn a_missing_segment_is_an_error_that_names_it() {
    let config = small_segments();
    let Fixture { log, disk, directory } = fixture(&config);
    for tag in 0..20 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
    }
    log.sync(NOW).expect("synced");
    directory.checkpoint(None).expect("written");
    let killed = disk.crash(Survivors::Everything);
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let segments: Vec<String> = names(&disk, FOLDER)
        .into_iter()
        .filter(|name| name.ends_with(".log"))
        .collect();
    assert_eq!(segments.len(), 5);
    for (disk, how) in [(&disk, "clean"), (&killed, "killed")] {
        for (index, name) in segments.iter().enumerate() {
            let disk = disk.crash(Survivors::Everything);
            disk.remove_file(&std::path::Path::new(FOLDER).join(name))
                .expect("removed");
            let opened = open(Arc::new(disk.clone()), &config);
            if index == 0 {
                // As after retention: nothing says that there was more.
                let log = opened
                    .expect("open")
                    .log(&partition())
                    .expect("open")
                    .expect("there");
                assert_eq!(log.log_start_offset(), Offset(4), "{how}");
                continue;
            }
            let error = opened.expect_err("a hole");
            let first = i64::try_from(index).expect("small") * 4;
            let expected = (Offset(first), Offset(first + 3));
            let Error::Hole {
                first_missing,
                last_missing,
                ..
            } = &error
            else {
                panic!("{how} {name}: {error}")
            };
            assert_eq!((*first_missing, *last_missing), expected, "{how} {name}");
            let there = names(&disk, FOLDER)
                .iter()
                .filter(|name| name.ends_with(".log"))
                .count();
            assert_eq!(there, 4, "nothing was deleted");
        }
    }
}

#[test]
fn what_an_interrupted_compaction_left_is_finished_or_undone() {
    let config = LogConfig {
        compact: true,
        ..small_segments()
    };
    let Fixture { log, disk, directory } = fixture(&config);
    for tag in 0..16 {
        append(&log, append_of(tag, 1, 150)).expect("appended");
    }
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let path = |name: &str| std::path::Path::new(FOLDER).join(name);
    let copy = |disk: &MemoryDisk, from: &str, to: &str| {
        let bytes = disk.read(&path(from), 10_000).expect("read");
        disk.open(&path(to), OpenOptions::create_new())
            .expect("new")
            .write_all_at(&bytes, 0)
            .expect("written");
    };
    // A finished compaction of offsets 0 to 7 into one segment that keeps 4 to 7: it takes the place of both.
    let swapped = disk.crash(Survivors::Everything);
    copy(
        &swapped,
        "00000000000000000004.log",
        "00000000000000000000.log.swap",
    );
    let (_directory, log) = reopen(&swapped, &config);
    let expected: Vec<(i64, u8)> = (4..16).map(|tag| (i64::from(tag), tag)).collect();
    assert_eq!(read_all(&log), expected);
    assert_eq!(log.log_start_offset(), Offset(0));
    assert!(!names(&swapped, FOLDER).iter().any(|name| name.ends_with(".swap")));
    // An unfinished one: everything stays as it was.
    let unfinished = disk.crash(Survivors::Everything);
    copy(
        &unfinished,
        "00000000000000000004.log",
        "00000000000000000000.log.cleaned",
    );
    copy(
        &unfinished,
        "00000000000000000004.log",
        "00000000000000000004.log.swap",
    );
    copy(
        &unfinished,
        "00000000000000000004.log",
        "00000000000000000004.log.deleted",
    );
    copy(
        &unfinished,
        "00000000000000000004.index",
        "00000000000000000099.index",
    );
    copy(&unfinished, "00000000000000000004.log", "quorum-state");
    let (_directory, log) = reopen(&unfinished, &config);
    let expected: Vec<(i64, u8)> = (0..16).map(|tag| (i64::from(tag), tag)).collect();
    assert_eq!(read_all(&log), expected);
    let left = names(&unfinished, FOLDER);
    let stray = |name: &&String| name.contains(".log.") || name.starts_with("00000000000000000099");
    assert_eq!(left.iter().find(stray), None);
    assert!(
        left.contains(&"quorum-state".to_owned()),
        "what is not ours stays"
    );
}

#[test]
fn a_directory_is_locked_and_belongs_to_one_broker() {
    let disk = MemoryDisk::new();
    let options = || directory_options(Arc::new(disk.clone()));
    let held = LogDirectory::open(options()).expect("open");
    let error = LogDirectory::open(options()).expect_err("locked");
    assert!(error.to_string().contains("locked"), "{error}");
    assert_eq!(held.meta_properties().cluster_id, "cluster");
    drop(held);
    let other = crate::DirectoryOptions {
        cluster_id: Some("another".to_owned()),
        ..options()
    };
    let error = LogDirectory::open(other).expect_err("foreign");
    assert!(
        matches!(&error, Error::ForeignDirectory { what: "cluster", .. }),
        "{error}"
    );
    let other = crate::DirectoryOptions {
        node_id: 2,
        ..options()
    };
    let error = LogDirectory::open(other).expect_err("foreign");
    assert!(
        matches!(&error, Error::ForeignDirectory { what: "node", .. }),
        "{error}"
    );
    let same = crate::DirectoryOptions {
        cluster_id: Some("cluster".to_owned()),
        ..options()
    };
    let directory = LogDirectory::open(same).expect("the same cluster");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(LogConfig::default()))
        .expect("new");
    append(&log, append_of(1, 1, 1)).expect("appended");
    let other_topic = directory.log_or_create(&partition(), Uuid([8; 16]), &Arc::new(LogConfig::default()));
    assert!(
        matches!(other_topic, Err(Error::InconsistentTopicId { .. })),
        "{other_topic:?}"
    );
    drop((directory, log));
    disk.remove_file(std::path::Path::new("/data/meta.properties"))
        .expect("removed");
    let error = LogDirectory::open(options()).expect_err("whose is it?");
    assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
}

#[test]
fn a_deleted_topic_can_be_made_anew_at_once() {
    let config = Arc::new(LogConfig::default());
    let Fixture { log, disk, directory } = fixture(&config);
    append(&log, append_of(1, 3, 1)).expect("appended");
    log.sync(NOW).expect("synced");
    directory
        .checkpoint(Some([(partition(), Offset(3))].into()))
        .expect("written");
    directory
        .delete(
            &[partition(), TopicPartition::new("other", 1).expect("valid")],
            5,
            NOW,
        )
        .expect("deleted");
    assert!(matches!(
        append(&log, append_of(1, 1, 1)),
        Err(Error::Closed { .. })
    ));
    assert!(directory.log(&partition()).expect("none").is_none() && directory.high_watermarks().is_empty());
    let anew = directory
        .log_or_create(&partition(), Uuid([8; 16]), &config)
        .expect("new");
    append(&anew, append_of(2, 1, 1)).expect("appended");
    anew.sync(NOW).expect("synced");
    let folders = || {
        names(&disk, "/data")
            .into_iter()
            .filter(|name| name.starts_with("topic"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        folders(),
        ["topic-0", "topic-0.00000000000000000000000000000005-delete"]
    );
    for survivors in [Survivors::OnlySynced, Survivors::Everything] {
        let crashed = disk.crash(survivors);
        let (_directory, log) = reopen(&crashed, &config);
        assert_eq!((read_all(&log), log.topic_id()), (vec![(0, 2)], Uuid([8; 16])));
        assert!(
            !names(&crashed, "/data")
                .iter()
                .any(|name| name.ends_with("-delete")),
            "removed at the start"
        );
    }
    directory.purge(NOW + config.file_delete_delay_ms - 1);
    assert_eq!(folders().len(), 2);
    directory.purge(NOW + config.file_delete_delay_ms);
    assert_eq!(folders(), ["topic-0"]);
    let long = TopicPartition::new(&"x".repeat(249), 12345).expect("valid");
    let log = directory
        .log_or_create(&long, Uuid([1; 16]), &config)
        .expect("new");
    append(&log, append_of(2, 1, 1)).expect("appended");
    directory
        .delete(&[long], u128::MAX, NOW)
        .expect("the new name is short enough");
}

use crate::TopicPartition;
