//! Damage, interruptions and crashes while a log is compacted: nothing that should be there goes, nothing comes back.

use forebay_disk::Space;

use super::*;

/// Damaged is what is not what it was: nothing is dropped for it.
#[test]
fn a_damaged_log_is_left_as_it_is() {
    for dirty in [false, true] {
        let Fixture { log, directory, disk } = fixture(&compacted());
        set(&log, "a", "1");
        set(&log, "a", "2");
        roll(&log, NOW);
        if !dirty {
            clean_all(&directory, NOW);
        }
        set(&log, "b", "1");
        set(&log, "b", "2");
        roll(&log, NOW);
        let segments: Vec<_> = disk.read_dir(log.folder()).expect("list");
        let first = segments
            .iter()
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .find(|name| name.ends_with(".log"))
            .expect("a segment");
        let path = log.folder().join(first);
        let file = disk
            .open(&path, forebay_disk::OpenOptions::write())
            .expect("open");
        let mut byte = [0];
        file.read_at(&mut byte, 65).expect("read");
        file.write_all_at(&[byte[0] ^ 4], 65).expect("written");
        let size = log.size_in_bytes();
        let round = clean(&directory, NOW);
        let (_, cleaned) = round.cleaned.expect("tried");
        assert!(
            matches!(cleaned, Err(CleanerError::Log(Error::Corrupt { .. }))),
            "{cleaned:?}"
        );
        assert!(log.uncleanable_reason().expect("remembered").contains("crc"));
        assert_eq!((log.size_in_bytes(), round.uncleanable), (size, 1));
        let round = clean(&directory, NOW);
        assert!(
            round.cleaned.is_none() && round.uncleanable == 1,
            "not tried again"
        );
    }
}

#[test]
fn readers_of_old_segments_go_on() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    for _ in 0..20 {
        set(&log, "a", "0123456789012345678901234567890123456789");
    }
    roll(&log, NOW);
    log.release_idle(Timestamp(i64::MAX));
    let held = log.read(&read(0)).expect("read");
    assert!(matches!(held.chunks[..], [Chunk::File(_)]));
    let before = records_of(bytes_of(&held)).len();
    clean_all(&directory, NOW);
    directory.purge(NOW);
    assert_eq!(
        records_of(bytes_of(&held)).len(),
        before,
        "what was given out stays readable"
    );
    // A fetch into the gap makes progress from each offset on.
    for offset in 0..20 {
        let mut result = log.read(&read(offset)).expect("readable");
        while records_of(bytes_of(&result)).is_empty() {
            assert!(result.size_in_bytes > 0 && result.next_offset > Offset(offset));
            result = log.read(&read(result.next_offset.value())).expect("readable");
        }
        assert_eq!(
            (records_of(bytes_of(&result)).len(), result.next_offset),
            (1, Offset(20))
        );
    }
}

/// Stops after so many bytes.
struct StopsAfter(std::cell::Cell<usize>);

impl Pace for StopsAfter {
    fn spend(&self, bytes: usize, _goes_on: &dyn Fn() -> bool) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

#[test]
fn a_cleaner_that_is_stopped_leaves_nothing_behind() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    for number in 0..40 {
        set(
            &log,
            &format!("k{}", number % 10),
            "0123456789012345678901234567890123456789",
        );
    }
    roll(&log, NOW);
    let expected: BTreeMap<String, i64> = contents(&log)
        .into_iter()
        .map(|(offset, key, _)| (key, offset))
        .collect();
    let mut bytes = 0;
    loop {
        let pace = StopsAfter(std::cell::Cell::new(bytes));
        let round = directory.clean_dirtiest(&CleanerOptions::default(), NOW, &pace);
        let newest: BTreeMap<String, i64> = contents(&log)
            .into_iter()
            .map(|(offset, key, _)| (key, offset))
            .collect();
        assert_eq!(newest, expected, "stopped after {bytes} bytes");
        let names = disk.read_dir(log.folder()).expect("list");
        assert!(
            !names
                .iter()
                .any(|entry| entry.name.to_string_lossy().ends_with(".cleaned"))
        );
        match round.cleaned.expect("due").1 {
            Err(CleanerError::Interrupted) => bytes += 300,
            cleaned => {
                cleaned.expect("cleaned");
                break;
            }
        }
    }
    assert!(bytes > 3000 && contents(&log).len() == 10);
}

#[test]
fn a_log_that_goes_or_is_cut_meanwhile_stops_its_cleaner() {
    for delete in [false, true] {
        let (disk, Fixture { directory, log, .. }) = faulty_fixture(&compacted());
        let directory = Arc::new(directory);
        for value in ["1", "2", "3"] {
            set(&log, "a", value);
        }
        roll(&log, NOW);
        let (in_hook, of_log) = (Arc::clone(&directory), Arc::clone(&log));
        // The cleaned segment is complete and about to be synced.
        disk.call_at(Operation::Sync, 3, move || {
            if delete {
                of_log.abandon();
            } else {
                in_hook.truncate_to(&partition(), Offset(1), NOW).expect("cut");
            }
            None
        });
        let (_, cleaned) = clean(&directory, NOW).cleaned.expect("due");
        assert!(matches!(cleaned, Err(CleanerError::Interrupted)), "{cleaned:?}");
        assert!(directory.check().is_ok());
        if !delete {
            assert_eq!(values(&log), told(&[(0, "a=1")]));
        }
    }
}

const SURVIVORS: [Survivors; 5] = [
    Survivors::Everything,
    Survivors::OnlySynced,
    Survivors::Random(1),
    Survivors::Random(2),
    Survivors::Random(3),
];

