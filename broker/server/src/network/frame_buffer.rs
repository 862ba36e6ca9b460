//! The bytes of a connection that are not a frame yet: four bytes of length, then as many bytes. Pure, so that it can be fuzzed
//! (`fuzz/checks/frame.rs`); `frame` reads from a socket into it.

use bytes::{Bytes, BytesMut};

/// The length in front of a frame.
const LENGTH_BYTES: usize = 4;
/// What a connection that begins to send gets; most requests fit.
pub const FIRST_BUFFER_BYTES: usize = 4 * 1024;
/// So little of a frame is moved into a buffer of its size while the rest does not come.
const CRUMBS_BYTES: usize = 64;
/// Memory from this size on is worth being used again ([`FrameBuffer::take_spent`]).
pub const LARGE_BYTES: usize = 256 * 1024;
/// A frame longer than the buffer so far is read into one that is at most this many times as large as what has arrived.
pub const GROWTH: usize = 16;

/// A length that no request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("frame of {length} bytes announced, allowed are 0 to {max}")]
pub struct Error {
    /// What was announced.
    pub length: i32,
    /// `socket.request.max.bytes`.
    pub max: usize,
}

/// What has arrived since the last frame.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: BytesMut,
    bytes_max: usize,
    spent: Option<Spent>,
}

/// The memory of large frames that were given out: whoever holds the handle can use it again when they are gone.
#[derive(Debug)]
pub struct Spent {
    /// Empty.
    pub handle: BytesMut,
    /// How many bytes the memory has.
    pub size: usize,
}

impl FrameBuffer {
    /// Nothing yet, and no memory taken; frames of up to `bytes_max` bytes are let in.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            bytes_max,
            spent: None,
        }
    }

    /// The next frame without its length, once it is whole.
    ///
    /// # Errors
    /// If the length is one that no request has; nothing that follows can be read then.
    pub fn take(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        if self.bytes.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let size = self.bytes.capacity();
        let mut frame = self.bytes.split_to(LENGTH_BYTES + length).freeze();
        if self.bytes.is_empty() {
            let handle = std::mem::take(&mut self.bytes);
            self.spent = (size >= LARGE_BYTES).then_some(Spent { handle, size });
        }
        Ok(Some(frame.split_off(LENGTH_BYTES)))
    }

    /// The memory of the frame that was taken last, if it was large.
    pub fn take_spent(&mut self) -> Option<Spent> {
        self.spent.take()
    }

    fn announced(&self) -> Result<Option<usize>, Error> {
        let Some(head) = self.bytes.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes(*head);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.bytes_max => Ok(Some(bytes)),
            _ => Err(Error {
                length,
                max: self.bytes_max,
            }),
        }
    }

    /// How many bytes there should be room for before the next read, those that are there included, if there is not: the rest of the
    /// frame, but never more than [`GROWTH`] times what has arrived.
    #[must_use]
    pub fn wanted(&self) -> Option<usize> {
        let have = self.bytes.len();
        let wanted = match self.announced() {
            Ok(Some(length)) => LENGTH_BYTES + length,
            _ => FIRST_BUFFER_BYTES,
        };
        let target = wanted.min(FIRST_BUFFER_BYTES.max(have * GROWTH)).max(have + 1);
        (self.bytes.capacity() < target).then_some(target)
    }

    /// Makes room for so many bytes in all.
    pub fn make_room(&mut self, bytes: usize) {
        self.bytes.reserve(bytes.saturating_sub(self.bytes.len()));
    }

    /// Goes on in other memory, which is empty and has room.
    pub fn move_into(&mut self, mut memory: BytesMut) {
        memory.extend_from_slice(&self.bytes);
        self.bytes = memory;
    }

    /// Where the next bytes go: as many as there is room for.
    pub fn end(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Whether nothing has arrived since the last frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes of memory it has.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back that waits for a peer which sends nothing, or a few bytes and no more: ten thousand silent connections must
    /// cost nothing.
    pub fn shrink(&mut self) {
        self.release_if_empty();
        if self.has_crumbs() && self.bytes.capacity() > 2 * CRUMBS_BYTES && !self.is_whole() {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
    }

    /// Whether so little is there that it is not worth a buffer.
    #[must_use]
    pub fn has_crumbs(&self) -> bool {
        self.bytes.len() <= CRUMBS_BYTES
    }

    /// Whether a frame, or a length that is refused, is in the buffer.
    fn is_whole(&self) -> bool {
        match self.announced() {
            Ok(Some(length)) => self.bytes.len() >= LENGTH_BYTES + length,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn release_if_empty(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests;
