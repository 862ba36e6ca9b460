//! Batches one after the other, as fetch responses and segments hold them.

use bytes::Bytes;

use crate::error::Error;
use crate::header::BatchHeader;
use crate::{BATCH_BYTES_MAX, RecordBatch};

/// Goes through batches that lie one after the other, as in a fetch response or a segment.
#[must_use]
pub fn batches(bytes: Bytes) -> Batches {
    Batches::within(bytes, BATCH_BYTES_MAX)
}

/// The iterator of [`batches`]. Ends at the end of the bytes, at an incomplete batch (see [`Batches::rest`]), or after the
/// first error.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    batch_bytes_max: usize,
    failed: bool,
}

impl Batches {
    /// Refuses a batch of more than `batch_bytes_max` bytes as corrupt.
    #[must_use]
    pub fn within(bytes: Bytes, batch_bytes_max: usize) -> Self {
        Self {
            rest: bytes,
            batch_bytes_max,
            failed: false,
        }
    }

    /// What has not been given out. After the end: empty, or the incomplete batch with which the bytes end. That is normal at
    /// the end of a fetch response, and a torn write at the end of a segment.
    #[must_use]
    pub const fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        match BatchHeader::parse_within(&self.rest, self.batch_bytes_max) {
            Ok(header) if header.size_in_bytes() <= self.rest.len() => {
                let bytes = self.rest.split_to(header.size_in_bytes());
                Some(Ok(RecordBatch::from_parts(header, bytes)))
            }
            Ok(_) | Err(Error::Incomplete { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches {}
