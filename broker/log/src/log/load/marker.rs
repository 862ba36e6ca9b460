//! Which batches end transactions, and how, where some of them were damaged after they had been synced. A marker is so small that its checksum
//! tells which bit of it has flipped; of one in which more is wrong the segment's transaction index knows whether it was an abort.

use bytes::Bytes;
use forebay_records::{BatchHeader, CompressionType, HEADER_BYTES, NO_SEQUENCE, RecordBatch};

use crate::error::Result;
use crate::producer_state::{Marker, NO_COORDINATOR_EPOCH};
use crate::segment::{BatchAt, Segment};
use crate::transaction_index::AbortedTransaction;

/// A marker has a head and one record: a key of two numbers, a value of two more.
const MARKER_BYTES: usize = HEADER_BYTES + 17;
/// So much longer is a marker that compaction has rewritten at most: its time is told by the distance from the delete horizon.
const HORIZON_BYTES_MAX: usize = 9;
/// Where the checksum begins, and behind it what it is of.
const CHECKSUM_AT: usize = 17;

/// What the head of a batch says, as it was before the batch was damaged if that is known; and what the batch says of a transaction's end,
/// if it is a marker. One that is damaged beyond mending is not believed; but it did end a transaction, and the segment's transaction
/// index (`known`) has an entry for each that was aborted.
pub(super) fn read(
    segment: &Segment,
    known: &[AbortedTransaction],
    batch: &BatchAt,
) -> Result<(BatchHeader, Option<Marker>)> {
    let header = batch.header;
    // They are in the order of their markers.
    let entry = known.binary_search_by_key(&header.last_offset(), |one| one.last_offset);
    let aborted = entry.ok().map(|index| known[index]);
    // A producer's records have a sequence; without one and of that size, only the bit that says what it is may be missing.
    let without_sequence =
        header.has_producer_id() && header.base_sequence == NO_SEQUENCE && is_as_long(&header);
    if !header.is_control() && !without_sequence && aborted.is_none() {
        return Ok((header, None));
    }
    let read = segment.read_batch(batch)?;
    let parsed = Marker::parse(&read);
    let (offset, position) = (header.last_offset(), batch.position);
    if read.ensure_valid().is_ok() {
        if !header.is_control() {
            return Ok((header, None));
        }
        if let Ok(marker) = parsed {
            return Ok((header, marker));
        }
    } else if let Some(whole) = mended(&read) {
        tracing::error!(segment = %segment.path().display(), position, %offset, "a bit of a batch has flipped; what it was is known by its checksum");
        let header = *whole.header();
        let marker = header.is_control().then(|| Marker::parse(&whole).ok().flatten());
        return Ok((header, marker.flatten()));
    }
    if aborted.is_none() && (!may_be_marker(&header) || is_amid_aborted(known, &header)) {
        // Records, by whose damage they look like a marker.
        return Ok((header, None));
    }
    let producer_id = aborted.map_or(header.producer_id, |aborted| aborted.producer_id);
    tracing::error!(
        segment = %segment.path().display(), position, %offset, %producer_id, is_aborted = aborted.is_some(),
        "the marker that ended a transaction is damaged; how it ended is taken from the transaction index"
    );
    let coordinator_epoch = parsed.ok().flatten().map(|marker| marker.coordinator_epoch);
    let marker = Marker {
        coordinator_epoch: coordinator_epoch.unwrap_or(NO_COORDINATOR_EPOCH),
        commit: aborted.is_none(),
        timestamp: header.max_timestamp,
    };
    let header = BatchHeader {
        producer_id,
        ..header
    };
    Ok((header, Some(marker)))
}

/// A damaged batch as it was, if there is a bit with which its checksum is right and it is so small that this is no chance: of millions that
/// were damaged in another way, one.
fn mended(batch: &RecordBatch) -> Option<RecordBatch> {
    if batch.size_in_bytes() > MARKER_BYTES + HORIZON_BYTES_MAX {
        return None;
    }
    let bits = (CHECKSUM_AT..batch.size_in_bytes()).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit)));
    let mut with_one_flipped = bits.map(|(at, bit): (usize, u8)| {
        let mut bytes = batch.bytes().to_vec();
        bytes[at] ^= bit;
        RecordBatch::new(Bytes::from(bytes)).ok()
    });
    with_one_flipped.find_map(|batch| batch.filter(|batch| batch.ensure_valid().is_ok()))
}

/// Whether all that a damaged control batch says of itself is as in a marker.
fn may_be_marker(header: &BatchHeader) -> bool {
    header.is_transactional()
        && header.base_sequence == NO_SEQUENCE
        && (header.count, header.last_offset_delta) == (1, 0)
        && header
            .compression_type()
            .is_ok_and(|codec| codec == CompressionType::None)
        && is_as_long(header)
}

fn is_as_long(header: &BatchHeader) -> bool {
    let longest = header.delete_horizon().map_or(0, |_| HORIZON_BYTES_MAX);
    (MARKER_BYTES..=MARKER_BYTES + longest).contains(&header.size_in_bytes())
}

/// Whether the producer had a transaction open behind the batch, too.
fn is_amid_aborted(known: &[AbortedTransaction], header: &BatchHeader) -> bool {
    let offset = header.base_offset;
    let is_around = |one: &AbortedTransaction| one.first_offset <= offset && offset < one.last_offset;
    known
        .iter()
        .any(|one| one.producer_id == header.producer_id && is_around(one))
}

#[cfg(test)]
mod tests {
    use forebay_records::{Sequence, Timestamp};

    use super::*;
    use crate::testing::{NOW, identity, marker_of};

    #[test]
    fn markers_have_one_size_until_compaction_writes_their_time_otherwise() {
        let marker = marker_of(identity(7, 0, -1), true, 3, NOW)
            .batches
            .remove(0)
            .batch;
        let header = *marker.header();
        assert!(may_be_marker(&header));
        for length in [header.length - 1, header.length + 1] {
            assert!(!may_be_marker(&BatchHeader { length, ..header }), "{length}");
        }
        for horizon in [NOW, Timestamp(0), Timestamp(i64::MAX)] {
            let rewritten = marker.retain(Some(horizon), |_| true).expect("rewritten");
            assert!(may_be_marker(rewritten.header()), "{horizon:?}");
        }
        let of_records = BatchHeader {
            base_sequence: Sequence(0),
            ..header
        };
        assert!(!may_be_marker(&of_records));
    }

    #[test]
    fn one_flipped_bit_is_found_and_two_are_not() {
        let marker = marker_of(identity(7, 0, -1), false, 3, NOW)
            .batches
            .remove(0)
            .batch;
        let rewritten = marker.retain(Some(NOW), |_| true).expect("rewritten");
        for marker in [marker, rewritten] {
            let flip = |bits: &[usize]| {
                let mut bytes = marker.bytes().to_vec();
                for bit in bits {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                RecordBatch::new(Bytes::from(bytes)).expect("its length is right")
            };
            let bits = CHECKSUM_AT * 8..marker.size_in_bytes() * 8;
            for bit in bits.clone() {
                assert!(mended(&flip(&[bit])).as_ref() == Some(&marker), "{bit}");
            }
            for (first, second) in bits.clone().zip(bits.rev()).filter(|(a, b)| a != b) {
                assert!(mended(&flip(&[first, second])).is_none(), "{first}, {second}");
            }
        }
    }
}
