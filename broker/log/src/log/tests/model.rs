//! Random commands against a plain vector of records: what was appended is there, in order, from where the log starts,
//! through rolls, deletions, cuts, kills, losses of power and clean ends.

use forebay_disk::Survivors;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Command {
    /// Requests of one call: for each its number of records and their size.
    Append(Vec<(usize, usize)>),
    /// The next batch of a producer, or its last one again.
    Idempotent {
        producer: u8,
        repeat: bool,
    },
    Read {
        from: usize,
        up_to: usize,
        max_bytes: usize,
    },
    Sync,
    FillAhead,
    Checkpoint,
    /// Delete records before a place in the log.
    DeleteRecords(usize),
    Retention,
    TruncateTo(usize),
    ReleaseIdle,
    Kill,
    /// With the seed of what else survives.
    PowerLoss(u64),
    CleanEnd,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let place = 0..100_usize;
    let requests = prop::collection::vec((1..4_usize, 1..150_usize), 1..4);
    let command = prop_oneof![
        10 => requests.prop_map(Command::Append),
        6 => (0..3_u8, any::<bool>()).prop_map(|(producer, repeat)| Command::Idempotent { producer, repeat }),
        8 => (place.clone(), place.clone(), 1..1500_usize)
            .prop_map(|(from, up_to, max_bytes)| Command::Read { from, up_to, max_bytes }),
        3 => Just(Command::Sync),
        3 => Just(Command::FillAhead),
        2 => Just(Command::Checkpoint),
        1 => place.clone().prop_map(Command::DeleteRecords),
        1 => Just(Command::Retention),
        1 => place.prop_map(Command::TruncateTo),
        1 => Just(Command::ReleaseIdle),
        1 => Just(Command::Kill),
        1 => any::<u64>().prop_map(Command::PowerLoss),
        1 => Just(Command::CleanEnd),
    ];
    prop::collection::vec(command, 1..60)
}

/// The reference: the tag of each record by its offset.
#[derive(Debug, Default)]
struct Model {
    start: usize,
    tags: Vec<u8>,
    /// Where batches end.
    boundaries: Vec<usize>,
    synced: usize,
    producers: [Producer; 3],
    next_producer_id: i64,
}

/// An idempotent producer. If its last batch is lost it goes on as another, as real ones do.
#[derive(Debug, Default, Clone, Copy)]
struct Producer {
    id: i64,
    sequence: i32,
    /// Offset of the last batch.
    last: Option<usize>,
}

struct World {
    disk: MemoryDisk,
    directory: LogDirectory,
    log: Arc<Log>,
    model: Model,
    next_tag: u8,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 100,
        retention_bytes: 2000,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn producer_batch(id: i64, sequence: i32, tag: u8) -> Append {
    let value = [tag; 30];
    request(batch_at(
        &[(&value, NOW), (&value, NOW)],
        identity(id, 0, sequence),
    ))
}

impl World {
    fn new() -> World {
        let Fixture { disk, directory, log } = fixture(&config());
        World {
            disk,
            directory,
            log,
            model: Model::default(),
            next_tag: 0,
        }
    }

    fn tag(&mut self) -> u8 {
        self.next_tag = self.next_tag.wrapping_add(1);
        self.next_tag
    }

    fn end(&self) -> usize {
        self.model.tags.len()
    }

    /// An offset between start and end.
    fn place(&self, percent: usize) -> usize {
        self.model.start + (self.end() - self.model.start) * percent / 100
    }

    fn push(&mut self, tag: u8, count: usize) {
        self.model.tags.extend(std::iter::repeat_n(tag, count));
        self.model.boundaries.push(self.model.tags.len());
    }

    fn run(&mut self, command: &Command) {
        match command {
            Command::Append(requests) => self.append(requests),
            Command::Idempotent { producer, repeat } => self.idempotent(*producer, *repeat),
            Command::Read {
                from,
                up_to,
                max_bytes,
            } => self.read(*from, *up_to, *max_bytes),
            Command::Sync => {
                assert_eq!(self.log.sync(NOW).expect("synced"), Offset(self.end() as i64));
                self.model.synced = self.end();
            }
            Command::FillAhead => {
                self.log.fill_ahead(NOW).expect("filled");
            }
            Command::Checkpoint => self.directory.checkpoint(None).expect("written"),
            Command::DeleteRecords(percent) => {
                let offset = self.place(*percent);
                let end = Offset(self.end() as i64);
                let start = self
                    .log
                    .delete_records_before(Offset(offset as i64), end)
                    .expect("deleted");
                assert_eq!(start, Offset(offset as i64));
                // The checkpoint makes it last; without one a crash brings the records back.
                self.directory.checkpoint(None).expect("written");
                self.model.start = offset;
            }
            Command::Retention => {
                self.log
                    .delete_old_segments(Offset(self.end() as i64), NOW)
                    .expect("deleted");
                self.model.start = self.log.log_start_offset().value() as usize;
                assert!(
                    self.log.size_in_bytes() < 2000 + 900,
                    "retention.bytes and at most a segment more"
                );
                self.directory.checkpoint(None).expect("written");
            }
            Command::TruncateTo(percent) => self.truncate(*percent),
            Command::ReleaseIdle => self.log.release_idle(NOW + 1),
            Command::Kill => self.reopen(Survivors::Everything),
            Command::PowerLoss(seed) => self.reopen(Survivors::Random(*seed)),
            Command::CleanEnd => {
                self.directory.shutdown(2, -1, NOW).expect("closed");
                self.model.synced = self.end();
                self.reopen(Survivors::OnlySynced);
            }
        }
        self.check();
    }

