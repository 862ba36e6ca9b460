//! Bounds and offsets of a batch that is being built; what comes out is tested in `crate::tests`.

use super::*;
use crate::{HEADER_BYTES, HeaderIterator};

#[test]
fn a_full_batch_takes_no_more_and_stays_as_it_was() {
    let headers = Headers::from_iter([("a", Some("b"))]);
    let (key, value) = (Some(&b"key"[..]), Some(&b"value"[..]));
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(0), key, value, &headers).unwrap();
    let one = builder.size_in_bytes() - HEADER_BYTES;
    assert!(one <= record_bytes(key, value, &headers));
    for (batch_bytes_max, fits) in [
        (HEADER_BYTES + 2 * one, true),
        (HEADER_BYTES + 2 * one - 1, false),
    ] {
        let mut builder = BatchBuilder::new(BatchOptions {
            batch_bytes_max,
            ..BatchOptions::default()
        });
        builder.append(Timestamp(0), key, value, &headers).unwrap();
        assert_eq!(builder.has_room_for(one), fits);
        assert_eq!(builder.append(Timestamp(0), key, value, &headers).is_ok(), fits);
        let count = if fits { 2 } else { 1 };
        assert_eq!(
            (builder.count(), builder.next_offset()),
            (count, Offset(i64::from(count)))
        );
        assert_eq!(
            builder.build().unwrap().records().unwrap().count(),
            count as usize
        );
    }
    // One record is taken however large: else it could never be sent.
    let mut builder = BatchBuilder::new(BatchOptions {
        batch_bytes_max: 1,
        ..BatchOptions::default()
    });
    assert!(builder.has_room_for(1_000_000));
    builder.append(Timestamp(0), key, value, &headers).unwrap();
    assert!(!builder.has_room_for(1));
}

#[test]
fn offsets_grow_within_the_range_of_a_delta() {
    let record = |offset| RecordRef {
        offset: Offset(offset),
        timestamp: Timestamp(0),
        key: None,
        value: None,
        headers: HeaderIterator::default(),
    };
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: Offset(10),
        ..BatchOptions::default()
    });
    assert!(builder.append_record(&record(9)).is_err());
    builder.append_record(&record(12)).unwrap();
    assert!(builder.append_record(&record(12)).is_err());
    assert!(builder.append_record(&record(11 + i64::from(i32::MAX))).is_err());
    builder.append_record(&record(10 + i64::from(i32::MAX))).unwrap();
    let batch = builder.build().unwrap();
    assert_eq!(
        (batch.last_offset(), batch.header().count),
        (Offset(10 + i64::from(i32::MAX)), 2)
    );
    let offsets: Vec<_> = batch
        .records()
        .unwrap()
        .map(|record| record.unwrap().offset.0)
        .collect();
    assert_eq!(offsets, [12, 10 + i64::from(i32::MAX)]);
    assert!(matches!(
        BatchBuilder::new(BatchOptions::default()).build(),
        Err(Error::Empty)
    ));
}
