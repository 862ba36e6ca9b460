//! Segments that Apache Kafka 4.3.1 wrote, from its own console producer, `producer-perf-test` and controller: `testdata/`.

use bytes::Bytes;

use super::bytes;
use crate::{
    BatchBuilder, BatchOptions, CompressionType, ControlRecordType, EndTransactionMarker, Headers,
    LeaderEpoch, NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, ProducerIdentity, Record, RecordBatch,
    Sequence, Timestamp, TimestampType, ValidationOptions, batches, validate,
};

/// The five records that the console producer was given, once in every compression.
const CONSOLE: [(CompressionType, &[u8]); 5] = [
    (CompressionType::None, include_bytes!("../../testdata/none.log")),
    (CompressionType::Gzip, include_bytes!("../../testdata/gzip.log")),
    (
        CompressionType::Snappy,
        include_bytes!("../../testdata/snappy.log"),
    ),
    (CompressionType::Lz4, include_bytes!("../../testdata/lz4.log")),
    (CompressionType::Zstd, include_bytes!("../../testdata/zstd.log")),
];
const TRANSACTION: &[u8] = include_bytes!("../../testdata/transaction.log");
const LEADER_CHANGE: &[u8] = include_bytes!("../../testdata/leader-change.log");

fn segment(bytes: &'static [u8]) -> Vec<RecordBatch> {
    let mut batches = batches(Bytes::from_static(bytes));
    let all = batches.by_ref().map(Result::unwrap).collect();
    assert!(batches.rest().is_empty());
    all
}

fn records(batch: &RecordBatch) -> Vec<Record> {
    batch.records().unwrap().map(Result::unwrap).collect()
}

/// A batch made of a golden batch's own records and header fields.
fn rebuilt(batch: &RecordBatch) -> RecordBatch {
    let header = batch.header();
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        partition_leader_epoch: header.partition_leader_epoch,
        producer: ProducerIdentity {
            id: header.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
        },
        transactional: header.is_transactional(),
        ..BatchOptions::default()
    });
    for record in records(batch) {
        builder.append_record(&record.as_ref()).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn the_console_producers_batches_are_read_in_every_compression() {
    for (index, (compression, segment_bytes)) in CONSOLE.into_iter().enumerate() {
        let [batch] = &segment(segment_bytes)[..] else {
            panic!("one batch of {compression}")
        };
        batch.ensure_valid().unwrap();
        let header = batch.header();
        assert_eq!(header.compression_type().unwrap(), compression);
        assert_eq!((header.base_offset, header.last_offset()), (Offset(0), Offset(4)));
        assert_eq!(header.partition_leader_epoch, LeaderEpoch(0));
        assert_eq!(header.producer_id, ProducerId(index as i64));
        assert_eq!(
            (header.producer_epoch, header.base_sequence),
            (ProducerEpoch(0), Sequence(0))
        );
        assert_eq!((header.last_sequence(), header.count), (Sequence(4), 5));
        assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
        assert!(!header.is_transactional() && !header.is_control() && header.delete_horizon().is_none());
        for (index, record) in records(batch).into_iter().enumerate() {
            assert_eq!(record.offset, Offset(index as i64));
            assert_eq!(record.key, bytes(&format!("key-{index}")));
            let value = format!("value number {index} {}", "forebay ".repeat(index * 10));
            assert_eq!(record.value, bytes(&value), "{compression}");
            let headers =
                Headers::from_iter([("h1", Some(format!("v{index}"))), ("h2", Some(String::new()))]);
            assert_eq!(record.headers, headers);
            assert!(record.timestamp >= header.base_timestamp && record.timestamp <= header.max_timestamp);
        }
    }
}

#[test]
fn kafkas_batches_are_valid_and_need_no_rewriting() {
    for (compression, segment_bytes) in CONSOLE {
        let [batch] = &segment(segment_bytes)[..] else {
            panic!("one batch")
        };
        let header = batch.header();
        let now = header.max_timestamp;
        let validated = validate(batch, &ValidationOptions::at(now)).unwrap();
        assert_eq!(
            (validated.record_count, validated.max_timestamp),
            (5, now),
            "{compression}"
        );
        assert_eq!(validated.records_bytes, 993, "{compression}");
        let assigned = batch.assign(&validated.assignment(Offset(0), LeaderEpoch(0)));
        assert_eq!(assigned.into_batch(), *batch);
    }
}

#[test]
fn the_builder_writes_what_kafkas_producer_writes() {
    let none = &segment(CONSOLE[0].1)[0];
    assert_eq!(rebuilt(none).bytes(), none.bytes());
    for batch in segment(TRANSACTION)
        .iter()
        .filter(|batch| !batch.header().is_control())
    {
        assert_eq!(rebuilt(batch).bytes(), batch.bytes());
    }
}

#[test]
fn transactions_and_their_markers_are_read_and_written() {
    let batches = segment(TRANSACTION);
    let kinds: Vec<_> = batches
        .iter()
        .map(|batch| {
            (
                batch.base_offset().0,
                batch.header().is_transactional(),
                batch.header().is_control(),
            )
        })
        .collect();
    let expected = [
        (0, true, false),
        (1, true, true),
        (2, true, false),
        (4, true, true),
        (5, false, false),
    ];
    assert_eq!(kinds, expected);
    for batch in batches.iter().filter(|batch| batch.header().is_control()) {
        batch.ensure_valid().unwrap();
        let header = batch.header();
        assert_eq!(header.last_sequence(), NO_SEQUENCE);
        let [record] = &records(batch)[..] else {
            panic!("one marker")
        };
        let control_type = ControlRecordType::parse(record.key.as_ref().unwrap()).unwrap();
        let marker = EndTransactionMarker::parse(record.value.as_ref().unwrap()).unwrap();
        assert_eq!(
            (control_type, marker.coordinator_epoch),
            (ControlRecordType::Commit, 0)
        );
        let options = BatchOptions {
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            producer: ProducerIdentity {
                id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: NO_SEQUENCE,
            },
            ..BatchOptions::default()
        };
        let ours = BatchBuilder::end_transaction(options, record.timestamp, control_type, marker).unwrap();
        assert_eq!(ours.bytes(), batch.bytes());
    }
    let last = records(&batches[4]);
    assert_eq!((last[0].key.clone(), last[0].value.clone()), (bytes("k"), None));
    assert_eq!((last[1].key.clone(), last[1].value.clone()), (None, bytes("v")));
}

#[test]
fn a_quorums_leader_change_is_read_and_written() {
    let [batch] = &segment(LEADER_CHANGE)[..] else {
        panic!("one batch")
    };
    batch.ensure_valid().unwrap();
    let [record] = &records(batch)[..] else {
        panic!("one record")
    };
    let control_type = ControlRecordType::parse(record.key.as_ref().unwrap()).unwrap();
    assert_eq!(control_type, ControlRecordType::LeaderChange);
    let options = BatchOptions {
        partition_leader_epoch: LeaderEpoch(1),
        ..BatchOptions::default()
    };
    let value = record.value.as_ref().unwrap();
    let ours = BatchBuilder::control(options, record.timestamp, control_type, value).unwrap();
    assert_eq!(ours.bytes(), batch.bytes());
    assert!(record.timestamp > Timestamp(0));
}
