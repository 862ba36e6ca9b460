//! Standard input as blocks of lines. Lines end as Java's `readLine` has it: at `\n`, `\r` or `\r\n`, or at the end of the input. Bytes
//! pass as they are, also where they are no UTF-8. A line that could never be sent is counted, not kept.

use std::io::{BufRead, Write as _};
use std::ops::Range;

use tokio::sync::mpsc;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes, without the end of the line.
    Text(&'a [u8]),
    /// It was longer than the bound.
    TooLong {
        /// How long it was.
        bytes: usize,
    },
}

/// Some lines.
#[derive(Debug, Default)]
pub(super) struct Block {
    first_number: u64,
    text: Vec<u8>,
    lines: Vec<Result<Range<usize>, usize>>,
}

impl Block {
    /// The lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, Line<'_>)> {
        let lines = self.lines.iter().map(|line| match line {
            Ok(range) => Line::Text(&self.text[range.clone()]),
            Err(bytes) => Line::TooLong { bytes: *bytes },
        });
        (self.first_number..).zip(lines)
    }
}

/// Reads until the end of the input or until nobody receives any more. At a terminal every line is a block, after a prompt.
pub(super) fn read(
    input: &mut impl BufRead,
    interactive: bool,
    line_bytes_max: usize,
    blocks: &mpsc::Sender<Block>,
) {
    let mut splitter = Splitter::new(line_bytes_max);
    loop {
        if interactive {
            // A prompt that cannot be shown is no reason to stop reading.
            let _ = std::io::stdout()
                .write_all(b">")
                .and_then(|()| std::io::stdout().flush());
        }
        let read = match input.fill_buf() {
            Ok(chunk) => {
                splitter.take(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                eprintln!("cannot read standard input: {error}");
                0
            }
        };
        input.consume(read);
        if read == 0 {
            splitter.end();
        }
        // At once: the next read may wait for long.
        if let Some(block) = splitter.block()
            && blocks.blocking_send(block).is_err()
        {
            return;
        }
        if read == 0 {
            return;
        }
    }
}

/// Cuts chunks into lines.
#[derive(Debug)]
struct Splitter {
    line_bytes_max: usize,
    block: Block,
    /// Where the line that is not ended yet begins in the block.
    line_start: usize,
    /// How much of that line was too much to keep.
    dropped: usize,
    after_carriage_return: bool,
}

impl Splitter {
    fn new(line_bytes_max: usize) -> Self {
        let block = Block {
            first_number: 1,
            ..Block::default()
        };
        Self {
            line_bytes_max,
            block,
            line_start: 0,
            dropped: 0,
            after_carriage_return: false,
        }
    }

    fn take(&mut self, mut chunk: &[u8]) {
        if std::mem::take(&mut self.after_carriage_return) {
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&chunk[..end]);
            self.end_line();
            let is_pair = chunk[end] == b'\r' && chunk.get(end + 1) == Some(&b'\n');
            self.after_carriage_return = chunk[end] == b'\r' && chunk.len() == end + 1;
            chunk = &chunk[end + if is_pair { 2 } else { 1 }..];
        }
        self.keep(chunk);
    }

    fn keep(&mut self, part: &[u8]) {
        let length = self.block.text.len() - self.line_start;
        if self.dropped > 0 || length + part.len() > self.line_bytes_max {
            self.dropped += length + part.len();
            self.block.text.truncate(self.line_start);
        } else {
            self.block.text.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let end = self.block.text.len();
        let line = if self.dropped > 0 {
            Err(self.dropped)
        } else {
            Ok(self.line_start..end)
        };
        self.block.lines.push(line);
        self.line_start = end;
        self.dropped = 0;
    }

    /// The input ends; what stands there without the end of a line is a line.
    fn end(&mut self) {
        if self.dropped > 0 || self.line_start < self.block.text.len() {
            self.end_line();
        }
    }

    /// The lines so far, if there are any; the beginning of the next stays.
    fn block(&mut self) -> Option<Block> {
        if self.block.lines.is_empty() {
            return None;
        }
        let next = Block {
            first_number: self.block.first_number + self.block.lines.len() as u64,
            text: self.block.text.split_off(self.line_start),
            lines: Vec::new(),
        };
        self.line_start = 0;
        Some(std::mem::replace(&mut self.block, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of an input that comes in chunks of so many bytes.
    fn split(input: &[u8], chunk_bytes: usize, line_bytes_max: usize) -> Vec<(u64, Result<Vec<u8>, usize>)> {
        let (sender, mut receiver) = mpsc::channel(1000);
        let mut input = std::io::BufReader::with_capacity(chunk_bytes, input);
        read(&mut input, false, line_bytes_max, &sender);
        let mut lines = Vec::new();
        while let Ok(block) = receiver.try_recv() {
            lines.extend(block.lines().map(|(number, line)| match line {
                Line::Text(text) => (number, Ok(text.to_vec())),
                Line::TooLong { bytes } => (number, Err(bytes)),
            }));
        }
        lines
    }

    #[test]
    fn lines_end_where_java_ends_them_however_the_input_comes() {
        let cases: [(&[u8], &[&[u8]]); 7] = [
            (b"", &[]),
            (b"a", &[b"a"]),
            (b"a\n", &[b"a"]),
            (b"a\n\nb", &[b"a", b"", b"b"]),
            (b"a\r\nb\rc\r\r\n\n", &[b"a", b"b", b"c", b"", b""]),
            (b"\r\n\xff\xfe\n", &[b"", b"\xff\xfe"]),
            (b"\n\r\n", &[b"", b""]),
        ];
        for (input, expected) in cases {
            let expected: Vec<_> = (1..).zip(expected.iter().map(|line| Ok(line.to_vec()))).collect();
            for chunk_bytes in 1..8 {
                assert_eq!(
                    split(input, chunk_bytes, 100),
                    expected,
                    "{input:?} by {chunk_bytes}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_the_next_is_fine() {
        for chunk_bytes in 1..8 {
            let lines = split(b"abc\nabcdefgh\nabcd\nabcde", chunk_bytes, 4);
            assert_eq!(
                lines,
                [
                    (1, Ok(b"abc".to_vec())),
                    (2, Err(8)),
                    (3, Ok(b"abcd".to_vec())),
                    (4, Err(5))
                ]
            );
        }
    }

    #[test]
    fn many_lines_come_in_blocks_and_none_is_lost() {
        let input: Vec<u8> = (0..100_000)
            .flat_map(|number| format!("line {number}\n").into_bytes())
            .collect();
        let lines = split(&input, 8192, 100);
        assert_eq!(lines.len(), 100_000);
        assert_eq!(lines[99_999], (100_000, Ok(b"line 99999".to_vec())));
    }
}
