//! What the tests of this crate share: batches, a log on a disk, reading everything back.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use forebay_disk::{Disk, FileExt as _};
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, Headers, LeaderEpoch,
    NO_SEQUENCE, Offset, ProducerEpoch, ProducerId, ProducerIdentity, RecordBatch, Sequence, Timestamp,
    ValidationOptions, batches, validate,
};

use crate::{
    Append, Chunk, DirectoryOptions, LogConfig, LogDirectory, Read, ReadResult, Result, TopicPartition,
    TransactionChecks, Uuid, ValidatedBatch,
};

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch(3);

/// A batch of records, each with a value and a timestamp.
pub(crate) fn batch_at(records: &[(&[u8], Timestamp)], producer: ProducerIdentity) -> ValidatedBatch {
    batch_with(
        records,
        BatchOptions {
            producer,
            ..BatchOptions::default()
        },
        AppendOrigin::Client,
    )
}

pub(crate) fn batch_with(
    records: &[(&[u8], Timestamp)],
    options: BatchOptions,
    origin: AppendOrigin,
) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(options);
    for (value, timestamp) in records {
        builder
            .append(*timestamp, Some(b"key"), Some(value), &Headers::EMPTY)
            .expect("fits");
    }
    validated(builder.build().expect("builds"), origin)
}

pub(crate) fn validated(batch: RecordBatch, origin: AppendOrigin) -> ValidatedBatch {
    let options = ValidationOptions {
        origin,
        timestamp_after_max_ms: i64::MAX,
        ..ValidationOptions::at(NOW)
    };
    let validated = validate(&batch, &options).expect("valid");
    ValidatedBatch { batch, validated }
}

/// A request with one batch.
pub(crate) fn request(batch: ValidatedBatch) -> Append {
    Append {
        batches: vec![batch],
        origin: AppendOrigin::Client,
        transaction: TransactionChecks::default(),
    }
}

/// The end of a producer's transaction, as its coordinator of this epoch writes it.
pub(crate) fn marker_of(
    producer: ProducerIdentity,
    commit: bool,
    coordinator_epoch: i32,
    timestamp: Timestamp,
) -> Append {
    let options = BatchOptions {
        producer: ProducerIdentity {
            base_sequence: NO_SEQUENCE,
            ..producer
        },
        ..BatchOptions::default()
    };
    let kind = if commit {
        ControlRecordType::Commit
    } else {
        ControlRecordType::Abort
    };
    let coordinator = EndTransactionMarker { coordinator_epoch };
    let batch = BatchBuilder::end_transaction(options, timestamp, kind, coordinator).expect("builds");
    let origin = AppendOrigin::Coordinator;
    Append {
        origin,
        ..request(validated(batch, origin))
    }
}

pub(crate) fn identity(id: i64, epoch: i16, sequence: i32) -> ProducerIdentity {
    ProducerIdentity {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence(sequence),
    }
}

/// A request with one batch of `count` records of `bytes` bytes each, the value telling `tag`.
pub(crate) fn append_of(tag: u8, count: usize, bytes: usize) -> Append {
    let value = vec![tag; bytes];
    let records: Vec<(&[u8], Timestamp)> = (0..count).map(|_| (&value[..], NOW)).collect();
    request(batch_at(&records, ProducerIdentity::NONE))
}

/// A request of an idempotent producer.
pub(crate) fn idempotent(producer_id: i64, epoch: i16, sequence: i32, count: usize) -> Append {
    let records = vec![(&b"value"[..], NOW); count];
    request(batch_at(&records, identity(producer_id, epoch, sequence)))
}

pub(crate) fn partition() -> TopicPartition {
    TopicPartition::new("topic", 0).expect("valid")
}

pub(crate) fn topic_id() -> Uuid {
    Uuid([7; 16])
}

/// Small segments, an index entry for almost each batch.
pub(crate) fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 50,
        ..LogConfig::default()
    }
}

pub(crate) fn directory_options(disk: Arc<dyn Disk>) -> DirectoryOptions {
    DirectoryOptions {
        disk,
        path: PathBuf::from("/data"),
        node_id: 1,
        cluster_id: None,
        new_cluster_id: "cluster".to_owned(),
        new_directory_id: Uuid([9; 16]),
        tail_bytes_per_log: 10_000,
        tail_bytes: 100_000,
        recovery: Arc::default(),
    }
}

/// Opens the data directory and loads its logs, all with one configuration.
pub(crate) fn open(disk: Arc<dyn Disk>, config: &LogConfig) -> Result<LogDirectory> {
    let directory = LogDirectory::open(directory_options(disk))?;
    let config = Arc::new(config.clone());
    let summary = directory.load(&|_| Arc::clone(&config), 1, NOW)?;
    match summary.failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(directory),
    }
}

/// All bytes of a read.
pub(crate) fn bytes_of(result: &ReadResult) -> Bytes {
    let mut bytes = Vec::with_capacity(result.size_in_bytes);
    for chunk in &result.chunks {
        match chunk {
            Chunk::Bytes(chunk) => bytes.extend_from_slice(chunk),
            Chunk::File(range) => {
                let mut buffer = vec![0; range.length];
                let path = std::path::Path::new("range");
                range
                    .file
                    .read_exact_at(&mut buffer, range.position, path)
                    .expect("the range is there");
                bytes.extend_from_slice(&buffer);
            }
        }
    }
    assert_eq!(bytes.len(), result.size_in_bytes);
    bytes.into()
}

/// Offset and first byte of the value of every record in these bytes, which are whole and intact batches.
pub(crate) fn records_of(bytes: Bytes) -> Vec<(i64, u8)> {
    let mut records = Vec::new();
    let mut all = batches(bytes);
    for batch in &mut all {
        let batch = batch.expect("a batch");
        batch.ensure_valid().expect("a right checksum");
        for record in batch.records().expect("records") {
            let record = record.expect("a record");
            let tag = record.value.and_then(|value| value.first().copied()).unwrap_or(0);
            records.push((record.offset.value(), tag));
        }
    }
    assert!(all.rest().is_empty(), "whole batches only");
    records
}

/// All records of a log from its start, read as a follower does, in small steps.
pub(crate) fn read_all(log: &crate::Log) -> Vec<(i64, u8)> {
    let mut records = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let read = Read {
            offset,
            up_to: Offset::MAX,
            max_bytes: 300,
            min_one_batch: true,
        };
        let result = log.read(&read).expect("readable");
        assert!(result.next_offset > offset, "progress at {offset}");
        records.extend(records_of(bytes_of(&result)));
        offset = result.next_offset;
    }
    records.retain(|(offset, _)| *offset >= log.log_start_offset().value());
    records
}