    fn append(&mut self, requests: &[(usize, usize)]) {
        let tags: Vec<u8> = requests.iter().map(|_| self.tag()).collect();
        let appends = requests
            .iter()
            .zip(&tags)
            .map(|((count, bytes), tag)| append_of(*tag, *count, *bytes));
        let answers = self.log.append(EPOCH, NOW, appends.collect());
        for ((answer, (count, _)), tag) in answers.into_iter().zip(requests).zip(tags) {
            let appended = answer.expect("appended");
            assert_eq!(appended.base_offset, Offset(self.end() as i64));
            self.push(tag, *count);
        }
    }

    fn idempotent(&mut self, producer: u8, repeat: bool) {
        let tag = self.tag();
        let index = usize::from(producer);
        if self.model.producers[index].last.is_none() {
            self.model.next_producer_id += 1;
            self.model.producers[index] = Producer {
                id: self.model.next_producer_id,
                ..Producer::default()
            };
        }
        let Producer { id, sequence, last } = self.model.producers[index];
        if let Some(last) = last.filter(|_| repeat) {
            let appended = append(&self.log, producer_batch(id, sequence - 2, tag)).expect("recognised");
            assert_eq!(
                (appended.duplicate, appended.base_offset),
                (true, Offset(last as i64))
            );
            return;
        }
        let end = self.end();
        let appended = append(&self.log, producer_batch(id, sequence, tag)).expect("in sequence");
        assert_eq!(
            (appended.duplicate, appended.base_offset),
            (false, Offset(end as i64))
        );
        self.push(tag, 2);
        self.model.producers[index] = Producer {
            id,
            sequence: sequence + 2,
            last: Some(end),
        };
    }

    fn read(&self, from: usize, up_to: usize, max_bytes: usize) {
        let (from, up_to) = (self.place(from), self.place(up_to));
        let (offset, up_to) = (Offset(from as i64), Offset(up_to as i64));
        let read = Read {
            offset,
            up_to,
            max_bytes,
            min_one_batch: true,
        };
        let result = self.log.read(&read).expect("readable");
        let found = records_of(bytes_of(&result));
        let next = result.next_offset.value() as usize;
        assert!(
            result.next_offset <= up_to.max(offset),
            "nothing beyond the bound"
        );
        if found.is_empty() {
            // Nothing but the whole first batch can be given out.
            let first_end = self.model.boundaries.iter().find(|end| **end > from);
            assert!(
                first_end.is_none_or(|end| *end as i64 > up_to.value()),
                "{read:?}"
            );
            return;
        }
        assert!(self.model.boundaries.contains(&next), "whole batches");
        assert!(found[0].0 <= offset.value() && found.last().map(|last| last.0) == Some(next as i64 - 1));
        for (offset, tag) in &found {
            assert_eq!(self.model.tags[*offset as usize], *tag);
        }
        let first_end = self
            .model
            .boundaries
            .iter()
            .find(|end| **end > from)
            .expect("there is one");
        assert!(
            result.size_in_bytes <= max_bytes || next == *first_end,
            "one batch, or within the bound"
        );
    }

    fn truncate(&mut self, percent: usize) {
        let offset = self.place(percent);
        self.directory
            .truncate_to(&partition(), Offset(offset as i64), NOW)
            .expect("cut");
        let end = self.log.log_end_offset().value() as usize;
        let before = self
            .model
            .boundaries
            .iter()
            .rev()
            .find(|end| **end <= offset)
            .copied()
            .unwrap_or(0);
        let before = before.max(self.model.start);
        assert!(end == before || offset >= self.end(), "cut to {end} for {offset}");
        self.cut_model(end);
        self.model.synced = self.model.synced.min(end);
        self.model.start = self.log.log_start_offset().value() as usize;
        assert!(self.model.start <= end);
        self.forget_deleted_producers();
    }

    fn cut_model(&mut self, end: usize) {
        self.model.tags.truncate(end);
        self.model.boundaries.retain(|boundary| *boundary <= end);
        for producer in &mut self.model.producers {
            producer.last = producer.last.filter(|last| last + 2 <= end);
        }
    }

    fn reopen(&mut self, survivors: Survivors) {
        self.disk = self.disk.crash(survivors);
        self.directory = open(Arc::new(self.disk.clone()), &config()).expect("open");
        self.log = self
            .directory
            .log_or_create(&partition(), topic_id(), &Arc::new(config()))
            .expect("open");
        let end = self.log.log_end_offset().value() as usize;
        match survivors {
            Survivors::Everything => assert_eq!(end, self.end(), "a kill loses nothing"),
            _ => assert!(
                end >= self.model.synced && end <= self.end(),
                "{end} of {} synced",
                self.model.synced
            ),
        }
        self.cut_model(end);
        self.model.synced = end;
        let start = self.log.log_start_offset().value() as usize;
        assert!(start <= self.model.start.max(end));
        self.model.start = start;
        self.forget_deleted_producers();
    }

    /// What lies before the start of a log that was opened or cut is not known for sure any more.
    fn forget_deleted_producers(&mut self) {
        let (start, end) = (self.model.start, self.end());
        for producer in &mut self.model.producers {
            producer.last = producer.last.filter(|last| *last >= start && start < end);
        }
    }

    /// The whole log, record by record.
    fn check(&mut self) {
        assert_eq!(self.log.log_end_offset(), Offset(self.end() as i64));
        assert_eq!(self.log.log_start_offset(), Offset(self.model.start as i64));
        let expected: Vec<(i64, u8)> = (self.model.start..self.end())
            .map(|offset| (offset as i64, self.model.tags[offset]))
            .collect();
        assert_eq!(read_all(&self.log), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_log_is_what_was_appended(commands in commands()) {
        let mut world = World::new();
        for command in &commands {
            world.run(command);
        }
    }
}
