//! A batch in and out of the log, and batches one after the other.

use super::*;
use crate::{
    BatchBuilder, BatchOptions, Batches, Headers, ProducerEpoch, ProducerId, Sequence, ValidationOptions,
    batches, validate,
};

fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for timestamp in [20, 30, 10] {
        builder
            .append(Timestamp(timestamp), Some(b"k"), Some(b"v"), &Headers::EMPTY)
            .unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn a_batch_in_the_log_shares_its_records_with_what_came_in() {
    let batch = batch();
    let validated = validate(&batch, &ValidationOptions::at(Timestamp(30))).unwrap();
    let assigned = batch.assign(&validated.assignment(Offset(1000), LeaderEpoch(7)));
    assert_eq!(assigned.rest().as_ptr(), batch.bytes()[HEADER_BYTES..].as_ptr());
    assert_eq!(
        assigned.header().crc,
        batch.header().crc,
        "offset and epoch are outside of the CRC"
    );
    assert_eq!(assigned.size_in_bytes(), batch.size_in_bytes());
    let [head, rest] = assigned.clone().into_chunks();
    let stored = assigned.into_batch();
    assert_eq!(stored.bytes(), &[head, rest].concat());
    stored.ensure_valid().unwrap();
    let header = stored.header();
    assert_eq!(
        (header.base_offset, header.last_offset()),
        (Offset(1000), Offset(1002))
    );
    assert_eq!(header.partition_leader_epoch, LeaderEpoch(7));
    assert_eq!(RecordBatch::new(stored.bytes().clone()).unwrap(), stored);
}

#[test]
fn with_log_append_time_every_record_has_the_time_of_the_append() {
    let batch = batch();
    let now = Timestamp(99);
    let options = ValidationOptions {
        timestamp_type: TimestampType::LogAppendTime,
        ..ValidationOptions::at(now)
    };
    let validated = validate(&batch, &options).unwrap();
    let stored = batch
        .assign(&validated.assignment(Offset(5), LeaderEpoch(0)))
        .into_batch();
    stored.ensure_valid().unwrap();
    assert_eq!(stored.header().timestamp_type(), TimestampType::LogAppendTime);
    assert!(
        stored
            .records()
            .unwrap()
            .all(|record| record.unwrap().timestamp == now)
    );
    assert_eq!(stored.body(), batch.body());
}

#[test]
fn a_wrong_maximum_timestamp_is_put_right() {
    let batch = crate::tests::resealed(&batch(), &batch().body(), |header| {
        header.max_timestamp = Timestamp(12_345);
        header.attributes.0 |= 0x400;
    });
    let validated = validate(&batch, &ValidationOptions::at(Timestamp(30))).unwrap();
    let stored = batch
        .assign(&validated.assignment(Offset(5), LeaderEpoch(0)))
        .into_batch();
    stored.ensure_valid().unwrap();
    assert_eq!(stored.header().max_timestamp, Timestamp(30));
    assert_eq!(
        stored.header().attributes.0,
        0,
        "unused bits go when attributes are written anew"
    );
}

#[test]
fn a_producer_can_start_its_sequences_anew() {
    let producer = ProducerIdentity {
        id: ProducerId(9),
        epoch: ProducerEpoch(3),
        base_sequence: Sequence(i32::MAX - 1),
    };
    let batch = batch().with_producer(producer);
    batch.ensure_valid().unwrap();
    assert_eq!(batch.header().last_sequence(), Sequence(0));
    assert!(batch.header().has_producer_id());
}

#[test]
fn sizes_are_checked_before_anything_else() {
    let good = batch().into_bytes();
    let size = good.len();
    let with_length = |length: i32| {
        let mut bytes = good.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        Bytes::from(bytes)
    };
    for length in [i32::MIN, -1, 0, 13, 14, 48, i32::MAX - 11, i32::MAX] {
        let error = batches(with_length(length)).next().unwrap().unwrap_err();
        assert!(
            matches!(error, Error::Corrupt(Corruption::Length { .. })),
            "{length}: {error}"
        );
    }
    assert!(batches(with_length(i32::MAX - 12)).next().is_none(), "incomplete");
    assert!(Batches::within(good.clone(), size).next().unwrap().is_ok());
    assert!(Batches::within(good.clone(), size - 1).next().unwrap().is_err());
    assert!(
        Batches::within(good.slice(..13), size - 1)
            .next()
            .unwrap()
            .is_err(),
        "the length suffices"
    );
    let error = RecordBatch::new(good.slice(..size - 1)).unwrap_err();
    assert!(matches!(error, Error::Incomplete { needed_bytes, .. } if needed_bytes == size));
    let error = RecordBatch::new(Bytes::from([&good[..], b"+"].concat())).unwrap_err();
    assert!(matches!(
        error,
        Error::Corrupt(Corruption::TrailingBytes { bytes: 1 })
    ));
}

#[test]
fn other_formats_are_named_and_end_the_iteration() {
    for magic in [0, 1, 3, -1_i8] {
        let mut bytes = batch().bytes().to_vec();
        bytes[16] = magic.cast_unsigned();
        // An old message is shorter than a batch's header.
        for length in [14, 61] {
            bytes[8..12].copy_from_slice(&i32::to_be_bytes(length));
            let mut all = batches(bytes.clone().into());
            let error = all.next().unwrap().unwrap_err();
            assert!(
                matches!(error, Error::UnsupportedMagic { magic: found } if found == magic),
                "{error}"
            );
            assert!(all.next().is_none());
        }
    }
}
