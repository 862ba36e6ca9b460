//! Goes through the batches of a segment file by their headers, in blocks, without holding more than one block. With
//! checksums it reads every byte, as recovery must; without them it jumps from header to header.

use std::io;
use std::path::Path;

use forebay_disk::{File, FileExt, Operation};
use forebay_records::{BatchHeader, HEADER_BYTES, Offset};

use crate::error::Result;

/// Enough for all headers between two entries of an index with the default interval.
const SEARCH_BLOCK_BYTES: usize = 8 * 1024;
/// Reads of [`Scan::warm_headers`]: as much as an async worker may spend on finding where a read ends.
const WARM_READS_MAX: u32 = 16;
/// A good size for reading a file from end to end.
const SEQUENTIAL_BLOCK_BYTES: usize = 1024 * 1024;
/// The CRC of a batch covers everything from its attributes on.
const CHECKSUMMED_FROM: u64 = 21;

/// A batch and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchAt {
    pub(crate) header: BatchHeader,
    pub(crate) position: u64,
}

impl BatchAt {
    /// The position behind the batch.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.size_in_bytes() as u64
    }

    pub(crate) fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }
}

/// What a scan finds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A batch whose header makes sense and which is all there.
    Batch(BatchAt),
    /// As [`Found::Batch`], but its checksum is wrong.
    Damaged(BatchAt),
    /// Not a batch: the chain of headers ends here.
    Broken {
        position: u64,
        reason: String,
        /// The format of a batch that is older than version 2.
        old_magic: Option<i8>,
    },
    /// The end of the range.
    End,
}

/// What of each batch is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Headers,
    Checksums,
}

pub(crate) struct Scan<'a> {
    file: &'a dyn File,
    path: &'a Path,
    position: u64,
    end: u64,
    depth: Depth,
    block_bytes: usize,
    /// The next block, where there are headers to be found only: no more than one header if no second one can be in a block.
    next_block_bytes: usize,
    block: Vec<u8>,
    block_position: u64,
    /// How often it may still read, and only what the page cache holds; none: as often as need be, waiting for the disk.
    warm_reads_left: Option<u32>,
}

