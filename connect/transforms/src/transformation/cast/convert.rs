//! One value to one type, with Java's rules: numbers lose what does not fit, or stop at the bound where they come from a fraction.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_connect_api::{
    Schema, Value,
    schema::{Decimal, Logical, Type},
};

use crate::big_decimal::BigDecimal;
use crate::date_format::DateFormat;
use crate::{Error, java};

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// What can be cast.
const SOURCES: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]";

/// What a value is worth as a number.
enum Number {
    Integer(i64),
    Single(f32),
    Double(f64),
    Decimal(BigDecimal),
}

/// Casts a value, null to null.
pub(super) fn convert(schema: Option<&Schema>, value: &Value, target: Type) -> Result<Value, Error> {
    let Some(found) = value.value_type() else {
        return Ok(Value::Null);
    };
    let of = schema.map_or(found, Schema::schema_type);
    if !of.is_primitive() {
        return Err(Error::Data(format!(
            "Cast transformation does not support casting from {of}; supported types are {SOURCES}"
        )));
    }
    if target == Type::String {
        return Ok(text(schema, value).into());
    }
    match value {
        Value::String(text) => from_text(text, target),
        Value::Boolean(value) if target == Type::Boolean => Ok(Value::Boolean(*value)),
        _ => match number(schema, value) {
            Some(number) => Ok(from_number(&number, target)),
            None => Err(Error::Data(format!(
                "Unexpected type in Cast transformation: class {}",
                java::class_name(schema, value)
            ))),
        },
    }
}

fn number(schema: Option<&Schema>, value: &Value) -> Option<Number> {
    Some(match value {
        Value::Boolean(value) => Number::Integer(i64::from(*value)),
        Value::Float32(value) => Number::Single(*value),
        Value::Float64(value) => Number::Double(*value),
        Value::Bytes(unscaled) => {
            let Logical::Decimal { scale } = schema?.logical()? else {
                return None;
            };
            Number::Decimal(BigDecimal::parse(&Decimal { unscaled, scale }.to_string())?)
        }
        other => Number::Integer(other.as_i64()?),
    })
}

// Java's narrowing conversions are Rust's `as`: integers lose their high bits, fractions stop at the bounds.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn from_number(number: &Number, target: Type) -> Value {
    let long = match number {
        Number::Integer(number) => *number,
        Number::Single(number) => *number as i64,
        Number::Double(number) => *number as i64,
        Number::Decimal(number) => number.to_i64_wrapping(),
    };
    let int = match number {
        Number::Single(number) => *number as i32,
        Number::Double(number) => *number as i32,
        Number::Integer(_) | Number::Decimal(_) => long as i32,
    };
    match target {
        Type::Int8 => Value::Int8(int as i8),
        Type::Int16 => Value::Int16(int as i16),
        Type::Int32 => Value::Int32(int),
        Type::Int64 => Value::Int64(long),
        Type::Float32 => Value::Float32(match number {
            Number::Integer(number) => *number as f32,
            Number::Single(number) => *number,
            Number::Double(number) => *number as f32,
            Number::Decimal(number) => number.to_f32(),
        }),
        Type::Float64 => Value::Float64(match number {
            Number::Integer(number) => *number as f64,
            Number::Single(number) => f64::from(*number),
            Number::Double(number) => *number,
            Number::Decimal(number) => number.to_f64(),
        }),
        _ => Value::Boolean(long != 0),
    }
}

fn from_text(text: &str, target: Type) -> Result<Value, Error> {
    let value = match target {
        Type::Int8 => text.parse().ok().map(Value::Int8),
        Type::Int16 => text.parse().ok().map(Value::Int16),
        Type::Int32 => text.parse().ok().map(Value::Int32),
        Type::Int64 => text.parse().ok().map(Value::Int64),
        Type::Float32 => java::parse_f32(text).map(Value::Float32),
        Type::Float64 => java::parse_f64(text).map(Value::Float64),
        _ => Some(Value::Boolean(text.eq_ignore_ascii_case("true"))),
    };
    value.ok_or_else(|| Error::Data(format!("Value ({text}) was out of range for requested data type")))
}

fn text(schema: Option<&Schema>, value: &Value) -> String {
    let number = value.as_i64().unwrap_or_default();
    match (schema.and_then(Schema::logical), value) {
        (Some(Logical::Date), _) => iso(number.saturating_mul(MILLISECONDS_PER_DAY)),
        (Some(Logical::Time | Logical::Timestamp), _) => iso(number),
        (Some(Logical::Decimal { scale }), Value::Bytes(unscaled)) => Decimal { unscaled, scale }.to_string(),
        (_, Value::Bytes(bytes)) => STANDARD.encode(bytes),
        _ => value.to_string(),
    }
}

/// Kafka's `Values.dateFormatFor`, which goes by the value, not by its type.
fn iso(milliseconds: i64) -> String {
    let pattern = if milliseconds < MILLISECONDS_PER_DAY {
        "HH:mm:ss.SSS'Z'"
    } else if milliseconds % MILLISECONDS_PER_DAY == 0 {
        "yyyy-MM-dd"
    } else {
        "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
    };
    DateFormat::new(pattern, 0)
        .expect("it is one")
        .write(milliseconds)
}
