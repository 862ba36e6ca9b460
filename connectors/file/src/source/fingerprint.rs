//! What a file begins with, to know it again when its name or inode says nothing.

use std::{fs::File, io, os::unix::fs::FileExt};

/// How much of the beginning counts.
const HEAD_BYTES: u64 = 4096;

/// The beginning of an open file, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// The checksum over all of it, once it is full.
    full: Option<u32>,
}

impl Head {
    /// Reads on, if there may be more.
    pub(super) fn extend(&mut self, file: &File) -> io::Result<()> {
        if self.full.is_none() {
            self.bytes = read_head(file, HEAD_BYTES)?;
            self.full = (self.bytes.len() as u64 == HEAD_BYTES).then(|| crc32c::crc32c(&self.bytes));
        }
        Ok(())
    }

    /// The checksum over what of the head lies before `position`, which must have been read.
    pub(super) fn fingerprint(&self, position: u64) -> u32 {
        match self.full {
            Some(full) if position >= HEAD_BYTES => full,
            _ => {
                let length = usize::try_from(position)
                    .unwrap_or(usize::MAX)
                    .min(self.bytes.len());
                crc32c::crc32c(&self.bytes[..length])
            }
        }
    }
}

/// Whether a file is the one of which `position` bytes were read, as far as its length and beginning tell.
pub(super) fn is_same(file: &File, position: u64, fingerprint: Option<u32>) -> io::Result<bool> {
    if file.metadata()?.len() < position {
        return Ok(false);
    }
    let Some(fingerprint) = fingerprint else {
        return Ok(true);
    };
    let length = position.min(HEAD_BYTES);
    let head = read_head(file, length)?;
    Ok(head.len() as u64 == length && crc32c::crc32c(&head) == fingerprint)
}

fn read_head(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let mut head = vec![0; usize::try_from(length.min(HEAD_BYTES)).expect("a few thousand")];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    head.truncate(filled);
    Ok(head)
}
