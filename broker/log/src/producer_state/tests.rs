//! Idempotence rules, transactions, snapshots.

mod verification;

use forebay_disk::MemoryDisk;
use forebay_records::{
    AppendOrigin, Attributes, BatchHeader, CompressionType, NO_LEADER_EPOCH, NO_PRODUCER_ID, ProducerEpoch,
    Sequence,
};

use super::entry::BatchMetadata;
use super::*;
use crate::error::Error;
use crate::topic_partition::TopicPartition;

const CLIENT: Checks = checks(AppendOrigin::Client);

/// As with `transaction.partition.verification.enable=false`.
const fn checks(origin: AppendOrigin) -> Checks {
    let transaction = TransactionChecks {
        guard: VerificationGuard::NONE,
        required: false,
        version: 0,
    };
    Checks::of(origin, transaction, false)
}

/// A log of one producer state, in which each batch goes behind the last one.
struct Partition {
    name: TopicPartition,
    states: ProducerStates,
    undecided: Undecided,
}

fn partition() -> Partition {
    Partition {
        name: TopicPartition::new("t", 0).expect("valid"),
        states: ProducerStates::default(),
        undecided: Undecided::default(),
    }
}

/// Where the oldest transaction begins that is open in a state.
fn first_unstable_offset(states: &mut ProducerStates) -> Option<Offset> {
    let mut undecided = Undecided::default();
    states.tell(&mut undecided);
    undecided.first_offset()
}

/// `count` records of producer 7.
fn batch(epoch: i16, sequence: i32, count: i32) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(0),
        length: 100,
        partition_leader_epoch: NO_LEADER_EPOCH,
        crc: 0,
        attributes: Attributes::new(CompressionType::None),
        last_offset_delta: count - 1,
        base_timestamp: Timestamp(1000),
        max_timestamp: Timestamp(1000),
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
        count,
    }
}

fn transactional(header: BatchHeader) -> BatchHeader {
    BatchHeader {
        attributes: header.attributes.with_transactional(true),
        ..header
    }
}

fn marker_batch(producer_id: i64, epoch: i16) -> BatchHeader {
    let header = BatchHeader {
        producer_id: ProducerId(producer_id),
        ..batch(epoch, -1, 1)
    };
    BatchHeader {
        attributes: header.attributes.with_transactional(true).with_control(true),
        ..header
    }
}

fn marker(coordinator_epoch: i32, commit: bool) -> Marker {
    Marker {
        coordinator_epoch,
        commit,
        timestamp: Timestamp(2000),
    }
}

impl Partition {
    fn first_unstable_offset(&mut self) -> Option<Offset> {
        self.states.tell(&mut self.undecided);
        self.undecided.first_offset()
    }

    fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.states.tell(&mut self.undecided);
        self.undecided.on_high_watermark(high_watermark);
    }

    /// Appends, or says what is wrong; `Err(Ok(offset))` names the first offset of the batch that is repeated.
    fn append(
        &mut self,
        header: &BatchHeader,
        marker: Option<Marker>,
        checks: Checks,
    ) -> std::result::Result<Vec<AbortedTransaction>, std::result::Result<Offset, Error>> {
        let mut update = ProducerUpdate::default();
        let mut pending = Pending {
            partition: &self.name,
            states: &self.states,
            update: &mut update,
        };
        if let Some(duplicate) = pending.find_duplicate(header).filter(|_| checks == CLIENT) {
            return Err(Ok(duplicate.first_offset()));
        }
        let header = BatchHeader {
            base_offset: self.states.end_offset,
            ..*header
        };
        pending.add(&header, marker, checks).map_err(Err)?;
        let aborted = self.states.apply(update);
        self.states.set_end_offset(header.next_offset());
        Ok(aborted)
    }

    fn send(&mut self, header: &BatchHeader) -> std::result::Result<(), String> {
        self.append(header, None, CLIENT)
            .map(|_| ())
            .map_err(|refused| match refused {
                Ok(offset) => format!("duplicate of {offset}"),
                Err(Error::OutOfOrderSequence { last_sequence, .. }) => {
                    format!("out of order after {last_sequence}")
                }
                Err(Error::InvalidProducerEpoch { last_epoch, .. }) => format!("fenced by {last_epoch}"),
                Err(Error::InvalidTransactionState { .. }) => "not in the transaction".to_owned(),
                Err(Error::TransactionCoordinatorFenced { .. }) => "coordinator fenced".to_owned(),
                Err(other) => other.to_string(),
            })
    }
}

