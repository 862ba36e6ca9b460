//! What encoding gives: pieces of memory, and ranges of files that go to the socket without passing through ours.

use std::sync::Arc;

use bytes::Bytes;

/// Some bytes of a file; whoever makes the range answers for their staying there while it lives.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file, open for reading.
    pub file: Arc<dyn forebay_disk::File>,
    /// Where the range begins, in bytes from the start of the file.
    pub position: u64,
    /// How many bytes the range has.
    pub length: u32,
}

/// The same bytes of the same open file.
impl PartialEq for FileRange {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.position == other.position && self.length == other.length
    }
}

impl Eq for FileRange {}

/// A piece of an encoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(FileRange),
}

impl Chunk {
    /// How many bytes it stands for.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => range.length as usize,
        }
    }

    /// Whether it stands for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
