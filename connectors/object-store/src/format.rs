//! What objects are made of: one writer per open file.

mod columns;
mod json;
mod parquet_file;

use std::fmt;

use bytes::Bytes;
use forebay_connect_api::{Error, SchemaAndValue, ValueFormat};
use parquet::basic::Compression;

/// The format of a configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Format {
    /// One JSON value per line.
    Json,
    /// Parquet with pages compressed like this.
    Parquet(Compression),
}

/// One record's value as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// As the log has it.
    Raw(&'a ValueFormat, Option<&'a [u8]>),
    /// Out of the converter.
    Converted(&'a SchemaAndValue),
}

impl Cell<'_> {
    /// Whether the record has no value.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Raw(_, value) => value.is_none(),
            Self::Converted(value) => value.value.is_null(),
        }
    }
}

/// Whether a file has taken a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is in the file.
    Row,
    /// It is not: its schema belongs into another file.
    OtherSchema,
}

/// Why a file has not taken a record. The file is as it was.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This record is at fault: it can be left out.
    Record(Error),
    /// No record like it can be written: the configuration has to change.
    All(Error),
}

/// A file that is being made in memory.
pub(crate) trait Writer: fmt::Debug + Send {
    /// Takes one record.
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused>;

    /// The memory that it takes.
    fn bytes(&self) -> usize;

    /// The whole file.
    fn finish(self: Box<Self>) -> Result<Bytes, Error>;
}

impl Format {
    /// An empty file.
    pub(crate) fn writer(self) -> Box<dyn Writer> {
        match self {
            Self::Json => Box::<json::JsonLines>::default(),
            Self::Parquet(compression) => Box::new(parquet_file::ParquetFile::new(compression)),
        }
    }

    /// Whether it can be made of raw values of that format.
    pub(crate) fn takes_raw(self, format: &ValueFormat) -> bool {
        match self {
            Self::Json => matches!(format, ValueFormat::String | ValueFormat::Bytes),
            Self::Parquet(_) => true,
        }
    }
}

#[cfg(test)]
mod tests;