/// An aborted transaction, 30 records of seven keys, and a tombstone for one of them.
fn filled(disk: &FaultyDisk) -> (LogDirectory, Arc<Log>) {
    let directory = open(Arc::new(disk.clone()), &compacted()).expect("open");
    let log = directory
        .log_or_create(&partition(), topic_id(), &Arc::new(compacted()))
        .expect("new");
    let aborted = keyed(&[("a", Some("aborted"))], producer(1, 0), true, NOW);
    put(&log, aborted, NOW);
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    for number in 0..30 {
        set(
            &log,
            &format!("k{}", number % 7),
            "0123456789012345678901234567890123456789",
        );
    }
    delete(&log, "k1");
    roll(&log, NOW);
    (directory, log)
}

/// The newest record of each key that was not aborted.
fn newest(log: &Log) -> BTreeMap<String, (i64, Option<String>)> {
    let records = contents(log).into_iter().filter(|(_, key, _)| key != "a");
    records
        .map(|(offset, key, value)| (key, (offset, value)))
        .collect()
}

/// Opens what a crash has left, which must have the newest records, and cleans it to the end.
fn check_left(left: &MemoryDisk, expected: &BTreeMap<String, (i64, Option<String>)>, what: &str) {
    let directory =
        open(Arc::new(left.clone()), &compacted()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let log = directory.log(&partition()).expect("open").expect("there");
    let span = (log.log_start_offset(), log.log_end_offset());
    assert_eq!(span, (Offset(0), Offset(33)), "{what}");
    assert_eq!(newest(&log), *expected, "{what}");
    let aborted = contents(&log).iter().any(|(_, key, _)| key == "a");
    let known = log.aborted_transactions(Offset(0), Offset(33)).expect("readable");
    assert!(!aborted || !known.is_empty(), "{what}: what is aborted stays so");
    settle(&log, NOW);
    clean_all(&directory, NOW);
    assert_eq!(
        (newest(&log), contents(&log).len()),
        (expected.clone(), 7),
        "{what}"
    );
}

const OPERATIONS: [Operation; 7] = [
    Operation::Write,
    Operation::Sync,
    Operation::SyncDirectory,
    Operation::Rename,
    Operation::Open,
    Operation::Remove,
    Operation::SetLength,
];

const EFFECTS: [Effect; 3] = [Effect::Freeze, Effect::Fail, Effect::NoSpace];

/// A disk that fails when it is told to, on one with plenty of room, or so little that what is replaced goes at once.
fn disks(is_short: bool) -> (MemoryDisk, FaultyDisk) {
    let memory = MemoryDisk::new();
    let small = FaultyDisk::new(Arc::new(memory.clone()));
    if is_short {
        small.set_space(Space {
            total: 1 << 40,
            usable: 100_000,
        });
    }
    (memory, FaultyDisk::new(Arc::new(small)))
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_segments_or_the_new_one() {
    let mut tried = 0;
    for is_short in [false, true] {
        let (_, counter) = disks(is_short);
        let (directory, log) = filled(&counter);
        let expected = newest(&log);
        counter.clear();
        clean_all(&directory, NOW);
        assert_eq!((newest(&log), contents(&log).len()), (expected.clone(), 7));
        let counted = OPERATIONS.map(|operation| (operation, counter.count(operation)));
        let removed = counter.count(Operation::Remove);
        assert!(!is_short || removed > 0, "what is replaced goes at once");
        for (operation, count) in counted {
            for (nth, effect) in (1..=count).flat_map(|nth| EFFECTS.map(|effect| (nth, effect))) {
                let what = format!("{operation:?} {nth} {effect:?}, {is_short}");
                let (memory, disk) = disks(is_short);
                let (directory, log) = filled(&disk);
                let fault = Fault {
                    operation,
                    nth,
                    effect,
                };
                disk.set(fault);
                let _failed = clean(&directory, NOW);
                let left = SURVIVORS.map(|survivors| (survivors, memory.crash(survivors)));
                disk.clear();
                if directory.check().is_ok() {
                    assert_eq!(newest(&log), expected, "{what}: readers go on");
                }
                for (survivors, left) in left {
                    check_left(&left, &expected, &format!("{what} {survivors:?}"));
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1000, "{tried} crashes were tried");
}

/// At the start the policies of topics are not known yet; and where nothing was kept Kafka leaves an empty segment. What lies
/// behind it is not taken for what a loss of power has left.
#[test]
fn an_empty_segment_of_a_compacted_log_costs_nothing_behind_it() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    for number in 0..40 {
        let key = format!("k{}", number % 30);
        set(&log, &key, "0123456789012345678901234567890123456789");
    }
    roll(&log, NOW);
    clean_all(&directory, NOW);
    set(&log, "k0", "the end");
    let before = contents(&log);
    let killed = disk.crash(Survivors::Everything);
    // The first segment has nothing but the empty batch that ours keep.
    for kind in ["log", "index", "timeindex"] {
        let path = log.folder().join(format!("00000000000000000000.{kind}"));
        let file = killed
            .open(&path, forebay_disk::OpenOptions::write())
            .expect("there");
        file.set_len(0).expect("cut");
    }
    let unknown = LogConfig {
        compact: false,
        delete: true,
        ..compacted()
    };
    for clean in [false, true] {
        let left = killed.crash(Survivors::Everything);
        let directory = open(Arc::new(left.clone()), &unknown).expect("open");
        if clean {
            directory.shutdown(1, -1, NOW).expect("closed");
        }
        drop(directory);
        let directory = open(Arc::new(left), &unknown).expect("open again");
        let log = directory.log(&partition()).expect("open").expect("there");
        assert_eq!(
            (contents(&log), log.log_start_offset()),
            (before.clone(), Offset(0))
        );
    }
}
