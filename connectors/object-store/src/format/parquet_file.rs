//! Parquet: rows are gathered as Arrow columns and encoded a few thousand at a time. Where the schema grows, what is encoded already
//! stays a file of its own until the end, and is then read again to make one of all.

mod hidden;

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
    columns::{PADDING_BYTES_MAX, Rows, conform_batch},
    dictionaries::Dictionaries,
    raw::RawReader,
    schemas::{FileSchema, Fit, Misfit, Target, Width},
};

/// Rows that are encoded together.
const ROWS_MAX: usize = 8192;
/// The same in bytes, so that many open files stay small.
const ROWS_BYTES_MAX: usize = 256 * 1024;

/// Memory of rows that are read again together.
const JOINED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Batches of narrower schemas that wait to be encoded with a wider one.
const WAITING_MAX: usize = 16;

/// A file that is being made.
#[derive(Debug)]
pub(super) struct ParquetFile {
    properties: WriterProperties,
    dictionaries: Dictionaries,
    target: Target,
    gathered: Option<Gathered>,
    /// Rows of narrower schemas that nothing has been encoded with.
    waiting: Vec<Waiting>,
    /// Made with the first rows, as it needs their schema.
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Whole files of narrower schemas, which come before what `waiting` and `writer` have.
    pieces: Vec<Bytes>,
    /// Of the largest record of a narrower schema: its structs, and its bytes.
    largest: (usize, usize),
}

/// Rows that nothing has been encoded with, how many structs there are in them, and what their columns are.
#[derive(Debug)]
struct Waiting {
    batch: RecordBatch,
    bytes: usize,
    structs: usize,
    width: Width,
}

/// Rows that are not encoded yet.
#[derive(Debug)]
struct Gathered {
    rows: Rows,
    raw: RawReader,
}

impl ParquetFile {
    pub(super) fn new(compression: Compression, target: Target, dictionaries: Dictionaries) -> Self {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(concat!("forebay ", env!("CARGO_PKG_VERSION")).to_owned());
        Self {
            properties: dictionaries.apply(properties).build(),
            dictionaries,
            target,
            gathered: None,
            waiting: Vec::new(),
            writer: None,
            pieces: Vec::new(),
            largest: (0, 0),
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
                let mut rows = Rows::new(&schema.schema).map_err(|error| schema.refused(error))?;
                // What does not fit its own schema must not change the file's.
                rows.append(&value.value)
                    .map_err(|_| Refused::Record(rows.explain(value)))?;
                if !self.may_widen(&rows) {
                    return Ok(Written::OtherSchema);
                }
                self.widen(schema, value, rows).map_err(Refused::All)?;
                return Ok(Written::Row);
            }
        }
        let rows = &mut self.gathered.as_mut().expect("a schema has rows").rows;
        rows.append(&value.value)
            .map_err(|_| Refused::Record(rows.explain(value)))?;
        Ok(Written::Row)
    }

    /// Whether the records so far would not ask for too many cells with a wider schema, by the same bound as new ones. If one does,
    /// another file has the wider schema.
    fn may_widen(&self, wider: &Rows) -> bool {
        let Some(Gathered { rows, .. }) = &self.gathered else {
            return true;
        };
        let structs = rows.largest().0.max(self.largest.0);
        let lacking = rows.width().lacks_of(wider.width(), 1, structs);
        self.target.is_again() || lacking <= PADDING_BYTES_MAX
    }

    /// Whether what is not encoded yet can wait for a wider schema, or is better encoded before.
    fn can_wait(&self, rows: &Rows, wider: &Rows) -> bool {
        let wide = wider.width();
        let lacking = |narrow: Width, rows, structs| narrow.lacks_of(wide, rows, structs);
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|one| lacking(one.width, one.batch.num_rows(), one.structs));
        let mut all = waiting.chain([lacking(rows.width(), rows.rows(), rows.structs())]);
        self.waiting.len() < WAITING_MAX && all.all(|bytes| bytes <= PADDING_BYTES_MAX)
    }

    /// Goes on with a wider schema, of which `rows` has the first row.
    fn widen(&mut self, schema: FileSchema, value: &SchemaAndValue, rows: Rows) -> Result<(), Error> {
        let is_same = |gathered: &Gathered| gathered.rows.shape().fields() == rows.shape().fields();
        if let Some(gathered) = &self.gathered {
            // Of what is encoded already, too.
            let (structs, bytes) = gathered.rows.largest();
            self.largest = (self.largest.0.max(structs), self.largest.1.max(bytes));
            if gathered.rows.rows() > 0 {
                match self.writer.is_none() && self.can_wait(&gathered.rows, &rows) {
                    true => self.wait()?,
                    false => self.encode()?,
                }
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

    /// Puts aside what is gathered.
    fn wait(&mut self) -> Result<(), Error> {
        let rows = &mut self.gathered.as_mut().expect("rows are to wait").rows;
        let (structs, width) = (rows.structs(), rows.width());
        let batch = rows.finish()?;
        self.waiting.push(Waiting {
            bytes: batch.get_array_memory_size(),
            batch,
            structs,
            width,
        });
        Ok(())
    }

    /// Encodes what is gathered.
    fn encode(&mut self) -> Result<(), Error> {
        let Some(Gathered { rows, .. }) = &mut self.gathered else {
            return Ok(());
        };
        let waiting = std::mem::take(&mut self.waiting);
        for Waiting { batch, .. } in waiting {
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
        let (structs, bytes) = self.largest;
        let row_bytes = bytes.saturating_add(Width::default().lacks_of(rows.width(), 1, structs));
        let rows_max = (JOINED_BYTES_MAX / row_bytes.max(1)).clamp(1, ROWS_MAX);
        for piece in std::mem::take(&mut self.pieces) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(piece).map_err(cannot_encode)?;
            let reader = reader.with_batch_size(rows_max).build().map_err(cannot_encode)?;
            for batch in reader {
                let batch = batch.and_then(|batch| hidden::told(&batch));
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
            && (rows.rows() >= ROWS_MAX || rows.bytes() >= ROWS_BYTES_MAX + rows.fixed_bytes())
        {
            self.encode().map_err(Refused::All)?;
        }
        Ok(written)
    }

    fn bytes(&self) -> usize {
        let gathered = self.gathered.as_ref();
        let gathered = gathered.map_or(0, |Gathered { rows, .. }| rows.bytes() + rows.fixed_bytes());
        let waiting: usize = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        let encoded = self.writer.as_ref();
        let encoded = encoded.map_or(0, |writer| writer.memory_size() + writer.bytes_written());
        gathered + waiting + encoded + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, Error> {
        self.encode()?;
        if !self.pieces.is_empty() {
            self.join()?;
        }
        let mut writer = self
            .writer
            .take()
            .ok_or_else(|| Error::fatal("a Parquet file needs a row"))?;
        writer.flush().map_err(cannot_encode)?;
        self.dictionaries.learn(writer.flushed_row_groups());
        writer.into_inner().map(Bytes::from).map_err(cannot_encode)
    }
}

fn cannot_encode(error: ParquetError) -> Error {
    Error::fatal("cannot encode Parquet").with_source(error)
}
