//! What objects are made of: one writer per open file, and what the files of a partition share.
//!
//! **One file, one schema: the union of its records' schemas.** A record with another schema is no reason to begin another file
//! as long as both schemas can be one: fields that one of them lacks are nullable, numbers widen. So records of two live versions of
//! a schema lie in the same file, in the order of their offsets. [`Files`] remembers the union from file to file, so that the next
//! file begins with it. Only what cannot be one (a string and a struct, structs of different names) says
//! [`Written::OtherSchema`]: then the record belongs into another file. `schema.compatibility` other than NONE replaces the union by
//! Confluent's rules, under which a newer (or older) schema begins the next file, and [`Files`] remembers the one that holds.

mod avro_file;
mod byte_array;
mod columns;
mod csv;
mod dictionaries;
mod json;
mod output;
mod parquet_file;
mod raw;
mod schemas;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use flate2::Compression as GzipLevel;
use forebay_connect_api::{
    Error, ReadError, Schema, SchemaAndValue, SinkBatch, SinkRecords, Text, ValueFormat, ValueReader,
};
use parquet::basic::Compression;

pub(crate) use self::{
    avro_file::AvroCodec,
    csv::CsvOptions,
    schemas::{Compatibility, Rules},
};
use self::{
    dictionaries::Dictionaries,
    schemas::{Remembered, Target},
};

/// The format of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    pub(crate) encoding: Encoding,
    pub(crate) rules: Rules,
}

/// How a file is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoding {
    /// One JSON value per line.
    Json { gzip: Option<GzipLevel> },
    /// Parquet with pages compressed like this.
    Parquet(Compression),
    /// Object container files with blocks compressed like this.
    Avro(AvroCodec),
    /// Lines of values with something between them.
    Csv {
        options: CsvOptions,
        gzip: Option<GzipLevel>,
    },
    /// Values as they are, each followed by a separator.
    Bytes {
        separator: Arc<str>,
        /// `.bin`.
        extension: Arc<str>,
        gzip: Option<GzipLevel>,
    },
}

/// Makes the files of one partition (or of one folder of it, if it is spread over several) and knows what they share. A clone
/// shares it, too.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    format: Format,
    remembered: Remembered,
    dictionaries: Dictionaries,
}

/// How raw values are to be read, and which of them cannot be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) format: &'a ValueFormat,
    pub(crate) topic: &'a str,
    /// Identifiers of schemas that cannot be fetched, and why.
    pub(crate) unreadable: &'a [(i32, String)],
}

/// One record's value as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// As the log has it.
    Raw(&'a Reading<'a>, Option<&'a [u8]>),
    /// Out of the converter.
    Converted(&'a SchemaAndValue),
}

impl Cell<'_> {
    /// Whether the record has no value. Of a raw one that has some, only reading it says whether it is null: see [`Refused::Null`].
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
    /// It is not: its schema belongs into another file. An empty file takes any.
    OtherSchema,
}

/// Why a file has not taken a record. The file is as it was.
#[derive(Debug)]
pub(crate) enum Refused {
    /// This record is at fault: it can be left out.
    Record(Error),
    /// No record like it can be written: the configuration has to change.
    All(Error),
    /// The schema of this identifier has to be fetched first (see [`fetch`]); then the record is to be written again.
    Fetch(i32),
    /// Read, the raw value is null. It is to be treated as such, and if it is to be written, then as this.
    Null(SchemaAndValue),
}

/// A file that is being made in memory.
pub(crate) trait Writer: fmt::Debug + Send {
    /// Takes one record.
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused>;

    /// The memory that it takes, and about how long the object would be.
    fn bytes(&self) -> usize;

    /// The whole file.
    fn finish(self: Box<Self>) -> Result<Bytes, Error>;
}

impl Format {
    /// The files of one partition.
    pub(crate) fn files(&self) -> Files {
        Files {
            format: self.clone(),
            remembered: Remembered::default(),
            dictionaries: Dictionaries::default(),
        }
    }

    /// Whether it can be made of raw values of that format.
    pub(crate) fn takes_raw(&self, format: &ValueFormat) -> bool {
        match &self.encoding {
            Encoding::Parquet(_) => true,
            Encoding::Json { .. } | Encoding::Csv { .. } | Encoding::Avro(_) => {
                matches!(format, ValueFormat::String | ValueFormat::Bytes)
            }
            Encoding::Bytes { .. } => matches!(format, ValueFormat::Bytes),
        }
    }

    /// What the names of objects end with, without the first dot.
    pub(crate) fn extension(&self) -> String {
        let gzipped = |extension: &str, gzip: &Option<GzipLevel>| match gzip {
            Some(_) => format!("{extension}.gz"),
            None => extension.to_owned(),
        };
        match &self.encoding {
            Encoding::Json { gzip } => gzipped("json", gzip),
            Encoding::Parquet(compression) => format!("{}parquet", codec_extension(*compression)),
            Encoding::Avro(_) => "avro".to_owned(),
            Encoding::Csv { gzip, .. } => gzipped("csv", gzip),
            Encoding::Bytes { extension, gzip, .. } => gzipped(extension.trim_start_matches('.'), gzip),
        }
    }
}

