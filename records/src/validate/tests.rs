//! What is accepted and what is refused, case by case.

use bytes::Bytes;

use super::*;
use crate::{BatchBuilder, BatchOptions, Compression, Headers, RecordBatch};

/// Size of the records of [`batch`] before compression.
const PLAIN_BYTES: u64 = 673;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn batch(compression: CompressionType) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: Compression::of(compression),
        ..BatchOptions::default()
    });
    let headers = Headers::from_iter([("h", Some("v")), ("h", None)]);
    for (index, timestamp) in [5, 9, 9, 7].into_iter().enumerate() {
        let value = vec![index as u8; 100 * index];
        builder
            .append(NOW - timestamp, Some(b"k"), Some(&value), &headers)
            .unwrap();
    }
    builder.append(NOW - 8, Some(b""), None, &Headers::EMPTY).unwrap();
    builder.build().unwrap()
}

#[test]
fn a_good_batch_is_summed_up_in_every_compression() {
    for compression in CompressionType::ALL {
        let batch = batch(compression);
        let validated = validate(&batch, &ValidationOptions::at(NOW)).unwrap();
        let expected = Validated {
            record_count: 5,
            timestamp_type: TimestampType::CreateTime,
            max_timestamp: NOW - 5,
            max_timestamp_offset_delta: 0,
            records_bytes: PLAIN_BYTES,
        };
        assert_eq!(validated, expected, "{compression}");
        let records: Vec<_> = batch.records().unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 5);
        assert_eq!(records[3].value.as_ref().unwrap(), &Bytes::from(vec![3; 300]));
        assert_eq!(
            (records[4].key.as_deref(), &records[4].value),
            (Some(&b""[..]), &None)
        );
        assert_eq!(records[1].headers.len(), 2);
    }
}
