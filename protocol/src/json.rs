//! Values as Kafka's JsonConverter writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Records, Utf8Bytes, Uuid};

/// A number; what JSON has no number for goes by Java's name.
pub(crate) fn float(value: f64) -> Value {
    let name = if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    serde_json::Number::from_f64(value).map_or_else(|| name.into(), Value::Number)
}

pub(crate) fn uuid(value: Uuid) -> Value {
    value.to_string().into()
}

pub(crate) fn string(value: &Utf8Bytes) -> Value {
    value.as_str().into()
}

pub(crate) fn bytes(value: &bytes::Bytes) -> Value {
    STANDARD.encode(value).into()
}

/// Kafka leaves them out, and puts an empty string in their place.
pub(crate) fn records(_: &Records) -> Value {
    "".into()
}
