//! The codecs by themselves: what other clients write, what is damaged, and bombs.

use std::io::Write;

use bytes::Bytes;

use super::resealed;
use crate::compress::{XERIAL_MAGIC, compress};
use crate::decompress::Decompressor;
use crate::{
    BatchBuilder, BatchOptions, Compression, CompressionType, Error, Headers, RecordBatch, Timestamp,
    ValidationOptions, validate,
};

const MIB: usize = 1024 * 1024;

/// Text that compresses somewhat, with some bytes that do not.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..length)
        .map(|index| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if index % 64 < 48 {
                b"the pool of water from which "[index % 29]
            } else {
                (state >> 56) as u8
            }
        })
        .collect()
}

/// All that comes out, and the most memory that was held.
fn decompress(compression: CompressionType, input: &[u8], limit: u64) -> Result<(Vec<u8>, usize), Error> {
    let mut stream = Decompressor::new(compression, Bytes::copy_from_slice(input), limit);
    let (mut out, mut memory) = (Vec::new(), 0);
    loop {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            assert_eq!(stream.produced_bytes(), out.len() as u64);
            return Ok((out, memory));
        }
        // In odd steps, as records would.
        let step = chunk.len().min(1 + out.len() % 5000);
        out.extend_from_slice(&chunk[..step]);
        stream.advance(step);
        memory = memory.max(stream.buffer_bytes());
    }
}

fn framed_lz4(input: &[u8], size: lz4_flex::frame::BlockSize, mode: lz4_flex::frame::BlockMode) -> Vec<u8> {
    let frame = lz4_flex::frame::FrameInfo::new()
        .block_size(size)
        .block_mode(mode)
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(input.len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(input).unwrap();
    encoder.finish().unwrap()
}

fn streamed_zstd(input: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(input).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_codec_gives_back_what_it_took() {
    for compression in CompressionType::ALL {
        for length in [0, 1, 100, 32 * 1024, 64 * 1024, 64 * 1024 + 1, 300_000] {
            let input = sample(length);
            let mut compressed = Vec::new();
            compress(Compression::of(compression), &input, &mut compressed).unwrap();
            let (output, memory) = decompress(compression, &compressed, length as u64).unwrap();
            assert_eq!(output, input, "{compression} {length}");
            assert!(memory <= 256 * 1024, "{compression} held {memory} bytes");
            if length > 0 {
                let error = decompress(compression, &compressed, length as u64 - 1).unwrap_err();
                assert!(
                    matches!(error, Error::TooLarge { .. }),
                    "{compression} {length}: {error}"
                );
            }
        }
    }
}

#[test]
fn levels_are_kafkas() {
    let input = sample(100_000);
    for (compression, good, bad) in [
        (CompressionType::Gzip, &[-1, 1, 9][..], &[-2, 0, 10][..]),
        (CompressionType::Lz4, &[1, 9, 17], &[0, 18, -1]),
        (CompressionType::Zstd, &[-131_072, -5, 3, 19], &[-131_073, 23]),
        (CompressionType::None, &[], &[0, 1]),
        (CompressionType::Snappy, &[], &[0, 1]),
    ] {
        for level in good {
            let mut compressed = Vec::new();
            compress(
                Compression::with_level(compression, *level).unwrap(),
                &input,
                &mut compressed,
            )
            .unwrap();
            assert_eq!(decompress(compression, &compressed, u64::MAX).unwrap().0, input);
        }
        for level in bad {
            Compression::with_level(compression, *level).unwrap_err();
        }
    }
}

#[test]
fn what_other_clients_write_is_read() {
    use lz4_flex::frame::{BlockMode, BlockSize};
    let input = sample(3 * MIB);
    let raw_snappy = snap::raw::Encoder::new().compress_vec(&input).unwrap();
    let (output, memory) = decompress(CompressionType::Snappy, &raw_snappy, u64::MAX).unwrap();
    assert!(output == input, "one bare snappy block, as librdkafka writes");
    assert!(memory <= MIB, "a bare snappy block held {memory} bytes");
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        let frame = framed_lz4(&input, size, BlockMode::Independent);
        assert!(
            decompress(CompressionType::Lz4, &frame, u64::MAX).unwrap().0 == input,
            "{size:?}"
        );
    }
    for window_log in [10, 20, 23, 27] {
        let frame = streamed_zstd(&input, window_log);
        assert!(
            decompress(CompressionType::Zstd, &frame, u64::MAX).unwrap().0 == input,
            "{window_log}"
        );
    }
    for compression in [
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Zstd,
    ] {
        let mut twice = Vec::new();
        compress(Compression::of(compression), &input[..MIB], &mut twice).unwrap();
        compress(Compression::of(compression), &input[MIB..], &mut twice).unwrap();
        let (output, _) = decompress(compression, &twice, u64::MAX).unwrap();
        assert!(output == input, "{compression} streams one after the other");
    }
}

/// A block that announces a length and holds a literal of 200 000 bytes, then a copy of 4 bytes from `offset` back.
fn far_copy(announced: u32, offset: u32) -> (Vec<u8>, Vec<u8>) {
    let literal = sample(200_000);
    let mut block = Vec::new();
    let mut rest = announced;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
    block.push(62 << 2);
    block.extend_from_slice(&199_999_u32.to_le_bytes()[..3]);
    block.extend_from_slice(&literal);
    block.push(3 << 2 | 3);
    block.extend_from_slice(&offset.to_le_bytes());
    (literal, block)
}

#[test]
fn a_snappy_block_that_looks_back_far_is_read() {
    let (literal, block) = far_copy(200_004, 200_000);
    let (output, _) = decompress(CompressionType::Snappy, &block, u64::MAX).unwrap();
    assert!(output.starts_with(&literal) && output[200_000..] == literal[..4]);
    let beyond = far_copy(200_004, 200_001).1;
    decompress(CompressionType::Snappy, &beyond, u64::MAX).unwrap_err();
    let nowhere = far_copy(200_004, 0).1;
    decompress(CompressionType::Snappy, &nowhere, u64::MAX).unwrap_err();
}

#[test]
fn a_snappy_block_has_the_length_that_it_announces() {
    for announced in [200_003, 200_005, 150_000, 4_000_000] {
        // Near enough to be streamed.
        let block = far_copy(announced, 4).1;
        decompress(CompressionType::Snappy, &block, u64::MAX).unwrap_err();
    }
    // Decoding it whole would reserve what it announces: more than such a block can hold.
    let block = far_copy(100_000_000, 200_000).1;
    let mut stream = Decompressor::new(CompressionType::Snappy, block.into(), u64::MAX);
    while let Ok(chunk) = stream.chunk() {
        let taken = chunk.len();
        assert!(taken > 0);
        stream.advance(taken);
    }
    assert!(stream.buffer_bytes() < MIB, "held {}", stream.buffer_bytes());
}

#[test]
fn lz4_frames_that_kafka_does_not_read_are_refused() {
    let block = [&4_u32.to_le_bytes()[..], &[0x30, b'a', b'b', b'c'], &[0; 4]].concat();
    let large = [
        &(65_537_u32 | 0x8000_0000).to_le_bytes()[..],
        &[7; 65_537],
        &[0; 4],
    ]
    .concat();
    for (what, flags, block_size, blocks, good) in [
        ("plain", 0x60, 0x40, &block, true),
        ("version 0", 0x20, 0x40, &block, false),
        ("version 2", 0xa0, 0x40, &block, false),
        ("a dictionary", 0x61, 0x40, &block, false),
        ("a reserved flag", 0x62, 0x40, &block, false),
        ("dependent blocks", 0x40, 0x40, &block, false),
        ("blocks of 16 KiB", 0x60, 0x30, &block, false),
        ("reserved bits of the block size", 0x60, 0x41, &block, false),
        ("the highest bit of the block size", 0x60, 0xc0, &block, false),
        ("a block beyond the frame's size", 0x60, 0x40, &large, false),
        ("the same in a frame of larger blocks", 0x60, 0x50, &large, true),
    ] {
        let checksum = (twox_hash::XxHash32::oneshot(0, &[flags, block_size]) >> 8) as u8;
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18, flags, block_size, checksum];
        frame.extend_from_slice(blocks);
        assert_eq!(
            decompress(CompressionType::Lz4, &frame, u64::MAX).is_ok(),
            good,
            "{what}"
        );
        frame[6] ^= 1;
        decompress(CompressionType::Lz4, &frame, u64::MAX).unwrap_err();
    }
}

