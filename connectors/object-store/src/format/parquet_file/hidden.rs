//! Nulls within null structs. Parquet's reader says them of what is optional only: a struct that must be there, within one that is
//! null, comes without nulls of its own, and its fields have some all the same. Nobody makes such an array anew.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray, cast::AsArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};

/// The batch with structs that are null wherever those around them are.
pub(super) fn told(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| array(column, None));
    RecordBatch::try_new(batch.schema(), columns.collect::<Result<_, _>>()?)
}

fn array(of: &ArrayRef, around: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    Ok(match of.data_type() {
        DataType::Struct(fields) => {
            let structs = of.as_struct();
            let nulls = NullBuffer::union(around, structs.nulls());
            let columns = structs
                .columns()
                .iter()
                .map(|column| array(column, nulls.as_ref()));
            let columns = columns.collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?)
        }
        DataType::List(item) => {
            let list = of.as_list::<i32>();
            let items = array(list.values(), None)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, nulls)?)
        }
        DataType::Map(entries, sorted) => {
            let map = of.as_map();
            let pairs: ArrayRef = Arc::new(map.entries().clone());
            let pairs = array(&pairs, None)?.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(
                Arc::clone(entries),
                offsets,
                pairs,
                nulls,
                *sorted,
            )?)
        }
        _ => Arc::clone(of),
    })
}