impl<'a> Scan<'a> {
    /// The headers from `position` to `end`, for a short way.
    pub(crate) fn headers(file: &'a dyn File, path: &'a Path, position: u64, end: u64) -> Scan<'a> {
        Scan::new(file, path, position..end, Depth::Headers, SEARCH_BLOCK_BYTES)
    }

    /// The headers from `position` to `end` as far as they can be had at once: an error where the page cache has them
    /// not, or where it would take many reads.
    pub(crate) fn warm_headers(file: &'a dyn File, path: &'a Path, position: u64, end: u64) -> Scan<'a> {
        Scan {
            warm_reads_left: Some(WARM_READS_MAX),
            next_block_bytes: HEADER_BYTES,
            ..Scan::headers(file, path, position, end)
        }
    }

    /// The headers of the whole range.
    pub(crate) fn all_headers(file: &'a dyn File, path: &'a Path, position: u64, end: u64) -> Scan<'a> {
        Scan::new(file, path, position..end, Depth::Headers, SEARCH_BLOCK_BYTES * 8)
    }

    /// The batches of the whole range, each with its checksum compared.
    pub(crate) fn checksums(file: &'a dyn File, path: &'a Path, position: u64, end: u64) -> Scan<'a> {
        Scan::new(
            file,
            path,
            position..end,
            Depth::Checksums,
            SEQUENTIAL_BLOCK_BYTES,
        )
    }

    fn new(
        file: &'a dyn File,
        path: &'a Path,
        range: std::ops::Range<u64>,
        depth: Depth,
        block_bytes: usize,
    ) -> Scan<'a> {
        Scan {
            file,
            path,
            position: range.start,
            end: range.end,
            depth,
            block_bytes,
            next_block_bytes: block_bytes,
            block: Vec::new(),
            block_position: range.start,
            warm_reads_left: None,
        }
    }

    /// The next batch. After [`Found::Broken`] and [`Found::End`] it is the same again.
    ///
    /// # Errors
    /// If the disk fails, or the file is shorter than the range.
    pub(crate) fn next(&mut self) -> Result<Found> {
        if self.position >= self.end {
            return Ok(Found::End);
        }
        let position = self.position;
        let left = self.end - position;
        let wanted = HEADER_BYTES.min(usize::try_from(left).unwrap_or(HEADER_BYTES));
        let header = match BatchHeader::parse(self.bytes_at(position, wanted)?) {
            Ok(header) => header,
            Err(error) => {
                let old_magic = match error {
                    forebay_records::Error::UnsupportedMagic {
                        magic: magic @ (0 | 1),
                    } => Some(magic),
                    _ => None,
                };
                let old_magic = old_magic.filter(|_| self.is_old_message(position).unwrap_or(false));
                return Ok(Found::Broken {
                    position,
                    reason: error.to_string(),
                    old_magic,
                });
            }
        };
        let size = header.size_in_bytes() as u64;
        if size > left {
            let reason = format!("a batch of {size} bytes begins {left} bytes before the end");
            return Ok(Found::Broken {
                position,
                reason,
                old_magic: None,
            });
        }
        if header.last_offset_delta < 0 || header.base_offset.is_none() {
            let reason = format!(
                "its offsets {} + {} make no sense",
                header.base_offset, header.last_offset_delta
            );
            return Ok(Found::Broken {
                position,
                reason,
                old_magic: None,
            });
        }
        let batch = BatchAt { header, position };
        let intact = self.depth == Depth::Headers || self.checksum(&batch)? == header.crc;
        self.position = batch.end();
        if self.depth == Depth::Headers {
            let alone = size >= self.block_bytes as u64;
            self.next_block_bytes = if alone { HEADER_BYTES } else { self.block_bytes };
        }
        Ok(if intact {
            Found::Batch(batch)
        } else {
            Found::Damaged(batch)
        })
    }

    /// Whether a message of format 0 or 1 lies here, whole: an old log, and not some garbage.
    fn is_old_message(&mut self, position: u64) -> Result<bool> {
        const HEAD_BYTES: usize = 16;
        if self.end - position < HEAD_BYTES as u64 {
            return Ok(false);
        }
        let head = self.bytes_at(position, HEAD_BYTES)?;
        let field = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (size, crc) = (u64::from(field(8)), field(12));
        let (mut at, end) = (position + HEAD_BYTES as u64, position + 12 + size);
        if end > self.end {
            return Ok(false);
        }
        let mut computed = !0;
        while at < end {
            let left = (end - at) as usize;
            let bytes = self.some_bytes_at(at)?;
            let bytes = &bytes[..bytes.len().min(left)];
            computed = bytes.iter().fold(computed, crc32_step);
            at += bytes.len() as u64;
        }
        Ok(!computed == crc)
    }

    fn checksum(&mut self, batch: &BatchAt) -> Result<u32> {
        let mut crc = 0;
        let mut position = batch.position + CHECKSUMMED_FROM;
        while position < batch.end() {
            let left = usize::try_from(batch.end() - position).expect("a batch is smaller than 2 GiB");
            let bytes = self.some_bytes_at(position)?;
            let bytes = &bytes[..bytes.len().min(left)];
            crc = crc32c::crc32c_append(crc, bytes);
            position += bytes.len() as u64;
        }
        Ok(crc)
    }

    /// At least one of the bytes at `position`, as many as the block happens to hold.
    fn some_bytes_at(&mut self, position: u64) -> Result<&[u8]> {
        self.bytes_at(position, 1)?;
        let start = (position - self.block_position) as usize;
        Ok(&self.block[start..])
    }

    /// Exactly `count` bytes at `position`; the range has them.
    fn bytes_at(&mut self, position: u64, count: usize) -> Result<&[u8]> {
        let in_block = position.checked_sub(self.block_position).filter(|&start| {
            let end = start.saturating_add(count as u64);
            end <= self.block.len() as u64
        });
        let start = match in_block {
            // Fits: it lies within the block.
            Some(start) => start as usize,
            None => {
                let length = (self.end - position).min(self.next_block_bytes.max(count) as u64);
                self.block.resize(length as usize, 0);
                self.block_position = position;
                if let Err(error) = self.fill_block() {
                    self.block.clear();
                    return Err(error.into());
                }
                0
            }
        };
        Ok(&self.block[start..start + count])
    }

    fn fill_block(&mut self) -> forebay_disk::Result<()> {
        let position = self.block_position;
        let Some(reads_left) = &mut self.warm_reads_left else {
            return self.file.read_exact_at(&mut self.block, position, self.path);
        };
        if *reads_left > 0 && self.file.read_at_nowait(&mut self.block, position)? == Some(self.block.len()) {
            *reads_left -= 1;
            return Ok(());
        }
        Err(forebay_disk::Error::Io {
            operation: Operation::Read,
            path: self.path.to_path_buf(),
            source: io::ErrorKind::WouldBlock.into(),
        })
    }
}

/// One byte of the CRC-32 that the old formats have (not Castagnoli's); for an error message only, hence without a table.
fn crc32_step(crc: u32, byte: &u8) -> u32 {
    (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    })
}

/// Whether the file holds nothing but zeros from `position` to `end`: space that was filled ahead.
pub(crate) fn only_zeros(file: &dyn File, position: u64, end: u64) -> Result<bool> {
    let mut position = position;
    let mut block = vec![0; SEARCH_BLOCK_BYTES * 8];
    while position < end {
        let length = (end - position).min(block.len() as u64) as usize;
        let read = file.read_up_to_at(&mut block[..length], position)?;
        if read == 0 {
            break;
        }
        if block[..read].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        position += read as u64;
    }
    Ok(true)
}
