//! JSON lines, as Confluent's JsonFormat has them: structs and maps as objects, bytes in base64, logical types encoded.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use flate2::Compression;
use forebay_connect_api::{Error, SchemaAndValue, Value, ValueFormat};

use super::{
    Cell, Refused, Writer, Written,
    columns::explain,
    output::Output,
    schemas::{Fit, Target, conform},
};

/// Lines that are being gathered.
#[derive(Debug)]
pub(super) struct JsonLines {
    output: Output,
    /// Where `schema.compatibility` decides about files and fields; lines by themselves need no common schema.
    target: Option<Target>,
}

impl JsonLines {
    pub(super) fn new(gzip: Option<Compression>, target: Option<Target>) -> Self {
        Self {
            output: Output::new(gzip),
            target,
        }
    }

    /// The value as the file's schema has it; `None` if it belongs into another file.
    fn projected(&mut self, value: &SchemaAndValue) -> Result<Option<Value>, Refused> {
        let Some(target) = self.target.as_mut().filter(|_| value.schema.is_some()) else {
            return Ok(Some(value.value.clone()));
        };
        let schema = match target.fit(value)? {
            Fit::Other => return Ok(None),
            Fit::With(schema) => {
                let known = schema.clone();
                target.settle(schema, value);
                known
            }
            Fit::AsItIs => target.schema().cloned().expect("it fits one"),
        };
        if value.value.is_null() {
            return Ok(Some(Value::Null));
        }
        let conforming = conform(&schema.schema, &value.value);
        conforming
            .map(Some)
            .map_err(|_| Refused::Record(explain(&schema.schema, value)))
    }

    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Written, Refused> {
        let written = self.output.with(|out| {
            write(out);
            out.push(b'\n');
        });
        written.map_err(Refused::All)?;
        Ok(Written::Row)
    }
}

impl Writer for JsonLines {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        match cell {
            Cell::Raw(_, None) => self.line(|out| out.extend_from_slice(b"null")),
            Cell::Raw(reading, Some(bytes)) => match reading.format {
                ValueFormat::String => self.line(|out| string(out, &String::from_utf8_lossy(bytes))),
                ValueFormat::Bytes => self.line(|out| base64(out, bytes)),
                format => {
                    let error = format!("raw values of format {format:?} do not become JSON");
                    Err(Refused::All(Error::fatal(error)))
                }
            },
            Cell::Converted(value) if self.target.is_none() => self.line(|out| write(out, &value.value)),
            Cell::Converted(value) => match self.projected(value)? {
                Some(value) => self.line(|out| write(out, &value)),
                None => Ok(Written::OtherSchema),
            },
        }
    }

    fn bytes(&self) -> usize {
        self.output.bytes()
    }

    fn finish(self: Box<Self>) -> Result<Bytes, Error> {
        self.output.finish()
    }
}

/// A value as JSON.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
        Value::Float32(number) => float(out, value, number.is_finite()),
        Value::Float64(number) => float(out, value, number.is_finite()),
        Value::String(text) => string(out, text),
        Value::Bytes(bytes) => base64(out, bytes),
        Value::Array(items) => list(out, [b'[', b']'], items, write),
        Value::Map(entries) => map(out, entries),
        Value::Struct(inner) => {
            let fields: Vec<_> = inner.schema().fields().iter().zip(inner.values()).collect();
            list(out, [b'{', b'}'], &fields, |out, (field, value)| {
                string(out, &field.name);
                out.push(b':');
                // A default stands for null, as converters have it.
                match (value, field.schema.default_value()) {
                    (Value::Null, Some(default)) => write(out, default),
                    (value, _) => write(out, value),
                }
            });
        }
    }
}

/// An object where all keys are strings, else pairs, as Kafka's JsonConverter has it.
fn map(out: &mut Vec<u8>, entries: &[(Value, Value)]) {
    if entries.iter().all(|(key, _)| key.as_str().is_some()) {
        list(out, [b'{', b'}'], entries, |out, (key, value)| {
            write(out, key);
            out.push(b':');
            write(out, value);
        });
    } else {
        list(out, [b'[', b']'], entries, |out, (key, value)| {
            list(out, [b'[', b']'], &[key, value], |out, part| write(out, part));
        });
    }
}

fn list<T>(out: &mut Vec<u8>, brackets: [u8; 2], items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(brackets[0]);
    for (index, one) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, one);
    }
    out.push(brackets[1]);
}

/// JSON has no NaN and no infinities: Jackson writes them as strings.
fn float(out: &mut Vec<u8>, value: &Value, is_finite: bool) {
    let text = value.to_string();
    if is_finite {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, &text);
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes everything");
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}
