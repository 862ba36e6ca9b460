//! Parquet: rows are gathered as Arrow columns and encoded a few thousand at a time. Where the schema grows, what is encoded already
//! stays a file of its own until the end, and is then read again to make one of all.

use arrow_array::RecordBatch;
use bytes::Bytes;
use forebay_connect_api::{Error, SchemaAndValue};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::{
    Cell, Reading, Refused, Writer, Written,
    columns::{Rows, conform_batch},
    raw::RawReader,
    schemas::{FileSchema, Fit, Misfit, Target},
};

/// Rows that are encoded together.
const ROWS_MAX: usize = 8192;
/// The same in bytes, so that many open files stay small.
const ROWS_BYTES_MAX: usize = 256 * 1024;

/// A file that is being made.
#[derive(Debug)]
pub(super) struct ParquetFile {
    properties: WriterProperties,
    target: Target,
    gathered: Option<Gathered>,
    /// Rows of narrower schemas that nothing has been encoded with.
    waiting: Vec<RecordBatch>,
    /// Made with the first rows, as it needs their schema.
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Whole files of narrower schemas, which come before what `waiting` and `writer` have.
    pieces: Vec<Bytes>,
}

/// Rows that are not encoded yet.
#[derive(Debug)]
struct Gathered {
    rows: Rows,
    raw: RawReader,
}

impl ParquetFile {
    pub(super) fn new(compression: Compression, target: Target) -> Self {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("forebay ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Self {
            properties,
            target,
            gathered: None,
            waiting: Vec::new(),
            writer: None,
            pieces: Vec::new(),
        }
    }

    /// Tries to take a raw value without making an object of it.
    fn write_raw(&mut self, reading: &Reading<'_>, value: Option<&[u8]>) -> Result<(), Misfit> {
        let Some(Gathered { rows, raw }) = &mut self.gathered else {
            return Err(Misfit);
        };
        raw.append(rows, &self.target, reading, value)
    }

    fn write_converted(&mut self, value: &SchemaAndValue) -> Result<Written, Refused> {
        if let Some(Gathered { rows, .. }) = &mut self.gathered
            && self.target.may_take(value)
            && rows.append(&value.value).is_ok()
        {
            return Ok(Written::Row);
        }
        match self.target.fit(value)? {
            Fit::Other => return Ok(Written::OtherSchema),
            Fit::AsItIs => {}
            Fit::With(schema) => {
                let mut rows = Rows::new(&schema.schema).map_err(Refused::All)?;
                // What does not fit its own schema must not change the file's.
                rows.append(&value.value)
                    .map_err(|_| Refused::Record(rows.explain(value)))?;
                self.widen(schema, value, rows).map_err(Refused::All)?;
                return Ok(Written::Row);
            }
        }
        let rows = &mut self.gathered.as_mut().expect("a schema has rows").rows;
        rows.append(&value.value)
            .map_err(|_| Refused::Record(rows.explain(value)))?;
        Ok(Written::Row)
    }

    /// Goes on with a wider schema, of which `rows` has the first row.
    fn widen(&mut self, schema: FileSchema, value: &SchemaAndValue, rows: Rows) -> Result<(), Error> {
        let is_same = |gathered: &Gathered| gathered.rows.shape().fields() == rows.shape().fields();
        if let Some(gathered) = &mut self.gathered
            && gathered.rows.rows() > 0
        {
            let batch = gathered.rows.finish()?;
            match &mut self.writer {
                Some(writer) => writer.write(&batch).map_err(cannot_encode)?,
                None => self.waiting.push(batch),
            }
        }
        if !self.gathered.as_ref().is_some_and(is_same)
            && let Some(writer) = self.writer.take()
        {
            self.pieces
                .push(writer.into_inner().map_err(cannot_encode)?.into());
        }
        self.target.settle(schema, value);
        let raw = RawReader::default();
        self.gathered = Some(Gathered { rows, raw });
        Ok(())
    }

    /// Encodes what is gathered.
    fn encode(&mut self) -> Result<(), Error> {
        let Some(Gathered { rows, .. }) = &mut self.gathered else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut self.waiting);
        for batch in waiting {
            let batch = conform_batch(batch, rows)?;
            write(&mut self.writer, &self.properties, &batch)?;
        }
        let batch = rows.finish()?;
        write(&mut self.writer, &self.properties, &batch)
    }

    /// One file of all pieces and what came after them.
    fn join(&mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.take() {
            self.pieces
                .push(writer.into_inner().map_err(cannot_encode)?.into());
        }
        let rows = &self.gathered.as_ref().expect("a piece has rows").rows;
        for piece in std::mem::take(&mut self.pieces) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(piece).map_err(cannot_encode)?;
            let reader = reader.with_batch_size(ROWS_MAX).build().map_err(cannot_encode)?;
            for batch in reader {
                let batch = batch.map_err(|error| cannot_encode(error.into()))?;
                write(&mut self.writer, &self.properties, &conform_batch(batch, rows)?)?;
            }
        }
        Ok(())
    }
}

fn write(
    writer: &mut Option<ArrowWriter<Vec<u8>>>,
    properties: &WriterProperties,
    batch: &RecordBatch,
) -> Result<(), Error> {
    let writer = match writer {
        Some(writer) => writer,
        None => {
            let new = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.clone()));
            writer.insert(new.map_err(cannot_encode)?)
        }
    };
    writer.write(batch).map_err(cannot_encode)
}

impl Writer for ParquetFile {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        let written = match cell {
            Cell::Converted(value) => self.write_converted(value)?,
            Cell::Raw(reading, value) => match self.write_raw(reading, value) {
                Ok(()) => Written::Row,
                Err(Misfit) => self.write_converted(&reading.converted(value)?)?,
            },
        };
        if let Some(Gathered { rows, .. }) = &self.gathered
            && (rows.rows() >= ROWS_MAX || rows.bytes() >= ROWS_BYTES_MAX)
        {
            self.encode().map_err(Refused::All)?;
        }
        Ok(written)
    }

    fn bytes(&self) -> usize {
        let gathered = self.gathered.as_ref().map_or(0, |gathered| gathered.rows.bytes());
        let waiting: usize = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum();
        let encoded = self.writer.as_ref();
        let encoded = encoded.map_or(0, |writer| writer.memory_size() + writer.bytes_written());
        gathered + waiting + encoded + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, Error> {
        self.encode()?;
        if !self.pieces.is_empty() {
            self.join()?;
        }
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
