//! Record batches inside a message, as bytes that nobody here looks into.

use bytes::Bytes;

use crate::{Chunk, FileRange};

/// Record batches, one after the other. Decoding gives [`Records::Memory`]; a fetch response may carry any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// In one piece of memory.
    Memory(Bytes),
    /// In a file: sent from there.
    File(FileRange),
    /// In several pieces, in this order.
    Chunks(Vec<Chunk>),
}

impl Records {
    /// No batch.
    pub const EMPTY: Self = Self::Memory(Bytes::new());

    /// How many bytes the batches have.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(range) => range.length as usize,
            Self::Chunks(chunks) => chunks.iter().map(Chunk::len).sum(),
        }
    }

    /// Whether there is no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Memory(bytes)
    }
}
