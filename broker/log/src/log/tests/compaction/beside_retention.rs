//! Retention, DeleteRecords and the deletion of a topic do not wait for the cleaner, and it does not take them for a broken disk.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Lets something happen when the cleaner has read or written for the n-th time.
struct Meanwhile<'a> {
    left: Cell<usize>,
    happens: &'a dyn Fn(),
}

impl Pace for Meanwhile<'_> {
    fn spend(&self, _bytes: usize, _goes_on: &dyn Fn() -> bool) -> bool {
        if self.left.get() == 0 {
            (self.happens)();
        }
        self.left.set(self.left.get().wrapping_sub(1));
        true
    }
}

fn compacted_and_deleted() -> LogConfig {
    LogConfig {
        delete: true,
        ..compacted()
    }
}

/// Three closed segments, of which the last says all again, and an active one. The second ends a transaction that is aborted.
fn outdated(log: &Log) {
    for round in 0..3 {
        for key in ["a", "b"] {
            set(log, key, &round.to_string());
        }
        if round < 2 {
            let records = [("c", Some("aborted"))];
            put(log, keyed(&records, producer(7, round), true, NOW), NOW);
            put(log, marker(producer(7, round), false, NOW), NOW);
        }
        roll(log, NOW);
    }
    set(log, "d", "1");
}

#[test]
fn segments_that_are_deleted_meanwhile_interrupt_it() {
    let mut interrupted = 0;
    for step in 0..12 {
        let Fixture { log, directory, .. } = fixture(&compacted_and_deleted());
        outdated(&log);
        let second = log.segments()[2].base_offset();
        let delete = || {
            // Files that nobody uses are closed first.
            log.release_idle(Timestamp(i64::MAX));
            log.release_idle(Timestamp(i64::MAX));
            log.delete_records_before(second, log.log_end_offset())
                .expect("deleted");
            log.delete_old_segments(log.log_end_offset(), NOW)
                .expect("deleted");
        };
        let pace = Meanwhile {
            left: Cell::new(step),
            happens: &delete,
        };
        let (_, cleaned) = directory
            .clean_dirtiest(&CleanerOptions::default(), NOW, &pace)
            .cleaned
            .expect("due");
        interrupted += usize::from(matches!(cleaned, Err(CleanerError::Interrupted)));
        let passed = matches!(cleaned, Ok(_) | Err(CleanerError::Interrupted));
        assert!(passed, "step {step}: {cleaned:?}");
        assert_eq!(log.uncleanable_reason(), None, "step {step}");
        // The directory is as good as before, and the next time all is done.
        set(&log, "d", "2");
        roll(&log, NOW);
        clean_all(&directory, NOW);
        let values = values(&log);
        assert!(values.iter().all(|(_, text)| text != "c=aborted"));
        let newest: Vec<_> = values.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(newest, ["a=2", "b=2", "d=2"], "step {step}");
    }
    assert!(interrupted > 2, "{interrupted}");
}

#[test]
fn a_log_that_was_deleted_since_it_was_chosen_is_left_alone() {
    let Fixture { log, .. } = fixture(&compacted());
    outdated(&log);
    let plan = log.plan_cleaning(None, NOW).expect("planned");
    log.abandon();
    let touched = || panic!("its folder may be another log's");
    let pace = Meanwhile {
        left: Cell::new(0),
        happens: &touched,
    };
    let cleaned = log.clean(&CleanerOptions::default(), &plan, NOW, &pace);
    assert!(matches!(cleaned, Err(CleanerError::Interrupted)), "{cleaned:?}");
}

/// A throttle that would last for ever, were it not asked to stop.
struct Throttled(mpsc::Sender<()>);

impl Pace for Throttled {
    fn spend(&self, _bytes: usize, goes_on: &dyn Fn() -> bool) -> bool {
        self.0.send(()).expect("the test waits");
        let patience = Instant::now() + Duration::from_secs(20);
        while goes_on() {
            assert!(Instant::now() < patience, "nobody has told it to stop");
            thread::yield_now();
        }
        false
    }
}

#[test]
fn a_deletion_does_not_wait_for_the_throttle() {
    let Fixture { log, directory, disk } = fixture(&compacted());
    outdated(&log);
    let (spends, spent) = mpsc::channel();
    let cleaned = thread::scope(|scope| {
        let cleaner = scope.spawn(|| {
            let throttled = Throttled(spends);
            directory.clean_dirtiest(&CleanerOptions::default(), NOW, &throttled)
        });
        spent.recv().expect("it reads");
        directory.delete(&[partition()], 1, NOW).expect("deleted");
        cleaner.join().expect("it stops")
    });
    let (_, cleaned) = cleaned.cleaned.expect("due");
    assert!(matches!(cleaned, Err(CleanerError::Interrupted)), "{cleaned:?}");
    assert!(directory.check().is_ok() && disk.read_dir(log.folder()).is_err());
}

struct Fails;

impl Pace for Fails {
    fn spend(&self, _bytes: usize, _goes_on: &dyn Fn() -> bool) -> bool {
        panic!("a mistake of the cleaner's")
    }
}

#[test]
fn a_cleaner_that_panics_does_so_once() {
    let Fixture { log, directory, .. } = fixture(&compacted());
    outdated(&log);
    let options = CleanerOptions::default();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        directory.clean_dirtiest(&options, NOW, &Fails)
    }));
    assert!(failed.is_err() && !log.is_being_cleaned());
    // It is found out when it is its turn again, and then passed over.
    assert!(clean(&directory, NOW).cleaned.is_some());
    let round = clean(&directory, NOW);
    assert!(round.cleaned.is_none() && round.uncleanable == 1, "{round:?}");
    set(&log, "a", "the log works");
    directory.delete(&[partition()], 1, NOW).expect("deleted");
}

/// Records of a transaction are deleted, and with a snapshot that a loss of power takes all that was known of it. They lie in their
/// segment still; the marker that aborts them does not say that the transaction index is wrong.
#[test]
fn the_end_of_a_transaction_that_is_deleted_contradicts_nothing() {
    let config = compacted_and_deleted();
    let Fixture { log, directory, disk } = fixture(&config);
    put(&log, keyed(&[("a", Some("1"))], producer(1, 0), true, NOW), NOW);
    set(&log, "b", "1");
    log.delete_records_before(Offset(1), Offset(2)).expect("deleted");
    directory.checkpoint_log_starts().expect("written");
    directory.shutdown(1, -1, NOW).expect("closed");
    let directory = open(Arc::new(disk.crash(Survivors::OnlySynced)), &config).expect("open");
    let log = directory.log(&partition()).expect("open").expect("there");
    put(&log, marker(producer(1, 0), false, NOW), NOW);
    set(&log, "b", "2");
    roll(&log, NOW);
    let (_, cleaned) = clean(&directory, NOW).cleaned.expect("due");
    cleaned.expect("cleaned");
    assert_eq!(values(&log).last(), Some(&(3, "b=2".to_owned())));
}
