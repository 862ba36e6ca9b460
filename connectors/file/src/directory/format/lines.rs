//! Lines. One ends with `\n`, `\r\n` or `\r`, as those of FileStreamSource.

use crate::directory::pieces::{Boundary, Step};

/// The ends of lines.
#[derive(Debug, Default)]
pub(in crate::directory) struct Lines {
    /// The last byte was `\r`: whether it ends the line alone, the next one says.
    after_return: bool,
    /// Something of a line was seen.
    begun: bool,
}

impl Boundary for Lines {
    fn scan(&mut self, bytes: &[u8]) -> Step {
        if self.after_return {
            let Some(first) = bytes.first() else {
                return Step::More;
            };
            let (consumed, trim) = if *first == b'\n' { (1, 2) } else { (0, 1) };
            *self = Self::default();
            return Step::End { consumed, trim };
        }
        match memchr::memchr2(b'\n', b'\r', bytes) {
            None => {
                self.begun |= !bytes.is_empty();
                Step::More
            }
            Some(end) if bytes[end] == b'\n' => {
                *self = Self::default();
                Step::End {
                    consumed: end + 1,
                    trim: 1,
                }
            }
            Some(end) => {
                self.after_return = true;
                match bytes.get(end + 1) {
                    None => Step::More,
                    Some(_) => match self.scan(&bytes[end + 1..]) {
                        Step::End { consumed, trim } => Step::End {
                            consumed: end + 1 + consumed,
                            trim,
                        },
                        other => other,
                    },
                }
            }
        }
    }

    fn finish(&mut self) -> Option<usize> {
        let found = (self.after_return || self.begun).then_some(usize::from(self.after_return));
        *self = Self::default();
        found
    }
}
