//! Batches as compaction leaves them (Kafka's `MemoryRecords.filterTo`): fewer records or none, but the offsets, sequences,
//! producer, leader epoch and flags that the batch had, so that whoever goes by its header notices nothing.

use bytes::Bytes;

use super::{BatchBuilder, BatchOptions};
use crate::attributes::Attributes;
use crate::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES};
use crate::{Compression, CompressionType, NO_TIMESTAMP, ProducerIdentity, RecordBatch, Timestamp};

/// Why a batch cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Its records cannot be read.
    #[error(transparent)]
    Read(#[from] crate::Error),
    /// Its records cannot be put together again: their offsets make no sense, or the codec failed.
    #[error(transparent)]
    Build(#[from] super::Error),
}

impl RecordBatch {
    /// The batch with only those of its records for which `keep`, called with each record's index, is true; at least one.
    /// With a `delete_horizon` the header says from when tombstones and markers of the batch may go (KIP-534).
    ///
    /// # Errors
    /// [`RewriteError`]; [`super::Error::Empty`] if nothing is kept.
    pub fn retain(
        &self,
        delete_horizon: Option<Timestamp>,
        mut keep: impl FnMut(usize) -> bool,
    ) -> Result<RecordBatch, RewriteError> {
        let header = *self.header();
        let options = BatchOptions {
            compression: Compression::of(self.compression_type()?),
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            producer: ProducerIdentity {
                id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
            },
            transactional: header.is_transactional(),
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::with_capacity(options, self.size_in_bytes());
        builder.control = header.is_control();
        builder.delete_horizon = delete_horizon;
        let mut records = self.records()?;
        let mut index = 0;
        while let Some(record) = records.next_ref() {
            let record = record?;
            if keep(index) {
                builder.append_record(&record)?;
            }
            index += 1;
        }
        Ok(builder.build_with(|rewritten| {
            rewritten.last_offset_delta = header.last_offset_delta;
            rewritten.attributes = rewritten
                .attributes
                .with_timestamp_type(header.timestamp_type())
                .with_delete_horizon(delete_horizon.is_some());
        })?)
    }

    /// The batch without any record: what is left of a producer's last batch, or of the last batch of a segment
    /// (`DefaultRecordBatch.writeEmptyHeader`).
    #[must_use]
    pub fn without_records(&self) -> RecordBatch {
        let old = self.header();
        let length = i32::try_from(HEADER_BYTES - LOG_OVERHEAD_BYTES).expect("49 bytes");
        let mut header = BatchHeader {
            length,
            attributes: Attributes::new(CompressionType::None)
                .with_timestamp_type(old.timestamp_type())
                .with_transactional(old.is_transactional())
                .with_control(old.is_control()),
            base_timestamp: NO_TIMESTAMP,
            count: 0,
            ..*old
        };
        let head = header.seal(&[]);
        RecordBatch::from_parts(header, Bytes::copy_from_slice(&head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Assignment, Headers, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampType,
    };

    /// Four records with offsets 10 to 13 and timestamps 1000, 990, 1020, 1005; the third is a tombstone.
    fn batch(compression: CompressionType, timestamp_type: TimestampType) -> RecordBatch {
        let mut builder = BatchBuilder::new(BatchOptions {
            compression: Compression::of(compression),
            producer: ProducerIdentity {
                id: ProducerId(7),
                epoch: ProducerEpoch(2),
                base_sequence: Sequence(30),
            },
            transactional: true,
            ..BatchOptions::default()
        });
        let headers: Headers = [("h", Some(b"x"))].into_iter().collect();
        for (timestamp, key, value) in [
            (1000, b"a", Some(&b"1"[..])),
            (990, b"b", Some(b"2")),
            (1020, b"c", None),
            (1005, b"d", Some(b"4")),
        ] {
            builder
                .append(Timestamp(timestamp), Some(key), value, &headers)
                .expect("fits");
        }
        let built = builder.build().expect("builds");
        let assignment = Assignment {
            base_offset: Offset(10),
            partition_leader_epoch: LeaderEpoch(5),
            timestamp_type,
            max_timestamp: match timestamp_type {
                TimestampType::CreateTime => Timestamp(1020),
                TimestampType::LogAppendTime => Timestamp(5000),
            },
        };
        built.assign(&assignment).into_batch()
    }

    #[test]
    fn what_is_kept_keeps_its_offset_timestamp_and_headers() {
        for compression in CompressionType::ALL {
            for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                for horizon in [None, Some(Timestamp(77_000))] {
                    let old = batch(compression, timestamp_type);
                    let new = old.retain(horizon, |index| index % 2 == 1).expect("rewritten");
                    new.ensure_valid().expect("a right checksum");
                    let all: Vec<_> = old
                        .records()
                        .expect("records")
                        .map(|one| one.expect("reads"))
                        .collect();
                    let kept: Vec<_> = new
                        .records()
                        .expect("records")
                        .map(|one| one.expect("reads"))
                        .collect();
                    assert_eq!(kept, [all[1].clone(), all[3].clone()]);
                    let (old, new) = (*old.header(), *new.header());
                    assert_eq!(
                        (new.base_offset, new.last_offset(), new.last_sequence(), new.count),
                        (old.base_offset, old.last_offset(), old.last_sequence(), 2)
                    );
                    assert_eq!(
                        (new.producer_id, new.producer_epoch, new.base_sequence),
                        (old.producer_id, old.producer_epoch, old.base_sequence)
                    );
                    assert_eq!(new.partition_leader_epoch, old.partition_leader_epoch);
                    assert_eq!(new.delete_horizon(), horizon);
                    assert_eq!(new.attributes.with_delete_horizon(false), old.attributes);
                    let max_timestamp = match timestamp_type {
                        TimestampType::CreateTime => Timestamp(1005),
                        TimestampType::LogAppendTime => Timestamp(5000),
                    };
                    assert_eq!(new.max_timestamp, max_timestamp, "of those that are kept");
                }
            }
        }
    }

    #[test]
    fn a_batch_that_is_kept_empty_says_what_it_said() {
        let old = batch(CompressionType::Lz4, TimestampType::CreateTime);
        let new = old.without_records();
        new.ensure_valid().expect("a right checksum");
        assert_eq!(new.size_in_bytes(), HEADER_BYTES);
        assert_eq!(new.records().expect("records").count(), 0);
        let expected = BatchHeader {
            length: 49,
            crc: new.header().crc,
            attributes: Attributes::new(CompressionType::None).with_transactional(true),
            base_timestamp: NO_TIMESTAMP,
            count: 0,
            ..*old.header()
        };
        assert_eq!(*new.header(), expected);
        assert!(matches!(
            old.retain(None, |_| false),
            Err(RewriteError::Build(crate::build::Error::Empty))
        ));
    }
}
