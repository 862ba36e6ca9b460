//! `JsonConverter`: JSON, with `schemas.enable` in an envelope `{"schema":…,"payload":…}`. What it writes is what Kafka's writes,
//! byte for byte; what it reads it reads more strictly: a value that does not fit its schema is an error, where Java's makes
//! it 0 or null.

mod read;
mod schema;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::{Config, ConfigDef, ConfigKey, ConfigType, Importance, Validator, Width};
use forebay_connect_api::{ReadError, Schema, SchemaAndValue, ValueFormat, ValueReader};
use serde_json::Value as Json;

use super::recent::Recent;
use super::{Class, Converter, Error};

pub(super) const CLASS: Class = Class {
    class: "org.apache.kafka.connect.json.JsonConverter",
    converts_data: true,
    converts_headers: true,
    config_def,
    new: |_, properties| {
        let config = config_def().parse(properties)?;
        Ok(Arc::new(JsonConverter::new(&config)))
    },
};

fn config_def() -> ConfigDef {
    const SCHEMAS: &str = "Schemas";
    const SERIALIZATION: &str = "Serialization";
    ConfigDef::new()
        .define(
            ConfigKey::new("schemas.enable", ConfigType::Boolean)
                .default(true)
                .importance(Importance::High)
                .documentation("Include schemas within each of the serialized values and keys.")
                .group(SCHEMAS, 0)
                .width(Width::Medium)
                .display_name("Enable Schemas"),
        )
        .define(
            ConfigKey::new("schemas.cache.size", ConfigType::Int)
                .default(1000)
                .importance(Importance::High)
                .documentation("The maximum number of schemas that can be cached in this converter instance.")
                .group(SCHEMAS, 1)
                .width(Width::Medium)
                .display_name("Schema Cache Size"),
        )
        .define(
            ConfigKey::new("decimal.format", ConfigType::String)
                .default("BASE64")
                .validator(Validator::one_of_ignoring_case(["BASE64", "NUMERIC"]))
                .documentation(
                    "Controls which format this converter will serialize decimals in. This value is case insensitive and can \
                     be either 'BASE64' (default) or 'NUMERIC'",
                )
                .group(SERIALIZATION, 0)
                .width(Width::Medium)
                .display_name("Decimal Format"),
        )
        .define(
            ConfigKey::new("replace.null.with.default", ConfigType::Boolean)
                .default(true)
                .documentation(
                    "Whether to replace fields that have a default value and that are null to the default value. When set to \
                     true, the default value is used, otherwise null is used.",
                )
                .group(SERIALIZATION, 1)
                .width(Width::Medium)
                .display_name("Replace null with default"),
        )
}

/// How values are written and read.
#[derive(Debug, Clone, Copy)]
struct Options {
    numeric_decimals: bool,
    replace_null_with_default: bool,
}

#[derive(Debug)]
struct JsonConverter {
    with_schemas: bool,
    options: Options,
    /// Schemas and their JSON.
    written: Recent<Arc<Schema>, Arc<str>>,
    /// JSON and its schemas.
    read: Recent<Json, Arc<Schema>>,
}

impl JsonConverter {
    fn new(config: &Config) -> Self {
        Self {
            with_schemas: config.get_boolean("schemas.enable"),
            options: Options {
                numeric_decimals: config
                    .get_string("decimal.format")
                    .eq_ignore_ascii_case("NUMERIC"),
                replace_null_with_default: config.get_boolean("replace.null.with.default"),
            },
            written: Recent::new(),
            read: Recent::new(),
        }
    }

    /// The JSON of a schema, `null` for none.
    fn schema_text(&self, schema: Option<&Arc<Schema>>) -> Result<Arc<str>, Error> {
        let Some(schema) = schema else {
            return Ok("null".into());
        };
        let is_same = |known: &Arc<Schema>| Arc::ptr_eq(known, schema) || known == schema;
        if let Some(text) = self.written.get(is_same) {
            return Ok(text);
        }
        let mut text = Vec::new();
        schema::write(&mut text, self.options, schema, None)?;
        let text: Arc<str> = String::from_utf8(text).expect("only text is written").into();
        self.written.put(Arc::clone(schema), Arc::clone(&text));
        Ok(text)
    }

    fn schema_of(&self, json: &Json) -> Result<Option<Arc<Schema>>, Error> {
        if json.is_null() {
            return Ok(None);
        }
        if let Some(schema) = self.read.get(|known| known == json) {
            return Ok(Some(schema));
        }
        let schema = schema::read(json, self.options)?;
        self.read.put(json.clone(), Arc::clone(&schema));
        Ok(Some(schema))
    }
}

impl ValueReader for JsonConverter {
    fn read(&self, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        super::read(self, topic, value)
    }
}

impl Converter for JsonConverter {
    fn value_format(self: Arc<Self>) -> Option<ValueFormat> {
        Some(match self.with_schemas {
            true => ValueFormat::JsonWithSchemas(self),
            false => ValueFormat::Json(self),
        })
    }

    fn from_connect_data(&self, _topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        let schema = data.schema.as_ref();
        if schema.is_none() && data.value.is_null() {
            return Ok(None);
        }
        let mut out = Vec::new();
        let value = write::Typed {
            schema: schema.map(|schema| &**schema),
            value: &data.value,
        };
        if self.with_schemas {
            out.extend_from_slice(b"{\"schema\":");
            out.extend_from_slice(self.schema_text(schema)?.as_bytes());
            out.extend_from_slice(b",\"payload\":");
            value.write(&mut out, self.options)?;
            out.push(b'}');
        } else {
            value.write(&mut out, self.options)?;
        }
        Ok(Some(out.into()))
    }

    fn to_connect_data(&self, topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::default());
        };
        if bytes.is_empty() && !self.with_schemas {
            return Ok(SchemaAndValue::default());
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|error| {
            let message = format!(
                "Converting byte[] to Kafka Connect data failed: the bytes of topic {topic} are not JSON{}",
                meant(bytes)
            );
            Error::data_because(message, error)
        })?;
        if !self.with_schemas {
            return Ok(SchemaAndValue {
                schema: None,
                value: read::schemaless(json)?,
            });
        }
        let envelope = json.as_object().filter(|envelope| envelope.len() == 2);
        let parts = envelope.and_then(|envelope| Some((envelope.get("schema")?, envelope.get("payload")?)));
        let (schema, payload) = parts.ok_or_else(|| {
            Error::data(
                "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional \
                 fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter \
                 configuration.",
            )
        })?;
        let schema = self.schema_of(schema)?;
        let value = match &schema {
            Some(schema) => read::typed(schema, Some(payload), self.options)?,
            None => read::schemaless(payload.clone())?,
        };
        Ok(SchemaAndValue { schema, value })
    }
}

/// Which converter bytes that are not JSON may be for.
fn meant(bytes: &[u8]) -> &'static str {
    match bytes.trim_ascii_start().first() {
        Some(0) if bytes.len() > 5 => {
            "; they begin as those of a schema registry's serializer: is AvroConverter meant?"
        }
        // It begins as JSON does.
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9') | None => "",
        Some(_) if std::str::from_utf8(bytes).is_ok() => "; StringConverter takes any text",
        Some(_) => "; ByteArrayConverter takes any bytes",
    }
}

#[cfg(test)]
mod tests;
