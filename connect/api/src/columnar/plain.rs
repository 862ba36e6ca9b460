//! Strings and bytes without a schema: the one column `value`.

use std::sync::{Arc, LazyLock};

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    builder::{BinaryBuilder, StringBuilder},
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Appended, ColumnarDecoder};
use crate::Error;

/// The name of the one column.
pub const VALUE_COLUMN: &str = "value";

/// The column of strings (or of bytes); a record without a value is null.
pub fn value_schema(data_type: &DataType) -> SchemaRef {
    static STRINGS: LazyLock<SchemaRef> = LazyLock::new(|| one_column(DataType::Utf8));
    static BYTES: LazyLock<SchemaRef> = LazyLock::new(|| one_column(DataType::Binary));
    match data_type {
        DataType::Utf8 => Arc::clone(&STRINGS),
        DataType::Binary => Arc::clone(&BYTES),
        other => one_column(other.clone()),
    }
}

fn one_column(data_type: DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(VALUE_COLUMN, data_type, true)]))
}

#[derive(Debug, Default)]
pub(super) struct StringDecoder(StringBuilder);

#[derive(Debug, Default)]
pub(super) struct BytesDecoder(BinaryBuilder);

/// Offsets of an Arrow column are 32 bits; who gathers that much has forgotten to finish.
fn check_room(gathered: usize, more: usize) -> Result<(), Error> {
    match gathered.checked_add(more) {
        Some(bytes) if bytes <= i32::MAX as usize => Ok(()),
        _ => Err(Error::fatal(format!(
            "a column of {gathered} bytes cannot take {more} more: finish it first"
        ))),
    }
}

impl ColumnarDecoder for StringDecoder {
    fn append(&mut self, value: Option<&[u8]>) -> Result<Appended, Error> {
        check_room(
            self.0.values_slice().len(),
            value.map_or(0, |value| value.len() * 3),
        )?;
        match value {
            Some(value) => self.0.append_value(String::from_utf8_lossy(value)),
            None => self.0.append_null(),
        }
        Ok(Appended::Row)
    }

    fn rows(&self) -> usize {
        self.0.offsets_slice().len() - 1
    }

    fn bytes(&self) -> usize {
        self.0.values_slice().len() + size_of_val(self.0.offsets_slice())
    }

    fn finish(&mut self) -> Result<RecordBatch, Error> {
        of_column(Arc::new(self.0.finish()))
    }
}

impl ColumnarDecoder for BytesDecoder {
    fn append(&mut self, value: Option<&[u8]>) -> Result<Appended, Error> {
        check_room(self.0.values_slice().len(), value.map_or(0, <[u8]>::len))?;
        self.0.append_option(value);
        Ok(Appended::Row)
    }

    fn rows(&self) -> usize {
        self.0.offsets_slice().len() - 1
    }

    fn bytes(&self) -> usize {
        self.0.values_slice().len() + size_of_val(self.0.offsets_slice())
    }

    fn finish(&mut self) -> Result<RecordBatch, Error> {
        of_column(Arc::new(self.0.finish()))
    }
}

fn of_column(column: ArrayRef) -> Result<RecordBatch, Error> {
    RecordBatch::try_new(value_schema(column.data_type()), vec![column])
        .map_err(|error| Error::fatal("cannot make a column of values").with_source(error))
}
