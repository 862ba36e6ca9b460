//! `SimpleHeaderConverter`: header values as text, whose type is inferred when it is read (Kafka's `Values.parseString`). Only
//! null, booleans, numbers and quoted strings are; arrays, maps and dates stay the strings that they are written as.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::ConfigDef;
use forebay_connect_api::{Schema, SchemaAndValue, Text, Value};

use super::{Class, Converter, Error};

pub(super) const CLASS: Class = Class {
    class: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    converts_data: false,
    converts_headers: true,
    config_def: ConfigDef::new,
    new: |_, _| Ok(Arc::new(SimpleHeaderConverter)),
};

#[derive(Debug)]
struct SimpleHeaderConverter;

impl Converter for SimpleHeaderConverter {
    fn from_connect_data(&self, _topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        Ok(match &data.value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().clone()),
            _ => Some(data.to_string().into()),
        })
    }

    fn to_connect_data(&self, _topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::default());
        };
        let text = Text::from_utf8_lossy(bytes.clone());
        let value = infer(&text).unwrap_or_else(|| Value::String(text));
        let schema = value
            .value_type()
            .and_then(|found| Schema::primitive(found, false));
        Ok(SchemaAndValue { schema, value })
    }
}

/// The value that a text stands for, if it is no plain string.
fn infer(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "null" => Some(Value::Null),
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ if text.len() >= 2 && text.starts_with('"') && text.ends_with('"') => {
            Some(text[1..text.len() - 1].replace("\\\"", "\"").into())
        }
        _ => number(text),
    }
}

/// The smallest type that holds the number, as Kafka has it.
fn number(text: &str) -> Option<Value> {
    let looks_like_one = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    if !looks_like_one {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(if let Ok(small) = i8::try_from(integer) {
            Value::Int8(small)
        } else if let Ok(small) = i16::try_from(integer) {
            Value::Int16(small)
        } else if let Ok(small) = i32::try_from(integer) {
            Value::Int32(small)
        } else {
            Value::Int64(integer)
        });
    }
    let single = text.parse::<f32>().ok().filter(|number| number.is_finite());
    let double = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    single
        .map(Value::Float32)
        .or_else(|| double().map(Value::Float64))
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::schema::Type;

    use super::*;

    #[test]
    fn text_is_what_it_looks_like() {
        for (text, expected, schema) in [
            ("null", Value::Null, None),
            ("true", Value::Boolean(true), Some(Type::Boolean)),
            ("7", Value::Int8(7), Some(Type::Int8)),
            ("-129", Value::Int16(-129), Some(Type::Int16)),
            ("70000", Value::Int32(70_000), Some(Type::Int32)),
            ("3000000000", Value::Int64(3_000_000_000), Some(Type::Int64)),
            ("1.5", Value::Float32(1.5), Some(Type::Float32)),
            ("1e300", Value::Float64(1e300), Some(Type::Float64)),
            ("\"7\"", "7".into(), Some(Type::String)),
            ("a7", "a7".into(), Some(Type::String)),
            ("nan", "nan".into(), Some(Type::String)),
            ("[1, 2]", "[1, 2]".into(), Some(Type::String)),
        ] {
            let read = SimpleHeaderConverter.to_connect_data("t", Some(&Bytes::from(text)));
            let read = read.expect("any text is something");
            assert_eq!(read.value, expected, "{text}");
            assert_eq!(read.schema.map(|schema| schema.schema_type()), schema, "{text}");
        }
        let seven = SchemaAndValue::schemaless(7);
        let written = SimpleHeaderConverter.from_connect_data("t", &seven);
        assert_eq!(written.expect("any value is text"), Some(Bytes::from("7")));
    }
}