#[test]
fn sequences_follow_each_other_and_repeats_are_recognised() {
    let mut log = partition();
    for number in 0..8 {
        log.send(&batch(0, number * 3, 3)).expect("in order");
    }
    // The last five are remembered: 3 to 7.
    for number in 3..8 {
        assert_eq!(
            log.send(&batch(0, number * 3, 3)),
            Err(format!("duplicate of {}", number * 3))
        );
    }
    assert_eq!(
        log.send(&batch(0, 2 * 3, 3)),
        Err("out of order after 23".to_owned()),
        "too old to be recognised"
    );
    assert_eq!(
        log.send(&batch(0, 21, 2)),
        Err("out of order after 23".to_owned()),
        "other records"
    );
    assert_eq!(
        log.send(&batch(0, 25, 1)),
        Err("out of order after 23".to_owned()),
        "one is missing"
    );
    log.send(&batch(0, 24, 1)).expect("in order");
}

#[test]
fn an_unknown_producer_may_begin_anywhere_and_sequences_wrap() {
    let mut log = partition();
    log.send(&batch(0, i32::MAX - 1, 2))
        .expect("all it sent before may be deleted");
    assert_eq!(
        log.send(&batch(0, 1, 1)),
        Err(format!("out of order after {}", i32::MAX))
    );
    log.send(&batch(0, 0, 1)).expect("after the largest comes 0");
    let mut log = partition();
    log.send(&batch(0, i32::MAX, 3)).expect("wraps within");
    assert_eq!(log.send(&batch(0, i32::MAX, 3)), Err("duplicate of 0".to_owned()));
    log.send(&batch(0, 2, 1)).expect("in order");
}

#[test]
fn epochs_fence_and_begin_with_zero() {
    let mut log = partition();
    log.send(&batch(1, 5, 1)).expect("unknown");
    assert_eq!(log.send(&batch(0, 6, 1)), Err("fenced by 1".to_owned()));
    assert_eq!(
        log.send(&batch(2, 6, 1)),
        Err("out of order after 5".to_owned()),
        "a new epoch begins with 0"
    );
    log.send(&batch(2, 0, 1)).expect("new epoch");
    assert_eq!(
        log.send(&batch(1, 5, 1)),
        Err("fenced by 2".to_owned()),
        "no duplicate across epochs"
    );
    let other = BatchHeader {
        producer_id: NO_PRODUCER_ID,
        ..batch(-1, -1, 1)
    };
    log.send(&other).expect("not idempotent");
    log.send(&other).expect("not idempotent");
    assert_eq!(log.states.len(), 1);
}

#[test]
fn what_one_request_would_change_holds_for_the_next() {
    let log = partition();
    let mut update = ProducerUpdate::default();
    let mut pending = Pending {
        partition: &log.name,
        states: &log.states,
        update: &mut update,
    };
    pending.add(&batch(0, 0, 5), None, CLIENT).expect("first");
    assert!(pending.find_duplicate(&batch(0, 0, 5)).is_some());
    let second = BatchHeader {
        base_offset: Offset(5),
        ..batch(0, 5, 5)
    };
    pending.add(&second, None, CLIENT).expect("second");
    assert!(pending.add(&batch(0, 5, 5), None, CLIENT).is_err());
    assert_eq!(log.states.len(), 0, "nothing is applied yet");
}

#[test]
fn transactions_hold_back_the_stable_offset_until_they_are_replicated() {
    let mut log = partition();
    let theirs = |header: BatchHeader| BatchHeader {
        producer_id: ProducerId(8),
        ..header
    };
    log.send(&batch(0, 0, 10)).expect("before");
    assert_eq!(log.first_unstable_offset(), None);
    log.send(&transactional(batch(0, 10, 2))).expect("begins at 10");
    log.send(&transactional(theirs(batch(0, 0, 3))))
        .expect("begins at 12");
    log.send(&transactional(batch(0, 12, 1))).expect("goes on at 15");
    assert_eq!(
        log.send(&batch(0, 13, 1)),
        Err("not in the transaction".to_owned())
    );
    assert_eq!(log.first_unstable_offset(), Some(Offset(10)));

    let coordinator = checks(AppendOrigin::Coordinator);
    let aborted = log
        .append(&marker_batch(7, 0), Some(marker(3, false)), coordinator)
        .expect("abort at 16");
    let expected = AbortedTransaction {
        producer_id: ProducerId(7),
        first_offset: Offset(10),
        last_offset: Offset(16),
        last_stable_offset: Offset(12),
    };
    assert_eq!(aborted, [expected]);
    assert_eq!(
        log.first_unstable_offset(),
        Some(Offset(10)),
        "decided, not replicated"
    );
    log.on_high_watermark(Offset(16));
    assert_eq!(
        log.first_unstable_offset(),
        Some(Offset(10)),
        "the marker itself is not below it"
    );
    log.on_high_watermark(Offset(17));
    assert_eq!(log.first_unstable_offset(), Some(Offset(12)));

    let aborted = log
        .append(&marker_batch(8, 0), Some(marker(3, true)), coordinator)
        .expect("commit at 17");
    assert_eq!(aborted, []);
    log.on_high_watermark(Offset(18));
    assert_eq!(log.first_unstable_offset(), None);
    let zombie = log.append(&marker_batch(7, 0), Some(marker(2, true)), coordinator);
    assert!(
        matches!(zombie, Err(Err(Error::TransactionCoordinatorFenced { .. }))),
        "{zombie:?}"
    );
    log.append(&marker_batch(7, 1), Some(marker(3, false)), coordinator)
        .expect("fences without records");
    assert_eq!(log.first_unstable_offset(), None);
    assert_eq!(log.send(&batch(0, 13, 1)), Err("fenced by 1".to_owned()));
    assert_eq!(
        log.send(&batch(1, 13, 1)),
        Err("out of order after -1".to_owned())
    );
    log.send(&batch(1, 0, 1)).expect("the new epoch begins");
}

