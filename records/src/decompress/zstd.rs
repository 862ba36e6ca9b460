//! Zstandard frames, streamed. A frame's head names a window that the decoder reserves; windows up to 8 MiB (every level
//! below 20) are always taken, wider ones up to zstd's own limit of 128 MiB only for as much output as fits into 16 MiB, so
//! that a small hostile frame cannot hold 128 MiB.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::{Fault, damaged};

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Windows up to here are as RFC 8878 recommends every decoder to take.
const WINDOW_BYTES_FREE: u64 = 8 * 1024 * 1024;
/// Zstd's default limit, and Kafka's.
const WINDOW_LOG_MAX: u32 = 27;
/// What may come out of frames with wider windows.
const WIDE_OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Frames, one after the other.
pub(super) struct Zstd {
    input: Bytes,
    position: usize,
    /// Made for the first frame.
    context: Option<DCtx<'static>>,
    in_frame: bool,
    window_bytes: u64,
    produced_bytes: u64,
}

impl Zstd {
    pub(super) fn new(input: Bytes) -> Self {
        Self {
            input,
            position: 0,
            context: None,
            in_frame: false,
            window_bytes: 0,
            produced_bytes: 0,
        }
    }

    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<Range<usize>, Fault> {
        if self.context.is_none() {
            self.context = Some(new_context()?);
        }
        let context = self.context.as_mut().expect("made above");
        let mut output = OutBuffer::around(buffer);
        while output.pos() == 0 {
            if !self.in_frame {
                if self.position == self.input.len() {
                    break;
                }
                self.in_frame = true;
                self.window_bytes = window_bytes(&self.input[self.position..]).unwrap_or(0);
            }
            let mut input = InBuffer {
                src: &self.input,
                pos: self.position,
            };
            let hint = context
                .decompress_stream(&mut output, &mut input)
                .map_err(named)?;
            let progressed = input.pos > self.position || output.pos() > 0;
            self.position = input.pos;
            if hint == 0 {
                self.in_frame = false;
            } else if !progressed {
                return Err(damaged("the zstd frame ends too early"));
            }
        }
        let length = output.pos();
        self.produced_bytes += length as u64;
        if self.window_bytes > WINDOW_BYTES_FREE && self.produced_bytes > WIDE_OUTPUT_BYTES_MAX {
            return Err(Fault::OverBudget);
        }
        Ok(0..length)
    }
}

fn new_context() -> Result<DCtx<'static>, Fault> {
    let mut context = DCtx::try_create().ok_or_else(|| Fault::Damaged(io::ErrorKind::OutOfMemory.into()))?;
    context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(named)?;
    Ok(context)
}

fn named(code: usize) -> Fault {
    Fault::Damaged(io::Error::new(io::ErrorKind::InvalidData, get_error_name(code)))
}

/// The window that a frame's head asks for (RFC 8878, 3.1.1.1); none if there is no whole head, or the frame is skippable.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    let head = frame.strip_prefix(&MAGIC)?;
    let descriptor = *head.first()?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *head.get(1)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = head.get(1 + dictionary_bytes..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*content.first()?),
        1 => u64::from(u16::from_le_bytes(*content.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*content.first_chunk()?)),
        _ => u64::from_le_bytes(*content.first_chunk()?),
    })
}
