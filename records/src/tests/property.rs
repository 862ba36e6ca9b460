//! Random records come back; random damage neither panics nor gets past the validator what the reader refuses.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::resealed;
use crate::{
    AppendOrigin, BatchBuilder, BatchOptions, Batches, Compression, CompressionType, HEADER_BYTES, Headers,
    Offset, Record, RecordBatch, Timestamp, ValidationOptions, batches, validate,
};

/// More than a batch of these tests decompresses to.
const LIMIT_BYTES: u64 = 1024 * 1024;

fn compression() -> impl Strategy<Value = CompressionType> {
    prop::sample::select(&CompressionType::ALL[..])
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // Random bytes, and repeated ones that compress and span chunks.
    prop_oneof![
        4 => vec(any::<u8>(), 0..50),
        1 => (any::<u8>(), 0_usize..100_000).prop_map(|(byte, count)| vec![byte; count]),
        1 => vec(any::<u8>(), 20_000..40_000),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let headers = vec((".{0,5}", of(vec(any::<u8>(), 0..20))), 0..3);
    (any::<i64>(), of(payload()), of(payload()), headers).prop_map(|(timestamp, key, value, headers)| {
        Record {
            offset: Offset(0),
            timestamp: Timestamp(timestamp),
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: Headers::from_iter(headers),
        }
    })
}

fn build(compression: CompressionType, base_offset: Offset, records: &[Record]) -> RecordBatch {
    let compression = Compression::of(compression);
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        base_offset,
        ..BatchOptions::default()
    });
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append(record.timestamp, key, value, &record.headers)
            .unwrap();
    }
    builder.build().unwrap()
}

fn lenient() -> ValidationOptions {
    ValidationOptions {
        origin: AppendOrigin::Coordinator,
        timestamp_type: crate::TimestampType::LogAppendTime,
        decompressed_bytes_max: LIMIT_BYTES,
        ..ValidationOptions::at(Timestamp(0))
    }
}

/// Reads everything there is, by both ways; the records if all is well.
fn read(batch: &RecordBatch) -> Option<Vec<Record>> {
    let owned = batch
        .records_within(LIMIT_BYTES)
        .ok()?
        .collect::<Result<Vec<_>, _>>()
        .ok();
    let mut borrowing = batch.records_within(LIMIT_BYTES).ok()?;
    let mut count = 0;
    let failed = loop {
        match borrowing.next_ref() {
            Some(Ok(record)) => {
                count += 1;
                if let Some(expected) = owned.as_ref().map(|records| &records[count - 1]) {
                    assert_eq!(record.key, expected.key.as_deref());
                    assert_eq!(record.value, expected.value.as_deref());
                    assert!(record.headers.eq(expected.headers.iter()));
                }
            }
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert_eq!(failed, owned.is_none());
    owned
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_come_back(
        compression in compression(),
        base_offset in 0..i64::MAX / 2,
        mut expected in vec(record(), 1..40),
    ) {
        for (index, record) in expected.iter_mut().enumerate() {
            record.offset = Offset(base_offset + index as i64);
        }
        let batch = build(compression, Offset(base_offset), &expected);
        let again = RecordBatch::new(batch.bytes().clone()).unwrap();
        again.ensure_valid().unwrap();
        let max_timestamp = expected.iter().map(|record| record.timestamp).max().unwrap();
        prop_assert_eq!(again.header().max_timestamp, max_timestamp);
        let records: Vec<_> = again.records().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&records, &expected);
        let validated = validate(&again, &ValidationOptions { decompressed_bytes_max: u64::MAX, ..lenient() }).unwrap();
        prop_assert_eq!(validated.record_count as usize, expected.len());
    }

    #[test]
    fn batches_one_after_the_other_come_back_and_a_cut_is_seen(
        lists in vec((compression(), vec(record(), 1..4)), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole: Vec<_> = lists.iter().map(|(codec, records)| build(*codec, Offset(7), records)).collect();
        let all: Vec<u8> = whole.iter().flat_map(|batch| batch.bytes().to_vec()).collect();
        let read: Vec<_> = batches(all.clone().into()).map(Result::unwrap).collect();
        prop_assert_eq!(&read, &whole);
        let cut = cut.index(all.len());
        let mut cut_off = batches(Bytes::copy_from_slice(&all[..cut]));
        let before: Vec<_> = cut_off.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(&before[..], &whole[..before.len()]);
        let whole_bytes: usize = before.iter().map(RecordBatch::size_in_bytes).sum();
        prop_assert_eq!(cut_off.rest().len(), cut - whole_bytes);
    }

    #[test]
    fn damage_is_never_a_panic(
        compression in compression(),
        records in vec(record(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in of(any::<prop::sample::Index>()),
    ) {
        let batch = build(compression, Offset(0), &records);
        let mut bytes = batch.bytes().to_vec();
        for (at, value) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for damaged in Batches::within(bytes.into(), 1 << 20).flatten() {
            let _ = validate(&damaged, &lenient());
            let _ = read(&damaged);
        }
        // Again with the damage in the records only and a right CRC: what the CRC does not catch.
        let mut body = batch.bytes()[HEADER_BYTES..].to_vec();
        for (at, value) in &damage {
            let at = at.index(body.len());
            body[at] = *value;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        let damaged = resealed(&batch, &body, |_| ());
        let readable = read(&damaged);
        match validate(&damaged, &lenient()) {
            Ok(validated) => {
                let readable = readable.expect("what is valid can be read");
                prop_assert_eq!(validated.record_count as usize, readable.len());
            }
            // The reader does not mind what offsets records have.
            Err(crate::Error::InvalidRecords { .. }) => {}
            Err(error) => prop_assert!(readable.is_none(), "read although {error}"),
        }
    }

    #[test]
    fn arbitrary_bytes_are_never_a_panic(bytes in vec(any::<u8>(), 0..300), count in any::<i32>()) {
        let _ = batches(bytes.clone().into()).count();
        let template = build(CompressionType::None, Offset(0), &[Record::default()]);
        for attributes in 0..8 {
            let batch = resealed(&template, &bytes, |header| {
                header.attributes.0 = attributes;
                header.count = count;
            });
            let _ = validate(&batch, &lenient());
            let _ = read(&batch);
        }
    }
}
