//! From raw values to Arrow, so that a sink of columns needs no object per record (design: fetch -> Arrow -> Parquet). A
//! [`ColumnarFormat`] belongs to a value converter; [`decoder`] has one for every [`ValueFormat`].

mod plain;

use std::fmt;

pub use plain::{VALUE_COLUMN, value_schema};

use crate::{BoxFuture, Error, RawRecords, ValueFormat};

/// What a converter knows about making columns of the values it reads.
pub trait ColumnarFormat: fmt::Debug + Send + Sync {
    /// Does what may take time before records can be decoded, such as fetching their schemas.
    ///
    /// # Errors
    /// A retriable one if it may work later.
    fn prepare<'a>(&'a self, _records: &'a RawRecords) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// A decoder without rows.
    fn decoder(&self) -> Box<dyn ColumnarDecoder>;
}

/// Whether a decoder has taken a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is the last row now.
    Row,
    /// It is not taken: its columns differ from those of the rows that this decoder was made for. It goes into a new decoder.
    OtherSchema,
}

/// Gathers values as rows of columns. Its columns are settled by the first row, for as long as it lives.
pub trait ColumnarDecoder: fmt::Debug + Send {
    /// Appends one record's value.
    ///
    /// # Errors
    /// If it cannot be read; it is not taken then, and the rows before it stay.
    fn append(&mut self, value: Option<&[u8]>) -> Result<Appended, Error>;

    /// Rows that are not finished.
    fn rows(&self) -> usize;

    /// Memory that they take, roughly.
    fn bytes(&self) -> usize;

    /// Gives the rows and goes on without them, with the same columns. Empty if there are none.
    ///
    /// # Errors
    /// If the columns cannot be made.
    fn finish(&mut self) -> Result<arrow_array::RecordBatch, Error>;
}

/// A decoder for values of this format.
pub fn decoder(format: &ValueFormat) -> Box<dyn ColumnarDecoder> {
    match format {
        ValueFormat::String => Box::new(plain::StringDecoder::default()),
        ValueFormat::Bytes => Box::new(plain::BytesDecoder::default()),
        ValueFormat::Columnar(format) => format.decoder(),
    }
}
