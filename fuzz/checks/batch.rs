//! What must hold for any bytes that are taken for record batches. Shared by `records/src/tests/corpus.rs` and the fuzz target.

use bytes::Bytes;
use forebay_records::{RecordBatch, Timestamp, ValidationOptions, batches, validate};

/// What a batch may decompress to; one of the corpus is a bomb of a mebibyte.
const DECOMPRESSED_BYTES_MAX: u64 = 256 << 10;
/// Of the records in the corpus, in milliseconds.
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Reads all there is in the way of a consumer, and in the way of a log that is asked to take it. Gives how many batches the
/// log would take.
pub(crate) fn check(bytes: &[u8]) -> usize {
    let mut taken = 0;
    for batch in batches(Bytes::copy_from_slice(bytes)).flatten() {
        let readable = read_records(&batch);
        let options = ValidationOptions {
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
            ..ValidationOptions::at(NOW)
        };
        if let Ok(validated) = validate(&batch, &options) {
            assert_eq!(
                readable,
                usize::try_from(validated.record_count).ok(),
                "a batch that was taken is read as a whole: {:x}",
                batch.clone().into_bytes()
            );
            taken += 1;
        }
    }
    taken
}

/// How many records a consumer gets; `None` if it meets an error.
fn read_records(batch: &RecordBatch) -> Option<usize> {
    let mut count = 0;
    for record in batch.records_within(DECOMPRESSED_BYTES_MAX).ok()? {
        record.ok()?;
        count += 1;
    }
    Some(count)
}
