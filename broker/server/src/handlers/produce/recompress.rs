//! `compression.type` of a topic: a batch that came in another codec is written in the topic's. With `producer`, the default, no
//! batch comes this way.

use forebay_broker_log::config::BrokerCompression;
use forebay_records::{
    BatchBuilder, BatchOptions, Compression, CompressionType, DECOMPRESSED_BYTES_MAX, ProducerIdentity,
    RecordBatch,
};

/// Why a batch, which is valid, cannot be written anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] forebay_records::Error),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] forebay_records::build::Error),
}

/// The batch in the codec that the topic wants; the batch itself if it has that, or if the topic takes any.
pub(super) fn recompress(batch: RecordBatch, wanted: BrokerCompression) -> Result<RecordBatch, Error> {
    let Some(compression) = compression(wanted) else {
        return Ok(batch);
    };
    if batch.compression_type()? == compression.compression_type() {
        return Ok(batch);
    }
    let header = *batch.header();
    let options = BatchOptions {
        compression,
        producer: ProducerIdentity {
            id: header.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
        },
        transactional: header.is_transactional(),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::with_capacity(options, batch.size_in_bytes());
    let mut records = batch.records_within(DECOMPRESSED_BYTES_MAX)?;
    while let Some(record) = records.next_ref() {
        builder.append_record(&record?)?;
    }
    Ok(builder.build()?)
}

/// The levels were checked when the topic was configured; one that no codec has would be the default.
fn compression(wanted: BrokerCompression) -> Option<Compression> {
    let at_level = |codec, level| Compression::with_level(codec, level).unwrap_or(Compression::of(codec));
    Some(match wanted {
        BrokerCompression::Producer => return None,
        BrokerCompression::Uncompressed => Compression::NONE,
        BrokerCompression::Snappy => Compression::of(CompressionType::Snappy),
        BrokerCompression::Gzip(level) => at_level(CompressionType::Gzip, level),
        BrokerCompression::Lz4(level) => at_level(CompressionType::Lz4, level),
        BrokerCompression::Zstd(level) => at_level(CompressionType::Zstd, level),
    })
}
