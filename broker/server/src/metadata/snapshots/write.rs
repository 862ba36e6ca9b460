//! Writing a snapshot (Kafka's `RecordsSnapshotWriter` and `FileRawSnapshotWriter`): under another name, synced, renamed, and the
//! folder synced. Only when [`write`] has returned may the log that it stands for go.

use std::path::Path;

use forebay_broker_controller::MetadataImage;
use forebay_disk::{Disk, DiskExt as _, File, OpenOptions};
use forebay_protocol::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use forebay_protocol::{Message as _, encode};
use forebay_records::{
    BatchBuilder, BatchOptions, ControlRecordType, Headers, Offset, RecordBatch, Timestamp, build,
};

use super::file_name::{self, SnapshotId};
use super::read::QuorumRecords;

/// The most records of one batch, as Kafka has it.
const BATCH_RECORDS_MAX: i32 = 1024;
/// The most bytes of one batch. Kafka reads up to 8 MiB.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// So much is written at once.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Why a snapshot could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Disk(#[from] forebay_disk::Error),
    #[error(transparent)]
    Batch(#[from] build::Error),
    #[error(transparent)]
    Encode(#[from] encode::Error),
}

/// What is to be written.
pub(super) struct Snapshot<'a> {
    pub(super) id: SnapshotId,
    /// When the last record was appended that it stands for.
    pub(super) timestamp: Timestamp,
    pub(super) quorum: &'a QuorumRecords,
    pub(super) image: &'a MetadataImage,
}

/// Writes a snapshot that survives a loss of power from when this returns; gives its size. What could not be finished is removed, as
/// far as that goes.
pub(super) fn write(
    disk: &dyn Disk,
    folder: &Path,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
) -> Result<u64, Error> {
    let partial = file_name::partial_path(folder, snapshot.id);
    let written = write_partial(disk, &partial, snapshot, now).and_then(|bytes| {
        disk.rename_durably(&partial, &file_name::path(folder, snapshot.id))?;
        Ok(bytes)
    });
    if written.is_err() {
        // It is looked for at the next start, too.
        let _left = disk.remove_file_if_exists(&partial);
    }
    written
}

fn write_partial(
    disk: &dyn Disk,
    partial: &Path,
    snapshot: &Snapshot<'_>,
    now: Timestamp,
) -> Result<u64, Error> {
    let file = disk.open(partial, OpenOptions::replace())?;
    let mut writing = Writing {
        file: &*file,
        options: BatchOptions {
            partition_leader_epoch: snapshot.id.epoch,
            batch_bytes_max: BATCH_BYTES_MAX,
            ..BatchOptions::default()
        },
        now,
        buffer: Vec::new(),
        written: 0,
    };
    writing.header(snapshot)?;
    writing.records(snapshot.image)?;
    let footer = SnapshotFooterRecord::default().to_bytes(0)?;
    writing.control(ControlRecordType::SnapshotFooter, &footer)?;
    writing.flush()?;
    file.sync_data()?;
    Ok(writing.written)
}

struct Writing<'a> {
    file: &'a dyn File,
    /// With the offset of the next record.
    options: BatchOptions,
    now: Timestamp,
    buffer: Vec<u8>,
    written: u64,
}

impl Writing<'_> {
    fn header(&mut self, snapshot: &Snapshot<'_>) -> Result<(), Error> {
        let header = SnapshotHeaderRecord {
            last_contained_log_timestamp: snapshot.timestamp.0,
            ..SnapshotHeaderRecord::default()
        };
        self.control(ControlRecordType::SnapshotHeader, &header.to_bytes(0)?)?;
        if let Some(version) = &snapshot.quorum.version {
            self.control(ControlRecordType::KraftVersion, version)?;
        }
        if let Some(voters) = &snapshot.quorum.voters {
            self.control(ControlRecordType::KraftVoters, voters)?;
        }
        Ok(())
    }

    fn records(&mut self, image: &MetadataImage) -> Result<(), Error> {
        let mut builder = BatchBuilder::new(self.options);
        for record in image.records() {
            let value = record.to_bytes()?;
            let full = builder.count() >= BATCH_RECORDS_MAX
                || !builder.has_room_for(build::record_bytes(None, Some(&value), &Headers::EMPTY));
            if full {
                self.put(&builder.build()?)?;
                builder = BatchBuilder::new(self.options);
            }
            builder.append(self.now, None, Some(&value), &Headers::EMPTY)?;
        }
        if !builder.is_empty() {
            self.put(&builder.build()?)?;
        }
        Ok(())
    }

    fn control(&mut self, kind: ControlRecordType, value: &[u8]) -> Result<(), Error> {
        let batch = BatchBuilder::control(self.options, self.now, kind, value)?;
        self.put(&batch)
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.buffer.extend_from_slice(batch.bytes());
        self.options.base_offset = Offset(batch.next_offset().0);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
