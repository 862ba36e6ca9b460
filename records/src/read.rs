//! The records of one batch, one after the other: slices of the batch where it is not compressed, else slices of
//! decompressed chunks, of which only those in use stay in memory.

use bytes::{Buf, Bytes, BytesMut};

use crate::decompress::Decompressor;
use crate::error::{Error, InvalidBatch};
use crate::header::BatchHeader;
use crate::record::{self, HeaderIterator, problem};
use crate::varint::Cursor;
use crate::{CompressionType, Headers, Record, RecordBatch, RecordRef, Timestamp, TimestampType};

/// How much a batch may decompress to unless the caller says otherwise.
pub const DECOMPRESSED_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Decompressed bytes are gathered in pieces of at least this size.
const CHUNK_BYTES: usize = 64 * 1024;

/// Goes through a batch's records; ends after the first error. Use it as an iterator of [`Record`]s that share the memory, or
/// call [`next_ref`](Self::next_ref) for records that borrow.
#[derive(Debug)]
pub struct RecordIterator {
    header: BatchHeader,
    source: Source,
    /// Records given out.
    index: i32,
    /// Bytes at the front of the source that belong to the record that was last lent.
    lent_bytes: usize,
    ended: bool,
}

#[derive(Debug)]
enum Source {
    Plain(Bytes),
    Compressed {
        stream: Box<Decompressor>,
        gathered: BytesMut,
    },
}

impl RecordIterator {
    pub(crate) fn new(batch: &RecordBatch, decompressed_bytes_max: u64) -> Result<Self, Error> {
        let header = *batch.header();
        if header.count < 0 {
            return Err(InvalidBatch::Count { count: header.count }.into());
        }
        let source = match batch.compression_type()? {
            CompressionType::None => Source::Plain(batch.body()),
            // A batch that compaction emptied has no stream at all.
            _ if header.count == 0 => Source::Plain(Bytes::new()),
            compression => Source::Compressed {
                stream: Box::new(Decompressor::new(
                    compression,
                    batch.body(),
                    decompressed_bytes_max,
                )),
                gathered: BytesMut::new(),
            },
        };
        Ok(Self {
            header,
            source,
            index: 0,
            lent_bytes: 0,
            ended: false,
        })
    }

    /// Records not yet given out, as the header counts them.
    #[must_use]
    pub fn remaining(&self) -> usize {
        usize::try_from(self.header.count - self.index).unwrap_or(0)
    }

    /// The next record, borrowed: cheaper than the owned ones, as no reference is counted.
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, Error>> {
        let (prefix, total) = match self.locate()? {
            Ok(located) => located,
            Err(error) => return Some(Err(error)),
        };
        self.lent_bytes = total;
        let index = self.index;
        match record::raw(&self.source.bytes()[prefix..total]) {
            Ok(raw) => {
                self.index += 1;
                Some(Ok(RecordRef {
                    offset: self.header.base_offset + i64::from(raw.offset_delta),
                    timestamp: timestamp(&self.header, raw.timestamp_delta),
                    key: raw.key,
                    value: raw.value,
                    headers: HeaderIterator::new(raw.headers),
                }))
            }
            Err(reason) => {
                self.ended = true;
                Some(Err(InvalidBatch::Record { index, reason }.into()))
            }
        }
    }

    /// Finds the next record at the front of the source: bytes of its length field, and of all of it.
    fn locate(&mut self) -> Option<Result<(usize, usize), Error>> {
        self.source.advance(std::mem::take(&mut self.lent_bytes));
        if self.ended {
            return None;
        }
        let result = if self.index == self.header.count {
            self.ended = true;
            match self.source.ensure_none_remaining(self.header.count) {
                Ok(()) => return None,
                Err(error) => Err(error),
            }
        } else {
            self.source.locate(self.index)
        };
        self.ended |= result.is_err();
        Some(result)
    }
}

