//! What is accepted and what is refused, case by case (faults.md, B27).

use super::*;
use crate::Corruption;
use crate::tests::resealed;
use crate::{
    BatchBuilder, BatchOptions, Compression, HEADER_BYTES, Headers, NO_PRODUCER_EPOCH, NO_SEQUENCE,
    ProducerEpoch, ProducerId, RecordBatch, Sequence,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Size of the records of [`batch`] before compression.
const PLAIN_BYTES: u64 = 673;

fn batch(compression: CompressionType) -> RecordBatch {
    let compression = Compression::of(compression);
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    let headers = Headers::from_iter([("h", Some("v")), ("h", None)]);
    for (index, age_ms) in [5, 3, 9, 3].into_iter().enumerate() {
        let value = vec![index as u8; 100 * index];
        builder
            .append(NOW - age_ms, Some(b"k"), Some(&value), &headers)
            .unwrap();
    }
    builder.append(NOW - 8, Some(b""), None, &Headers::EMPTY).unwrap();
    builder.build().unwrap()
}

fn options() -> ValidationOptions {
    ValidationOptions::at(NOW)
}

/// The batch with other header fields, in every compression.
fn edited(edit: impl Fn(&mut BatchHeader)) -> Vec<RecordBatch> {
    let all = CompressionType::ALL.into_iter().map(batch);
    all.map(|batch| resealed(&batch, &batch.body(), &edit)).collect()
}

/// A batch of one record in these bytes, length included, in every compression.
fn with_record(record: &[u8]) -> Vec<RecordBatch> {
    let mut bodies = CompressionType::ALL.map(|compression| {
        let mut body = Vec::new();
        crate::compress::compress(Compression::of(compression), record, &mut body).unwrap();
        (compression, body)
    });
    // The streaming reader's other way: each byte a block of its own, so that every record straddles blocks.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    for byte in record {
        frame.extend_from_slice(&[1, 0, 0, 0x80, *byte]);
    }
    frame.extend_from_slice(&[0; 4]);
    bodies[2] = (CompressionType::Lz4, frame);
    let template = batch(CompressionType::None);
    let sealed = |(compression, body): &(CompressionType, Vec<u8>)| {
        resealed(&template, body, |header| {
            header.attributes = crate::Attributes::new(*compression);
            header.count = 1;
            header.last_offset_delta = 0;
        })
    };
    bodies.iter().map(sealed).collect()
}

#[test]
fn a_good_batch_is_summed_up_in_every_compression() {
    for batch in edited(|_| ()) {
        let validated = validate(&batch, &options()).unwrap();
        let expected = Validated {
            record_count: 5,
            timestamp_type: TimestampType::CreateTime,
            max_timestamp: NOW - 3,
            max_timestamp_offset_delta: 1,
            records_bytes: PLAIN_BYTES,
        };
        assert_eq!(validated, expected, "{batch:?}");
    }
}

