//! Values as text: what Java's `toString` gives, as FileStreamSink writes it and string converters send it.

use std::fmt::{self, Display};

use super::{SchemaAndValue, Struct, Value};
use crate::Schema;

/// As Java's `toString`. BYTES, of which Java would print a memory address, are shown as text, with U+FFFD where they are not
/// UTF-8. Logical types are recognised inside structs and by [`SchemaAndValue`]'s `Display`.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, None, self)
    }
}

/// As Java's `toString` of the value, logical types decoded.
impl Display for SchemaAndValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.schema.as_deref(), &self.value)
    }
}

/// `Struct{id=1,name=x}`, without fields that are null, as Java has it.
impl Display for Struct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Struct{")?;
        let mut comma = "";
        for (field, value) in self.schema().fields().iter().zip(self.values()) {
            if !value.is_null() {
                write!(f, "{comma}{}=", field.name)?;
                show(f, Some(&field.schema), value)?;
                comma = ",";
            }
        }
        f.write_str("}")
    }
}

fn show(f: &mut fmt::Formatter<'_>, schema: Option<&Schema>, value: &Value) -> fmt::Result {
    if let Some(text) = schema
        .and_then(Schema::logical)
        .and_then(|logical| logical.show(value))
    {
        return f.write_str(&text);
    }
    let inner = schema.and_then(Schema::value_schema).map(|schema| &**schema);
    match value {
        Value::Null => f.write_str("null"),
        Value::Boolean(value) => value.fmt(f),
        Value::Int8(value) => value.fmt(f),
        Value::Int16(value) => value.fmt(f),
        Value::Int32(value) => value.fmt(f),
        Value::Int64(value) => value.fmt(f),
        Value::Float32(value) => float(f, f64::from(*value), &format!("{value:e}")),
        Value::Float64(value) => float(f, *value, &format!("{value:e}")),
        Value::String(value) => f.write_str(value),
        Value::Bytes(value) => f.write_str(&String::from_utf8_lossy(value)),
        Value::Array(items) => {
            f.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(f, inner, item)?;
            }
            f.write_str("]")
        }
        Value::Map(entries) => {
            let keys = schema.and_then(Schema::key_schema).map(|schema| &**schema);
            f.write_str("{")?;
            for (index, (key, value)) in entries.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(f, keys, key)?;
                f.write_str("=")?;
                show(f, inner, value)?;
            }
            f.write_str("}")
        }
        Value::Struct(inner) => inner.fmt(f),
    }
}

/// `Double.toString` (JDK 19 and later: the shortest digits): plain from 0.001 to below 10,000,000, else `1.0E10`.
/// `scientific` is the number as Rust's `{:e}` writes it, which has the shortest digits, too.
fn float(f: &mut fmt::Formatter<'_>, value: f64, scientific: &str) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return write!(f, "{sign}Infinity");
    }
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} writes one");
    let exponent: i32 = exponent.parse().expect("{:e} writes a number");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if value == 0.0 {
        write!(f, "{sign}0.0")
    } else if !(-3..7).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        write!(
            f,
            "{sign}{first}.{}E{exponent}",
            if rest.is_empty() { "0" } else { rest }
        )
    } else if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        write!(f, "{sign}0.{zeros}{digits}")
    } else {
        let before = exponent.unsigned_abs() as usize + 1;
        let padded = format!("{digits:0<before$}");
        let (whole, rest) = padded.split_at(before);
        write!(f, "{sign}{whole}.{}", if rest.is_empty() { "0" } else { rest })
    }
}
