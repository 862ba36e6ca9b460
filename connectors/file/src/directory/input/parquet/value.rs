//! Arrow's types and values as Connect's.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{
        Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Field, TimeUnit};
use bytes::Bytes;
use forebay_connect_api::{
    Schema, SchemaBuilder, Struct, Value,
    schema::{self, Decimal},
};

/// How deep types may lie in each other.
const DEPTH_MAX: usize = 32;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The schema of a file's rows.
pub(super) fn schema(arrow: &arrow_schema::Schema) -> Result<Arc<Schema>, String> {
    let builder = fields(arrow.fields(), 0)?;
    builder
        .build()
        .map_err(|error| format!("has columns that make no record: {error}"))
}

fn fields(fields: &arrow_schema::Fields, depth: usize) -> Result<SchemaBuilder, String> {
    let mut builder = Schema::structure();
    for field in fields {
        builder = builder.field(field.name().as_str(), of_field(field, depth + 1)?);
    }
    Ok(builder)
}

fn of_field(field: &Field, depth: usize) -> Result<Arc<Schema>, String> {
    let unknown = || {
        format!(
            "has column {} of type {}, which Connect has no type for",
            field.name(),
            field.data_type()
        )
    };
    if depth > DEPTH_MAX {
        return Err(format!(
            "has types that lie more than {DEPTH_MAX} deep in each other"
        ));
    }
    let builder = match field.data_type() {
        DataType::Boolean => Schema::boolean(),
        DataType::Int8 => Schema::int8(),
        DataType::Int16 | DataType::UInt8 => Schema::int16(),
        DataType::Int32 | DataType::UInt16 => Schema::int32(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Schema::int64(),
        DataType::Float32 => Schema::float32(),
        DataType::Float64 => Schema::float64(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Schema::string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Schema::bytes()
        }
        DataType::Decimal128(_, scale) => schema::decimal(i32::from(*scale)),
        DataType::Date32 | DataType::Date64 => schema::date(),
        DataType::Time32(_) | DataType::Time64(_) => schema::time(),
        DataType::Timestamp(..) => schema::timestamp(),
        DataType::List(items) | DataType::LargeList(items) => Schema::array(of_field(items, depth + 1)?),
        DataType::Struct(inner) => fields(inner, depth)?,
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                Schema::map(of_field(&pair[0], depth + 1)?, of_field(&pair[1], depth + 1)?)
            }
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    let schema = builder.with_optional(field.is_nullable()).build();
    schema.map_err(|error| format!("has column {} that makes no schema: {error}", field.name()))
}

/// One row.
pub(super) fn row(schema: &Arc<Schema>, batch: &RecordBatch, row: usize) -> Result<Value, String> {
    structure(schema, batch.columns(), row)
}

fn structure(schema: &Arc<Schema>, columns: &[ArrayRef], row: usize) -> Result<Value, String> {
    let values = schema.fields().iter().zip(columns).map(|(field, column)| {
        value(&field.schema, column, row).map_err(|why| format!("has in column {} {why}", field.name))
    });
    let made = Struct::from_values(Arc::clone(schema), values.collect::<Result<_, _>>()?);
    made.map(Value::from).map_err(|error| error.to_string())
}

fn value(schema: &Arc<Schema>, array: &ArrayRef, row: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    macro_rules! number {
        ($type:ty) => {
            array.as_primitive::<$type>().value(row)
        };
    }
    let unknown = || format!("a value of type {}", array.data_type());
    Ok(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number!(Int8Type).into(),
        DataType::Int16 => number!(Int16Type).into(),
        DataType::Int32 => number!(Int32Type).into(),
        DataType::Int64 => number!(Int64Type).into(),
        DataType::UInt8 => i16::from(number!(UInt8Type)).into(),
        DataType::UInt16 => i32::from(number!(UInt16Type)).into(),
        DataType::UInt32 => i64::from(number!(UInt32Type)).into(),
        DataType::UInt64 => {
            let number = number!(UInt64Type);
            i64::try_from(number)
                .map_err(|_| format!("{number}, which is no INT64"))?
                .into()
        }
        DataType::Float32 => number!(Float32Type).into(),
        DataType::Float64 => number!(Float64Type).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => Bytes::copy_from_slice(array.as_binary::<i32>().value(row)).into(),
        DataType::LargeBinary => Bytes::copy_from_slice(array.as_binary::<i64>().value(row)).into(),
        DataType::BinaryView => Bytes::copy_from_slice(array.as_binary_view().value(row)).into(),
        DataType::FixedSizeBinary(_) => {
            Bytes::copy_from_slice(array.as_fixed_size_binary().value(row)).into()
        }
        DataType::Decimal128(..) => Decimal::encode(number!(Decimal128Type)).into(),
        DataType::Date32 => number!(Date32Type).into(),
        DataType::Date64 => narrow(number!(Date64Type).div_euclid(DAY))?,
        DataType::Time32(TimeUnit::Second) => narrow(i64::from(number!(Time32SecondType)) * 1000)?,
        DataType::Time32(_) => number!(Time32MillisecondType).into(),
        DataType::Time64(TimeUnit::Microsecond) => narrow(number!(Time64MicrosecondType).div_euclid(1000))?,
        DataType::Time64(_) => narrow(number!(Time64NanosecondType).div_euclid(1_000_000))?,
        DataType::Timestamp(TimeUnit::Second, _) => number!(TimestampSecondType).saturating_mul(1000).into(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => number!(TimestampMillisecondType).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            number!(TimestampMicrosecondType).div_euclid(1000).into()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            number!(TimestampNanosecondType).div_euclid(1_000_000).into()
        }
        DataType::List(_) => items(schema, &array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => items(schema, &array.as_list::<i64>().value(row))?,
        DataType::Struct(_) => structure(schema, array.as_struct().columns(), row)?,
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = schema
                .key_schema()
                .zip(schema.value_schema())
                .ok_or_else(unknown)?;
            let entries = (0..entries.len()).map(|entry| {
                Ok((
                    value(keys, entries.column(0), entry)?,
                    value(values, entries.column(1), entry)?,
                ))
            });
            Value::Map(entries.collect::<Result<_, String>>()?)
        }
        _ => return Err(unknown()),
    })
}

fn narrow(number: i64) -> Result<Value, String> {
    let number = i32::try_from(number).map_err(|_| format!("{number}, which is no INT32"))?;
    Ok(number.into())
}

fn items(schema: &Arc<Schema>, array: &ArrayRef) -> Result<Value, String> {
    let items = schema
        .value_schema()
        .ok_or_else(|| "items without a type".to_owned())?;
    let values = (0..array.len()).map(|row| value(items, array, row));
    Ok(Value::Array(values.collect::<Result<_, _>>()?))
}
