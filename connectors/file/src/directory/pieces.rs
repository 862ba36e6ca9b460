//! Cuts the bytes of a file into records without copying them, and goes on behind those that are too long.

use std::io;

use bytes::{Bytes, BytesMut};
use regex::bytes::Regex;

/// Read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// What a text may begin with that is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds the ends of records. Sees each byte of a file once and in order, in parts of any size.
pub(super) trait Boundary: std::fmt::Debug + Send {
    /// Looks at more bytes; says where the record ends.
    fn scan(&mut self, bytes: &[u8]) -> Step;

    /// Nothing follows: how many bytes at the end of what was seen belong to no record, if there is one.
    fn finish(&mut self) -> Option<usize>;

    /// What reading on from here needs to know.
    fn state(&self) -> Option<&'static str> {
        None
    }
}

/// What looking at bytes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All were looked at, and no record ends there.
    More,
    /// A record ends after so many of these bytes, the last `trim` of all that was seen left out.
    End { consumed: usize, trim: usize },
    /// No record has begun, and so many bytes belong to none.
    Skip(usize),
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Where it begins.
    pub(super) position: u64,
    /// Where the next one begins.
    pub(super) next_position: u64,
    /// CRC-32C over every byte of the file before that, if it is known.
    pub(super) checksum: Option<u32>,
    /// What reading on from there needs to know.
    pub(super) state: Option<&'static str>,
}

/// A record is longer than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// Where in the file it begins.
    pub(super) position: u64,
}

/// Bytes of a file from some position on, of which the records are not given out yet.
#[derive(Debug)]
pub(super) struct Pieces {
    boundary: Box<dyn Boundary>,
    buffer: Bytes,
    /// Where in the file the buffer begins.
    position: u64,
    checksum: Option<u32>,
    /// How many bytes of the buffer the boundary has seen.
    scanned: usize,
    bytes_max: usize,
    /// Nothing follows the buffer.
    at_end: bool,
    /// A record is too long: where it begins. What there is of it is thrown away.
    long: Option<TooLong>,
    /// Whether the beginning of the file is yet to come.
    at_start: bool,
}

impl Pieces {
    /// Records from `position` on, with the checksum over the bytes before it.
    pub(super) fn at(
        position: u64,
        checksum: Option<u32>,
        bytes_max: usize,
        boundary: Box<dyn Boundary>,
    ) -> Self {
        Self {
            boundary,
            buffer: Bytes::new(),
            position,
            checksum,
            scanned: 0,
            bytes_max,
            at_end: false,
            long: None,
            at_start: position == 0,
        }
    }

    /// Where to read on.
    pub(super) fn end(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    /// Whether something was read that is no whole record yet.
    pub(super) fn has_rest(&self) -> bool {
        !self.buffer.is_empty() || self.long.is_some()
    }

    /// What was read last, as far as it is still here.
    pub(super) fn copy_tail(&self, length: usize, tail: &mut Vec<u8>) {
        tail.clear();
        tail.extend_from_slice(&self.buffer[self.buffer.len().saturating_sub(length)..]);
    }

    /// Says that nothing follows.
    pub(super) fn set_at_end(&mut self) {
        self.at_end = true;
    }

    /// Whether nothing follows what was given out.
    pub(super) fn is_finished(&self) -> bool {
        self.at_end && !self.has_rest()
    }

    /// Reads more behind what is there; returns how much came. Reads as much again as is pending, so that a long record is
    /// not copied a thousand times, but never more than the longest needs.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let more = READ_BYTES.max(self.buffer.len().min(self.bytes_max));
        let mut grown = BytesMut::with_capacity(self.buffer.len() + more);
        grown.extend_from_slice(&self.buffer);
        grown.resize(self.buffer.len() + more, 0);
        let count = read(&mut grown[self.buffer.len()..], self.end())?;
        grown.truncate(self.buffer.len() + count);
        if count > 0 {
            self.buffer = grown.freeze();
            self.at_end = false;
        }
        Ok(count)
    }