impl Iterator for RecordIterator {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (prefix, total) = match self.locate()? {
            Ok(located) => located,
            Err(error) => return Some(Err(error)),
        };
        let mut body = self.source.split_to(total);
        body.advance(prefix);
        match record::raw(&body) {
            Ok(raw) => {
                self.index += 1;
                Some(Ok(Record {
                    offset: self.header.base_offset + i64::from(raw.offset_delta),
                    timestamp: timestamp(&self.header, raw.timestamp_delta),
                    key: raw.key.map(|key| share(&body, key)),
                    value: raw.value.map(|value| share(&body, value)),
                    headers: if raw.headers == [0] {
                        Headers::EMPTY
                    } else {
                        Headers::from_encoded(share(&body, raw.headers))
                    },
                }))
            }
            Err(reason) => {
                self.ended = true;
                Some(Err(InvalidBatch::Record {
                    index: self.index,
                    reason,
                }
                .into()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more for an error at the end; nothing is promised, as the count is the batch's own word.
        (0, Some(self.remaining().saturating_add(1)))
    }
}

impl std::iter::FusedIterator for RecordIterator {}

impl Source {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Compressed { gathered, .. } => gathered,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Plain(bytes) => bytes.advance(count),
            Self::Compressed { gathered, .. } => gathered.advance(count),
        }
    }

    fn split_to(&mut self, count: usize) -> Bytes {
        match self {
            Self::Plain(bytes) => bytes.split_to(count),
            Self::Compressed { gathered, .. } => gathered.split_to(count).freeze(),
        }
    }

    /// Gathers until the next record is whole.
    fn locate(&mut self, index: i32) -> Result<(usize, usize), Error> {
        loop {
            let bytes = self.bytes();
            let mut cursor = Cursor::new(bytes);
            let needed = match cursor.varint() {
                Some(length) => {
                    let prefix = bytes.len() - cursor.rest().len();
                    let Ok(length) = usize::try_from(length) else {
                        return Err(InvalidBatch::Record {
                            index,
                            reason: problem::LENGTH,
                        }
                        .into());
                    };
                    let total = prefix + length;
                    if total <= bytes.len() {
                        return Ok((prefix, total));
                    }
                    total - bytes.len()
                }
                None if bytes.len() >= crate::varint::VARINT_BYTES_MAX => {
                    return Err(InvalidBatch::Record {
                        index,
                        reason: problem::LENGTH,
                    }
                    .into());
                }
                None => 1,
            };
            if !self.gather(needed)? {
                return Err(InvalidBatch::Record {
                    index,
                    reason: problem::END,
                }
                .into());
            }
        }
    }

    /// Gets more bytes, up to what is needed or a chunk; false at the end.
    fn gather(&mut self, needed_bytes: usize) -> Result<bool, Error> {
        let Self::Compressed { stream, gathered } = self else {
            return Ok(false);
        };
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let count = chunk.len().min(needed_bytes.max(CHUNK_BYTES));
        if gathered.capacity() - gathered.len() < count {
            gathered.reserve(count.max(CHUNK_BYTES));
        }
        gathered.extend_from_slice(&chunk[..count]);
        stream.advance(count);
        Ok(true)
    }

    fn ensure_none_remaining(&mut self, count: i32) -> Result<(), Error> {
        let empty = match self {
            Self::Plain(bytes) => bytes.is_empty(),
            Self::Compressed { stream, gathered } => gathered.is_empty() && stream.chunk()?.is_empty(),
        };
        if empty {
            Ok(())
        } else {
            Err(InvalidBatch::RemainingRecords { count }.into())
        }
    }
}

/// A record's timestamp by its batch. Adds with wrap, as Java does: the sum of hostile numbers is a number.
pub(crate) fn timestamp(header: &BatchHeader, timestamp_delta: i64) -> Timestamp {
    match header.timestamp_type() {
        TimestampType::CreateTime => Timestamp(header.base_timestamp.0.wrapping_add(timestamp_delta)),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

fn share(body: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() {
        Bytes::new()
    } else {
        body.slice_ref(part)
    }
}
