//! The lines of a file of vectors: name, version, API key, bytes in hexadecimal, JSON; separated by tabs.

use std::io::Read as _;

use bytes::Bytes;
use serde_json::Value;

use crate::types::{Transcoded, Type};

/// The vectors in this folder.
pub(crate) fn bundled() -> String {
    let packed = include_bytes!("kafka-4.3.1-messages.tsv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .expect("the file is whole");
    text
}

/// One message as Kafka wrote it.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: i16,
    pub(crate) bytes: Bytes,
    key: i16,
    json: Value,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(line: &'a str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, key, bytes, json] = fields[..] else {
            return Err(format!("{} fields instead of 5", fields.len()));
        };
        Ok(Self {
            name,
            version: version.parse().map_err(|error| format!("{version:?}: {error}"))?,
            key: key.parse().map_err(|error| format!("{key:?}: {error}"))?,
            bytes: hexadecimal(bytes).ok_or_else(|| format!("{bytes:?} is not hexadecimal"))?,
            json: serde_json::from_str(json).map_err(|error| format!("{json}: {error}"))?,
        })
    }

    /// The API, of requests and responses.
    pub(crate) fn api_key(&self) -> Option<i16> {
        (self.key >= 0).then_some(self.key)
    }

    /// Holds the line against the crate's type.
    pub(crate) fn check(&self, kind: &Type) -> Result<(), String> {
        let Transcoded { bytes, json } =
            (kind.transcode)(self.bytes.clone(), self.version).map_err(|error| error.to_string())?;
        let bytes = bytes.map_err(|error| error.to_string())?;
        if bytes != self.bytes {
            return Err(format!("bytes differ: {bytes:x} instead of {:x}", self.bytes));
        }
        if !equal(&json, &self.json) {
            return Err(format!("fields differ: {json} instead of {}", self.json));
        }
        Ok(())
    }
}

/// The bytes that a text of hexadecimal digits stands for.
pub(crate) fn hexadecimal(text: &str) -> Option<Bytes> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let byte = |index| u8::from_str_radix(text.get(index..index + 2)?, 16).ok();
    (0..text.len())
        .step_by(2)
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}

/// Equal with the same order of fields; floating-point numbers by value, as Java writes them otherwise.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.keys().eq(right.keys())
                && left
                    .values()
                    .zip(right.values())
                    .all(|(left, right)| equal(left, right))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Number(left), Value::Number(right)) => {
            let is_float = |number: &serde_json::Number| number.to_string().contains(['.', 'e', 'E']);
            left == right || (is_float(left) && is_float(right) && left.as_f64() == right.as_f64())
        }
        _ => left == right,
    }
}