#[test]
fn cut_and_damaged_streams_are_errors() {
    use lz4_flex::frame::{BlockMode, BlockSize};
    let input = sample(150_000);
    let mut streams = vec![
        (
            CompressionType::Snappy,
            snap::raw::Encoder::new().compress_vec(&input).unwrap(),
        ),
        (
            CompressionType::Lz4,
            framed_lz4(&input, BlockSize::Max64KB, BlockMode::Independent),
        ),
    ];
    for compression in &CompressionType::ALL[1..] {
        let mut stream = Vec::new();
        compress(Compression::of(*compression), &input, &mut stream).unwrap();
        streams.push((*compression, stream));
    }
    for (compression, stream) in streams {
        for cut in (1..stream.len())
            .step_by(stream.len() / 50)
            .chain([stream.len() - 1])
        {
            match decompress(compression, &stream[..cut], u64::MAX) {
                // Snappy's framing has no end mark: between two blocks it may end. The record count catches that.
                Ok((output, _)) => {
                    assert!(compression == CompressionType::Snappy && output.len() < input.len());
                }
                Err(error) => assert!(
                    matches!(error, Error::Corrupt(_)),
                    "{compression} at {cut}: {error}"
                ),
            }
        }
        let mut longer = stream.clone();
        longer.extend_from_slice(&[0xff; 3]);
        decompress(compression, &longer, u64::MAX).unwrap_err();
    }
    let mut incompatible = XERIAL_MAGIC.to_vec();
    incompatible.extend_from_slice(&[0; 20]);
    decompress(CompressionType::Snappy, &incompatible, u64::MAX).unwrap_err();
}

