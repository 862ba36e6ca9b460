//! B22: random lives of a compacted log against everything that was ever written to it. Keys, tombstones, transactions,
//! idempotent producers; cleanings at random moments, some of which end in a kill or a loss of power at a random operation
//! of the disk, some of which have appends in the middle. What a consumer of committed records ends up with is always what
//! a plain map would have; and each known mistake of a cleaner is noticed.

mod command;

use forebay_disk::{DiskExt, FaultyDisk, Operation};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::cleaner::Broken;
use command::{Command, commands};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    Open(usize),
    Aborted,
}

/// A record as it was written.
#[derive(Debug, Clone)]
struct Written {
    key: String,
    value: Option<String>,
    fate: Fate,
    /// When a cleaning that could have seen it, its fate decided, first began.
    cleaned_at: Option<Timestamp>,
}

/// A transaction that has ended.
#[derive(Debug, Clone)]
struct Ended {
    offsets: Vec<i64>,
    marker: i64,
}

/// One that writes with sequences: its id, next sequence, last batch with its offset, and the records of its transaction.
#[derive(Debug, Clone, Default)]
struct Writer {
    id: i64,
    sequence: i32,
    last: Option<(Append, i64)>,
    open: Vec<i64>,
}

#[derive(Debug, Default)]
struct Model {
    /// Records before it were deleted.
    start: i64,
    records: BTreeMap<i64, Written>,
    ended: Vec<Ended>,
    writers: [Writer; 3],
    values: u32,
}

struct World {
    memory: MemoryDisk,
    disk: FaultyDisk,
    directory: Arc<LogDirectory>,
    log: Arc<Log>,
    now: Timestamp,
    model: Model,
}

const IDEMPOTENT: usize = 2;

impl World {
    fn new() -> World {
        let mut world = World::on(MemoryDisk::new(), Model::default(), NOW);
        for (index, writer) in world.model.writers.iter_mut().enumerate() {
            writer.id = 10 + index as i64;
        }
        world
    }

    fn on(memory: MemoryDisk, model: Model, now: Timestamp) -> World {
        let disk = FaultyDisk::new(Arc::new(memory.clone()));
        let directory = open(Arc::new(disk.clone()), &compacted()).expect("open");
        let log = directory.log_or_create(&partition(), topic_id(), &Arc::new(compacted()));
        let log = log.expect("usable");
        let directory = Arc::new(directory);
        log.update_high_watermark(log.log_end_offset());
        World {
            memory,
            disk,
            directory,
            log,
            now,
            model,
        }
    }

    fn run(&mut self, command: &Command) {
        match command {
            Command::Put(records) => self.write(records, None),
            Command::Idempotent { records, again } => {
                if !*again || self.model.writers[IDEMPOTENT].last.is_none() {
                    self.write(records, Some(IDEMPOTENT));
                }
                self.repeat(IDEMPOTENT);
            }
            Command::InTransaction { producer, records } => {
                self.write(records, Some(*producer));
                self.repeat(*producer);
            }
            Command::End { producer, commit } => self.end(*producer, *commit),
            // Before the first append there is nothing to close.
            Command::Roll if self.log.segment_count() == 0 => {}
            Command::Roll => roll(&self.log, self.now),
            Command::Clean { after_ms, keys } => {
                self.now = self.now + *after_ms;
                self.clean(*keys).expect("cleaned");
            }
            Command::CleanAndPut { operation, nth, key } => self.clean_and_put(*operation, *nth, *key),
            Command::CleanAndDelete {
                operation,
                nth,
                percent,
            } => self.clean_and_delete(*operation, *nth, *percent),
            Command::CleanAndCrash { fault, survivors } => {
                self.disk.set(*fault);
                let _failed = self.clean(1000);
                self.reopen(*survivors, true);
            }
            Command::Crash { survivors, snapshots } => self.reopen(*survivors, *snapshots),
            Command::CleanEnd => {
                self.directory.shutdown(1, -1, self.now).expect("closed");
                self.reopen(Survivors::OnlySynced, true);
            }
        }
        self.check();
    }

