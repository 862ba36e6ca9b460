//! Walking over one record of a decompressed stream without holding it: numbers are read, keys, values and headers are
//! skipped. The memory is that of the stream's window, however long the record.

use super::Fields;
use crate::decompress::Decompressor;
use crate::error::Error;
use crate::record::{self, problem};
use crate::varint::{Cursor, VARINT_BYTES_MAX, VARLONG_BYTES_MAX, unzigzag32, unzigzag64};

/// Why a record cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The stream failed.
    Stream(Error),
    /// The record is malformed.
    Structure(&'static str),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Stream(error)
    }
}

/// Reads the next record, length included.
pub(super) fn record(stream: &mut Decompressor) -> Result<Fields, Fault> {
    // Nearly every record lies within a chunk, and is read there as an uncompressed one.
    let chunk = stream.chunk()?;
    let mut cursor = Cursor::new(chunk);
    if let Some(length) = cursor.varint()
        && let Ok(length) = usize::try_from(length)
        && let Some(body) = cursor.take(length)
    {
        let taken = chunk.len() - cursor.rest().len();
        let fields = record::raw(body).map_err(Fault::Structure)?.into();
        stream.advance(taken);
        return Ok(fields);
    }
    straddling_record(stream)
}

/// Reads a record that goes on in the next chunk.
fn straddling_record(stream: &mut Decompressor) -> Result<Fields, Fault> {
    let mut walk = Walk {
        stream,
        left: usize::MAX,
        beyond: problem::END,
    };
    let length = walk.varint(problem::LENGTH)?;
    walk.left = usize::try_from(length).map_err(|_| Fault::Structure(problem::LENGTH))?;
    walk.beyond = problem::LENGTH;
    walk.byte()?;
    let timestamp_delta = walk.varlong(problem::TIMESTAMP)?;
    let offset_delta = walk.varint(problem::OFFSET)?;
    let has_key = walk.skip_bytes(problem::KEY)?;
    walk.skip_bytes(problem::VALUE)?;
    let headers = walk.varint(problem::HEADER_COUNT)?;
    if headers < 0 {
        return Err(Fault::Structure(problem::HEADER_COUNT));
    }
    for _ in 0..headers {
        if !walk.skip_bytes(problem::HEADER_KEY)? {
            return Err(Fault::Structure(problem::HEADER_KEY));
        }
        walk.skip_bytes(problem::HEADER_VALUE)?;
    }
    if walk.left > 0 {
        return Err(Fault::Structure(problem::LENGTH));
    }
    Ok(Fields {
        timestamp_delta,
        offset_delta,
        has_key,
    })
}

struct Walk<'a> {
    stream: &'a mut Decompressor,
    /// Bytes that the record still has.
    left: usize,
    /// What is wrong if a number goes beyond them.
    beyond: &'static str,
}

impl Walk<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        self.left = self.left.checked_sub(1).ok_or(Fault::Structure(self.beyond))?;
        let byte = *self
            .stream
            .chunk()?
            .first()
            .ok_or(Fault::Structure(problem::END))?;
        self.stream.advance(1);
        Ok(byte)
    }

    fn unsigned(&mut self, bytes_max: usize, problem: &'static str) -> Result<u64, Fault> {
        let mut value = 0;
        for index in 0..bytes_max {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(7 * index as u32);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Structure(problem))
    }

    fn varint(&mut self, problem: &'static str) -> Result<i32, Fault> {
        Ok(unzigzag32(self.unsigned(VARINT_BYTES_MAX, problem)? as u32))
    }

    fn varlong(&mut self, problem: &'static str) -> Result<i64, Fault> {
        Ok(unzigzag64(self.unsigned(VARLONG_BYTES_MAX, problem)?))
    }

    /// Skips a length and so many bytes; false for null.
    fn skip_bytes(&mut self, problem: &'static str) -> Result<bool, Fault> {
        let Ok(mut count) = usize::try_from(self.varint(problem)?) else {
            return Ok(false);
        };
        self.left = self.left.checked_sub(count).ok_or(Fault::Structure(problem))?;
        while count > 0 {
            let step = self.stream.chunk()?.len().min(count);
            if step == 0 {
                return Err(Fault::Structure(problem::END));
            }
            self.stream.advance(step);
            count -= step;
        }
        Ok(true)
    }
}
