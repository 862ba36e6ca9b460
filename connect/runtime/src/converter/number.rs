//! `IntegerConverter` and its siblings (KIP-305, KIP-901): numbers and booleans as big-endian bytes, as Kafka's serializers of
//! the same names write them.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::ConfigDef;
use forebay_connect_api::schema::Type;
use forebay_connect_api::{Schema, SchemaAndValue, Value};

use super::{Class, Converter, Error};

macro_rules! classes {
    ($($name:ident: $class:literal, $number:ident;)+) => {$(
        pub(super) const $name: Class = Class {
            class: $class,
            converts_data: true,
            converts_headers: true,
            config_def: ConfigDef::new,
            new: |_, _| Ok(Arc::new(NumberConverter(Type::$number))),
        };
    )+};
}

classes! {
    BOOLEAN: "org.apache.kafka.connect.converters.BooleanConverter", Boolean;
    SHORT: "org.apache.kafka.connect.converters.ShortConverter", Int16;
    INTEGER: "org.apache.kafka.connect.converters.IntegerConverter", Int32;
    LONG: "org.apache.kafka.connect.converters.LongConverter", Int64;
    FLOAT: "org.apache.kafka.connect.converters.FloatConverter", Float32;
    DOUBLE: "org.apache.kafka.connect.converters.DoubleConverter", Float64;
}

/// For one of the types above.
#[derive(Debug)]
struct NumberConverter(Type);

impl Converter for NumberConverter {
    fn from_connect_data(&self, _topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        if data.value.is_null() {
            return Ok(None);
        }
        let wanted = self.0;
        Ok(Some(match (wanted, &data.value) {
            (Type::Boolean, Value::Boolean(value)) => Bytes::copy_from_slice(&[u8::from(*value)]),
            (Type::Int16, Value::Int16(value)) => Bytes::copy_from_slice(&value.to_be_bytes()),
            (Type::Int32, Value::Int32(value)) => Bytes::copy_from_slice(&value.to_be_bytes()),
            (Type::Int64, Value::Int64(value)) => Bytes::copy_from_slice(&value.to_be_bytes()),
            (Type::Float32, Value::Float32(value)) => Bytes::copy_from_slice(&value.to_be_bytes()),
            (Type::Float64, Value::Float64(value)) => Bytes::copy_from_slice(&value.to_be_bytes()),
            (_, other) => {
                let found = other.value_type().map_or("null", Type::name);
                return Err(Error::data(format!(
                    "Failed to serialize to {wanted}: the value is of type {found}"
                )));
            }
        }))
    }

    fn to_connect_data(&self, _topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        let schema = Schema::primitive(self.0, true).expect("all of them are primitive");
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::new(schema, Value::Null));
        };
        let value = match self.0 {
            Type::Boolean => match bytes[..] {
                [0] => Some(Value::Boolean(false)),
                [1] => Some(Value::Boolean(true)),
                _ => None,
            },
            Type::Int16 => bytes[..]
                .try_into()
                .ok()
                .map(i16::from_be_bytes)
                .map(Value::Int16),
            Type::Int32 => bytes[..]
                .try_into()
                .ok()
                .map(i32::from_be_bytes)
                .map(Value::Int32),
            Type::Int64 => bytes[..]
                .try_into()
                .ok()
                .map(i64::from_be_bytes)
                .map(Value::Int64),
            Type::Float32 => bytes[..]
                .try_into()
                .ok()
                .map(f32::from_be_bytes)
                .map(Value::Float32),
            _ => bytes[..]
                .try_into()
                .ok()
                .map(f64::from_be_bytes)
                .map(Value::Float64),
        };
        let value = value.ok_or_else(|| {
            let (wanted, length) = (self.0, bytes.len());
            Error::data(format!(
                "Failed to deserialize to {wanted}: {length} bytes are none of its values"
            ))
        })?;
        Ok(SchemaAndValue::new(schema, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_come_back() {
        for (value, bytes) in [
            (Value::Boolean(true), &[1][..]),
            (Value::Int16(-2), &[0xff, 0xfe]),
            (Value::Int32(258), &[0, 0, 1, 2]),
            (Value::Int64(-1), &[0xff; 8]),
            (Value::Float32(1.0), &[0x3f, 0x80, 0, 0]),
            (Value::Float64(-2.0), &[0xc0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let converter = NumberConverter(value.value_type().expect("not null"));
            let written = converter.from_connect_data("t", &SchemaAndValue::schemaless(value.clone()));
            assert_eq!(written.expect("its type"), Some(Bytes::copy_from_slice(bytes)));
            let read = converter.to_connect_data("t", Some(&Bytes::copy_from_slice(bytes)));
            assert_eq!(read.expect("its bytes").value, value);
            for wrong in [&bytes[1..], &[bytes, &[0]].concat()[..]] {
                assert!(
                    converter
                        .to_connect_data("t", Some(&Bytes::copy_from_slice(wrong)))
                        .is_err()
                );
            }
            assert!(
                converter
                    .to_connect_data("t", None)
                    .expect("null")
                    .value
                    .is_null()
            );
            let text = SchemaAndValue::string("7");
            assert!(converter.from_connect_data("t", &text).is_err());
        }
    }
}
