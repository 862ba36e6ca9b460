//! LZ4 frames as Kafka reads them: independent blocks only, block checksums checked, a content checksum passed over (the
//! batch has a CRC of its own). Not the library's frame reader, which takes dependent blocks and reserves what the frame's
//! head announces; here a block's memory is bounded by the block's own compressed size too.

use std::ops::Range;

use bytes::{Buf, Bytes};
use twox_hash::XxHash32;

use super::{Fault, damaged};

const MAGIC: u32 = 0x184D_2204;
const FLAGS_VERSION: u8 = 0b0100_0000;
const FLAGS_VERSION_MASK: u8 = 0b1100_0000;
const FLAG_INDEPENDENT: u8 = 0b0010_0000;
const FLAG_BLOCK_CHECKSUM: u8 = 0b0001_0000;
const FLAG_CONTENT_SIZE: u8 = 0b0000_1000;
const FLAG_CONTENT_CHECKSUM: u8 = 0b0000_0100;
const FLAGS_RESERVED: u8 = 0b0000_0011;
const BLOCK_SIZE_RESERVED: u8 = 0b1000_1111;
const BLOCK_UNCOMPRESSED: u32 = 0x8000_0000;
/// One input byte makes at most this many output bytes (a match length byte of 255).
const EXPANSION_MAX: usize = 255;
const CHECKSUM_BYTES: usize = 4;

/// A frame's blocks, one after the other.
pub(super) struct Lz4 {
    rest: Bytes,
    frame: Option<Frame>,
    finished: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    flags: u8,
    block_bytes_max: usize,
}

impl Lz4 {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            rest: input,
            frame: None,
            finished: false,
        }
    }

    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<Range<usize>, Fault> {
        while !self.finished {
            let frame = match self.frame {
                Some(frame) => frame,
                None => {
                    let frame = self.read_head()?;
                    self.frame = Some(frame);
                    frame
                }
            };
            let length = self.read_block(frame, buffer)?;
            if length > 0 {
                return Ok(0..length);
            }
        }
        Ok(0..0)
    }

    fn read_head(&mut self) -> Result<Frame, Fault> {
        if self.rest.remaining() < 7 {
            return Err(damaged("the LZ4 frame ends in its head"));
        }
        if self.rest.get_u32_le() != MAGIC {
            return Err(damaged("no LZ4 frame (wrong magic)"));
        }
        let (flags, block_size) = (self.rest[0], self.rest[1]);
        if flags & FLAGS_VERSION_MASK != FLAGS_VERSION || flags & FLAGS_RESERVED != 0 {
            return Err(damaged("the LZ4 frame has an unknown version or reserved flags"));
        }
        if flags & FLAG_INDEPENDENT == 0 {
            return Err(damaged("LZ4 blocks that depend on each other are not supported"));
        }
        let exponent = block_size >> 4;
        if block_size & BLOCK_SIZE_RESERVED != 0 || !(4..=7).contains(&exponent) {
            return Err(damaged("the LZ4 frame has an unknown block size"));
        }
        let descriptor_bytes = if flags & FLAG_CONTENT_SIZE == 0 { 2 } else { 10 };
        if self.rest.remaining() <= descriptor_bytes {
            return Err(damaged("the LZ4 frame ends in its head"));
        }
        let descriptor = self.rest.split_to(descriptor_bytes);
        if self.rest.get_u8() != (XxHash32::oneshot(0, &descriptor) >> 8) as u8 {
            return Err(damaged("the LZ4 frame's head has a wrong checksum"));
        }
        Ok(Frame {
            flags,
            block_bytes_max: 1 << (2 * exponent + 8),
        })
    }

    /// Zero bytes: the end of the frame, or a block of nothing.
    fn read_block(&mut self, frame: Frame, buffer: &mut Vec<u8>) -> Result<usize, Fault> {
        let size = self
            .rest
            .try_get_u32_le()
            .map_err(|_| damaged("the LZ4 frame has no end mark"))?;
        let length = (size & !BLOCK_UNCOMPRESSED) as usize;
        if length == 0 {
            self.finish(frame)?;
            return Ok(0);
        }
        if length > frame.block_bytes_max {
            return Err(damaged("an LZ4 block is larger than its frame allows"));
        }
        if length > self.rest.len() {
            return Err(damaged("an LZ4 block ends too early"));
        }
        let block = self.rest.split_to(length);
        if frame.flags & FLAG_BLOCK_CHECKSUM != 0
            && self.rest.try_get_u32_le().ok() != Some(XxHash32::oneshot(0, &block))
        {
            return Err(damaged("an LZ4 block has a wrong checksum"));
        }
        if size & BLOCK_UNCOMPRESSED != 0 {
            buffer.clear();
            buffer.extend_from_slice(&block);
            return Ok(length);
        }
        let bytes_max = frame.block_bytes_max.min(length.saturating_mul(EXPANSION_MAX));
        if buffer.len() < bytes_max {
            buffer.resize(bytes_max, 0);
        }
        lz4_flex::block::decompress_into(&block, &mut buffer[..bytes_max])
            .map_err(|error| Fault::Damaged(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
    }

    fn finish(&mut self, frame: Frame) -> Result<(), Fault> {
        if frame.flags & FLAG_CONTENT_CHECKSUM != 0 {
            if self.rest.len() < CHECKSUM_BYTES {
                return Err(damaged("the LZ4 frame ends before its checksum"));
            }
            self.rest.advance(CHECKSUM_BYTES);
        }
        if !self.rest.is_empty() {
            return Err(damaged("bytes follow the LZ4 frame"));
        }
        self.finished = true;
        Ok(())
    }
}
