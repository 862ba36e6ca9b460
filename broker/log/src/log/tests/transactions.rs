//! Transactions that the log itself writes: whatever happens to process and disk, consumers of committed records see those that are
//! committed, all of them, in their order, and no others.

mod consumer;
mod interrupted;
mod markers;

use forebay_disk::{Effect, Fault, FaultyDisk, Operation, Survivors};
use forebay_records::{BatchOptions, ProducerEpoch, ProducerId, Sequence};
use proptest::prelude::*;

use self::consumer::{check_state, committed_records};
use super::*;
use crate::{AbortedTransaction, VerificationGuard, VerificationRequest};

const PRODUCERS: usize = 3;

#[derive(Debug, Clone)]
enum Command {
    Plain,
    /// A batch of a producer, in the transaction that it has, or in a new one.
    Send(usize),
    /// The same once more.
    Repeat(usize),
    /// A batch of which the coordinator was not asked, or asked before the last end.
    SendUnverified(usize),
    End {
        producer: usize,
        commit: bool,
        repeated: bool,
    },
    /// A newer incarnation: the coordinator aborts what the old one has open.
    Fence(usize),
    Sync,
    Checkpoint,
    Kill,
    PowerLoss(u64),
    CleanEnd,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let producer = 0..PRODUCERS;
    let command = prop_oneof![
        3 => Just(Command::Plain),
        10 => producer.clone().prop_map(Command::Send),
        2 => producer.clone().prop_map(Command::Repeat),
        2 => producer.clone().prop_map(Command::SendUnverified),
        6 => (producer.clone(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(producer, commit, repeated)| Command::End { producer, commit, repeated }),
        1 => producer.prop_map(Command::Fence),
        2 => Just(Command::Sync),
        1 => Just(Command::Checkpoint),
        1 => Just(Command::Kill),
        1 => any::<u64>().prop_map(Command::PowerLoss),
        1 => Just(Command::CleanEnd),
    ];
    prop::collection::vec(command, 1..80)
}

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Plain(u8),
    Sent { producer: usize, tag: u8 },
    Ended { producer: usize, commit: bool },
}

#[derive(Debug, Clone, Copy, Default)]
struct Producer {
    epoch: i16,
    sequence: i32,
    /// Of its last question to the coordinator.
    guard: VerificationGuard,
    last: Option<(i32, u8)>,
}

struct World {
    disk: MemoryDisk,
    directory: LogDirectory,
    log: Arc<Log>,
    events: Vec<Event>,
    producers: [Producer; PRODUCERS],
    synced: usize,
    next_tag: u8,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 100,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

fn id(producer: usize) -> ProducerId {
    ProducerId(100 + producer as i64)
}

/// A record of a producer's transaction.
fn sent(producer: usize, epoch: i16, sequence: i32, (tag, guard): (u8, VerificationGuard)) -> Append {
    let options = BatchOptions {
        producer: identity(id(producer).value(), epoch, sequence),
        transactional: true,
        ..BatchOptions::default()
    };
    let value = [tag; 40];
    Append {
        transaction: TransactionChecks {
            guard,
            ..TransactionChecks::default()
        },
        ..request(batch_with(&[(&value, NOW)], options, AppendOrigin::Client))
    }
}

fn ended(producer: usize, epoch: i16, commit: bool) -> Append {
    marker_of(identity(id(producer).value(), epoch, -1), commit, 1, NOW)
}

/// Asks the coordinator, who says yes.
fn verify(log: &Log, producer: usize, epoch: i16, sequence: i32) -> VerificationGuard {
    let request = VerificationRequest {
        epoch: ProducerEpoch(epoch),
        sequence: Sequence(sequence),
        raises_epoch: false,
    };
    let guard = log.begin_verification(id(producer), request, NOW);
    guard.expect("not fenced").unwrap_or_default()
}

impl World {
    fn new() -> World {
        let Fixture { disk, directory, log } = fixture(&config());
        World {
            disk,
            directory,
            log,
            events: Vec::new(),
            producers: [Producer::default(); PRODUCERS],
            synced: 0,
            next_tag: 0,
        }
    }

    fn tag(&mut self) -> u8 {
        self.next_tag = self.next_tag.wrapping_add(1);
        self.next_tag
    }

