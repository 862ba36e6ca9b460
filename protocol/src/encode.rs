//! Writing messages: small fields go into one buffer, large bytes and records stand between its parts uncopied. A message costs
//! the buffer and the list of those pieces, nothing per field. A field that is set but that the version does not have is an
//! error, unless Kafka's schema lets it be dropped.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Chunk, Records, TaggedFields, Utf8Bytes, Uuid};

mod error;

pub use error::{Cause, Error};

/// Bytes up to this length are copied into the buffer: a piece of its own costs more.
pub const COPIED_BYTES_MAX: usize = 1024;

/// The length that precedes a frame, in bytes.
pub const FRAME_LENGTH_BYTES: usize = 4;

/// The longest string, in bytes, as Kafka has it.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// Collects the pieces of encoded messages.
#[derive(Debug)]
pub struct Writer {
    buffer: BytesMut,
    /// Large pieces, and after how many bytes of the buffer each stands; in that order.
    large: Vec<(usize, Chunk)>,
    large_bytes: usize,
    framed: bool,
    message: &'static str,
    version: i16,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// Writes bare messages.
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::with_capacity(256),
            large: Vec::new(),
            large_bytes: 0,
            framed: false,
            message: "message",
            version: 0,
        }
    }

    /// Writes a frame of the Kafka protocol: a header and a message, preceded by the length of both.
    pub fn framed() -> Self {
        let mut writer = Self::new();
        writer.buffer.put_bytes(0, FRAME_LENGTH_BYTES);
        writer.framed = true;
        writer
    }

    /// How many bytes have been written, the length of a frame included.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.large_bytes
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces of what has been written, in order; a frame gets its length.
    pub fn finish(mut self) -> Result<Vec<Chunk>, Error> {
        if self.framed {
            let length = self.len() - FRAME_LENGTH_BYTES;
            let Ok(frame_length) = i32::try_from(length) else {
                return Err(self.error(Cause::FrameTooLong { length }));
            };
            self.buffer[..FRAME_LENGTH_BYTES].copy_from_slice(&frame_length.to_be_bytes());
        }
        let buffer = self.buffer.freeze();
        let mut chunks = Vec::with_capacity(2 * self.large.len() + 1);
        let mut start = 0;
        for (end, chunk) in self.large {
            if start < end {
                chunks.push(Chunk::Bytes(buffer.slice(start..end)));
            }
            chunks.push(chunk);
            start = end;
        }
        if start < buffer.len() {
            chunks.push(Chunk::Bytes(buffer.slice(start..)));
        }
        Ok(chunks)
    }

    /// What has been written as one piece of memory. Fails when a part of it lies in a file.
    pub fn finish_bytes(self) -> Result<Bytes, Error> {
        let in_file = self.error(Cause::InFile);
        let length = self.len();
        let mut chunks = self.finish()?;
        if let [Chunk::Bytes(bytes)] = &mut chunks[..] {
            return Ok(std::mem::take(bytes));
        }
        let mut bytes = BytesMut::with_capacity(length);
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(piece) => bytes.put(piece),
                Chunk::File(_) => return Err(in_file),
            }
        }
        Ok(bytes.freeze())
    }

    /// Names the message that errors tell of from here on, and refuses a version that it does not have.
    pub(crate) fn begin(
        &mut self,
        message: &'static str,
        version: i16,
        versions: &RangeInclusive<i16>,
    ) -> Result<(), Error> {
        self.message = message;
        self.version = version;
        if versions.contains(&version) {
            Ok(())
        } else {
            Err(self.error(Cause::Version {
                lowest: *versions.start(),
                highest: *versions.end(),
            }))
        }
    }

    fn error(&self, cause: Cause) -> Error {
        Error {
            message: self.message,
            version: self.version,
            cause,
        }
    }

    /// The error for a field that is set, but that this version does not have.
    #[cold]
    pub(crate) fn absent(&self, field: &'static str) -> Error {
        self.error(Cause::Absent { field })
    }

    /// The error for a null that this version does not have.
    #[cold]
    pub(crate) fn null(&self, field: &'static str) -> Error {
        self.error(Cause::Null { field })
    }

    /// One byte, 1 or 0.
    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    /// One byte.
    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    /// Two bytes.
    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    /// Four bytes.
    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Eight bytes.
    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    /// Eight bytes.
    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(&value.to_bytes());
    }

    /// One to five bytes, seven bits in each, the lowest first.
    pub fn unsigned_varint(&mut self, value: u32) {
        let (bytes, length) = varint(value);
        self.buffer.put_slice(&bytes[..length]);
    }

    /// A length or a count; `None` for null.
    fn length(&mut self, field: &'static str, length: Option<usize>, flexible: bool) -> Result<(), Error> {
        let Some(length) = length else {
            if flexible {
                self.unsigned_varint(0);
            } else {
                self.i32(-1);
            }
            return Ok(());
        };
        // Java's lengths are signed, and the flexible form adds one.
        match i32::try_from(length) {
            Ok(length) if length < i32::MAX => {
                if flexible {
                    self.unsigned_varint(length.unsigned_abs() + 1);
                } else {
                    self.i32(length);
                }
                Ok(())
            }
            _ => Err(self.error(Cause::TooLong { field, length })),
        }
    }

    /// A string.
    pub fn string(&mut self, field: &'static str, value: &Utf8Bytes, flexible: bool) -> Result<(), Error> {
        self.nullable_string(field, Some(value), flexible)
    }

    /// A string or null.
    pub fn nullable_string(
        &mut self,
        field: &'static str,
        value: Option<&Utf8Bytes>,
        flexible: bool,
    ) -> Result<(), Error> {
        let length = value.map(Utf8Bytes::len);
        if flexible {
            if let Some(length) = length.filter(|&length| length > STRING_BYTES_MAX) {
                return Err(self.error(Cause::TooLong { field, length }));
            }
            self.length(field, length, true)?;
        } else {
            let classic = match length {
                None => -1,
                Some(length) => {
                    i16::try_from(length).map_err(|_| self.error(Cause::TooLong { field, length }))?
                }
            };
            self.i16(classic);
        }
        if let Some(value) = value {
            self.buffer.put_slice(value.as_bytes());
        }
        Ok(())
    }

    /// Bytes.
    pub fn bytes(&mut self, field: &'static str, value: &Bytes, flexible: bool) -> Result<(), Error> {
        self.nullable_bytes(field, Some(value), flexible)
    }

    /// Bytes or null.
    pub fn nullable_bytes(
        &mut self,
        field: &'static str,
        value: Option<&Bytes>,
        flexible: bool,
    ) -> Result<(), Error> {
        self.length(field, value.map(Bytes::len), flexible)?;
        if let Some(value) = value {
            self.piece(value);
        }
        Ok(())
    }

    /// Record batches.
    pub fn records(&mut self, field: &'static str, value: &Records, flexible: bool) -> Result<(), Error> {
        self.nullable_records(field, Some(value), flexible)
    }

    /// Record batches or null.
    pub fn nullable_records(
        &mut self,
        field: &'static str,
        value: Option<&Records>,
        flexible: bool,
    ) -> Result<(), Error> {
        self.length(field, value.map(Records::len), flexible)?;
        match value {
            None => {}
            Some(Records::Memory(bytes)) => self.piece(bytes),
            Some(Records::File(range)) => self.push(Chunk::File(range.clone())),
            Some(Records::Chunks(chunks)) => {
                for chunk in chunks {
                    match chunk {
                        Chunk::Bytes(bytes) => self.piece(bytes),
                        Chunk::File(_) => self.push(chunk.clone()),
                    }
                }
            }
        }
        Ok(())
    }

    /// The count of an array whose elements follow.
    pub fn array_length(&mut self, field: &'static str, count: usize, flexible: bool) -> Result<(), Error> {
        self.length(field, Some(count), flexible)
    }

    /// Null in place of an array.
    pub fn null_array(&mut self, flexible: bool) {
        if flexible {
            self.unsigned_varint(0);
        } else {
            self.i32(-1);
        }
    }

    /// Bytes without a length.
    fn piece(&mut self, bytes: &Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.buffer.put_slice(bytes);
        } else {
            self.push(Chunk::Bytes(bytes.clone()));
        }
    }

    fn push(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.large_bytes += chunk.len();
            self.large.push((self.buffer.len(), chunk));
        }
    }

    /// How many tagged fields follow: `count` of the structure's own, whose tags are among `known`, and the unknown ones.
    pub(crate) fn tagged_fields(
        &mut self,
        count: u32,
        known: &[u32],
        unknown: &TaggedFields,
    ) -> Result<(), Error> {
        if let Some((tag, _)) = unknown.iter().find(|(tag, _)| known.contains(tag)) {
            return Err(self.error(Cause::TagTaken { tag }));
        }
        let unknown_count = u32::try_from(unknown.len()).expect("bounded by UNKNOWN_TAGS_MAX");
        self.unsigned_varint(count + unknown_count);
        Ok(())
    }

    /// Refuses unknown tagged fields at a version that has no place for any.
    pub(crate) fn no_tagged_fields(&self, unknown: &TaggedFields) -> Result<(), Error> {
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(self.absent("unknown tagged fields"))
        }
    }

    /// One tagged field of the structure's own.
    pub(crate) fn tagged_field(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.unsigned_varint(tag);
        let (start, large_start, length_start) = (self.buffer.len(), self.large.len(), self.len());
        value(self)?;
        // The length goes in front: what has been written since moves up by its one to five bytes.
        let length = self.len() - length_start;
        let Ok(length) = u32::try_from(length) else {
            return Err(self.error(Cause::TooLong {
                field: "tagged field",
                length,
            }));
        };
        let (prefix, prefix_length) = varint(length);
        let end = self.buffer.len();
        self.buffer.put_bytes(0, prefix_length);
        self.buffer.copy_within(start..end, start + prefix_length);
        self.buffer[start..start + prefix_length].copy_from_slice(&prefix[..prefix_length]);
        for (position, _) in &mut self.large[large_start..] {
            *position += prefix_length;
        }
        Ok(())
    }

    /// The unknown tagged fields from tag `from` up to, not including, `to`.
    pub(crate) fn unknown_tagged_fields(
        &mut self,
        unknown: &TaggedFields,
        from: u32,
        to: Option<u32>,
    ) -> Result<(), Error> {
        for (tag, value) in unknown
            .iter()
            .filter(|(tag, _)| *tag >= from && to.is_none_or(|to| *tag < to))
        {
            self.unsigned_varint(tag);
            let Ok(length) = u32::try_from(value.len()) else {
                return Err(self.error(Cause::TooLong {
                    field: "tagged field",
                    length: value.len(),
                }));
            };
            self.unsigned_varint(length);
            self.piece(value);
        }
        Ok(())
    }
}

/// The bytes of a variable-length number, and how many they are.
fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut length = 0;
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes[length] = if value == 0 { low } else { low | 0x80 };
        length += 1;
        if value == 0 {
            return (bytes, length);
        }
    }
}

#[cfg(test)]
mod tests;
