//! Compressing records as Kafka's producer does: gzip, snappy in snappy-java's framing, LZ4 frames of independent 64 KiB
//! blocks, zstd.

use std::io::{self, Write};

use crate::{Compression, CompressionType};

/// Starts every stream of snappy-java's `SnappyOutputStream`.
pub(crate) const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Version 1, compatible with version 1.
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// Bytes of the framing's head.
pub(crate) const XERIAL_HEAD_BYTES: usize = XERIAL_MAGIC.len() + XERIAL_VERSIONS.len();
/// snappy-java's default block.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// Appends `input`, compressed, to `out`.
pub(crate) fn compress(compression: Compression, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match compression.compression_type() {
        CompressionType::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        CompressionType::Gzip => gzip(compression.level(), input, out),
        CompressionType::Snappy => xerial(input, out),
        CompressionType::Lz4 => lz4(input, out),
        CompressionType::Zstd => zstd(compression.level(), input, out),
    }
}

fn gzip(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok());
    let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
    let mut encoder = flate2::write::GzEncoder::new(out, level);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

fn xerial(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_BYTES) {
        let length_at = out.len();
        let start = length_at + 4;
        out.resize(start + snap::raw::max_compress_len(block.len()), 0);
        let length = encoder.compress(block, &mut out[start..])?;
        out[length_at..start].copy_from_slice(&(length as u32).to_be_bytes());
        out.truncate(start + length);
    }
    Ok(())
}

fn lz4(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // Kafka's reader knows independent blocks only.
    let frame = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(input)?;
    encoder.finish()?;
    Ok(())
}

fn zstd(level: Option<i32>, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))?;
    let start = out.len();
    out.resize(start + zstd::zstd_safe::compress_bound(input.len()), 0);
    let length = compressor.compress_to_buffer(input, &mut out[start..])?;
    out.truncate(start + length);
    Ok(())
}
