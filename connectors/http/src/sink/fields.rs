//! What templates take from a record: where it is, its key and its value, whole or by JSON pointer.

use forebay_connect_api::{SchemaAndValue, SinkRecord, TopicPartition, Value};
use serde_json::Value as Json;

use crate::{json::to_document, pointer::Pointer};

/// What a template may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    source: Source,
    /// As JSON rather than as text: a string with its quotes.
    pub(super) is_json: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key(Pointer),
    Value(Pointer),
}

impl Variable {
    /// # Errors
    /// If there is none of that name.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let (is_json, place) = match name.strip_prefix("json:") {
            Some(place) => (true, place),
            None => (false, name),
        };
        let in_key = place.strip_prefix("key");
        let in_value = place
            .strip_prefix("value")
            .or(place.starts_with('/').then_some(place));
        let source = match place {
            "topic" => Source::Topic,
            "partition" => Source::Partition,
            "offset" => Source::Offset,
            "timestamp" => Source::Timestamp,
            _ => match (in_key, in_value) {
                (Some(pointer), _) if pointer.is_empty() || pointer.starts_with('/') => {
                    Source::Key(Pointer::parse(pointer)?)
                }
                (_, Some(pointer)) if pointer.is_empty() || pointer.starts_with('/') => {
                    Source::Value(Pointer::parse(pointer)?)
                }
                _ => {
                    return Err(format!(
                        "${{{name}}} is not known; there are ${{topic}}, ${{partition}}, ${{offset}}, ${{timestamp}}, ${{key}}, \
                         ${{value}}, and fields of the key and the value by JSON pointer such as ${{key/id}} and ${{/user/id}}; \
                         in bodies also as JSON: ${{json:value}}"
                    ));
                }
            },
        };
        Ok(Self { source, is_json })
    }

    /// What it is for a record.
    ///
    /// # Errors
    /// If the record has nothing there.
    pub(super) fn of(&self, topic_partition: &TopicPartition, record: &SinkRecord) -> Result<String, String> {
        let found = match &self.source {
            Source::Topic => Json::from(&*record.topic),
            Source::Partition => topic_partition.partition.into(),
            Source::Offset => record.offset.value().into(),
            Source::Timestamp => record.timestamp.0.into(),
            Source::Key(pointer) => found("key", &record.key, pointer)?,
            Source::Value(pointer) => found("value", &record.value, pointer)?,
        };
        match found {
            Json::String(text) if !self.is_json => Ok(text),
            Json::Null if !self.is_json => Err("a variable of the request is null in this record".to_owned()),
            other => Ok(other.to_string()),
        }
    }
}

fn found(what: &str, value: &SchemaAndValue, pointer: &Pointer) -> Result<Json, String> {
    let document = match &value.value {
        // JSON in a string, as StringConverter leaves it.
        Value::String(text) if pointer.as_str() != "/" => serde_json::from_str(text).map_err(|_| {
            format!(
                "the {what} is a string that is not JSON, so it has no field {}",
                pointer.as_str()
            )
        })?,
        Value::Bytes(bytes)
            if value
                .schema
                .as_ref()
                .is_none_or(|schema| schema.logical().is_none()) =>
        {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("the {what} is no text"))?;
            match pointer.as_str() {
                "/" => text.into(),
                pointer => serde_json::from_str(text)
                    .map_err(|_| format!("the {what} is not JSON, so it has no field {pointer}"))?,
            }
        }
        _ => {
            to_document(value).map_err(|error| format!("the {what} cannot be put into a request: {error}"))?
        }
    };
    let found = pointer.find(&document).cloned();
    found.ok_or_else(|| format!("the {what} has no field {}", pointer.as_str()))
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::{Headers, Offset, Timestamp, TimestampType};

    use super::*;

    #[test]
    fn variables_are_found_in_records() {
        let record = SinkRecord {
            topic: "routed".into(),
            partition: 3,
            offset: Offset(7),
            timestamp: Timestamp(12),
            timestamp_type: TimestampType::CreateTime,
            key: SchemaAndValue::schemaless(Value::Map(vec![("id".into(), Value::Int64(5))])),
            value: SchemaAndValue::string(r#"{"user":{"id":"u/1","n":null},"a":[1]}"#),
            headers: Headers::new(),
        };
        let from = TopicPartition::new("t", 3);
        let cases = [
            ("topic", Ok("routed")),
            ("partition", Ok("3")),
            ("offset", Ok("7")),
            ("timestamp", Ok("12")),
            ("key", Ok("{\"id\":5}")),
            ("key/id", Ok("5")),
            ("/user/id", Ok("u/1")),
            ("value/user/id", Ok("u/1")),
            ("json:/user/id", Ok("\"u/1\"")),
            ("json:/user/n", Ok("null")),
            ("/a", Ok("[1]")),
            ("value", Ok(r#"{"user":{"id":"u/1","n":null},"a":[1]}"#)),
            ("/user/n", Err("is null in this record")),
            ("/user/x", Err("the value has no field /user/x")),
            ("key/x", Err("the key has no field /x")),
        ];
        for (name, expected) in cases {
            let found = Variable::parse(name).expect(name).of(&from, &record);
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{name}: {found}"),
                _ => panic!("{name}: {found:?}"),
            }
        }
        for bad in ["keys", "valued", "headers", "", "json:", "/a~2"] {
            Variable::parse(bad).expect_err(bad);
        }
    }
}
