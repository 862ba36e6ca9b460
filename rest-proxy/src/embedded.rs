//! How keys and values stand in JSON: as JSON, as base64, or as Avro's JSON encoding.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use forebay_schema_registry_client::{Client as Registry, RegisteredSchema, SchemaId, wire};
use forebay_schema_registry_schema::avro;
use serde_json::Value;

use crate::error::Error;

/// Confluent's embedded formats, as far as they are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Binary,
    Json,
    Avro,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Json => "json",
            Self::Avro => "avro",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Binary, Self::Json, Self::Avro]
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Binary => "application/vnd.kafka.binary.v2+json",
            Self::Json => "application/vnd.kafka.json.v2+json",
            Self::Avro => "application/vnd.kafka.avro.v2+json",
        }
    }

    fn from_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let found = |format: &Self| essence.eq_ignore_ascii_case(format.media_type());
        [Self::Binary, Self::Json, Self::Avro].into_iter().find(found)
    }

    /// The format of a produce request; `application/vnd.kafka.v2+json` means binary, as it always has.
    pub(crate) fn of_request(headers: &HeaderMap) -> Result<Self, Error> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(crate::error::CONTENT_TYPE) {
            return Ok(Self::Binary);
        }
        Self::from_media_type(content_type).ok_or(Error::MediaType)
    }

    /// Whether a reader who accepts this may be given records in this format.
    pub(crate) fn is_accepted(self, headers: &HeaderMap) -> bool {
        let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
            return true;
        };
        accept.split(',').any(|media_type| {
            let essence = media_type.split(';').next().unwrap_or_default().trim();
            let any = [
                "*/*",
                "application/*",
                "application/json",
                crate::error::CONTENT_TYPE,
            ];
            any.contains(&essence) || Self::from_media_type(essence) == Some(self)
        })
    }
}

/// The schema of a request's keys or values.
pub(crate) type Schema = Arc<RegisteredSchema>;

/// Finds or registers the schema that a request names, under the subject of the topic (Confluent's TopicNameStrategy).
pub(crate) async fn schema(
    registry: &Registry,
    subject: &str,
    text: Option<&str>,
    id: Option<i32>,
) -> Result<Option<Schema>, Error> {
    let id = match (id, text) {
        (Some(id), _) => SchemaId(id),
        (None, Some(text)) => {
            let canonical = avro::Schema::parse(text).map_err(|error| Error::Schema(error.to_string()))?;
            registry.register(subject, &canonical.to_string()).await?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(registry.schema(id).await?))
}

/// The bytes of a key or value; `None` stays null.
pub(crate) fn decode(
    format: Format,
    schema: Option<&Schema>,
    json: &Value,
) -> Result<Option<Vec<u8>>, Error> {
    let failed = |reason: String| Error::Conversion {
        format: format.name(),
        reason,
    };
    match (format, json) {
        (Format::Binary | Format::Json, Value::Null) => Ok(None),
        (Format::Json, json) => serde_json::to_vec(json)
            .map(Some)
            .map_err(|error| failed(error.to_string())),
        (Format::Binary, Value::String(text)) => BASE64
            .decode(text)
            .map(Some)
            .map_err(|error| failed(format!("not base64: {error}"))),
        (Format::Binary, other) => Err(failed(format!("expected a base64 string, found {other}"))),
        (Format::Avro, json) => {
            let Some(schema) = schema else { return Ok(None) };
            let node = schema.avro.root();
            let value = node
                .decode_json(json)
                .map_err(|error| failed(error.to_string()))?;
            let mut bytes = wire::prefix(schema.id).to_vec();
            node.encode(&value, &mut bytes)
                .map_err(|error| failed(error.to_string()))?;
            Ok(Some(bytes))
        }
    }
}

/// A key or value as JSON; the error says what the bytes are instead.
pub(crate) async fn encode(
    format: Format,
    registry: &Registry,
    bytes: Option<&[u8]>,
) -> Result<Value, String> {
    let Some(bytes) = bytes else {
        return Ok(Value::Null);
    };
    match format {
        Format::Binary => Ok(Value::String(BASE64.encode(bytes))),
        Format::Json => serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}")),
        Format::Avro => {
            let (id, data) = wire::split(bytes).map_err(|error| error.to_string())?;
            let schema = registry.schema(id).await.map_err(|error| error.to_string())?;
            let node = schema.avro.root();
            let value = node.decode(data).map_err(|error| error.to_string())?;
            node.encode_json(&value).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_bytes() {
        let bytes = |format, json: Value| decode(format, None, &json);
        assert_eq!(
            bytes(
                Format::Json,
                serde_json::from_str(r#"{"b": 1, "a": 1.50}"#).unwrap()
            )
            .unwrap()
            .unwrap(),
            br#"{"b":1,"a":1.50}"#
        );
        assert_eq!(bytes(Format::Json, json!(null)).unwrap(), None);
        assert_eq!(
            bytes(Format::Binary, json!("S2Fma2E=")).unwrap().unwrap(),
            b"Kafka"
        );
        for junk in [json!("***"), json!(7), json!({})] {
            assert!(matches!(
                bytes(Format::Binary, junk),
                Err(Error::Conversion { .. })
            ));
        }
    }

    #[test]
    fn the_media_type_says_the_format() {
        let headers = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        for (content_type, format) in [
            ("application/vnd.kafka.json.v2+json", Some(Format::Json)),
            (
                "application/vnd.kafka.avro.v2+json; charset=utf-8",
                Some(Format::Avro),
            ),
            ("application/vnd.kafka.v2+json", Some(Format::Binary)),
            ("application/json", None),
        ] {
            assert_eq!(
                Format::of_request(&headers(header::CONTENT_TYPE, content_type)).ok(),
                format,
                "{content_type}"
            );
        }
        for (accept, accepted) in [
            ("*/*", true),
            ("application/vnd.kafka.json.v2+json", true),
            ("application/vnd.kafka.avro.v2+json", false),
        ] {
            assert_eq!(
                Format::Json.is_accepted(&headers(header::ACCEPT, accept)),
                accepted,
                "{accept}"
            );
        }
    }
}
