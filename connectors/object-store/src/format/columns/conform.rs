//! Columns of one schema as columns of a wider one: the union of it and another.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray,
    cast::AsArray,
    new_null_array,
    types::{Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type},
};
use arrow_schema::{ArrowError, DataType, Fields};
use forebay_connect_api::{Error, Schema};

use super::{Rows, array::struct_fields, column::Column, padding::Padding};

/// The batch with the columns of `rows`, whose schema is a union with the batch's.
pub(in crate::format) fn conform_batch(batch: RecordBatch, rows: &Rows) -> Result<RecordBatch, Error> {
    if batch.schema_ref().fields() == rows.shape().fields() {
        return Ok(batch);
    }
    let failed = |error: ArrowError| Error::fatal("cannot bring columns together").with_source(error);
    let is_struct = !rows.schema().fields().is_empty();
    let columns = if is_struct {
        let known = |name: &str| batch.column_by_name(name);
        fields(rows.schema(), rows.shape().fields(), known, batch.num_rows())?
    } else {
        let of = rows.shape().field(0).data_type();
        vec![array(batch.column(0), rows.schema(), of)?]
    };
    RecordBatch::try_new(Arc::clone(rows.shape()), columns).map_err(failed)
}

fn fields<'a>(
    schema: &Schema,
    of: &Fields,
    known: impl Fn(&str) -> Option<&'a ArrayRef>,
    rows: usize,
) -> Result<Vec<ArrayRef>, Error> {
    let each = schema.fields().iter().zip(of);
    each.map(|(field, of)| match known(&field.name) {
        Some(column) => array(column, &field.schema, of.data_type()),
        None => missing(&field.schema, of.data_type(), rows),
    })
    .collect()
}

/// Rows of the default, or of null.
fn missing(schema: &Arc<Schema>, of: &DataType, rows: usize) -> Result<ArrayRef, Error> {
    let padding = Padding::default();
    let mut column = Column::new(schema, true, &padding)?;
    for _ in 0..rows {
        padding.begin();
        let fits = column.append_null();
        fits.map_err(|_| Error::fatal("the default of a field does not fit its column"))?;
    }
    let finished = column.finish(of);
    finished.map_err(|error| Error::fatal("cannot make a column of a default").with_source(error))
}

fn array(from: &ArrayRef, schema: &Schema, to: &DataType) -> Result<ArrayRef, Error> {
    let failed = |error: ArrowError| Error::fatal("cannot bring columns together").with_source(error);
    let inner = |schema: Option<&Arc<Schema>>| Arc::clone(schema.expect("the type has schemas inside"));
    Ok(match (from.data_type(), to) {
        (from_type, to) if from_type == to => Arc::clone(from),
        (DataType::Struct(_), DataType::Struct(of)) => {
            let structs = from.as_struct();
            let columns = fields(schema, of, |name| structs.column_by_name(name), structs.len())?;
            Arc::new(StructArray::try_new(of.clone(), columns, structs.nulls().cloned()).map_err(failed)?)
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = from.as_list::<i32>();
            let items = array(list.values(), &inner(schema.value_schema()), item.data_type())?;
            let nulls = list.nulls().cloned();
            Arc::new(
                ListArray::try_new(Arc::clone(item), list.offsets().clone(), items, nulls).map_err(failed)?,
            )
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = from.as_map();
            let of = struct_fields(entries.data_type());
            let keys = array(map.keys(), &inner(schema.key_schema()), of[0].data_type())?;
            let values = array(map.values(), &inner(schema.value_schema()), of[1].data_type())?;
            let pairs = StructArray::try_new(of.clone(), vec![keys, values], None).map_err(failed)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted).map_err(failed)?)
        }
        (DataType::Decimal128(..), DataType::Decimal128(..)) => Arc::new(
            from.as_primitive::<Decimal128Type>()
                .clone()
                .with_data_type(to.clone()),
        ),
        // Before there was a value, nulls were taken for strings.
        (_, _) if from.null_count() == from.len() => new_null_array(to, from.len()),
        (from_type, _) => number(from, to)
            .ok_or_else(|| Error::fatal(format!("a column of {from_type} cannot become one of {to}")))?,
    })
}

/// Numbers as wider ones.
#[expect(clippy::cast_precision_loss, reason = "numbers widen to floats")]
fn number(from: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    macro_rules! widened {
        ($from:ident => $to:ident, $op:expr) => {
            Arc::new(from.as_primitive::<$from>().unary::<_, $to>($op))
        };
    }
    Some(match (from.data_type(), to) {
        (DataType::Int8, DataType::Int16) => widened!(Int8Type => Int16Type, i16::from),
        (DataType::Int8, DataType::Int32) => widened!(Int8Type => Int32Type, i32::from),
        (DataType::Int8, DataType::Int64) => widened!(Int8Type => Int64Type, i64::from),
        (DataType::Int16, DataType::Int32) => widened!(Int16Type => Int32Type, i32::from),
        (DataType::Int16, DataType::Int64) => widened!(Int16Type => Int64Type, i64::from),
        (DataType::Int32, DataType::Int64) => widened!(Int32Type => Int64Type, i64::from),
        (DataType::Int8, DataType::Float64) => widened!(Int8Type => Float64Type, f64::from),
        (DataType::Int16, DataType::Float64) => widened!(Int16Type => Float64Type, f64::from),
        (DataType::Int32, DataType::Float64) => widened!(Int32Type => Float64Type, f64::from),
        (DataType::Int64, DataType::Float64) => widened!(Int64Type => Float64Type, |number| number as f64),
        (DataType::Float32, DataType::Float64) => widened!(Float32Type => Float64Type, f64::from),
        _ => return None,
    })
}
