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

    /// The batches in one piece, copied only if they are in several; `None` if part of them is in a file.
    pub fn into_bytes(self) -> Option<Bytes> {
        let chunks = match self {
            Self::Memory(bytes) => return Some(bytes),
            Self::File(_) => return None,
            Self::Chunks(chunks) => chunks,
        };
        let mut pieces = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(bytes) => pieces.push(bytes),
                Chunk::File(_) => return None,
            }
        }
        match <[Bytes; 1]>::try_from(pieces) {
            Ok([bytes]) => Some(bytes),
            Err(pieces) => Some(pieces.concat().into()),
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
