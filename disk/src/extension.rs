//! Convenience for callers, built on the contract: whole reads, zero-filling, atomic replacement of small files.

use std::io::IoSlice;
use std::path::Path;

use crate::{Disk, Error, File, OpenOptions, Result};

/// How many zeros one write of [`FileExt::write_zeros_at`] takes at once.
const ZERO_BLOCK_BYTES: usize = 64 * 1024;
static ZEROS: [u8; ZERO_BLOCK_BYTES] = [0; ZERO_BLOCK_BYTES];
/// How many zero blocks go into one vectored write.
const ZERO_BLOCKS_PER_WRITE: usize = 16;

/// What every [`File`] can do beyond its contract.
pub trait FileExt: File {
    /// Fills `buffer` from `position`; [`Error::UnexpectedEnd`] if the file ends before. `path` is for that message.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64, path: &Path) -> Result<()> {
        let read = self.read_up_to_at(buffer, position)?;
        if read < buffer.len() {
            return Err(Error::UnexpectedEnd {
                path: path.to_path_buf(),
                position,
                length: buffer.len(),
            });
        }
        Ok(())
    }

    /// Reads until `buffer` is full or the file ends; returns how much was read.
    fn read_up_to_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.read_at(&mut buffer[read..], position + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }

    /// Writes `length` real zeros at `position` (not a hole: overwriting them later needs no new blocks).
    fn write_zeros_at(&self, position: u64, length: u64) -> Result<()> {
        let mut done = 0;
        while done < length {
            let mut buffers = Vec::with_capacity(ZERO_BLOCKS_PER_WRITE);
            let mut planned = 0;
            while buffers.len() < ZERO_BLOCKS_PER_WRITE && done + planned < length {
                let block = (length - done - planned).min(ZERO_BLOCK_BYTES as u64);
                // Fits: at most ZERO_BLOCK_BYTES.
                buffers.push(IoSlice::new(&ZEROS[..block as usize]));
                planned += block;
            }
            self.write_all_vectored_at(&mut buffers, position + done)?;
            done += planned;
        }
        Ok(())
    }
}

impl<F: File + ?Sized> FileExt for F {}

/// What every [`Disk`] can do beyond its contract.
pub trait DiskExt: Disk {
    /// Reads a whole small file; [`Error::TooLarge`] if it has more than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let file = self.open(path, OpenOptions::read())?;
        let length = file.len()?;
        if length > limit {
            return Err(Error::TooLarge {
                path: path.to_path_buf(),
                length,
                limit,
            });
        }
        let mut content = vec![0; length as usize];
        let read = file.read_up_to_at(&mut content, 0)?;
        content.truncate(read);
        Ok(content)
    }

    /// Replaces the file at `path` by `content` in one step that survives a loss of power: written to
    /// `<path>.tmp`, synced, renamed, and the directory synced. A reader sees the old or the new, never a mix.
    fn write_atomically(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = Path::new(&temporary);
        let file = self.open(temporary, OpenOptions::replace())?;
        file.write_all_at(content, 0)?;
        file.sync_data()?;
        drop(file);
        self.rename_durably(temporary, path)
    }

    /// Renames, then syncs the directory of the new name, and of the old one if it is another.
    fn rename_durably(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename(from, to)?;
        if let Some(parent) = to.parent() {
            self.sync_dir(parent)?;
        }
        match from.parent() {
            Some(parent) if from.parent() != to.parent() => self.sync_dir(parent),
            _ => Ok(()),
        }
    }

    /// Removes a file if it is there.
    fn remove_file_if_exists(&self, path: &Path) -> Result<()> {
        match self.remove_file(path) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Whether something is at `path`.
    fn exists(&self, path: &Path) -> Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<D: Disk + ?Sized> DiskExt for D {}
