//! Decompressing a batch's records piece by piece. Only a window of the output is ever in memory, and the whole output is
//! counted against a limit: a batch that would become 10 GB stops there. Accepts what Kafka's own readers accept, except
//! bytes after the end of a stream, which are refused.

mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;

use crate::CompressionType;
use crate::error::{Corruption, Error};

/// Bytes that gzip and zstd give at once.
const STEP_BYTES: usize = 16 * 1024;

/// A stream of decompressed bytes.
pub(crate) struct Decompressor {
    codec: Codec,
    compression: CompressionType,
    /// Where the codec puts its output; `ready` of it is not yet consumed.
    buffer: Vec<u8>,
    ready: Range<usize>,
    produced_bytes: u64,
    limit_bytes: u64,
}

enum Codec {
    None(Bytes),
    Gzip(Box<MultiGzDecoder<Reader<Bytes>>>),
    Snappy(snappy::Snappy),
    Lz4(lz4::Lz4),
    Zstd(zstd::Zstd),
}

/// Why a codec stopped.
#[derive(Debug)]
pub(super) enum Fault {
    /// The data is damaged.
    Damaged(io::Error),
    /// What comes next is more than the budget.
    OverBudget,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error)
    }
}

/// Damaged for a reason that no library names.
fn damaged(reason: &'static str) -> Fault {
    Fault::Damaged(io::Error::new(io::ErrorKind::InvalidData, reason))
}

impl Decompressor {
    /// Decompresses `input` to at most `limit_bytes`.
    pub(crate) fn new(compression: CompressionType, input: Bytes, limit_bytes: u64) -> Self {
        let codec = match compression {
            CompressionType::None => Codec::None(input),
            CompressionType::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(input.reader()))),
            CompressionType::Snappy => Codec::Snappy(snappy::Snappy::new(input)),
            CompressionType::Lz4 => Codec::Lz4(lz4::Lz4::new(input)),
            CompressionType::Zstd => Codec::Zstd(zstd::Zstd::new(input)),
        };
        Self {
            codec,
            compression,
            buffer: Vec::new(),
            ready: 0..0,
            produced_bytes: 0,
            limit_bytes,
        }
    }

    /// The next bytes, at least one; empty at the end. The same until [`advance`](Self::advance) takes them.
    pub(crate) fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.ready.is_empty() {
            let budget = self.limit_bytes - self.produced_bytes;
            let ready = match self.codec.fill(&mut self.buffer, budget) {
                Ok(ready) => ready,
                Err(Fault::OverBudget) => {
                    return Err(Error::TooLarge {
                        limit_bytes: self.limit_bytes,
                    });
                }
                Err(Fault::Damaged(source)) => {
                    return Err(Corruption::Decompression {
                        compression: self.compression,
                        source: source.into(),
                    }
                    .into());
                }
            };
            if ready.len() as u64 > budget {
                return Err(Error::TooLarge {
                    limit_bytes: self.limit_bytes,
                });
            }
            self.produced_bytes += ready.len() as u64;
            self.ready = ready;
        }
        Ok(&self.buffer[self.ready.clone()])
    }

    /// Takes `bytes` of what [`chunk`](Self::chunk) gave.
    pub(crate) fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.ready.len());
        self.ready.start += bytes;
    }

    /// Bytes that came out so far.
    pub(crate) fn produced_bytes(&self) -> u64 {
        self.produced_bytes
    }

    /// Memory held for output.
    #[cfg(test)]
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("compression", &self.compression)
            .field("produced_bytes", &self.produced_bytes)
            .field("limit_bytes", &self.limit_bytes)
            .finish_non_exhaustive()
    }
}

impl Codec {
    /// Puts the next output into `buffer`, which only codecs write to, and says where; nothing is the end.
    /// `budget` is what may still come out: a codec that knows it to be exceeded need not try.
    fn fill(&mut self, buffer: &mut Vec<u8>, budget: u64) -> Result<Range<usize>, Fault> {
        match self {
            Self::None(rest) => {
                let step = rest.split_to(rest.len().min(STEP_BYTES));
                buffer.clear();
                buffer.extend_from_slice(&step);
                Ok(0..buffer.len())
            }
            Self::Gzip(decoder) => {
                buffer.resize(STEP_BYTES, 0);
                let length = decoder.read(buffer)?;
                Ok(0..length)
            }
            Self::Snappy(snappy) => snappy.fill(buffer, budget),
            Self::Lz4(lz4) => lz4.fill(buffer),
            Self::Zstd(zstd) => {
                buffer.resize(STEP_BYTES, 0);
                zstd.fill(buffer)
            }
        }
    }
}
