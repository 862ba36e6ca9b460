//! Values as JSON, as Jackson writes them for Kafka.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay_connect_api::schema::{Decimal, Logical, Type};
use forebay_connect_api::{Schema, Struct, Value};

use super::Options;
use crate::converter::Error;

/// A value and what is known of its shape.
#[derive(Clone, Copy)]
pub(super) struct Typed<'a> {
    pub(super) schema: Option<&'a Schema>,
    pub(super) value: &'a Value,
}

impl Typed<'_> {
    /// Writes the value behind what `out` holds.
    pub(super) fn write(self, out: &mut Vec<u8>, options: Options) -> Result<(), Error> {
        let Some(found) = self.value.value_type() else {
            return self.write_null(out, options);
        };
        if let Some(schema) = self.schema {
            if schema.schema_type() != found {
                let wanted = schema.schema_type();
                return Err(Error::data(format!(
                    "Invalid type for {wanted}: the value is of type {found}"
                )));
            }
            if let (Some(Logical::Decimal { scale }), Value::Bytes(unscaled), true) =
                (schema.logical(), self.value, options.numeric_decimals)
            {
                let decimal = Decimal { unscaled, scale };
                out.extend_from_slice(decimal.to_string().as_bytes());
                return Ok(());
            }
        }
        match self.value {
            Value::Null => {}
            Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Value::Int8(number) => integer(out, i64::from(*number)),
            Value::Int16(number) => integer(out, i64::from(*number)),
            Value::Int32(number) => integer(out, i64::from(*number)),
            Value::Int64(number) => integer(out, *number),
            Value::Float32(number) => float(out, number.is_finite(), self.value),
            Value::Float64(number) => float(out, number.is_finite(), self.value),
            Value::String(text) => string(out, text),
            Value::Bytes(bytes) => {
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
            Value::Array(items) => self.write_array(items, out, options)?,
            Value::Map(entries) => self.write_map(entries, out, options)?,
            Value::Struct(structure) => write_struct(structure, out, options)?,
        }
        Ok(())
    }

    fn write_null(self, out: &mut Vec<u8>, options: Options) -> Result<(), Error> {
        let default = self.schema.and_then(Schema::default_value);
        if let Some(value) = default.filter(|_| options.replace_null_with_default) {
            let schema = self.schema;
            return Typed { schema, value }.write(out, options);
        }
        match self.schema {
            Some(schema) if !schema.is_optional() => Err(Error::data(
                "Conversion error: null value for field that is required and has no default value",
            )),
            _ => {
                out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }

    fn write_array(self, items: &[Value], out: &mut Vec<u8>, options: Options) -> Result<(), Error> {
        let schema = self.schema.and_then(Schema::value_schema).map(|schema| &**schema);
        out.push(b'[');
        for (index, value) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            Typed { schema, value }.write(out, options)?;
        }
        out.push(b']');
        Ok(())
    }

    /// With strings as keys an object, else an array of pairs.
    fn write_map(self, entries: &[(Value, Value)], out: &mut Vec<u8>, options: Options) -> Result<(), Error> {
        let key_schema = self.schema.and_then(Schema::key_schema).map(|schema| &**schema);
        let value_schema = self.schema.and_then(Schema::value_schema).map(|schema| &**schema);
        let is_object = match key_schema {
            Some(schema) => schema.schema_type() == Type::String,
            None => entries.iter().all(|(key, _)| matches!(key, Value::String(_))),
        };
        out.push(if is_object { b'{' } else { b'[' });
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let value = Typed {
                schema: value_schema,
                value,
            };
            if is_object {
                // A null key is the text of null, as Java has it.
                string(out, key.as_str().unwrap_or("null"));
                out.push(b':');
                value.write(out, options)?;
            } else {
                out.push(b'[');
                let key = Typed {
                    schema: key_schema,
                    value: key,
                };
                key.write(out, options)?;
                out.push(b',');
                value.write(out, options)?;
                out.push(b']');
            }
        }
        out.push(if is_object { b'}' } else { b']' });
        Ok(())
    }
}

fn write_struct(structure: &Struct, out: &mut Vec<u8>, options: Options) -> Result<(), Error> {
    out.push(b'{');
    let fields = structure.schema().fields().iter().zip(structure.values());
    for (index, (field, value)) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, &field.name);
        out.push(b':');
        let value = Typed {
            schema: Some(&field.schema),
            value,
        };
        value
            .write(out, options)
            .map_err(|error| error.within(&field.name))?;
    }
    out.push(b'}');
    Ok(())
}

fn integer(out: &mut Vec<u8>, number: i64) {
    use std::io::Write;
    write!(out, "{number}").expect("a vector takes it");
}

/// As Java's `toString`; what is no number for JSON is a string, as Jackson has it.
fn float(out: &mut Vec<u8>, is_finite: bool, value: &Value) {
    use std::io::Write;
    let quote = if is_finite { "" } else { "\"" };
    write!(out, "{quote}{value}{quote}").expect("a vector takes it");
}

/// A string with Jackson's escapes, which has upper-case hexadecimal digits.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest
        .iter()
        .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        out.extend_from_slice(&rest[..place]);
        let byte = rest[place];
        let short = match byte {
            b'"' | b'\\' => Some(byte),
            0x08 => Some(b'b'),
            0x09 => Some(b't'),
            0x0a => Some(b'n'),
            0x0c => Some(b'f'),
            0x0d => Some(b'r'),
            _ => None,
        };
        match short {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