/// A record of 2 GB that is zeros but for its first bytes; `zeros` is compressed as often as it takes to make gigabytes.
fn bomb(compression: CompressionType, gigabytes: usize) -> RecordBatch {
    // Length 2^31 - 1, attributes, timestamp and offset delta, no key, a value of nearly everything.
    let prefix = [
        0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 0xc0, 0xff, 0xff, 0xff, 0x0f,
    ];
    let zeros = vec![0; 4 * MIB];
    let times = gigabytes * 1024 / 4;
    let piece = |bytes: &[u8]| {
        let mut out = Vec::new();
        compress(Compression::of(compression), bytes, &mut out).unwrap();
        out
    };
    let body = match compression {
        CompressionType::None => unreachable!("does not expand"),
        CompressionType::Gzip | CompressionType::Zstd => {
            [piece(&prefix), piece(&zeros).repeat(times)].concat()
        }
        CompressionType::Snappy => {
            let blocks = piece(&zeros);
            [piece(&prefix), blocks[16..].repeat(times)].concat()
        }
        CompressionType::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize};
            let plain = framed_lz4(&[], BlockSize::Max4MB, BlockMode::Independent);
            // Head of a frame without checksums, an uncompressed block, then compressed ones.
            let mut frame = plain[..4].to_vec();
            frame.extend_from_slice(&[0x60, 0x70, 0x73]);
            frame.extend_from_slice(&(prefix.len() as u32 | 0x8000_0000).to_le_bytes());
            frame.extend_from_slice(&prefix);
            let block = lz4_flex::block::compress(&zeros);
            let with_length = [&(block.len() as u32).to_le_bytes()[..], &block].concat();
            [frame, with_length.repeat(times), vec![0; 4]].concat()
        }
    };
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(0), None, None, &Headers::EMPTY).unwrap();
    let template = builder.build().unwrap();
    resealed(&template, &body, |header| {
        header.attributes.0 = i16::from(compression.id());
    })
}

#[test]
fn bombs_stop_at_the_limit() {
    for (compression, gigabytes) in [
        (CompressionType::Gzip, 10),
        (CompressionType::Lz4, 2),
        (CompressionType::Zstd, 10),
        (CompressionType::Snappy, 1),
    ] {
        let batch = bomb(compression, gigabytes);
        let limit = 16 * MIB as u64;
        let options = ValidationOptions {
            decompressed_bytes_max: limit,
            ..ValidationOptions::at(Timestamp(0))
        };
        let error = validate(&batch, &options).unwrap_err();
        assert!(
            matches!(error, Error::TooLarge { limit_bytes } if limit_bytes == limit),
            "{compression}: {error}"
        );
        let mut stream = Decompressor::new(compression, batch.body(), limit);
        let mut memory = 0;
        while let Ok(chunk) = stream.chunk() {
            let taken = chunk.len();
            assert!(taken > 0, "{compression} ended below the limit");
            stream.advance(taken);
            memory = memory.max(stream.buffer_bytes());
        }
        assert!(
            stream.produced_bytes() <= limit,
            "{compression} gave {}",
            stream.produced_bytes()
        );
        assert!(memory <= 4 * MIB + 64, "{compression} held {memory} bytes");
        // The reader stops as well: it would have to hold the whole record.
        let error = batch.records_within(limit).unwrap().next().unwrap().unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{compression}: {error}");
    }
}

#[test]
fn a_zstd_frame_with_a_wide_window_may_give_little_only() {
    let fits = streamed_zstd(&vec![0; 16 * MIB], 27);
    assert_eq!(
        decompress(CompressionType::Zstd, &fits, u64::MAX)
            .unwrap()
            .0
            .len(),
        16 * MIB
    );
    let beyond = streamed_zstd(&vec![0; 16 * MIB + 1], 27);
    let error = decompress(CompressionType::Zstd, &beyond, u64::MAX).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let narrow = streamed_zstd(&vec![0; 16 * MIB + 1], 23);
    decompress(CompressionType::Zstd, &narrow, u64::MAX).unwrap();
}

#[test]
fn announced_sizes_reserve_nothing() {
    // A block of 5 bytes that announces 2^32 - 1, and a framed one that announces as much.
    for block in [
        &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61],
    ] {
        decompress(CompressionType::Snappy, block, u64::MAX).unwrap_err();
    }
    // An LZ4 frame of 4 MiB blocks with one tiny block.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    let block = lz4_flex::block::compress(&[b'a'; 100]);
    frame.extend_from_slice(&(block.len() as u32).to_le_bytes());
    frame.extend_from_slice(&block);
    frame.extend_from_slice(&[0; 4]);
    let (output, memory) = decompress(CompressionType::Lz4, &frame, u64::MAX).unwrap();
    assert_eq!(output, [b'a'; 100]);
    assert!(memory < 8 * 1024, "held {memory} bytes");
}
