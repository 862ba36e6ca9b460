//! Parquet: rows are gathered as Arrow columns and encoded a few thousand at a time.

use arrow_array::RecordBatch;
use bytes::Bytes;
use forebay_connect_api::{
    Error,
    columnar::{self, Appended, ColumnarDecoder},
};
use parquet::{
    arrow::ArrowWriter, basic::Compression, errors::ParquetError, file::properties::WriterProperties,
};

use super::{Cell, Refused, Writer, Written, columns::Rows};

/// Rows that are encoded together.
const ROWS_MAX: usize = 8192;
/// The same in bytes, so that many open files stay small.
const ROWS_BYTES_MAX: usize = 256 * 1024;

/// A file that is being made.
#[derive(Debug)]
pub(super) struct ParquetFile {
    properties: WriterProperties,
    rows: Option<Gathered>,
    /// Made with the first rows, as it needs their schema.
    writer: Option<ArrowWriter<Vec<u8>>>,
}

#[derive(Debug)]
enum Gathered {
    Raw(Box<dyn ColumnarDecoder>),
    Converted(Box<Rows>),
}

impl ParquetFile {
    pub(super) fn new(compression: Compression) -> Self {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("forebay ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Self {
            properties,
            rows: None,
            writer: None,
        }
    }

    /// Encodes what is gathered.
    fn encode(&mut self) -> Result<(), Error> {
        let batch = match &mut self.rows {
            Some(Gathered::Raw(decoder)) => decoder.finish()?,
            Some(Gathered::Converted(rows)) => rows.finish()?,
            None => return Ok(()),
        };
        self.encode_batch(&batch).map_err(cannot_encode)
    }

    fn encode_batch(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let properties = Some(self.properties.clone());
                self.writer
                    .insert(ArrowWriter::try_new(Vec::new(), batch.schema(), properties)?)
            }
        };
        writer.write(batch)
    }
}

impl Writer for ParquetFile {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        let rows = match (&mut self.rows, cell) {
            (Some(rows), _) => rows,
            (rows, Cell::Raw(format, _)) => rows.insert(Gathered::Raw(columnar::decoder(format))),
            (rows, Cell::Converted(value)) => rows.insert(Gathered::Converted(Box::new(Rows::new(value)?))),
        };
        let (appended, count, bytes) = match (rows, cell) {
            (Gathered::Raw(decoder), Cell::Raw(_, value)) => {
                let appended = decoder.append(value).map_err(Refused::Record)?;
                (appended, decoder.rows(), decoder.bytes())
            }
            (Gathered::Converted(rows), Cell::Converted(value)) => {
                let appended = rows.append(value)?;
                (appended, rows.rows(), rows.bytes())
            }
            _ => return Ok(Written::OtherSchema),
        };
        if appended == Appended::OtherSchema {
            return Ok(Written::OtherSchema);
        }
        if count >= ROWS_MAX || bytes >= ROWS_BYTES_MAX {
            self.encode().map_err(Refused::All)?;
        }
        Ok(Written::Row)
    }

    fn bytes(&self) -> usize {
        let gathered = match &self.rows {
            Some(Gathered::Raw(decoder)) => decoder.bytes(),
            Some(Gathered::Converted(rows)) => rows.bytes(),
            None => 0,
        };
        let encoded = self.writer.as_ref();
        gathered + encoded.map_or(0, |writer| writer.memory_size() + writer.bytes_written())
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, Error> {
        self.encode()?;
        let writer = self
            .writer
            .take()
            .ok_or_else(|| Error::fatal("a Parquet file needs a row"))?;
        writer.into_inner().map(Bytes::from).map_err(cannot_encode)
    }
}

fn cannot_encode(error: ParquetError) -> Error {
    Error::fatal("cannot encode Parquet").with_source(error)
}