    /// The next whole record.
    ///
    /// # Errors
    /// That it is too long; called again, it goes on behind that.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, TooLong> {
        if self.at_start && !self.pass_start() {
            return Ok(None);
        }
        loop {
            let step = self.boundary.scan(&self.buffer[self.scanned..]);
            let (length, trim) = match step {
                Step::Skip(count) => {
                    self.take(self.scanned + count);
                    continue;
                }
                Step::End { consumed, trim } => (self.scanned + consumed, trim),
                Step::More => {
                    self.scanned = self.buffer.len();
                    match self.at_end.then(|| self.boundary.finish()) {
                        None => return self.is_it_long(),
                        Some(Some(trim)) if self.has_rest() => (self.buffer.len(), trim),
                        Some(_) => {
                            self.take(self.buffer.len());
                            return Ok(None);
                        }
                    }
                }
            };
            let (position, bytes) = (self.position, self.take(length));
            if let Some(long) = self.long.take() {
                return Err(long);
            }
            // The trimmed bytes may lie in what was thrown away, but then there is no record.
            let bytes = bytes.slice(..length.saturating_sub(trim));
            if bytes.len() > self.bytes_max {
                return Err(TooLong { position });
            }
            return Ok(Some(Piece {
                bytes,
                position,
                next_position: self.position,
                checksum: self.checksum,
                state: self.boundary.state(),
            }));
        }
    }

    /// Of a record that is too long nothing is kept but where it began.
    fn is_it_long(&mut self) -> Result<Option<Piece>, TooLong> {
        // Its end may be two bytes that do not count.
        if self.long.is_some() || self.buffer.len() > self.bytes_max.saturating_add(2) {
            let position = self.position;
            self.long.get_or_insert(TooLong { position });
            self.take(self.buffer.len());
        }
        Ok(None)
    }

    /// Whether a record is being thrown away.
    pub(super) fn too_long(&self) -> Option<TooLong> {
        self.long
    }

    /// Passes a byte order mark, once it is known whether there is one.
    fn pass_start(&mut self) -> bool {
        if self.buffer.len() < BYTE_ORDER_MARK.len()
            && !self.at_end
            && BYTE_ORDER_MARK.starts_with(&self.buffer)
        {
            return false;
        }
        self.at_start = false;
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.take(BYTE_ORDER_MARK.len());
        }
        true
    }

    fn take(&mut self, length: usize) -> Bytes {
        let bytes = self.buffer.split_to(length);
        self.checksum = self.checksum.map(|before| crc32c::crc32c_append(before, &bytes));
        self.position += length as u64;
        self.scanned = 0;
        bytes
    }
}

/// Puts lines together that belong to one record: one that the pattern matches begins it.
#[derive(Debug)]
pub(super) struct Multiline {
    start: Regex,
    bytes_max: usize,
    /// The record that may go on.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    text: Vec<u8>,
    piece: Piece,
    is_long: bool,
}

impl Multiline {
    pub(super) fn new(start: &regex::Regex, bytes_max: usize) -> Result<Self, String> {
        Ok(Self {
            start: Regex::new(start.as_str()).map_err(|error| error.to_string())?,
            bytes_max,
            open: None,
        })
    }

    /// Takes a line; gives the record that ends before it.
    pub(super) fn push(&mut self, line: Piece) -> Option<Result<Piece, TooLong>> {
        match &mut self.open {
            Some(open) if !self.start.is_match(&line.bytes) => {
                open.piece.next_position = line.next_position;
                open.piece.checksum = line.checksum;
                if open.text.len() + 1 + line.bytes.len() > self.bytes_max {
                    open.is_long = true;
                    open.text = Vec::new();
                } else if !open.is_long {
                    open.text.push(b'\n');
                    open.text.extend_from_slice(&line.bytes);
                }
                None
            }
            _ => {
                let before = self.finish();
                self.open = Some(Open {
                    text: line.bytes.to_vec(),
                    piece: line,
                    is_long: false,
                });
                before
            }
        }
    }

    /// No line follows: gives the last record.
    pub(super) fn finish(&mut self) -> Option<Result<Piece, TooLong>> {
        let open = self.open.take()?;
        Some(if open.is_long {
            Err(TooLong {
                position: open.piece.position,
            })
        } else {
            Ok(Piece {
                bytes: open.text.into(),
                ..open.piece
            })
        })
    }
}

#[cfg(test)]
mod tests;