    /// Where the open transaction of a producer begins.
    fn open(&self, producer: usize) -> Option<usize> {
        let is_end =
            |event: &&Event| matches!(event, Event::Ended { producer: whose, .. } if *whose == producer);
        let last_end = self.events.iter().rposition(|event| is_end(&event));
        let from = last_end.map_or(0, |at| at + 1);
        let is_sent =
            |event: &Event| matches!(event, Event::Sent { producer: whose, .. } if *whose == producer);
        let first = self.events[from..].iter().position(is_sent);
        first.map(|at| from + at)
    }

    fn run(&mut self, command: &Command) {
        match *command {
            Command::Plain => {
                let tag = self.tag();
                append(&self.log, append_of(tag, 1, 40)).expect("appended");
                self.events.push(Event::Plain(tag));
            }
            Command::Send(producer) => self.send(producer),
            Command::Repeat(producer) => self.repeat(producer),
            Command::SendUnverified(producer) => self.send_unverified(producer),
            Command::End {
                producer,
                commit,
                repeated,
            } => {
                for _ in 0..=u8::from(repeated) {
                    self.end(producer, commit);
                }
            }
            Command::Fence(producer) => {
                self.producers[producer] = Producer {
                    epoch: self.producers[producer].epoch + 1,
                    ..Producer::default()
                };
                self.end(producer, false);
            }
            Command::Sync => {
                self.log.sync(NOW).expect("synced");
                self.synced = self.events.len();
            }
            Command::Checkpoint => self.directory.checkpoint(None).expect("written"),
            Command::Kill => self.reopen(Survivors::Everything),
            Command::PowerLoss(seed) => self.reopen(Survivors::Random(seed)),
            Command::CleanEnd => {
                self.directory.shutdown(2, -1, NOW).expect("closed");
                self.synced = self.events.len();
                self.reopen(Survivors::OnlySynced);
            }
        }
        self.check();
    }

    fn send(&mut self, producer: usize) {
        let tag = self.tag();
        let Producer { epoch, sequence, .. } = self.producers[producer];
        let guard = verify(&self.log, producer, epoch, sequence);
        assert_eq!(guard == VerificationGuard::NONE, self.open(producer).is_some());
        let appended = append(&self.log, sent(producer, epoch, sequence, (tag, guard))).expect("appended");
        assert!(!appended.duplicate);
        self.producers[producer] = Producer {
            epoch,
            sequence: sequence + 1,
            guard,
            last: Some((sequence, tag)),
        };
        self.events.push(Event::Sent { producer, tag });
    }

    fn repeat(&mut self, producer: usize) {
        let Producer { epoch, last, .. } = self.producers[producer];
        if let Some((sequence, tag)) = last {
            let repeated = sent(producer, epoch, sequence, (tag, VerificationGuard::NONE));
            assert!(append(&self.log, repeated).expect("recognised").duplicate);
        }
    }

    /// Not taken, unless the transaction is open anyhow.
    fn send_unverified(&mut self, producer: usize) {
        if self.open(producer).is_some() {
            return;
        }
        let Producer {
            epoch,
            sequence,
            guard,
            ..
        } = self.producers[producer];
        for guard in [VerificationGuard::NONE, guard] {
            let refused = append(&self.log, sent(producer, epoch, sequence, (1, guard)));
            assert!(matches!(refused, Err(Error::Unverified { .. })), "{refused:?}");
        }
    }

    fn end(&mut self, producer: usize, commit: bool) {
        let epoch = self.producers[producer].epoch;
        append(&self.log, ended(producer, epoch, commit)).expect("appended");
        self.events.push(Event::Ended { producer, commit });
    }

    fn reopen(&mut self, survivors: Survivors) {
        self.disk = self.disk.crash(survivors);
        self.directory = open(Arc::new(self.disk.clone()), &config()).expect("open");
        self.log = self
            .directory
            .log_or_create(&partition(), topic_id(), &Arc::new(config()))
            .expect("open");
        let end = self.log.log_end_offset().value() as usize;
        assert!(end >= self.synced && end <= self.events.len());
        let lost = end < self.events.len();
        self.events.truncate(end);
        self.synced = end;
        for producer in 0..PRODUCERS {
            // What the coordinator said before is no longer known.
            self.producers[producer].guard = VerificationGuard::NONE;
            if lost {
                self.run(&Command::Fence(producer));
            }
        }
    }

