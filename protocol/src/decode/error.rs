//! Why bytes are not a message: all of these are the sender's doing, and none is worth a retry.

use crate::tagged_fields::UNKNOWN_TAGS_MAX;

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} version {} at byte {}: {}", detail.message, detail.version, detail.position, detail.cause)]
pub struct Error {
    detail: Box<Detail>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    message: &'static str,
    version: i16,
    position: usize,
    cause: Cause,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say it
pub enum Cause {
    #[error("unsupported version; versions {lowest} to {highest} are supported")]
    Version { lowest: i16, highest: i16 },
    #[error("the message ends early: {needed} bytes are needed, {left} are left")]
    Truncated { needed: usize, left: usize },
    #[error("{left} bytes are left over")]
    TrailingBytes { left: usize },
    #[error("a variable-length number of more than 32 bits")]
    Varint,
    #[error("{field} has {length} bytes, {left} are left")]
    Length {
        field: &'static str,
        length: usize,
        left: usize,
    },
    #[error("{field} counts {count} elements, too many for the {left} bytes that are left")]
    Count {
        field: &'static str,
        count: usize,
        left: usize,
    },
    #[error("{field} with {count} elements takes more memory than a message of this size may")]
    Memory { field: &'static str, count: usize },
    #[error("{field} has {length} bytes, a string may have {}", super::STRING_BYTES_MAX)]
    StringTooLong { field: &'static str, length: usize },
    #[error("{field} is not UTF-8")]
    NotUtf8 { field: &'static str },
    #[error("{field} is null, which it may not be")]
    Null { field: &'static str },
    #[error("tag {tag} does not exist at this version")]
    TagNotInVersion { tag: u32 },
    #[error("the value of tag {tag} ends {left} bytes before its length says")]
    TagLength { tag: u32, left: usize },
    #[error("tag {tag} appears twice")]
    TagRepeated { tag: u32 },
    #[error("more than {UNKNOWN_TAGS_MAX} unknown tagged fields")]
    TooManyTags,
    #[error("no {what} has the number {number}")]
    UnknownType { what: &'static str, number: i64 },
}

impl Error {
    #[cold]
    pub(crate) fn new(message: &'static str, version: i16, position: usize, cause: Cause) -> Self {
        Self {
            detail: Box::new(Detail {
                message,
                version,
                position,
                cause,
            }),
        }
    }

    /// Kafka's name of the message that was being read.
    pub fn message(&self) -> &'static str {
        self.detail.message
    }

    /// The version that was being read.
    pub fn version(&self) -> i16 {
        self.detail.version
    }

    /// How far reading had come, in bytes from the start of what was given to the reader.
    pub fn position(&self) -> usize {
        self.detail.position
    }

    /// What is wrong.
    pub fn cause(&self) -> &Cause {
        &self.detail.cause
    }
}
