//! What is read from a log: whole batches, as bytes still in memory or as ranges of segment files.

use std::sync::Arc;

use bytes::Bytes;
use forebay_disk::File;
use forebay_records::Offset;

/// Which part of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The first record wanted. A batch is whole: it may begin before it.
    pub offset: Offset,
    /// Records from here on are not given out: the high watermark, the last stable offset, or for followers
    /// [`Offset::MAX`], which means the log's end.
    pub up_to: Offset,
    /// Not more bytes than this.
    pub max_bytes: usize,
    /// Unless not even the first batch fits: then that one, whole (KIP-74).
    pub min_one_batch: bool,
}

/// Batches as they were found.
#[derive(Debug, Clone, Default)]
pub struct ReadResult {
    /// One behind the other they are whole batches. A boundary between chunks need not be one between batches.
    pub chunks: Vec<Chunk>,
    /// Bytes of all chunks.
    pub size_in_bytes: usize,
    /// Offset after the last batch; where the next read goes on. The offset asked for if nothing was found.
    pub next_offset: Offset,
}

/// Some bytes of a log.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// In memory.
    Bytes(Bytes),
    /// In a segment's file.
    File(FileRange),
}

/// A range of a segment's file. The file stays readable while someone holds this, also if the segment is deleted.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The segment's file.
    pub file: Arc<dyn File>,
    /// Where the range begins.
    pub position: u64,
    /// How many bytes it has.
    pub length: usize,
}

impl Chunk {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::File(range) => range.length,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
