//! Snappy as snappy-java reads it: its own framing of blocks (what Java clients write), or one bare block (what librdkafka
//! writes). A small block is decoded at once; a large one is streamed through a window, since encoders never look back
//! further than 64 KiB. One that does all the same is decoded whole, which is bounded by snappy's greatest expansion.

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::{Fault, damaged};
use crate::compress::{XERIAL_HEAD_BYTES, XERIAL_MAGIC};

/// Blocks up to here are decoded at once.
const WHOLE_BYTES_MAX: usize = 128 * 1024;
/// How far back a streamed block's copies reach without decoding it whole.
const HISTORY_BYTES: usize = 64 * 1024;
/// Bytes that a streamed block gives at once.
const STEP_BYTES: usize = 64 * 1024;
/// Three input bytes make at most 64 output bytes.
const EXPANSION_MAX: usize = 22;
/// The oldest version that the framing is compatible with.
const COMPATIBLE_VERSION_MIN: i32 = 1;

pub(super) struct Snappy {
    rest: Bytes,
    state: State,
}

enum State {
    Start,
    Framed,
    /// One large block; `framed` says whether others may follow.
    Streaming {
        block: Block,
        framed: bool,
    },
    End,
}

impl Snappy {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            rest: input,
            state: State::Start,
        }
    }

    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, budget: u64) -> Result<Range<usize>, Fault> {
        loop {
            match &mut self.state {
                State::Start => {
                    if self.rest.starts_with(&XERIAL_MAGIC) && self.rest.len() >= XERIAL_HEAD_BYTES {
                        self.state = State::Framed;
                    } else {
                        let block = std::mem::take(&mut self.rest);
                        self.state = State::End;
                        let range = self.start_block(block, false, buffer, budget)?;
                        if !range.is_empty() {
                            return Ok(range);
                        }
                    }
                }
                State::Framed => {
                    let Some(block) = self.next_block()? else {
                        return Ok(0..0);
                    };
                    let range = self.start_block(block, true, buffer, budget)?;
                    if !range.is_empty() {
                        return Ok(range);
                    }
                }
                State::Streaming { block, framed } => {
                    let range = block.fill(buffer, budget)?;
                    if !range.is_empty() {
                        return Ok(range);
                    }
                    self.state = if *framed { State::Framed } else { State::End };
                }
                State::End => return Ok(0..0),
            }
        }
    }

    /// The next block of the framing; streams that were put together bring their heads along.
    fn next_block(&mut self) -> Result<Option<Bytes>, Fault> {
        while self.rest.starts_with(&XERIAL_MAGIC) {
            if self.rest.len() < XERIAL_HEAD_BYTES {
                return Err(damaged("the snappy stream ends in its head"));
            }
            let mut head = self.rest.split_to(XERIAL_HEAD_BYTES);
            head.advance(XERIAL_MAGIC.len() + 4);
            if head.get_i32() < COMPATIBLE_VERSION_MIN {
                return Err(damaged("the snappy stream has an incompatible version"));
            }
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let length = self
            .rest
            .try_get_i32()
            .map_err(|_| damaged("the snappy stream ends in a block's length"))?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(Some(self.rest.split_to(length))),
            _ => Err(damaged("a snappy block goes beyond the stream's end")),
        }
    }

    /// Decodes a small block, or gets ready to stream a large one.
    fn start_block(
        &mut self,
        block: Bytes,
        framed: bool,
        buffer: &mut Vec<u8>,
        budget: u64,
    ) -> Result<Range<usize>, Fault> {
        let length = snap::raw::decompress_len(&block).map_err(named)?;
        if length > block.len().saturating_mul(EXPANSION_MAX) {
            return Err(damaged("a snappy block announces more than it can hold"));
        }
        if length as u64 > budget {
            return Err(Fault::OverBudget);
        }
        if length > WHOLE_BYTES_MAX {
            buffer.clear();
            self.state = State::Streaming {
                block: Block::new(block, length),
                framed,
            };
            return Ok(0..0);
        }
        buffer.resize(length.max(buffer.len()), 0);
        let decoded = snap::raw::Decoder::new()
            .decompress(&block, &mut buffer[..length])
            .map_err(named)?;
        Ok(0..decoded)
    }
}

