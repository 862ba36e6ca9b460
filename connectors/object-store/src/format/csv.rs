//! CSV: fields of structs as columns, or the one column `value`. Quoted as RFC 4180 has it; lines end with a line feed. Null is
//! nothing, and an empty string is `""`. What has values inside is JSON; bytes are base64; dates and times are as ISO 8601 has them.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use flate2::Compression;
use forebay_connect_api::{Error, Schema, SchemaAndValue, Value, schema::Type};

use super::{
    Cell, Refused, Writer, Written,
    columns::explain,
    json,
    output::Output,
    schemas::{FileSchema, Fit, Misfit, Target, conform},
};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CsvOptions {
    /// Whether the first line names the columns.
    pub(crate) header: bool,
    /// One byte: `,`.
    pub(crate) delimiter: u8,
}

/// Lines that are being gathered.
#[derive(Debug)]
pub(super) struct CsvFile {
    options: CsvOptions,
    gzip: Option<Compression>,
    target: Target,
    /// Lines without the header. One part unless the schema grew: those before lack columns at their ends.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    columns: usize,
    lines: Vec<u8>,
}

impl CsvFile {
    pub(super) fn new(options: CsvOptions, gzip: Option<Compression>, target: Target) -> Self {
        Self {
            options,
            gzip,
            target,
            parts: Vec::new(),
        }
    }

    fn write_converted(&mut self, value: &SchemaAndValue) -> Result<Written, Refused> {
        if self.target.may_take(value) {
            let known = self.target.schema().cloned().expect("it may take a value");
            if let Ok(row) = row(&known, value) {
                self.line(&known.schema, &row);
                return Ok(Written::Row);
            }
        }
        let known = match self.target.fit(value)? {
            Fit::Other => return Ok(Written::OtherSchema),
            Fit::AsItIs => self.target.schema().cloned().expect("it fits one"),
            Fit::With(schema) => schema,
        };
        let row = row(&known, value).map_err(|_| Refused::Record(explain(&known.schema, value)))?;
        if self.target.schema() != Some(&known) {
            self.target.settle(known.clone(), value);
        }
        self.line(&known.schema, &row);
        Ok(Written::Row)
    }

    fn line(&mut self, schema: &Schema, row: &Value) {
        let columns = columns(schema);
        let part = match self.parts.last_mut() {
            Some(part) if part.columns == columns => part,
            _ => {
                let lines = Vec::new();
                self.parts.push(Part { columns, lines });
                self.parts.last_mut().expect("it was just made")
            }
        };
        let out = &mut part.lines;
        match row {
            Value::Struct(row) => {
                for (index, (field, value)) in schema.fields().iter().zip(row.values()).enumerate() {
                    if index > 0 {
                        out.push(self.options.delimiter);
                    }
                    cell(out, self.options.delimiter, &field.schema, value);
                }
            }
            value => cell(out, self.options.delimiter, schema, value),
        }
        out.push(b'\n');
    }

    /// The header and all lines, with as many columns each.
    fn write_all(&self, output: &mut Output, schema: &Schema) -> Result<(), Error> {
        let delimiter = self.options.delimiter;
        if self.options.header {
            output.with(|out| {
                for (index, field) in schema.fields().iter().enumerate() {
                    if index > 0 {
                        out.push(delimiter);
                    }
                    text(out, delimiter, &field.name);
                }
                if schema.schema_type() != Type::Struct {
                    out.extend_from_slice(b"value");
                }
                out.push(b'\n');
            })?;
        }
        for part in &self.parts {
            let missing = schema.fields().get(part.columns..).unwrap_or_default();
            let mut end = Vec::new();
            for field in missing {
                end.push(delimiter);
                let default = field.schema.default_value().unwrap_or(&Value::Null);
                cell(&mut end, delimiter, &field.schema, default);
            }
            end.push(b'\n');
            let mut quoted = false;
            let lines = part.lines.split_inclusive(|byte| {
                quoted ^= *byte == b'"';
                *byte == b'\n' && !quoted
            });
            for line in lines {
                output.with(|out| {
                    out.extend_from_slice(&line[..line.len() - 1]);
                    out.extend_from_slice(&end);
                })?;
            }
        }
        Ok(())
    }
}

impl Writer for CsvFile {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        match cell {
            Cell::Converted(value) => self.write_converted(value),
            Cell::Raw(reading, value) => self.write_converted(&reading.converted(value)?),
        }
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.lines.capacity()).sum()
    }

    fn finish(self: Box<Self>) -> Result<Bytes, Error> {
        let mut output = Output::new(self.gzip);
        if let Some(known) = self.target.schema() {
            self.write_all(&mut output, &known.schema)?;
        }
        output.finish()
    }
}

/// The value as the file has it.
fn row(known: &FileSchema, value: &SchemaAndValue) -> Result<Value, Misfit> {
    match (&value.value, known.schema.schema_type()) {
        (Value::Null, Type::Struct) => Err(Misfit),
        (Value::Null, _) => Ok(Value::Null),
        (value, _) => conform(&known.schema, value),
    }
}

fn columns(schema: &Schema) -> usize {
    match schema.schema_type() {
        Type::Struct => schema.fields().len(),
        _ => 1,
    }
}

fn cell(out: &mut Vec<u8>, delimiter: u8, schema: &Schema, value: &Value) {
    if let Some(shown) = schema.logical().and_then(|logical| logical.iso(value)) {
        return text(out, delimiter, &shown);
    }
    match value {
        Value::Null => {}
        Value::String(value) => text(out, delimiter, value),
        Value::Bytes(bytes) => text(out, delimiter, &BASE64_STANDARD.encode(bytes)),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let mut written = Vec::new();
            json::write(&mut written, value);
            text(out, delimiter, &String::from_utf8_lossy(&written));
        }
        simple => text(out, delimiter, &simple.to_string()),
    }
}

/// In quotes where a reader needs them.
fn text(out: &mut Vec<u8>, delimiter: u8, text: &str) {
    let special = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if !text.is_empty() && !text.bytes().any(special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}
