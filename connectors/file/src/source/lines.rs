//! Cuts bytes into lines without copying them. A line ends with `\n`, `\r\n` or `\r`, as Kafka's task has it.

use std::io;

use bytes::{Bytes, BytesMut};

/// Read from a file at once.
const READ_BYTES: usize = 1024 * 1024;

/// Bytes of a file from some position on, of which the lines are not given out yet.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Bytes,
    /// Where in the file the buffer begins.
    position: u64,
    /// Over every byte of the file before that; `None` where the lines did not begin with the file's.
    checksum: Option<u32>,
    /// How many bytes of the buffer hold no end of a line.
    scanned: usize,
    line_bytes_max: usize,
    /// Nothing follows the buffer: what is in it, is a line.
    at_end: bool,
}

/// A line is longer than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong {
    /// Where in the file the line begins.
    pub(super) position: u64,
}

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) bytes: Bytes,
    /// Where the next line begins.
    pub(super) next_position: u64,
    /// CRC-32C over every byte of the file before that, if it is known.
    pub(super) checksum: Option<u32>,
}

impl Lines {
    /// Lines from the beginning.
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Self::at(0, Some(0), line_bytes_max)
    }

    /// Lines from `position` on, with the checksum over the bytes before it.
    pub(super) fn at(position: u64, checksum: Option<u32>, line_bytes_max: usize) -> Self {
        Self {
            buffer: Bytes::new(),
            position,
            checksum,
            scanned: 0,
            line_bytes_max,
            at_end: false,
        }
    }

    /// Where the first line that is not given out begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Where to read on.
    pub(super) fn end(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    /// What was read and is no whole line yet, once [`Lines::next`] gives none.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// Over every byte before [`Lines::position`], if it is known.
    pub(super) fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    /// Says that nothing follows: what is left is a line.
    pub(super) fn set_at_end(&mut self) {
        self.at_end = true;
    }

    /// Reads more behind what is there; returns how much came. Reads as much again as is pending, so that a long line is not
    /// copied a thousand times, but never more than the longest line needs.
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let more = READ_BYTES.max(self.buffer.len());
        let mut grown = BytesMut::with_capacity(self.buffer.len() + more);
        grown.extend_from_slice(&self.buffer);
        grown.resize(self.buffer.len() + more, 0);
        let count = read(&mut grown[self.buffer.len()..], self.end())?;
        grown.truncate(self.buffer.len() + count);
        if count > 0 {
            self.buffer = grown.freeze();
        }
        Ok(count)
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Result<Option<Line>, TooLong> {
        let too_long = TooLong {
            position: self.position,
        };
        let (length, end_length) = match memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) {
            Some(found) => {
                let end = self.scanned + found;
                match (self.buffer[end], self.buffer.get(end + 1)) {
                    (b'\r', Some(b'\n')) => (end, 2),
                    // Whether a newline follows is not known yet.
                    (b'\r', None) if !self.at_end => {
                        self.scanned = end;
                        return if end > self.line_bytes_max {
                            Err(too_long)
                        } else {
                            Ok(None)
                        };
                    }
                    _ => (end, 1),
                }
            }
            None if self.at_end && !self.buffer.is_empty() => (self.buffer.len(), 0),
            None => {
                self.scanned = self.buffer.len();
                let is_long = self.buffer.len() > self.line_bytes_max;
                return if is_long { Err(too_long) } else { Ok(None) };
            }
        };
        if length > self.line_bytes_max {
            return Err(too_long);
        }
        let mut bytes = self.buffer.split_to(length + end_length);
        self.checksum = self.checksum.map(|before| crc32c::crc32c_append(before, &bytes));
        bytes.truncate(length);
        self.position += (length + end_length) as u64;
        self.scanned = 0;
        Ok(Some(Line {
            bytes,
            next_position: self.position,
            checksum: self.checksum,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `content` in pieces of `piece` bytes; gives the lines, each with the position after it.
    fn split(content: &[u8], piece: usize, at_end: bool) -> Vec<(String, u64)> {
        let mut lines = Lines::at(100, None, 1000);
        let mut found = Vec::new();
        let mut take = |lines: &mut Lines| {
            while let Some(line) = lines.next().expect("no line is long") {
                found.push((
                    String::from_utf8_lossy(&line.bytes).into_owned(),
                    line.next_position,
                ));
            }
        };
        for part in content.chunks(piece) {
            let read = |buffer: &mut [u8], _| {
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            };
            assert_eq!(lines.fill(read).expect("memory"), part.len());
            take(&mut lines);
        }
        if at_end {
            lines.set_at_end();
            take(&mut lines);
        }
        found
    }

    #[test]
    fn lines_end_as_kafkas_do_however_the_bytes_come() {
        let content = b"a\nbc\r\n\rd\r\r\n\n\xffe\r";
        let expected = [
            ("a", 102),
            ("bc", 106),
            ("", 107),
            ("d", 109),
            ("", 111),
            ("", 112),
        ];
        let expected: Vec<(String, u64)> = expected
            .iter()
            .map(|(line, position)| ((*line).to_owned(), *position))
            .collect();
        for piece in 1..=content.len() {
            assert_eq!(split(content, piece, false), expected, "in pieces of {piece}");
        }
        let with_last = [expected, vec![("\u{fffd}e".to_owned(), 115)]].concat();
        assert_eq!(split(content, 2, true), with_last);
        assert_eq!(
            split(b"a\nb", 9, true),
            [("a".to_owned(), 102), ("b".to_owned(), 103)]
        );
        assert_eq!(
            split(b"a\n", 9, true),
            [("a".to_owned(), 102)],
            "no empty line at the end"
        );
    }

    #[test]
    fn a_line_has_a_bound() {
        for (length, end, is_long) in [
            (10, "\n", false),
            (11, "\n", true),
            (10, "", false),
            (11, "", true),
            (11, "\r", true),
        ] {
            let mut lines = Lines::new(10);
            let content = ["x".repeat(length), end.to_owned()].concat();
            let read = |buffer: &mut [u8], _| {
                buffer[..content.len()].copy_from_slice(content.as_bytes());
                Ok(content.len())
            };
            lines.fill(read).expect("memory");
            assert_eq!(lines.next().is_err(), is_long, "{length} {end:?}");
        }
    }
}