fn named(error: snap::Error) -> Fault {
    Fault::Damaged(io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A bare block on its way through the window.
struct Block {
    all: Bytes,
    rest: Bytes,
    /// As the block announces.
    length: usize,
    produced: usize,
    literal_left: usize,
    whole: bool,
}

impl Block {
    fn new(all: Bytes, length: usize) -> Self {
        let mut rest = all.clone();
        // The announced length, which decompress_len has read: a varint.
        while rest.get_u8() >= 0x80 {}
        Self {
            all,
            rest,
            length,
            produced: 0,
            literal_left: 0,
            whole: false,
        }
    }

    /// Before what this gives, `buffer` holds the history.
    fn fill(&mut self, buffer: &mut Vec<u8>, budget: u64) -> Result<Range<usize>, Fault> {
        if self.whole {
            return Ok(0..0);
        }
        if buffer.len() > HISTORY_BYTES {
            buffer.drain(..buffer.len() - HISTORY_BYTES);
        }
        let start = buffer.len();
        while buffer.len() - start < STEP_BYTES && (self.literal_left > 0 || !self.rest.is_empty()) {
            if self.literal_left > 0 {
                let count = self.literal_left.min(STEP_BYTES);
                if count > self.rest.len() {
                    return Err(damaged("a snappy literal goes beyond the block's end"));
                }
                buffer.extend_from_slice(&self.rest[..count]);
                self.rest.advance(count);
                self.literal_left -= count;
                continue;
            }
            let Some((offset, length)) = self.next_element()? else {
                continue;
            };
            if offset > buffer.len() && offset <= self.produced + (buffer.len() - start) {
                return self.decode_whole(buffer, budget);
            }
            copy_back(buffer, offset, length)?;
        }
        self.produced += buffer.len() - start;
        if self.produced > self.length || (buffer.len() == start && self.produced < self.length) {
            return Err(damaged("a snappy block does not have the length it announces"));
        }
        Ok(start..buffer.len())
    }

    /// Reads a tag: a literal, whose length it notes, or a copy's offset and length.
    fn next_element(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        let cut = || damaged("a snappy element goes beyond the block's end");
        let tag = self.rest.try_get_u8().map_err(|_| cut())?;
        let six_bits = usize::from(tag >> 2);
        if tag & 3 == 0 {
            let length = match six_bits {
                0..60 => six_bits,
                _ => self.rest.try_get_uint_le(six_bits - 59).map_err(|_| cut())? as usize,
            };
            self.literal_left = length + 1;
            return Ok(None);
        }
        let (offset, length) = match tag & 3 {
            1 => {
                let low = self.rest.try_get_u8().map_err(|_| cut())?;
                (usize::from(tag >> 5) << 8 | usize::from(low), 4 + (six_bits & 7))
            }
            2 => (
                usize::from(self.rest.try_get_u16_le().map_err(|_| cut())?),
                six_bits + 1,
            ),
            _ => (
                self.rest.try_get_u32_le().map_err(|_| cut())? as usize,
                six_bits + 1,
            ),
        };
        Ok(Some((offset, length)))
    }

    /// A copy looks back further than the window: decode everything, and give what has not been given.
    fn decode_whole(&mut self, buffer: &mut Vec<u8>, budget: u64) -> Result<Range<usize>, Fault> {
        if (self.length - self.produced) as u64 > budget {
            return Err(Fault::OverBudget);
        }
        buffer.clear();
        buffer.resize(self.length, 0);
        snap::raw::Decoder::new()
            .decompress(&self.all, buffer)
            .map_err(named)?;
        self.whole = true;
        Ok(self.produced..self.length)
    }
}

/// Appends `length` bytes that start `offset` before the end; they may overlap what is being appended.
fn copy_back(buffer: &mut Vec<u8>, offset: usize, length: usize) -> Result<(), Fault> {
    let from = match buffer.len().checked_sub(offset) {
        Some(from) if offset > 0 => from,
        _ => return Err(damaged("a snappy copy looks back beyond the block's start")),
    };
    if offset >= length {
        buffer.extend_from_within(from..from + length);
    } else {
        buffer.reserve(length);
        for index in from..from + length {
            let byte = buffer[index];
            buffer.push(byte);
        }
    }
    Ok(())
}
