//! `StringConverter`: any data as the text that Java's `toString` gives.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Width};
use forebay_connect_api::{Schema, SchemaAndValue, Text, Value, ValueFormat};

use super::{Class, Converter, Error};

pub(super) const CLASS: Class = Class {
    class: "org.apache.kafka.connect.storage.StringConverter",
    converts_data: true,
    converts_headers: true,
    config_def,
    new: |_, properties| {
        config_def().parse(properties)?;
        Ok(Arc::new(StringConverter))
    },
};

fn config_def() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new("converter.encoding", ConfigType::String)
            .default("UTF-8")
            .validator(Validator::one_of_ignoring_case(["UTF-8", "UTF8"]))
            .importance(Importance::High)
            .width(Width::Medium)
            .display_name("Encoding")
            .documentation("The character set of strings in bytes; only UTF-8 is supported."),
    )
}

#[derive(Debug)]
struct StringConverter;

impl Converter for StringConverter {
    fn from_connect_data(&self, _topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        Ok(match &data.value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().clone()),
            _ => Some(data.to_string().into()),
        })
    }

    fn to_connect_data(&self, _topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        let text = bytes.map(|bytes| Text::from_utf8_lossy(bytes.clone()));
        Ok(SchemaAndValue::new(Schema::optional_string_schema(), text))
    }

    fn value_format(self: Arc<Self>) -> Option<ValueFormat> {
        Some(ValueFormat::String)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_becomes_text_and_text_stays_shared() {
        let text = Text::from("héllo");
        let bytes = StringConverter.from_connect_data("t", &SchemaAndValue::string(text.clone()));
        let bytes = bytes.expect("anything is text").expect("not null");
        assert_eq!(bytes.as_ptr(), text.as_bytes().as_ptr());
        for (value, expected) in [
            (Value::Int32(7), "7"),
            (Value::Float64(1.0), "1.0"),
            (
                Value::Array(vec![Value::Null, Value::Boolean(true)]),
                "[null, true]",
            ),
        ] {
            let bytes = StringConverter.from_connect_data("t", &SchemaAndValue::schemaless(value));
            assert_eq!(bytes.expect("anything is text"), Some(Bytes::from(expected)));
        }
        let back = StringConverter.to_connect_data("t", Some(&Bytes::from_static(b"a\xff")));
        assert_eq!(
            back.expect("any bytes are text").value.as_str(),
            Some("a\u{fffd}")
        );
        let null = StringConverter.to_connect_data("t", None).expect("null is null");
        assert_eq!(
            null,
            SchemaAndValue::new(Schema::optional_string_schema(), Value::Null)
        );
    }
}
