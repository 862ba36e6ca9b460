//! Reading messages: a cursor over one frame that checks every count and every length against the bytes that are left before it
//! allocates, and that bounds what a frame may cost in memory. Strings, bytes and records are slices of the frame, never copies:
//! whoever keeps one for long detaches it, or it keeps the whole frame alive.

use std::mem::size_of;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{Records, TaggedFields, Utf8Bytes, Uuid};

mod error;

pub use error::{Cause, Error};

/// Decoded arrays and unknown tagged fields may take this many bytes of memory per byte of the frame. What clients send stays well below: it takes lists
/// of thousands of names of one letter to come near.
pub const MEMORY_FACTOR: usize = 16;

/// The same for responses, whose sender the client has chosen: a list of thousands of groups that have nothing but a name takes
/// thirty, and no element of any message 48.
pub const RESPONSE_MEMORY_FACTOR: usize = 48;

/// Decoded arrays may take this many bytes of memory in any case, so that a short frame of empty strings passes.
pub const MEMORY_FLOOR_BYTES: usize = 64 * 1024;

/// The longest string, in bytes, as Kafka has it.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// A cursor over the bytes of a frame.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
    /// Where reading ends: of the frame, or inside a tagged field of that.
    end: usize,
    /// What arrays may still allocate.
    memory_left: usize,
    message: &'static str,
    version: i16,
}

