//! `ByteArrayConverter`: bytes as they are.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::ConfigDef;
use forebay_connect_api::schema::Type;
use forebay_connect_api::{Schema, SchemaAndValue, Value, ValueFormat};

use super::{Class, Converter, Error};

pub(super) const CLASS: Class = Class {
    class: "org.apache.kafka.connect.converters.ByteArrayConverter",
    converts_data: true,
    converts_headers: true,
    config_def: ConfigDef::new,
    new: |_, _| Ok(Arc::new(ByteArrayConverter)),
};

#[derive(Debug)]
struct ByteArrayConverter;

impl Converter for ByteArrayConverter {
    fn from_connect_data(&self, _topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        if let Some(schema) = data
            .schema
            .as_ref()
            .filter(|schema| schema.schema_type() != Type::Bytes)
        {
            let found = schema.schema_type();
            return Err(Error::data(format!(
                "Invalid schema type for ByteArrayConverter: {found}"
            )));
        }
        match &data.value {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes.clone())),
            other => {
                let found = other.value_type().map_or("null", Type::name);
                let message = format!("ByteArrayConverter is not compatible with objects of type {found}");
                Err(Error::data(message))
            }
        }
    }

    fn to_connect_data(&self, _topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        Ok(SchemaAndValue::new(
            Schema::optional_bytes_schema(),
            bytes.cloned(),
        ))
    }

    fn value_format(self: Arc<Self>) -> Option<ValueFormat> {
        Some(ValueFormat::Bytes)
    }
}
