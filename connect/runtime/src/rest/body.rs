//! Bodies of requests. One that cannot be right gets 400 with a message that names the place.

use axum::body::Bytes;
use forebay_config::nearest;
use serde_json::{Map, Value};

use super::Result;
use crate::herder::{Error, RawConfig};

/// Reads a body as a JSON object.
pub(super) fn object(bytes: &Bytes) -> Result<Map<String, Value>> {
    if bytes.is_empty() {
        return Err(bad("the request has no body; it must be a JSON object"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(bad(format!(
            "the request body must be a JSON object, not {}",
            kind(&other)
        ))),
        Err(error) => Err(bad(format!("the request body is not valid JSON: {error}"))),
    }
}

/// Refuses members that are none of these.
pub(super) fn known(object: &Map<String, Value>, members: &[&str]) -> Result<()> {
    let Some(unknown) = object.keys().find(|key| !members.contains(&key.as_str())) else {
        return Ok(());
    };
    let meant = nearest(unknown, members.iter().copied());
    let hint = meant.map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"));
    let members = members.join(", ");
    Err(bad(format!(
        "the request body has an unknown member \"{unknown}\"{hint} (it may have: {members})"
    )))
}

/// Reads a flat map of keys and values. Numbers and booleans are taken as their text, as Kafka does.
pub(super) fn config(place: &str, object: Map<String, Value>) -> Result<RawConfig> {
    object
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    let kind = kind(&value);
                    // What POST /connectors takes.
                    if place.is_empty() && key == "config" && value.is_object() {
                        return Err(bad(
                            "the request body must be the configuration alone, as in {\"connector.class\":…}; \
                             {\"name\":…,\"config\":{…}} is for POST /connectors",
                        ));
                    }
                    return Err(bad(format!("{place}\"{key}\" must be a string, not {kind}")));
                }
            };
            Ok((key, value))
        })
        .collect()
}

/// A body that cannot be right.
pub(super) fn bad(message: impl Into<String>) -> Error {
    Error::BadRequest(message.into())
}

/// What kind of JSON it is, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (body, message) in [
            ("", "the request has no body"),
            ("[1]", "must be a JSON object, not an array"),
            ("{\"a\":}", "line 1 column 6"),
            (
                "{\"confg\":{}}",
                "unknown member \"confg\"; did you mean \"config\"?",
            ),
        ] {
            let read = object(&Bytes::from(body)).and_then(|object| known(&object, &["name", "config"]));
            let error = read.expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(object(&Bytes::from(deep)).is_err());
    }

    #[test]
    fn scalars_are_taken_as_text() {
        let read = object(&Bytes::from(r#"{"a":1,"b":true,"c":"x","d":null,"e":1.50}"#));
        let read = config("config ", read.expect("it is an object")).expect("all are scalars");
        let texts: Vec<Option<&str>> = read.values().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("1"), Some("true"), Some("x"), None, Some("1.50")]);
        let nested = object(&Bytes::from(r#"{"a":{}}"#)).expect("it is an object");
        let error = config("config ", nested).expect_err("it is nested").to_string();
        assert_eq!(error, "config \"a\" must be a string, not an object");
    }
}