impl Reader {
    /// Reads from the first of `bytes` on.
    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        let memory_left = end.saturating_mul(MEMORY_FACTOR).max(MEMORY_FLOOR_BYTES);
        Self {
            bytes,
            position: 0,
            end,
            memory_left,
            message: "message",
            version: 0,
        }
    }

    /// Lets arrays take what a response may, for all that is still to be read.
    pub(crate) fn expect_response(&mut self) {
        self.memory_left = self
            .memory_left
            .max(self.remaining().saturating_mul(RESPONSE_MEMORY_FACTOR));
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Checks that nothing is left.
    pub fn finish(&self) -> Result<(), Error> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.error(Cause::TrailingBytes {
                left: self.remaining(),
            }))
        }
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

    /// An error at this place of this message.
    #[cold]
    pub(crate) fn error(&self, cause: Cause) -> Error {
        Error::new(self.message, self.version, self.position, cause)
    }

    /// A tag that this message has, but not at this version.
    #[cold]
    pub(crate) fn tag_not_in_version(&self, tag: u32) -> Error {
        self.error(Cause::TagNotInVersion { tag })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.remaining() < N {
            return Err(self.error(Cause::Truncated {
                needed: N,
                left: self.remaining(),
            }));
        }
        let mut value = [0; N];
        value.copy_from_slice(&self.bytes[self.position..self.position + N]);
        self.position += N;
        Ok(value)
    }

    /// One byte; all but zero is true.
    pub fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.i8()? != 0)
    }

    /// One byte.
    pub fn i8(&mut self) -> Result<i8, Error> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16, Error> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// Eight bytes.
    pub fn f64(&mut self) -> Result<f64, Error> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid, Error> {
        Ok(Uuid::from_bytes(self.fixed()?))
    }

    /// One to five bytes, seven bits in each, the lowest first.
    pub fn unsigned_varint(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(Cause::Varint))
    }

    /// The next `length` bytes, as a slice of the frame.
    fn take(&mut self, field: &'static str, length: usize) -> Result<Bytes, Error> {
        if length > self.remaining() {
            return Err(self.error(Cause::Length {
                field,
                length,
                left: self.remaining(),
            }));
        }
        let start = self.position;
        self.position += length;
        Ok(self.bytes.slice(start..self.position))
    }

    /// A length or a count; `None` for null. The classic forms have -1 for null, the flexible ones zero and otherwise one more.
    fn length(&mut self, flexible: bool) -> Result<Option<usize>, Error> {
        if flexible {
            Ok((self.unsigned_varint()? as usize).checked_sub(1))
        } else {
            Ok(usize::try_from(self.i32()?).ok())
        }
    }

    #[cold]
    fn null(&self, field: &'static str) -> Error {
        self.error(Cause::Null { field })
    }

    /// A string that may not be null here.
    pub fn string(&mut self, field: &'static str, flexible: bool) -> Result<Utf8Bytes, Error> {
        self.nullable_string(field, flexible)?
            .ok_or_else(|| self.null(field))
    }

    /// A string or null.
    pub fn nullable_string(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<Utf8Bytes>, Error> {
        let length = if flexible {
            self.length(true)?
        } else {
            usize::try_from(self.i16()?).ok()
        };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(self.error(Cause::StringTooLong { field, length }));
        }
        let bytes = self.take(field, length)?;
        match Utf8Bytes::from_utf8(bytes) {
            Ok(string) => Ok(Some(string)),
            Err(_) => Err(self.error(Cause::NotUtf8 { field })),
        }
    }

    /// Bytes that may not be null here.
    pub fn bytes(&mut self, field: &'static str, flexible: bool) -> Result<Bytes, Error> {
        self.nullable_bytes(field, flexible)?
            .ok_or_else(|| self.null(field))
    }

    /// Bytes or null.
    pub fn nullable_bytes(&mut self, field: &'static str, flexible: bool) -> Result<Option<Bytes>, Error> {
        match self.length(flexible)? {
            Some(length) => self.take(field, length).map(Some),
            None => Ok(None),
        }
    }

    /// Record batches that may not be null here; not looked into.
    pub fn records(&mut self, field: &'static str, flexible: bool) -> Result<Records, Error> {
        Ok(Records::Memory(self.bytes(field, flexible)?))
    }

    /// Record batches or null; not looked into.
    pub fn nullable_records(
        &mut self,
        field: &'static str,
        flexible: bool,
    ) -> Result<Option<Records>, Error> {
        Ok(self.nullable_bytes(field, flexible)?.map(Records::Memory))
    }

    /// An array that may not be null here, of elements that take `element_bytes_min` bytes or more.
    pub fn array<T>(
        &mut self,
        field: &'static str,
        flexible: bool,
        element_bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.nullable_array(field, flexible, element_bytes_min, element)?
            .ok_or_else(|| self.null(field))
    }

    /// An array or null, of elements that take `element_bytes_min` bytes or more.
    pub fn nullable_array<T>(
        &mut self,
        field: &'static str,
        flexible: bool,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(count) = self.length(flexible)? else {
            return Ok(None);
        };
        self.reserve(field, count, element_bytes_min.max(1), size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// Checks that `count` elements can be there at all, and that they fit into what the frame may cost.
    fn reserve(
        &mut self,
        field: &'static str,
        count: usize,
        bytes_min: usize,
        element_size: usize,
    ) -> Result<(), Error> {
        if count > self.remaining() / bytes_min {
            return Err(self.error(Cause::Count {
                field,
                count,
                left: self.remaining(),
            }));
        }
        self.charge(field, count, element_size)
    }

    /// Takes what `count` elements cost from what the frame may cost.
    fn charge(&mut self, field: &'static str, count: usize, element_size: usize) -> Result<(), Error> {
        match count
            .checked_mul(element_size)
            .and_then(|bytes| self.memory_left.checked_sub(bytes))
        {
            Some(left) => {
                self.memory_left = left;
                Ok(())
            }
            None => Err(self.error(Cause::Memory { field, count })),
        }
    }

    /// The tagged fields at the end of a structure. `known` reads the value of a tag that the structure has and says true; what
    /// it does not know is kept.
    pub(crate) fn tagged_fields(
        &mut self,
        mut known: impl FnMut(&mut Self, u32) -> Result<bool, Error>,
    ) -> Result<TaggedFields, Error> {
        let count = self.unsigned_varint()? as usize;
        if count > self.remaining() / 2 {
            return Err(self.error(Cause::Count {
                field: "tagged fields",
                count,
                left: self.remaining(),
            }));
        }
        let mut unknown = TaggedFields::default();
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            if length > self.remaining() {
                let left = self.remaining();
                return Err(self.error(Cause::Length {
                    field: "tagged field",
                    length,
                    left,
                }));
            }
            // The field may not read beyond its own length, and has to use all of it.
            let outer = std::mem::replace(&mut self.end, self.position + length);
            if !known(self, tag)? {
                // Two bytes of the frame can be one: without this a frame of them would cost many times its size.
                self.charge("tagged fields", 1, unknown.growth_bytes())?;
                let value = self.take("tagged field", length)?;
                unknown.insert(tag, value).map_err(|cause| self.error(cause))?;
            }
            if self.position != self.end {
                return Err(self.error(Cause::TagLength {
                    tag,
                    left: self.remaining(),
                }));
            }
            self.end = outer;
        }
        Ok(unknown)
    }

    /// The tagged fields of a structure that has none of its own.
    pub(crate) fn unknown_tagged_fields(&mut self) -> Result<TaggedFields, Error> {
        self.tagged_fields(|_, _| Ok(false))
    }
}

#[cfg(test)]
mod tests;
