//! The bytes of a file as they come, compressed with gzip where the configuration wants it.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use forebay_connect_api::Error;

/// Bytes that are compressed together.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a compressor takes besides its output, roughly.
const ENCODER_BYTES: usize = 300 * 1024;

/// Bytes that are being gathered.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Of gzip; `None`: as they are.
    level: Option<Compression>,
    /// Not compressed yet.
    bytes: Vec<u8>,
    /// Made when there is enough, as it takes memory.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Output {
    pub(super) fn new(level: Option<Compression>) -> Self {
        Self {
            level,
            ..Self::default()
        }
    }

    /// Appends what `write` writes.
    pub(super) fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        write(&mut self.bytes);
        match self.level {
            Some(level) if self.bytes.len() >= CHUNK_BYTES => self.compress(level),
            _ => Ok(()),
        }
    }

    fn compress(&mut self, level: Compression) -> Result<(), Error> {
        let encoder = self
            .encoder
            .get_or_insert_with(|| GzEncoder::new(Vec::new(), level));
        let written = encoder.write_all(&self.bytes);
        self.bytes.clear();
        written.map_err(|error| Error::fatal("cannot compress").with_source(error))
    }

    /// The memory that they take.
    pub(super) fn bytes(&self) -> usize {
        let encoder = self.encoder.as_ref();
        self.bytes.capacity() + encoder.map_or(0, |encoder| encoder.get_ref().capacity() + ENCODER_BYTES)
    }

    pub(super) fn finish(mut self) -> Result<Bytes, Error> {
        let Some(level) = self.level else {
            return Ok(self.bytes.into());
        };
        self.compress(level)?;
        let encoder = self.encoder.expect("it was made for the last bytes");
        let finished = encoder.finish();
        finished
            .map(Bytes::from)
            .map_err(|error| Error::fatal("cannot compress").with_source(error))
    }
}
