//! What of values does not fit columns although it fits its schema, and how large values are.

use arrow_schema::DataType;
use forebay_connect_api::{
    Schema, Value,
    schema::{Decimal, Logical, MILLISECONDS_PER_DAY},
};

use super::{DECIMAL_PRECISION_MAX, data_type};

/// The number, if it has no more digits than that.
pub(super) fn decimal(unscaled: &[u8], digits: u8) -> Option<i128> {
    let number = Decimal { unscaled, scale: 0 }.to_i128()?;
    (number.unsigned_abs() < 10_u128.pow(u32::from(digits))).then_some(number)
}

/// The memory that a value takes in columns, roughly.
pub(in crate::format) fn size(value: &Value) -> usize {
    const NUMBER: usize = size_of::<i64>();
    match value {
        Value::String(text) => text.as_bytes().len() + NUMBER,
        Value::Bytes(bytes) => bytes.len() + NUMBER,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + NUMBER,
        Value::Map(entries) => {
            entries
                .iter()
                .map(|(key, value)| size(key) + size(value))
                .sum::<usize>()
                + NUMBER
        }
        Value::Struct(row) => row.values().iter().map(size).sum(),
        _ => NUMBER,
    }
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
            match decimal(unscaled, precision) {
                Some(_) => Ok(()),
                None => Err(format!(
                    "the decimal {} has more than the {precision} digits of its column",
                    Decimal { unscaled, scale }
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
