//! The bytes of a file, decompressed. Everything here blocks.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::config::Compression;

/// Bytes of the beginning that are kept in mind.
pub(super) const HEAD_BYTES: usize = 4096;
/// Skipped at once on the way to a position.
const SKIP_BYTES: usize = 64 * 1024;
/// 2^27, the largest window that zstd itself takes without being told to.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A file that can be read forward from any position; a compressed one from its beginning, time and again.
pub(super) struct Content {
    file: File,
    stream: Option<Stream>,
    compression: Compression,
}

/// A decompressor and how many bytes have come out of it.
struct Stream {
    decoder: Box<dyn Read + Send>,
    /// How many bytes of the file have gone into it.
    taken: Arc<AtomicU64>,
    position: u64,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("file", &self.file)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

impl Content {
    pub(super) fn new(file: File, compression: Compression) -> Self {
        Self {
            file,
            stream: None,
            compression,
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether what is read is not what the file has.
    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.compression, Compression::Gzip | Compression::Zstd)
    }

    /// How many bytes of a compressed file have been read; `None`: it is not compressed.
    pub(super) fn taken(&self) -> Option<u64> {
        let taken = |stream: &Stream| stream.taken.load(Ordering::Relaxed);
        self.is_compressed()
            .then(|| self.stream.as_ref().map_or(0, taken))
    }

    /// Reads what is there at a position; 0: nothing (any more).
    ///
    /// # Errors
    /// `UnexpectedEof`: a compressed file was cut off.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if !self.is_compressed() {
            return self.file.read_at(buffer, position);
        }
        if self
            .stream
            .as_ref()
            .is_none_or(|stream| stream.position > position)
        {
            self.stream = Some(self.open()?);
        }
        let stream = self.stream.as_mut().expect("just opened");
        let read = stream.skip_to(position).and_then(|is_there| match is_there {
            true => stream.read(buffer),
            false => Ok(0),
        });
        if read.is_err() {
            self.stream = None; // Nothing is known of a decoder that has failed.
        }
        read
    }

    fn open(&self) -> io::Result<Stream> {
        let taken = Arc::<AtomicU64>::default();
        let from_start = FromStart {
            file: self.file.try_clone()?,
            position: 0,
            taken: Arc::clone(&taken),
        };
        let decoder: Box<dyn Read + Send> = match self.compression {
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from_start)),
            _ => {
                let mut decoder = zstd::stream::read::Decoder::new(from_start)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Stream {
            decoder,
            taken,
            position: 0,
        })
    }

    /// The beginning, up to [`HEAD_BYTES`].
    pub(super) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match self.read_at(&mut head[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                // What is there of one that was cut off.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        Ok(head)
    }

    /// The checksum over the first `length` bytes; `None` if there are fewer.
    pub(super) fn checksum(&mut self, length: u64) -> io::Result<Option<u32>> {
        let mut buffer = vec![0; SKIP_BYTES];
        let (mut checksum, mut position) = (0, 0);
        while position < length {
            let wanted = usize::try_from(length - position).map_or(SKIP_BYTES, |left| left.min(SKIP_BYTES));
            match self.read_at(&mut buffer[..wanted], position)? {
                0 => return Ok(None),
                count => {
                    checksum = crc32c::crc32c_append(checksum, &buffer[..count]);
                    position += count as u64;
                }
            }
        }
        Ok(Some(checksum))
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }

    fn skip_to(&mut self, position: u64) -> io::Result<bool> {
        let mut skipped =
            vec![0; SKIP_BYTES.min(usize::try_from(position - self.position).unwrap_or(SKIP_BYTES))];
        while self.position < position {
            let wanted = usize::try_from(position - self.position)
                .map_or(skipped.len(), |left| left.min(skipped.len()));
            if self.read(&mut skipped[..wanted])? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A file from its beginning, whoever else reads it meanwhile.
struct FromStart {
    file: File,
    position: u64,
    taken: Arc<AtomicU64>,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        self.taken.store(self.position, Ordering::Relaxed);
        Ok(count)
    }
}