    /// Tags of the records before the last stable offset that were not aborted.
    fn committed(&self) -> (usize, Vec<(i64, u8)>) {
        let open = (0..PRODUCERS).filter_map(|producer| self.open(producer)).min();
        let stable = open.unwrap_or(self.events.len());
        let is_committed = |at: usize, whose: usize| {
            let end = self.events[at..].iter().find_map(|event| match event {
                Event::Ended { producer, commit } if *producer == whose => Some(*commit),
                _ => None,
            });
            end == Some(true)
        };
        let visible = self.events[..stable].iter().enumerate();
        let visible = visible.filter_map(|(at, event)| match event {
            Event::Plain(tag) => Some((at as i64, *tag)),
            Event::Sent { producer, tag } if is_committed(at, *producer) => Some((at as i64, *tag)),
            _ => None,
        });
        (stable, visible.collect())
    }

    fn check(&self) {
        let end = Offset(self.events.len() as i64);
        assert_eq!(self.log.log_end_offset(), end);
        let (stable, visible) = self.committed();
        let before = self.log.last_stable_offset();
        let stable = Offset(stable as i64);
        assert_eq!(self.log.update_high_watermark(end), stable, "{:?}", self.events);
        assert!(before <= stable, "the last stable offset never goes back");
        for max_bytes in [1, 250, 1 << 20] {
            assert_eq!(
                committed_records(&self.log, max_bytes),
                visible,
                "{:?}",
                self.events
            );
        }
        check_state(&self.log, "");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn consumers_see_what_is_committed(commands in commands()) {
        let mut world = World::new();
        for command in &commands {
            world.run(command);
        }
    }
}

/// A life with transactions on a disk that fails at some operation; gives up to where it was synced. `looks`: it is looked at
/// meanwhile, which opens files.
fn live(disk: &FaultyDisk, looks: bool) -> i64 {
    let config = Arc::new(config());
    let Ok(directory) = open(Arc::new(disk.clone()), &config) else {
        return 0;
    };
    let Ok(log) = directory.log_or_create(&partition(), topic_id(), &config) else {
        return 0;
    };
    let (mut synced, mut sequences) = (0, [0; PRODUCERS]);
    for step in 0..30_u8 {
        let producer = usize::from(step) % PRODUCERS;
        let done = match step % 7 {
            0 => append(&log, append_of(step, 1, 40)),
            3 | 6 => append(&log, ended(producer, 0, step % 2 == 0)),
            _ => {
                let sequence = sequences[producer];
                let guard = verify(&log, producer, 0, sequence);
                let done = append(&log, sent(producer, 0, sequence, (step, guard)));
                sequences[producer] += i32::from(done.is_ok());
                done
            }
        };
        if looks && done.is_ok() && directory.check().is_ok() {
            log.update_high_watermark(log.log_end_offset());
            check_state(&log, "while it lives");
        }
        if step % 5 == 4 {
            synced = log.sync(NOW).map_or(synced, Offset::value);
        }
        if step % 11 == 10 {
            let _ = directory.checkpoint(None);
        }
    }
    let _ = directory.shutdown(1, -1, NOW);
    synced
}

/// State and index are what the batches say, wherever the disk failed and whatever of it is left.
#[test]
fn transactions_are_recovered_whatever_fails() {
    let counter = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    assert_eq!(live(&counter, true), 30);
    let mut tried = 0;
    for operation in [
        Operation::Write,
        Operation::Sync,
        Operation::SyncDirectory,
        Operation::Rename,
        Operation::SetLength,
        Operation::Open,
        Operation::Remove,
    ] {
        for nth in 1..=counter.count(operation) {
            let short = Effect::ShortWrite { bytes: 20 };
            let effects = [Effect::Fail, Effect::NoSpace, Effect::Freeze, short];
            let count = if operation == Operation::Write { 4 } else { 3 };
            for effect in effects.into_iter().take(count) {
                let fault = Fault {
                    operation,
                    nth,
                    effect,
                };
                let disk = MemoryDisk::new();
                let faulty = FaultyDisk::new(Arc::new(disk.clone()));
                faulty.set(fault);
                let synced = live(&faulty, operation != Operation::Open);
                for survivors in [
                    Survivors::Everything,
                    Survivors::OnlySynced,
                    Survivors::Random(nth),
                ] {
                    let what = format!("{fault:?}, {survivors:?}");
                    let left = disk.crash(survivors);
                    let directory =
                        open(Arc::new(left), &config()).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let log = directory
                        .log_or_create(&partition(), topic_id(), &Arc::new(config()))
                        .expect("open");
                    assert!(log.log_end_offset().value() >= synced, "{what}");
                    log.update_high_watermark(log.log_end_offset());
                    check_state(&log, &what);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried} faults were tried");
}