    /// Keys with values that are never the same.
    fn fresh(&mut self, records: &[(u8, bool)]) -> Vec<(String, Option<String>)> {
        let fresh = records.iter().map(|(key, has_value)| {
            self.model.values += 1;
            let value = format!("value number {} of a length that counts", self.model.values);
            (format!("k{key}"), has_value.then_some(value))
        });
        fresh.collect()
    }

    /// A batch of an ordinary producer, of the idempotent one, or in the transaction of one of the others.
    fn write(&mut self, records: &[(u8, bool)], writer: Option<usize>) {
        let records = self.fresh(records);
        let borrowed: Vec<(&str, Option<&str>)> = records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()))
            .collect();
        let transactional = writer.is_some_and(|writer| writer != IDEMPOTENT);
        let identity = writer.map_or(ProducerIdentity::NONE, |writer| {
            let Writer { id, sequence, .. } = self.model.writers[writer];
            producer(id, sequence)
        });
        let append = keyed(&borrowed, identity, transactional, self.now);
        let first = put(&self.log, append.clone(), self.now);
        let fate = writer
            .filter(|_| transactional)
            .map_or(Fate::Committed, Fate::Open);
        let count = i32::try_from(records.len()).expect("few");
        for (offset, (key, value)) in (first..).zip(records) {
            let written = Written {
                key,
                value,
                fate,
                cleaned_at: None,
            };
            self.model.records.insert(offset, written);
            if let Fate::Open(writer) = fate {
                self.model.writers[writer].open.push(offset);
            }
        }
        if let Some(writer) = writer {
            let writer = &mut self.model.writers[writer];
            writer.sequence += count;
            writer.last = Some((append, first));
        }
    }

    /// A producer sends its last batch again: that is noticed, as long as the log knows the producer.
    fn repeat(&self, writer: usize) {
        if let Some((append_again, offset)) = &self.model.writers[writer].last {
            let appended = append(&self.log, append_again.clone()).expect("known");
            let told = (appended.duplicate, appended.base_offset);
            assert_eq!(told, (true, Offset(*offset)), "the sequence is known");
        }
    }

    fn end(&mut self, writer: usize, commit: bool) {
        let open = std::mem::take(&mut self.model.writers[writer].open);
        if open.is_empty() {
            return;
        }
        let identity = producer(self.model.writers[writer].id, 0);
        let marker = put(&self.log, marker(identity, commit, self.now), self.now);
        for offset in &open {
            let written = self.model.records.get_mut(offset).expect("written");
            written.fate = if commit { Fate::Committed } else { Fate::Aborted };
        }
        self.model.ended.push(Ended {
            offsets: open,
            marker,
        });
    }

    fn clean(&mut self, keys: u64) -> Result<(), CleanerError> {
        for written in self.model.records.values_mut() {
            if written.fate == Fate::Committed {
                written.cleaned_at.get_or_insert(self.now);
            }
        }
        let options = CleanerOptions {
            dedupe_buffer_bytes: keys * 24,
            load_factor: 0.9,
            io_buffer_bytes: 300,
        };
        let round = self.directory.clean_dirtiest(&options, self.now, &Unlimited);
        round.cleaned.map_or(Ok(()), |(_, cleaned)| cleaned.map(drop))
    }

    fn clean_and_put(&mut self, operation: Operation, nth: u64, key: u8) {
        let records = self.fresh(&[(key, true)]);
        let (key, value) = records[0].clone();
        let batch = keyed(
            &[(key.as_str(), value.as_deref())],
            ProducerIdentity::NONE,
            false,
            self.now,
        );
        let (log, now) = (Arc::clone(&self.log), self.now);
        let (sender, appended) = std::sync::mpsc::channel();
        self.disk.call_at(operation, nth, move || {
            let answer = log.append(EPOCH, now, vec![batch]).pop().expect("an answer");
            sender
                .send(answer.expect("appended").base_offset.value())
                .expect("heard");
            None
        });
        self.clean(1000).expect("cleaned");
        self.disk.clear();
        if let Ok(offset) = appended.try_recv() {
            let written = Written {
                key,
                value,
                fate: Fate::Committed,
                cleaned_at: None,
            };
            self.model.records.insert(offset, written);
            settle(&self.log, self.now);
        }
    }

    /// As DeleteRecords does, up to what is replicated.
    fn clean_and_delete(&mut self, operation: Operation, nth: u64, percent: usize) {
        let (log, directory, now) = (Arc::clone(&self.log), Arc::clone(&self.directory), self.now);
        let end = log.log_end_offset();
        let before = self.model.start + (end.value() - self.model.start) * percent as i64 / 100;
        let (sender, deleted) = std::sync::mpsc::channel();
        self.disk.call_at(operation, nth, move || {
            log.delete_records_before(Offset(before), end).expect("deleted");
            sender.send(()).expect("heard");
            None
        });
        match self.clean(1000) {
            Ok(()) | Err(CleanerError::Interrupted) => {}
            Err(error) => panic!("{error}"),
        }
        self.disk.clear();
        if deleted.try_recv().is_ok() {
            directory.checkpoint_log_starts().expect("written");
            let deleted = self.log.delete_segments_before_start(end, now);
            deleted.expect("deleted");
            self.model.start = before;
        }
    }

    fn reopen(&mut self, survivors: Survivors, snapshots: bool) {
        let left = self.memory.crash(survivors);
        let folder = self.log.folder().to_path_buf();
        if !snapshots && left.exists(&folder).expect("a look") {
            for entry in left.read_dir(&folder).expect("list") {
                if entry.name.to_string_lossy().ends_with(".snapshot") {
                    left.remove_file(&folder.join(&entry.name)).expect("removed");
                }
            }
        }
        let end = self.log.log_end_offset();
        let model = std::mem::take(&mut self.model);
        *self = World::on(left, model, self.now);
        assert_eq!(self.log.log_end_offset(), end, "everything was synced");
        for writer in 0..self.model.writers.len() {
            let last = self.model.writers[writer].last.take();
            self.model.writers[writer].last = last.filter(|(_, first)| *first >= self.model.start);
            if self.model.writers[writer].last.is_none() {
                // Of whom all records are deleted, not more than a marker need be known any more: he goes on as another.
                self.end(writer, false);
                let id = self.model.writers[writer].id + 10;
                self.model.writers[writer] = Writer {
                    id,
                    ..Writer::default()
                };
            }
        }
    }

    fn check(&self) {
        let found: BTreeMap<i64, (String, Option<String>)> = contents(&self.log)
            .into_iter()
            .filter(|(offset, ..)| *offset >= self.model.start)
            .map(|(offset, key, value)| (offset, (key, value)))
            .collect();
        for (offset, (key, value)) in &found {
            let written = self.model.records.get(offset).expect("it was written there");
            assert_eq!((key, value), (&written.key, &written.value), "at {offset}");
        }
        assert_eq!(self.log.log_start_offset(), Offset(self.model.start));
        self.check_map(&found);
        self.check_tombstones(&found);
        self.check_markers(&found);
    }

    /// What a consumer of committed records ends up with is what a plain map has.
    fn check_map(&self, found: &BTreeMap<i64, (String, Option<String>)>) {
        let end = self.log.last_stable_offset();
        let aborted = self.log.aborted_transactions(Offset(0), end).expect("readable");
        let is_aborted = |batch: &RecordBatch| {
            batch.header().is_transactional()
                && aborted.iter().any(|one| {
                    one.producer_id == batch.header().producer_id
                        && (one.first_offset..=one.last_offset).contains(&batch.base_offset())
                })
        };
        let mut seen: BTreeMap<String, Option<String>> = BTreeMap::new();
        for batch in all_batches(&self.log) {
            // A batch is given out as a whole; records that were deleted may have moved the stable offset into one.
            if batch.header().is_control() || batch.header().next_offset() > end || is_aborted(&batch) {
                continue;
            }
            for record in batch.records().expect("records") {
                let offset = record.expect("a record").offset.value();
                if let Some((key, value)) = found.get(&offset).cloned() {
                    seen.insert(key, value);
                }
            }
        }
        let mut expected: BTreeMap<String, Option<String>> = BTreeMap::new();
        let committed = self
            .model
            .records
            .range(self.model.start..end.value().max(self.model.start));
        for (_, written) in committed.filter(|(_, written)| written.fate == Fate::Committed) {
            expected.insert(written.key.clone(), written.value.clone());
        }
        // Whether a tombstone is still there is looked at elsewhere.
        seen.retain(|_, value| value.is_some());
        expected.retain(|_, value| value.is_some());
        assert_eq!(seen, expected);
    }

    /// A tombstone that nothing newer has replaced stays for `delete.retention.ms` after it was cleaned first.
    fn check_tombstones(&self, found: &BTreeMap<i64, (String, Option<String>)>) {
        let mut newest: BTreeMap<&str, (i64, &Written)> = BTreeMap::new();
        for (offset, written) in self.model.records.range(self.model.start..) {
            if written.fate == Fate::Committed {
                newest.insert(&written.key, (*offset, written));
            }
        }
        for (offset, written) in newest.into_values() {
            let may_go = written.value.is_none()
                && written
                    .cleaned_at
                    .is_some_and(|at| self.now - at >= DELETE_RETENTION_MS);
            assert!(
                may_go || found.contains_key(&offset),
                "{written:?} at {offset} is missing at {}",
                self.now
            );
        }
    }

    /// Markers stay as long as what they decide.
    fn check_markers(&self, found: &BTreeMap<i64, (String, Option<String>)>) {
        let markers: Vec<i64> = all_batches(&self.log)
            .iter()
            .filter(|batch| batch.header().is_control() && batch.header().count > 0)
            .map(|batch| batch.base_offset().value())
            .collect();
        for ended in &self.model.ended {
            let has_records = ended.offsets.iter().any(|offset| found.contains_key(offset));
            assert!(!has_records || markers.contains(&ended.marker), "{ended:?}");
        }
    }

    /// Left alone for long enough, each key has one record, and tombstones, aborted records and needless markers have none.
    fn settle_down(&mut self) {
        for writer in 0..IDEMPOTENT {
            self.end(writer, true);
        }
        for round in 0..4 {
            // Something dirty, or nothing would be done.
            self.run(&Command::Put(vec![(100 + round, true)]));
            self.run(&Command::Roll);
            for _ in 0..20 {
                self.run(&Command::Clean {
                    after_ms: 2 * DELETE_RETENTION_MS,
                    keys: 1000,
                });
            }
        }
        let records = contents(&self.log);
        assert!(
            records.iter().all(|(_, _, value)| value.is_some()),
            "tombstones go: {records:?}"
        );
        let keys: BTreeMap<&String, i64> = records.iter().map(|(offset, key, _)| (key, *offset)).collect();
        assert_eq!(keys.len(), records.len(), "each key once");
        for writer in 0..self.model.writers.len() {
            self.repeat(writer);
        }
    }
}

fn live(commands: &[Command]) {
    let mut world = World::new();
    for command in commands {
        world.run(command);
    }
    world.settle_down();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_compacted_log_is_a_map(commands in commands()) {
        live(&commands);
    }
}

/// A test that cannot fail would be none: each mistake is found, always by the same lives.
#[test]
fn each_mistake_is_noticed() {
    let mut unnoticed = Vec::new();
    for broken in [
        Broken::MarkersAtOnce,
        Broken::TombstonesAtOnce,
        Broken::TombstonesForEver,
        Broken::AbortedCounts,
        Broken::OpenTransactionsToo,
        Broken::ProducersForgotten,
        Broken::OldSegmentsFirst,
    ] {
        let config = Config {
            cases: 300,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        Broken::switch(Some(broken));
        let outcome = TestRunner::new_with_rng(config, rng).run(&commands(), |commands| {
            live(&commands);
            Ok(())
        });
        Broken::switch(None);
        if outcome.is_ok() {
            unnoticed.push(broken);
        }
    }
    assert_eq!(unnoticed, []);
}