#[test]
fn silent_producers_are_forgotten_unless_in_a_transaction() {
    let mut log = partition();
    log.states.set_time(Timestamp(5000));
    log.send(&batch(0, 0, 1)).expect("idempotent");
    log.send(&transactional(BatchHeader {
        producer_id: ProducerId(8),
        ..batch(0, 0, 1)
    }))
    .expect("transactional");
    log.states.remove_expired(Timestamp(5000 + 99), 100);
    assert_eq!(log.states.len(), 2);
    log.states.remove_expired(Timestamp(5000 + 100), 100);
    assert_eq!(log.states.len(), 1);
    assert_eq!(log.first_unstable_offset(), Some(Offset(1)));
}

/// From Kafka 4.3.1: `ProducerStateManager.writeSnapshot` of producer 7, epoch 3, with a batch of sequences 10 to 14 at
/// offsets 100 to 104 and time 1234567890123, no coordinator, no transaction.
const KAFKA_SNAPSHOT: &str = "00011909a0ce0000000100000000000000070003000000\
0e0000000000000068000000040000011f71fb04cbffffffffffffffffffffffff";

#[test]
fn snapshots_are_kafkas() {
    let mut entry = ProducerEntry::UNKNOWN;
    let batch = BatchMetadata {
        last_sequence: Sequence(14),
        last_offset: Offset(104),
        offset_delta: 4,
        timestamp: Timestamp(1_234_567_890_123),
    };
    entry.add_batch(ProducerEpoch(3), batch);
    let entries = [(ProducerId(7), entry)];
    let bytes = snapshot::encode(entries.iter().map(|(id, entry)| (id, entry)));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, KAFKA_SNAPSHOT);
    assert_eq!(snapshot::decode(&bytes).expect("decodes"), entries);
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        assert!(snapshot::decode(&damaged).is_err(), "bit flipped at {position}");
        assert!(snapshot::decode(&bytes[..position]).is_err(), "cut at {position}");
    }
}

#[test]
fn the_newest_usable_snapshot_is_loaded() {
    let disk = MemoryDisk::new();
    let folder = Path::new("/");
    let mut log = partition();
    log.send(&transactional(batch(0, 0, 10))).expect("first");
    log.states.take_snapshot(&disk, folder).expect("at 10");
    log.send(&transactional(batch(0, 10, 10))).expect("second");
    log.states.take_snapshot(&disk, folder).expect("at 20");
    let offsets = || log.states.snapshots.clone();
    let load = |offset: i64, start: i64| {
        let mut states = ProducerStates::new(offsets());
        let from = states
            .load_snapshot(&disk, folder, Offset(start), Offset(offset))
            .expect("load");
        (from, states)
    };
    let newest = file_name::path(folder, Offset(20), file_name::PRODUCER_SNAPSHOT);
    let bytes = disk.read(&newest, 1000).expect("read");
    let (from, mut states) = load(25, 0);
    assert_eq!(
        (from, first_unstable_offset(&mut states)),
        (Offset(20), Some(Offset(0)))
    );
    assert_eq!(states.entries[&ProducerId(7)].last_sequence(), Sequence(19));
    disk.open(&newest, OpenOptions::write())
        .expect("open")
        .set_len(bytes.len() as u64 - 1)
        .expect("torn");
    let (from, states) = load(25, 0);
    assert_eq!(
        (from, states.entries[&ProducerId(7)].last_sequence()),
        (Offset(10), Sequence(9))
    );
    assert!(!disk.exists(&newest).expect("exists"), "removed");
    let (from, states) = load(9, 0);
    assert_eq!(
        (from, states.len()),
        (Offset(0), 0),
        "the only one left is too new"
    );
    assert_eq!(disk.read_dir(folder).expect("list"), [], "and removed");
}