#[test]
fn headers_that_a_producer_may_not_send_are_refused() {
    type Edit = fn(&mut BatchHeader);
    let cases: [(Edit, InvalidBatch); 12] = [
        (
            |header| header.base_offset = Offset(1),
            InvalidBatch::BaseOffset { base_offset: 1 },
        ),
        (|header| header.count = 0, InvalidBatch::Count { count: 0 }),
        (|header| header.count = -5, InvalidBatch::Count { count: -5 }),
        (
            |header| header.count = 6,
            InvalidBatch::OffsetRange {
                last_offset_delta: 4,
                count: 6,
            },
        ),
        (
            |header| header.count = 4,
            InvalidBatch::OffsetRange {
                last_offset_delta: 4,
                count: 4,
            },
        ),
        (
            |header| header.last_offset_delta = 5,
            InvalidBatch::OffsetRange {
                last_offset_delta: 5,
                count: 5,
            },
        ),
        (
            |header| (header.last_offset_delta, header.count) = (i32::MAX, i32::MIN),
            InvalidBatch::Count { count: i32::MIN },
        ),
        (
            |header| header.last_offset_delta = -1,
            InvalidBatch::OffsetRange {
                last_offset_delta: -1,
                count: 5,
            },
        ),
        (|header| header.attributes.0 |= 0x20, InvalidBatch::ControlBatch),
        (
            |header| header.attributes.0 |= 0x10,
            InvalidBatch::TransactionalWithoutProducerId,
        ),
        (
            |header| {
                (header.producer_id, header.producer_epoch) = (ProducerId(7), ProducerEpoch(0));
                header.base_sequence = NO_SEQUENCE;
            },
            InvalidBatch::Sequence {
                base_sequence: -1,
                producer_id: 7,
            },
        ),
        (
            |header| {
                (header.producer_id, header.base_sequence) = (ProducerId(7), Sequence(0));
                header.producer_epoch = NO_PRODUCER_EPOCH;
            },
            InvalidBatch::ProducerEpoch {
                producer_epoch: -1,
                producer_id: 7,
            },
        ),
    ];
    for (edit, expected) in cases {
        for batch in edited(edit) {
            match validate(&batch, &options()) {
                Err(Error::InvalidBatch(found)) => assert_eq!(found, expected),
                other => panic!("{expected:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_kafka_lets_through_is_let_through() {
    type Edit = fn(&mut BatchHeader);
    let cases: [(&str, Edit); 4] = [
        ("unused attribute bits", |header| header.attributes.0 |= !0x7f),
        ("a delete horizon", |header| header.attributes.0 |= 0x40),
        ("any leader epoch", |header| {
            header.partition_leader_epoch = LeaderEpoch(-7);
        }),
        ("an idempotent producer in a transaction", |header| {
            (header.producer_id, header.producer_epoch) = (ProducerId(7), ProducerEpoch(0));
            header.base_sequence = Sequence(i32::MAX);
            header.attributes.0 |= 0x10;
        }),
    ];
    for (what, edit) in cases {
        for batch in edited(edit) {
            assert!(validate(&batch, &options()).is_ok(), "{what}");
        }
    }
}

#[test]
fn brokers_may_write_what_clients_may_not() {
    let options = ValidationOptions {
        origin: AppendOrigin::Coordinator,
        ..options()
    };
    for batch in edited(|header| {
        header.attributes.0 |= 0x20;
        header.base_offset = Offset(99);
    }) {
        assert_eq!(validate(&batch, &options).unwrap().record_count, 5);
    }
    for batch in edited(|header| header.count = -1) {
        let error = validate(&batch, &options).unwrap_err();
        assert!(
            matches!(error, Error::InvalidBatch(InvalidBatch::Count { count: -1 })),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let batch = batch(CompressionType::None);
    for at in [21, 40, HEADER_BYTES, batch.size_in_bytes() - 1] {
        let mut bytes = batch.bytes().to_vec();
        bytes[at] ^= 1;
        let damaged = RecordBatch::new(bytes.into()).unwrap();
        let error = validate(&damaged, &options()).unwrap_err();
        assert!(
            matches!(error, Error::Corrupt(Corruption::Checksum { .. })),
            "byte {at}: {error}"
        );
    }
}

#[test]
fn unknown_codecs_are_named() {
    for id in 5..8 {
        let batch = batch(CompressionType::None);
        let batch = resealed(&batch, &batch.body(), |header| header.attributes.0 = id);
        let error = validate(&batch, &options()).unwrap_err();
        assert!(matches!(error, Error::UnsupportedCompression { id: found } if i16::from(found) == id));
    }
}

#[test]
fn malformed_records_are_corrupt_in_every_compression() {
    // Length, attributes, timestamp delta, offset delta, key, value, header count: a good one first.
    let good = [14, 0, 0, 0, 1, 2, b'v', 0];
    for batch in with_record(&good) {
        assert_eq!(validate(&batch, &options()).unwrap().records_bytes, 8);
    }
    let cases: [(&str, &[u8]); 16] = [
        ("nothing at all", &[]),
        ("a length beyond the batch", &[16, 0, 0, 0, 1, 2, b'v', 0]),
        ("a length that is too small", &[12, 0, 0, 0, 1, 2, b'v', 0]),
        ("a negative length", &[13, 0, 0, 0, 1, 2, b'v', 0]),
        (
            "a length of six bytes",
            &[0x8e, 0x80, 0x80, 0x80, 0x80, 0x00, 0, 0, 0, 1, 2, b'v', 0],
        ),
        (
            "the greatest length",
            &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 2, b'v', 0],
        ),
        ("a record of nothing", &[0]),
        ("bytes after the record", &[14, 0, 0, 0, 1, 2, b'v', 0, 0]),
        (
            "bytes in the record after its headers",
            &[16, 0, 0, 0, 1, 2, b'v', 0, 0],
        ),
        (
            "a timestamp delta of eleven bytes",
            &[
                36, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 2, b'v', 0, 0,
            ],
        ),
        ("a key beyond the record", &[14, 0, 0, 0, 100, 2, b'v', 0]),
        ("a value beyond the record", &[14, 0, 0, 0, 1, 100, b'v', 0]),
        ("a negative header count", &[14, 0, 0, 0, 1, 2, b'v', 1]),
        ("more headers than there are", &[14, 0, 0, 0, 1, 2, b'v', 2]),
        ("a null header key", &[18, 0, 0, 0, 1, 2, b'v', 2, 1, 1]),
        (
            "a header value beyond the record",
            &[20, 0, 0, 0, 1, 2, b'v', 2, 2, b'h', 4],
        ),
    ];
    for (what, record) in cases {
        for batch in with_record(record) {
            let error = validate(&batch, &options()).unwrap_err();
            let corrupt = matches!(
                error,
                Error::InvalidBatch(InvalidBatch::Record { .. } | InvalidBatch::RemainingRecords { .. })
            );
            assert!(corrupt, "{what}, {:?}: {error}", batch.compression_type());
            assert!(
                batch.records().unwrap().any(|record| record.is_err()),
                "{what} is not read either"
            );
        }
    }
}

#[test]
fn a_count_that_the_records_do_not_bear_out_is_refused() {
    for (count, expected) in [
        (
            6,
            InvalidBatch::Record {
                index: 5,
                reason: problem::END,
            },
        ),
        (
            i32::MAX,
            InvalidBatch::Record {
                index: 5,
                reason: problem::END,
            },
        ),
        (4, InvalidBatch::RemainingRecords { count: 4 }),
        (1, InvalidBatch::RemainingRecords { count: 1 }),
    ] {
        for batch in edited(|header| (header.count, header.last_offset_delta) = (count, count - 1)) {
            match validate(&batch, &options()) {
                Err(Error::InvalidBatch(found)) => assert_eq!(found, expected),
                other => panic!("{count}: {other:?}"),
            }
        }
    }
}

#[test]
fn offset_deltas_count_from_zero() {
    for batch in with_record(&[14, 0, 0, 2, 1, 2, b'v', 0]) {
        let errors = record_errors(&batch, &options());
        let reason = RecordErrorReason::OffsetDelta {
            offset_delta: 1,
            expected: 0,
        };
        assert_eq!(errors, [RecordError { index: 0, reason }]);
    }
}

fn record_errors(batch: &RecordBatch, options: &ValidationOptions) -> Vec<RecordError> {
    match validate(batch, options) {
        Err(Error::InvalidRecords { errors }) => errors,
        other => panic!("{other:?}"),
    }
}

#[test]
fn compacted_topics_want_keys_and_every_record_without_is_named() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for key in [Some(&b"k"[..]), None, Some(b""), None] {
        builder.append(NOW, key, Some(b"v"), &Headers::EMPTY).unwrap();
    }
    let batch = builder.build().unwrap();
    assert!(validate(&batch, &options()).is_ok());
    let errors = record_errors(
        &batch,
        &ValidationOptions {
            compacted: true,
            ..options()
        },
    );
    let missing = |index| RecordError {
        index,
        reason: RecordErrorReason::MissingKey,
    };
    assert_eq!(errors, [missing(1), missing(3)]);
}

#[test]
fn record_errors_are_bounded() {
    for (count, reported) in [
        (RECORD_ERRORS_MAX, RECORD_ERRORS_MAX),
        (RECORD_ERRORS_MAX + 1, RECORD_ERRORS_MAX),
    ] {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for _ in 0..count {
            builder.append(NOW, None, None, &Headers::EMPTY).unwrap();
        }
        let batch = builder.build().unwrap();
        assert_eq!(
            record_errors(
                &batch,
                &ValidationOptions {
                    compacted: true,
                    ..options()
                }
            )
            .len(),
            reported
        );
    }
}

#[test]
fn timestamps_are_held_against_the_topics_bounds() {
    let options = ValidationOptions {
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 50,
        ..options()
    };
    for (timestamp, good) in [
        (NOW, true),
        (NOW - 1000, true),
        (NOW - 1001, false),
        (NOW + 50, true),
        (NOW + 51, false),
        (NO_TIMESTAMP, true),
        (Timestamp(-2), false),
        (Timestamp(i64::MIN), false),
        (Timestamp(i64::MAX), false),
    ] {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(timestamp, None, None, &Headers::EMPTY).unwrap();
        let batch = builder.build().unwrap();
        if good {
            assert_eq!(validate(&batch, &options).unwrap().max_timestamp, timestamp);
        } else {
            let errors = record_errors(&batch, &options);
            assert!(
                errors.len() == 1 && errors[0].reason.is_timestamp(),
                "{timestamp}: {errors:?}"
            );
        }
        // The broker's own time is put over whatever the producer said.
        let options = ValidationOptions {
            timestamp_type: TimestampType::LogAppendTime,
            ..options
        };
        assert_eq!(validate(&batch, &options).unwrap().max_timestamp, NOW);
    }
    // With Kafka's default bounds the extremes are refused too.
    for timestamp in [i64::MIN, i64::MAX] {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder
            .append(Timestamp(timestamp), None, None, &Headers::EMPTY)
            .unwrap();
        record_errors(&builder.build().unwrap(), &ValidationOptions::at(NOW));
    }
}

#[test]
fn a_producer_does_not_claim_the_time_of_the_append() {
    let options = ValidationOptions {
        timestamp_type: TimestampType::LogAppendTime,
        ..options()
    };
    for batch in edited(|header| header.attributes.0 |= 0x08) {
        let errors = record_errors(&batch, &options);
        assert_eq!(errors.len(), 5);
        assert!(
            errors
                .iter()
                .all(|error| error.reason == RecordErrorReason::TimestampType)
        );
    }
}

#[test]
fn decompression_is_held_against_its_limit() {
    for batch in edited(|_| ()) {
        let at = |decompressed_bytes_max| ValidationOptions {
            decompressed_bytes_max,
            ..options()
        };
        assert!(validate(&batch, &at(PLAIN_BYTES)).is_ok());
        let below = validate(&batch, &at(PLAIN_BYTES - 1));
        if batch.compression_type().unwrap() == CompressionType::None {
            assert!(below.is_ok(), "a batch that is not compressed is what was sent");
        } else {
            assert!(matches!(below, Err(Error::TooLarge { .. })), "{below:?}");
        }
    }
}
