//! The batches of a segment one after the other, whole, each with its checksum compared: what is damaged is never copied.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forebay_disk::{File, FileExt};
use forebay_records::{BatchHeader, HEADER_BYTES, RecordBatch, batches};

use super::{Error, Result};

/// Hears of bytes that were read or written, and says whether to go on.
pub(crate) type Spend<'a> = dyn Fn(usize) -> bool + 'a;

/// Reads a segment in blocks.
pub(crate) struct BatchReader<'a> {
    file: Arc<dyn File>,
    path: &'a Path,
    position: u64,
    end: u64,
    block_bytes: usize,
    spend: &'a Spend<'a>,
    block: Bytes,
}

impl<'a> BatchReader<'a> {
    /// The batches from `position`, where one begins, to `end`.
    pub(crate) fn new(
        file: Arc<dyn File>,
        path: &'a Path,
        range: std::ops::Range<u64>,
        block_bytes: usize,
        spend: &'a Spend<'a>,
    ) -> BatchReader<'a> {
        BatchReader {
            file,
            path,
            position: range.start,
            end: range.end,
            block_bytes: block_bytes.max(HEADER_BYTES),
            spend,
            block: Bytes::new(),
        }
    }

    /// Position and bytes of the next batch; none at the end.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] where there is no intact batch.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, RecordBatch)>> {
        if self.position == self.end {
            return Ok(None);
        }
        loop {
            let mut in_block = batches(self.block.clone());
            if let Some(batch) = in_block.next() {
                let batch = batch.map_err(|error| self.corrupt(&error))?;
                batch.ensure_valid().map_err(|error| self.corrupt(&error))?;
                self.block = in_block.rest().clone();
                let position = self.position;
                self.position += batch.size_in_bytes() as u64;
                return Ok(Some((position, batch)));
            }
            self.read_block()?;
        }
    }

    /// Replaces the block by one that begins at the next batch and holds at least that.
    fn read_block(&mut self) -> Result<()> {
        let left = self.end - self.position;
        let needed = match BatchHeader::parse(&self.block) {
            Ok(header) => header.size_in_bytes() as u64,
            // Less than a header was left of the block before.
            Err(_) => HEADER_BYTES as u64,
        };
        if needed > left {
            let reason = format!("a batch of {needed} bytes begins {left} bytes before the end");
            return Err(self.corrupt(&reason));
        }
        let length = needed.max(self.block_bytes as u64).min(left);
        let length = usize::try_from(length).expect("a batch is smaller than 2 GiB");
        let mut block = vec![0; length];
        self.file
            .read_exact_at(&mut block, self.position, self.path)
            .map_err(crate::Error::from)?;
        self.block = Bytes::from(block);
        if (self.spend)(length) {
            Ok(())
        } else {
            Err(Error::Interrupted)
        }
    }

    fn corrupt(&self, reason: &impl ToString) -> Error {
        Error::Log(crate::Error::Corrupt {
            path: self.path.to_path_buf(),
            position: self.position,
            reason: reason.to_string().into(),
        })
    }
}