impl Files {
    /// What tells the records of a file from others that can never be in one file with them, as a part of an object's name: the
    /// type of the value and the name of its struct. `None`: nothing does.
    pub(crate) fn kind(&self, cell: Cell<'_>) -> Result<Option<String>, Refused> {
        let read;
        let value = match cell {
            Cell::Converted(value) => value,
            Cell::Raw(reading, value) => match reading.format {
                ValueFormat::Avro(_) | ValueFormat::Json(_) | ValueFormat::JsonWithSchemas(_) => {
                    read = reading.read(value)?;
                    &read
                }
                _ => return Ok(None),
            },
        };
        let kind = match (&value.schema, value.value.value_type()) {
            (Some(schema), _) => format!("{:?} {}", schema.schema_type(), schema.name().unwrap_or_default()),
            (None, Some(kind)) => format!("{kind:?}"),
            (None, None) => return Ok(None),
        };
        // FNV-1a: the same for ever, as it is a part of names.
        let hash = kind.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Ok(Some(format!("{hash:08x}")))
    }

    /// An empty file that takes all versions of a schema that can be in one file: for one of which it is known that it had them, but
    /// not which files came before it, and so which version held.
    pub(crate) fn writer_of_any_version(&self) -> Box<dyn Writer> {
        if self.format.rules.compatibility == Compatibility::None {
            return self.writer_of(|target| target.again());
        }
        let mut format = self.format.clone();
        format.rules.compatibility = Compatibility::None;
        format.files().writer_of(|target| target.again())
    }

    /// An empty file.
    pub(crate) fn writer(&self) -> Box<dyn Writer> {
        self.writer_of(|target| target)
    }

    fn writer_of(&self, adapt: impl Fn(Target) -> Target) -> Box<dyn Writer> {
        let rules = self.format.rules;
        let target = || adapt(Target::new(rules, self.remembered.clone()));
        match &self.format.encoding {
            Encoding::Json { gzip } => {
                let target = (rules.compatibility != Compatibility::None).then(target);
                Box::new(json::JsonLines::new(*gzip, target))
            }
            Encoding::Parquet(compression) => {
                let dictionaries = self.dictionaries.clone();
                Box::new(parquet_file::ParquetFile::new(
                    *compression,
                    target(),
                    dictionaries,
                ))
            }
            Encoding::Avro(codec) => Box::new(avro_file::AvroFile::new(*codec, target())),
            Encoding::Csv { options, gzip } => Box::new(csv::CsvFile::new(*options, *gzip, target())),
            Encoding::Bytes { separator, gzip, .. } => {
                Box::new(byte_array::ByteArrays::new(Arc::clone(separator), *gzip))
            }
        }
    }
}

/// As Parquet's Java library names files.
fn codec_extension(compression: Compression) -> &'static str {
    match compression {
        Compression::SNAPPY => "snappy.",
        Compression::GZIP(_) => "gz.",
        Compression::LZ4 => "lz4.",
        Compression::ZSTD(_) => "zstd.",
        _ => "",
    }
}

/// Fetches the schema that [`Refused::Fetch`] named for a record of this batch. If it cannot be had, it is among the `unreadable`
/// afterwards, with which records that need it are at fault.
///
/// # Errors
/// If it cannot be had now.
pub(crate) async fn fetch(
    batch: &SinkBatch,
    schema_id: i32,
    unreadable: &mut Vec<(i32, String)>,
) -> Result<(), Error> {
    let reader: Option<&dyn ValueReader> = match &batch.records {
        SinkRecords::Raw(records) => match records.format() {
            ValueFormat::Avro(reader) => Some(&**reader),
            ValueFormat::Json(reader) | ValueFormat::JsonWithSchemas(reader) => Some(&**reader),
            _ => None,
        },
        SinkRecords::Converted(_) => None,
    };
    let reader = reader.expect("only records that are read here want schemas");
    match reader.fetch(schema_id).await {
        Err(error) if !error.is_retriable() => unreadable.push((schema_id, error.trace())),
        other => other?,
    }
    Ok(())
}

impl Reading<'_> {
    /// What the converter makes of a value that is to be written.
    fn converted(&self, value: Option<&[u8]>) -> Result<SchemaAndValue, Refused> {
        let read = self.read(value)?;
        match value.is_some() && read.value.is_null() {
            true => Err(Refused::Null(read)),
            false => Ok(read),
        }
    }

    /// What the converter makes of a value.
    fn read(&self, value: Option<&[u8]>) -> Result<SchemaAndValue, Refused> {
        let bytes = value.map(Bytes::copy_from_slice);
        let reader: &dyn ValueReader = match self.format {
            ValueFormat::String => {
                let text = bytes.map(Text::from_utf8_lossy);
                return Ok(SchemaAndValue::new(Schema::optional_string_schema(), text));
            }
            ValueFormat::Bytes => return Ok(SchemaAndValue::new(Schema::optional_bytes_schema(), bytes)),
            ValueFormat::Avro(reader) => &**reader,
            ValueFormat::Json(reader) | ValueFormat::JsonWithSchemas(reader) => &**reader,
            other => {
                let error = format!("raw values of format {other:?} are not taken");
                return Err(Refused::All(Error::fatal(error)));
            }
        };
        reader.read(self.topic, value).map_err(|error| match error {
            ReadError::Value(error) => Refused::Record(error),
            ReadError::Fetch(schema_id) => match self.unreadable.iter().find(|(id, _)| *id == schema_id) {
                Some((_, reason)) => Refused::Record(Error::fatal(reason)),
                None => Refused::Fetch(schema_id),
            },
        })
    }
}

#[cfg(test)]
mod tests;
