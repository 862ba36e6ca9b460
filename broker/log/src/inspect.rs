//! The files beside a segment as a whole, for tools that show them: what they say, be it right or wrong. Nothing here repairs
//! or cuts; bytes behind the last whole entry are left out.

use forebay_records::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

pub use crate::index::{OffsetEntry, TimeEntry};
pub use crate::producer_state::SnapshotError;
use crate::transaction_index::AbortedTransaction;
use crate::{index, producer_state};

/// The entries of an offset index (`.index`) of the segment that begins at `base_offset`.
#[must_use]
pub fn offset_index(bytes: &[u8], base_offset: Offset) -> Vec<OffsetEntry> {
    index::offset_entries(bytes, base_offset)
}

/// Bytes of an entry of an offset index.
pub const OFFSET_ENTRY_BYTES: usize = index::OFFSET_ENTRY_BYTES;

/// The entries of a time index (`.timeindex`) of the segment that begins at `base_offset`.
#[must_use]
pub fn time_index(bytes: &[u8], base_offset: Offset) -> Vec<TimeEntry> {
    index::time_entries(bytes, base_offset)
}

/// Bytes of an entry of a time index.
pub const TIME_ENTRY_BYTES: usize = index::TIME_ENTRY_BYTES;

/// The entries of a transaction index (`.txnindex`).
///
/// # Errors
/// The version of the first entry that has one we do not know.
pub fn transaction_index(bytes: &[u8]) -> Result<Vec<AbortedTransaction>, i16> {
    AbortedTransaction::decode_all(bytes)
}

/// A producer in a snapshot (Kafka's `ProducerStateEntry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotProducer {
    /// Its id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Of the transaction coordinator that wrote the last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_first_offset: Option<Offset>,
    /// Of its last batch, or of the last marker.
    pub last_timestamp: Timestamp,
    /// Its last batch; none if there is only a marker.
    pub last_batch: Option<SnapshotBatch>,
}

/// The last batch of a producer (Kafka's `BatchMetadata`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotBatch {
    /// Sequence of its first record.
    pub first_sequence: Sequence,
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset minus first.
    pub offset_delta: i32,
    /// Of its last record.
    pub timestamp: Timestamp,
}

/// The producers of a snapshot (`.snapshot`), in the file's order.
///
/// # Errors
/// If the file is not what a broker wrote.
pub fn producer_snapshot(bytes: &[u8]) -> Result<Vec<SnapshotProducer>, SnapshotError> {
    let producers = producer_state::decode_snapshot(bytes)?;
    let shown = producers
        .into_iter()
        .map(|(producer_id, entry)| SnapshotProducer {
            producer_id,
            epoch: entry.epoch,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_first_offset: entry.transaction_first_offset,
            last_timestamp: entry.last_timestamp,
            last_batch: entry.last_batch().map(|batch| SnapshotBatch {
                first_sequence: first_sequence(batch.last_sequence, batch.offset_delta),
                last_sequence: batch.last_sequence,
                last_offset: batch.last_offset,
                offset_delta: batch.offset_delta,
                timestamp: batch.timestamp,
            }),
        });
    Ok(shown.collect())
}

/// What Kafka's tool shows as the first sequence of a batch, also of one that has none: it counts back from -1 as from 0
/// (`DefaultRecordBatch.decrementSequence`).
fn first_sequence(last: Sequence, delta: i32) -> Sequence {
    match last {
        Sequence(..0) => Sequence(i32::MAX.wrapping_sub(delta)),
        last => last.minus(delta),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_sequences_are_those_of_kafkas_tool() {
        // Its answers, where the last batch was of a coordinator that writes without sequences.
        for (last, delta, shown) in [
            (9, 3, 6),
            (1, 3, i32::MAX - 1),
            (-1, 0, i32::MAX),
            (-1, 2, i32::MAX - 2),
        ] {
            assert_eq!(
                first_sequence(Sequence(last), delta),
                Sequence(shown),
                "{last} {delta}"
            );
        }
    }

    #[test]
    fn indexes_are_shown_whole_and_torn_entries_left_out() {
        let offsets = [[0, 0, 0, 9, 0, 0, 0, 0], [0, 0, 0, 20, 0, 0, 16, 0]].concat();
        let entry = |last_offset, position| OffsetEntry {
            last_offset: Offset(last_offset),
            position,
        };
        let shown = offset_index(&[&offsets[..], &[1, 2, 3]].concat(), Offset(100));
        assert_eq!(shown, [entry(109, 0), entry(120, 4096)]);
        let times = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9];
        let entry = TimeEntry {
            timestamp: Timestamp(7),
            offset: Offset(109),
        };
        assert_eq!(time_index(&times, Offset(100)), [entry]);
        assert_eq!(transaction_index(&[0; 33]), Ok(Vec::new()));
        let mut unknown = [0; 34];
        unknown[1] = 1;
        assert_eq!(transaction_index(&unknown), Err(1));
        assert_eq!(producer_snapshot(&[0, 9]), Err(SnapshotError::Version(9)));
    }
}
