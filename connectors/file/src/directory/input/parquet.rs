//! The rows of a Parquet file, a batch of them in memory at a time. A position is a number of rows.

mod value;

use std::{io, sync::Arc};

use arrow_array::RecordBatch;
use forebay_connect_api::{Schema, SchemaAndValue};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Error, Fault, Next, Progress, Rows};
use crate::directory::{
    content::Content,
    lineage::{Mark, ROWS},
    reader::SETTLE,
};

/// Rows of a file from some row on.
pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    schema: Arc<Schema>,
    batch: RecordBatch,
    /// The next row of the batch.
    row: usize,
    /// How many rows of the file are done.
    position: u64,
    /// How many it has.
    rows: u64,
    fingerprint: u32,
    state: Arc<str>,
}

impl std::fmt::Debug for ParquetRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetRows")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl ParquetRows {
    pub(super) fn open(
        content: &Content,
        head: &[u8],
        mark: &Mark,
        batch_size: usize,
    ) -> Result<Self, Error> {
        let fault = |what: String| {
            // Who writes it may not have come to its end yet, where its directory is.
            let modified = content.file().metadata().and_then(|metadata| metadata.modified());
            let age = modified
                .ok()
                .and_then(|modified| modified.elapsed().ok())
                .unwrap_or_default();
            if age < SETTLE {
                Error::Settling
            } else {
                Error::Fault(what)
            }
        };
        let file = content
            .file()
            .try_clone()
            .map_err(|error| fault(format!("cannot be read: {error}")))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let builder = builder.map_err(|error| fault(format!("is no whole Parquet file: {error}")))?;
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let arrow = Arc::clone(builder.schema());
        let schema = value::schema(&arrow).map_err(Error::Fault)?;
        let done = usize::try_from(mark.position).map_err(|_| Error::Fault("has no such row".to_owned()))?;
        let reader = builder.with_batch_size(batch_size).with_offset(done).build();
        Ok(Self {
            reader: reader.map_err(|error| fault(format!("cannot be read: {error}")))?,
            schema,
            batch: RecordBatch::new_empty(arrow),
            row: 0,
            position: mark.position,
            rows,
            fingerprint: crc32c::crc32c(head),
            state: ROWS.into(),
        })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self) -> Next {
        if self.row == self.batch.num_rows() {
            return Next::None;
        }
        let made = value::row(&self.schema, &self.batch, self.row);
        self.row += 1;
        self.position += 1;
        let mark = Mark {
            position: self.position,
            fingerprint: Some(self.fingerprint),
            checksum: None,
            state: Some(Arc::clone(&self.state)),
        };
        match made {
            Ok(value) => Next::Record(SchemaAndValue::new(Arc::clone(&self.schema), value), mark),
            Err(why) => Next::Fault(Fault {
                what: format!("row {} {why}", self.position),
                bytes: None,
                mark: Some(mark),
            }),
        }
    }

    fn advance(&mut self) -> io::Result<Progress> {
        match self.reader.next() {
            None => Ok(Progress::Finished),
            Some(Ok(batch)) => {
                (self.batch, self.row) = (batch, 0);
                Ok(Progress::More)
            }
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }

    fn done(&self) -> (u64, u64) {
        (self.position, self.rows)
    }
}
