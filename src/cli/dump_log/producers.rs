//! Producer snapshots (`.snapshot`) and transaction indexes (`.txnindex`).

use std::io::Write;

use forebay_broker_log::inspect::{self, SnapshotError};
use forebay_records::Offset;

use super::{Dump, Error, absolute, read};

impl<W: Write> Dump<W> {
    pub(super) fn producer_snapshot(&mut self, path: &str) -> Result<(), Error> {
        let producers = match inspect::producer_snapshot(&read(path)?) {
            Ok(producers) => producers,
            Err(error) => {
                self.out.flush()?;
                eprintln!("{}", corrupt(&error));
                return Ok(());
            }
        };
        for producer in producers {
            write!(
                self.out,
                "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
                producer.producer_id,
                producer.epoch,
                producer.coordinator_epoch,
                optional(producer.transaction_first_offset),
                producer.last_timestamp,
            )?;
            if let Some(batch) = producer.last_batch {
                write!(
                    self.out,
                    " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                    batch.first_sequence,
                    batch.last_sequence,
                    batch.last_offset,
                    batch.offset_delta,
                    batch.timestamp,
                )?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    pub(super) fn transaction_index(&mut self, path: &str) -> Result<(), Error> {
        let aborted = inspect::transaction_index(&read(path)?).map_err(|version| {
            Error::File(format!(
                "Unexpected aborted transaction version {version} in transaction index {}, current version is 0",
                absolute(path)
            ))
        })?;
        for transaction in aborted {
            writeln!(
                self.out,
                "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
                transaction.producer_id,
                transaction.first_offset,
                transaction.last_offset,
                transaction.last_stable_offset,
            )?;
        }
        Ok(())
    }
}

/// As Java prints an `OptionalLong`.
fn optional(offset: Option<Offset>) -> String {
    offset.map_or_else(
        || "OptionalLong.empty".to_owned(),
        |offset| format!("OptionalLong[{offset}]"),
    )
}

/// In Kafka's words, where it has some.
fn corrupt(error: &SnapshotError) -> String {
    match error {
        SnapshotError::Version(version) => format!("Snapshot contained an unknown file version {version}"),
        SnapshotError::Length => format!("Snapshot failed schema validation: {error}"),
        SnapshotError::Checksum { stored, computed } => format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
        ),
    }
}
