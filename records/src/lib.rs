//! Record batches, version 2 (Kafka's `DefaultRecordBatch`): zero-copy reader, builder, checksums, bounded compression.
//! Pure: no file, socket, clock or lock. What comes from outside can neither panic here nor allocate more than named bounds.

mod attributes;
mod batch;
mod batches;
pub mod build;
mod compress;
pub mod compression;
mod control;
mod decompress;
mod error;
mod header;
mod id;
mod read;
mod record;
mod validate;
mod varint;

pub use attributes::{Attributes, ParseTimestampTypeError, TimestampType};
pub use batch::{AssignedBatch, Assignment, BATCH_BYTES_MAX, RecordBatch};
pub use batches::{Batches, batches};
pub use build::{BatchBuilder, BatchOptions, ProducerIdentity, RewriteError, record_bytes};
pub use compression::{Compression, CompressionType};
pub use control::{ControlRecordType, EndTransactionMarker};
pub use error::{Corruption, Error, InvalidBatch, RecordError, RecordErrorReason};
pub use header::{BatchHeader, CURRENT_MAGIC, HEADER_BYTES, LOG_OVERHEAD_BYTES};
pub use id::{
    LeaderEpoch, NO_LEADER_EPOCH, NO_OFFSET, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    Offset, ProducerEpoch, ProducerId, Sequence, Timestamp,
};
pub use read::{DECOMPRESSED_BYTES_MAX, RecordIterator};
pub use record::{Header, HeaderIterator, Headers, Record, RecordRef};
pub use validate::{AppendOrigin, RECORD_ERRORS_MAX, Validated, ValidationOptions, validate};

/// Checks that are shared with the fuzz targets know the crate by its name.
#[cfg(test)]
extern crate self as forebay_records;

#[cfg(test)]
mod tests;
