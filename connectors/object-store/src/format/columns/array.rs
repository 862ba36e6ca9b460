//! Columns as Arrow's arrays.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, RecordBatch, StringArray,
    StructArray,
    types::{
        ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, Time32MillisecondType, TimestampMillisecondType,
    },
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Fields, SchemaRef};

use super::column::{Column, Strings, Values};

impl Column {
    /// The rows as a batch; empty afterwards.
    pub(super) fn finish_root(&mut self, shape: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let columns = match &mut self.values {
            Values::Struct(structs) => {
                self.nulls.finish();
                finish_all(&mut structs.columns, shape.fields())?
            }
            _ => vec![self.finish(shape.field(0).data_type())?],
        };
        RecordBatch::try_new(Arc::clone(shape), columns)
    }

    /// The column as an array of that type; empty afterwards.
    pub(super) fn finish(&mut self, of: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        Ok(match (&mut self.values, of) {
            (Values::Boolean(values), _) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            (Values::Int8(values), _) => primitive::<Int8Type>(values, nulls)?,
            (Values::Int16(values), _) => primitive::<Int16Type>(values, nulls)?,
            (Values::Int32(values), _) => primitive::<Int32Type>(values, nulls)?,
            (Values::Int64(values), _) => primitive::<Int64Type>(values, nulls)?,
            (Values::Float32(values), _) => primitive::<Float32Type>(values, nulls)?,
            (Values::Float64(values), _) => primitive::<Float64Type>(values, nulls)?,
            (Values::Date(values), _) => primitive::<Date32Type>(values, nulls)?,
            (Values::Time(values), _) => primitive::<Time32MillisecondType>(values, nulls)?,
            (Values::Timestamp(values), _) => {
                let values = ScalarBuffer::from(std::mem::take(values));
                let array = PrimitiveArray::<TimestampMillisecondType>::try_new(values, nulls)?;
                Arc::new(array.with_data_type(of.clone()))
            }
            (Values::Decimal(values, _), _) => {
                let values = ScalarBuffer::from(std::mem::take(values));
                let array = PrimitiveArray::<Decimal128Type>::try_new(values, nulls)?;
                Arc::new(array.with_data_type(of.clone()))
            }
            (Values::String(strings), _) => {
                let Strings { bytes, ends } = std::mem::take(strings);
                Arc::new(StringArray::try_new(
                    offsets(ends),
                    Buffer::from_vec(bytes),
                    nulls,
                )?)
            }
            (Values::Bytes(strings), _) => {
                let Strings { bytes, ends } = std::mem::take(strings);
                Arc::new(BinaryArray::try_new(
                    offsets(ends),
                    Buffer::from_vec(bytes),
                    nulls,
                )?)
            }
            (Values::Struct(structs), DataType::Struct(fields)) => {
                let arrays = finish_all(&mut structs.columns, fields)?;
                Arc::new(StructArray::try_new(fields.clone(), arrays, nulls)?)
            }
            (Values::List(items, ends), DataType::List(item)) => {
                let values = items.finish(item.data_type())?;
                let offsets = offsets(std::mem::take(ends));
                Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?)
            }
            (Values::Map(both, ends), DataType::Map(entries, sorted)) => {
                let fields = struct_fields(entries.data_type());
                let arrays = finish_all(&mut **both, fields)?;
                let pairs = StructArray::try_new(fields.clone(), arrays, None)?;
                let offsets = offsets(std::mem::take(ends));
                Arc::new(MapArray::try_new(
                    Arc::clone(entries),
                    offsets,
                    pairs,
                    nulls,
                    *sorted,
                )?)
            }
            (values, of) => unreachable!("{values:?} was made for {of}"),
        })
    }
}

fn finish_all(columns: &mut [Column], fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    let each = columns.iter_mut().zip(fields.iter());
    each.map(|(column, field)| column.finish(field.data_type()))
        .collect()
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let values = ScalarBuffer::from(std::mem::take(values));
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values, nulls)?))
}

pub(super) fn struct_fields(of: &DataType) -> &Fields {
    match of {
        DataType::Struct(fields) => fields,
        other => unreachable!("a map's entries are a struct, not {other}"),
    }
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    let all: Vec<i32> = std::iter::once(0).chain(ends).collect();
    OffsetBuffer::new(ScalarBuffer::from(all))
}
