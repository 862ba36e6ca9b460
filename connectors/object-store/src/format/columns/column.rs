//! One column that is being filled. Values have been checked against the schema before.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, MapArray, StructArray,
    builder::{
        ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
        Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
        Time32MillisecondBuilder, TimestampMillisecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};
use forebay_connect_api::{
    Error, Schema, Value,
    schema::{Decimal, Logical, MILLISECONDS_PER_DAY},
};

use super::{DECIMAL_PRECISION_MAX, data_type};

/// Rows that a builder is made for.
const CAPACITY: usize = 64;

/// Values of one Arrow type.
#[derive(Debug)]
pub(super) enum Column {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Bytes(BinaryBuilder),
    Decimal(Decimal128Builder),
    Date(Date32Builder),
    Time(Time32MillisecondBuilder),
    Timestamp(TimestampMillisecondBuilder),
    Struct(Vec<Column>, NullBufferBuilder),
    /// Items, and where each row's end.
    List(Box<Column>, Vec<i32>, NullBufferBuilder),
    /// Keys, values, and where each row's end.
    Map(Box<[Column; 2]>, Vec<i32>, NullBufferBuilder),
}

impl Column {
    /// An empty column of a type that `data_type` made.
    pub(super) fn new(of: &DataType) -> Self {
        let nulls = || NullBufferBuilder::new(CAPACITY);
        match of {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(Int8Builder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Utf8 => Self::String(StringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::Decimal128(..) => Self::Decimal(Decimal128Builder::new().with_data_type(of.clone())),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time32(_) => Self::Time(Time32MillisecondBuilder::new()),
            DataType::Timestamp(..) => {
                Self::Timestamp(TimestampMillisecondBuilder::new().with_data_type(of.clone()))
            }
            DataType::Struct(fields) => Self::Struct(children(fields), nulls()),
            DataType::List(item) => Self::List(Box::new(Self::new(item.data_type())), Vec::new(), nulls()),
            DataType::Map(entries, _) => {
                let fields = struct_fields(entries);
                let both = fields.iter().map(|field| Self::new(field.data_type()));
                let both: Vec<Column> = both.collect();
                Self::Map(
                    Box::new(both.try_into().expect("a key and a value")),
                    Vec::new(),
                    nulls(),
                )
            }
            other => unreachable!("no Connect schema becomes {other}"),
        }
    }

    /// Adds a value, or the schema's default for null; says how many bytes that took, roughly.
    pub(super) fn append(&mut self, schema: Option<&Schema>, value: &Value) -> usize {
        let default = schema.and_then(Schema::default_value).unwrap_or(&Value::Null);
        match if value.is_null() { default } else { value } {
            Value::Null => self.append_null(),
            value => self.append_value(schema, value),
        }
    }

    fn append_value(&mut self, schema: Option<&Schema>, value: &Value) -> usize {
        match (self, value) {
            (Self::Boolean(column), Value::Boolean(value)) => column.append_value(*value),
            (Self::Int8(column), Value::Int8(value)) => column.append_value(*value),
            (Self::Int16(column), Value::Int16(value)) => column.append_value(*value),
            (Self::Int32(column), Value::Int32(value)) => column.append_value(*value),
            (Self::Int64(column), Value::Int64(value)) => column.append_value(*value),
            (Self::Float32(column), Value::Float32(value)) => column.append_value(*value),
            (Self::Float64(column), Value::Float64(value)) => column.append_value(*value),
            (Self::Date(column), Value::Int32(value)) => column.append_value(*value),
            (Self::Time(column), Value::Int32(value)) => column.append_value(*value),
            (Self::Timestamp(column), Value::Int64(value)) => column.append_value(*value),
            (Self::String(column), Value::String(value)) => {
                column.append_value(value);
                return value.len() + size_of::<i32>();
            }
            (Self::Bytes(column), Value::Bytes(value)) => {
                column.append_value(value);
                return value.len() + size_of::<i32>();
            }
            (Self::Decimal(column), Value::Bytes(unscaled)) => {
                let number = Decimal { unscaled, scale: 0 }
                    .to_i128()
                    .expect("its range was checked");
                column.append_value(number);
                return size_of::<i128>();
            }
            (Self::Struct(columns, valid), Value::Struct(row)) => {
                valid.append_non_null();
                let values = row.schema().fields().iter().zip(row.values());
                let bytes = columns
                    .iter_mut()
                    .zip(values)
                    .map(|(column, (field, value))| column.append(Some(&field.schema), value));
                return bytes.sum();
            }
            (Self::List(items, ends, valid), Value::Array(values)) => {
                valid.append_non_null();
                let item_schema = schema.and_then(Schema::value_schema).map(|schema| &**schema);
                let bytes: usize = values.iter().map(|value| items.append(item_schema, value)).sum();
                ends.push(end(items.rows()));
                return bytes + size_of::<i32>();
            }
            (Self::Map(both, ends, valid), Value::Map(entries)) => {
                valid.append_non_null();
                let key_schema = schema.and_then(Schema::key_schema).map(|schema| &**schema);
                let value_schema = schema.and_then(Schema::value_schema).map(|schema| &**schema);
                let [keys, values] = &mut **both;
                let mut bytes = size_of::<i32>();
                for (key, value) in entries {
                    bytes += keys.append(key_schema, key) + values.append(value_schema, value);
                }
                ends.push(end(both[0].rows()));
                return bytes;
            }
            (column, value) => unreachable!("{value:?} was checked against the schema of {column:?}"),
        }
        size_of::<i64>()
    }

    fn append_null(&mut self) -> usize {
        match self {
            Self::Boolean(column) => column.append_null(),
            Self::Int8(column) => column.append_null(),
            Self::Int16(column) => column.append_null(),
            Self::Int32(column) => column.append_null(),
            Self::Int64(column) => column.append_null(),
            Self::Float32(column) => column.append_null(),
            Self::Float64(column) => column.append_null(),
            Self::String(column) => column.append_null(),
            Self::Bytes(column) => column.append_null(),
            Self::Decimal(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Time(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::Struct(columns, valid) => {
                valid.append_null();
                // Whatever stands below a null is never seen.
                return columns.iter_mut().map(Self::append_null).sum();
            }
            Self::List(items, ends, valid) => {
                valid.append_null();
                ends.push(end(items.rows()));
            }
            Self::Map(both, ends, valid) => {
                valid.append_null();
                ends.push(end(both[0].rows()));
            }
        }
        size_of::<i64>()
    }

    fn rows(&self) -> usize {
        match self {
            Self::Boolean(column) => column.len(),
            Self::Int8(column) => column.len(),
            Self::Int16(column) => column.len(),
            Self::Int32(column) => column.len(),
            Self::Int64(column) => column.len(),
            Self::Float32(column) => column.len(),
            Self::Float64(column) => column.len(),
            Self::String(column) => column.len(),
            Self::Bytes(column) => column.len(),
            Self::Decimal(column) => column.len(),
            Self::Date(column) => column.len(),
            Self::Time(column) => column.len(),
            Self::Timestamp(column) => column.len(),
            Self::Struct(_, valid) => valid.len(),
            Self::List(_, ends, _) | Self::Map(_, ends, _) => ends.len(),
        }
    }

    /// The column as an array of that type; empty afterwards.
    pub(super) fn finish(&mut self, of: &DataType) -> Result<ArrayRef, Error> {
        self.array(of)
            .map_err(|error| Error::fatal("cannot make a column of the records").with_source(error))
    }

    fn array(&mut self, of: &DataType) -> Result<ArrayRef, ArrowError> {
        Ok(match (self, of) {
            (Self::Boolean(column), _) => Arc::new(column.finish()),
            (Self::Int8(column), _) => Arc::new(column.finish()),
            (Self::Int16(column), _) => Arc::new(column.finish()),
            (Self::Int32(column), _) => Arc::new(column.finish()),
            (Self::Int64(column), _) => Arc::new(column.finish()),
            (Self::Float32(column), _) => Arc::new(column.finish()),
            (Self::Float64(column), _) => Arc::new(column.finish()),
            (Self::String(column), _) => Arc::new(column.finish()),
            (Self::Bytes(column), _) => Arc::new(column.finish()),
            (Self::Decimal(column), _) => Arc::new(column.finish()),
            (Self::Date(column), _) => Arc::new(column.finish()),
            (Self::Time(column), _) => Arc::new(column.finish()),
            (Self::Timestamp(column), _) => Arc::new(column.finish()),
            (Self::Struct(columns, valid), DataType::Struct(fields)) => {
                let arrays = arrays(columns, fields)?;
                Arc::new(StructArray::try_new(fields.clone(), arrays, valid.finish())?)
            }
            (Self::List(items, ends, valid), DataType::List(item)) => {
                let values = items.array(item.data_type())?;
                Arc::new(ListArray::try_new(
                    Arc::clone(item),
                    offsets(ends),
                    values,
                    valid.finish(),
                )?)
            }
            (Self::Map(both, ends, valid), DataType::Map(entries, sorted)) => {
                let fields = struct_fields(entries);
                let pairs = StructArray::try_new(fields.clone(), arrays(&mut **both, fields)?, None)?;
                let (offsets, valid) = (offsets(ends), valid.finish());
                Arc::new(MapArray::try_new(
                    Arc::clone(entries),
                    offsets,
                    pairs,
                    valid,
                    *sorted,
                )?)
            }
            (column, of) => unreachable!("{column:?} was made for {of}"),
        })
    }
}

fn children(fields: &Fields) -> Vec<Column> {
    fields
        .iter()
        .map(|field| Column::new(field.data_type()))
        .collect()
}

fn arrays(columns: &mut [Column], fields: &Fields) -> Result<Vec<ArrayRef>, ArrowError> {
    let each = columns.iter_mut().zip(fields.iter());
    each.map(|(column, field)| column.array(field.data_type()))
        .collect()
}

fn struct_fields(entries: &FieldRef) -> &Fields {
    match entries.data_type() {
        DataType::Struct(fields) => fields,
        other => unreachable!("a map's entries are a struct, not {other}"),
    }
}

/// Rows are encoded by the few hundred kilobytes, so items are counted in 32 bits.
fn end(items: usize) -> i32 {
    i32::try_from(items).expect("rows are encoded long before")
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let ends = std::mem::take(ends);
    let all: Vec<i32> = std::iter::once(0).chain(ends).collect();
    OffsetBuffer::new(ScalarBuffer::from(all))
}

/// Whether decimals have no more digits than their columns, and times of day are within one; defaults, too. The value fits the schema.
pub(super) fn check_ranges(schema: &Schema, value: &Value) -> Result<(), String> {
    let value = match (value, schema.default_value()) {
        (Value::Null, Some(default)) => default,
        (value, _) => value,
    };
    match (schema.logical(), value) {
        (Some(Logical::Decimal { scale }), Value::Bytes(unscaled)) => {
            let precision = match data_type(schema, 0) {
                Ok(DataType::Decimal128(precision, _)) => precision,
                _ => DECIMAL_PRECISION_MAX,
            };
            let decimal = Decimal { unscaled, scale };
            let fits = |number: i128| number.unsigned_abs() < 10_u128.pow(u32::from(precision));
            match decimal.to_i128() {
                Some(number) if fits(number) => Ok(()),
                _ => Err(format!(
                    "the decimal {decimal} has more than the {precision} digits of its column"
                )),
            }
        }
        (Some(Logical::Time), Value::Int32(time)) if !(0..MILLISECONDS_PER_DAY).contains(time) => {
            Err(format!("{time} is no time of day in milliseconds"))
        }
        (_, Value::Struct(row)) => {
            let mut values = row.schema().fields().iter().zip(row.values());
            values.try_for_each(|(field, value)| check_ranges(&field.schema, value))
        }
        (_, Value::Array(items)) => {
            let inner = schema.value_schema().expect("an ARRAY has one");
            items.iter().try_for_each(|item| check_ranges(inner, item))
        }
        (_, Value::Map(entries)) => {
            let keys = schema.key_schema().expect("a MAP has one");
            let values = schema.value_schema().expect("a MAP has one");
            entries.iter().try_for_each(|(key, value)| {
                check_ranges(keys, key)?;
                check_ranges(values, value)
            })
        }
        _ => Ok(()),
    }
}
