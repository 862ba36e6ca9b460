//! `FieldPartitioner`: `country=CH/year=2024`, from fields of the value.

use std::{fmt::Write, sync::Arc};

use forebay_connect_api::{Error, Schema, Value};

use crate::format::Cell;

/// The fields, and what stands between them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    pub(crate) paths: Vec<FieldPath>,
    /// `directory.delim`.
    pub(crate) delimiter: String,
}

/// The name of a field; with dots, of one inside another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath(String);

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) value: &'a Value,
    /// `None`: it came without one.
    pub(super) schema: Option<&'a Arc<Schema>>,
}

impl FieldPath {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// The field of a value, and what its schema says; a name that has dots itself comes first.
    pub(super) fn find<'a>(&self, cell: Cell<'a>) -> Result<Found<'a>, Error> {
        let Cell::Converted(value) = cell else {
            // Not asked for raw values: see `Partitioner::needs_value`.
            return Err(self.missing());
        };
        let root = Found {
            value: &value.value,
            schema: value.schema.as_ref(),
        };
        let whole = root.field(&self.0);
        let nested = || self.0.split('.').try_fold(root, Found::field);
        whole.or_else(nested).ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Error {
        Error::fatal(format!("its value has no field {}", self.0))
    }
}

impl<'a> Found<'a> {
    fn field(self, name: &str) -> Option<Self> {
        match self.value {
            Value::Struct(inner) => {
                let index = inner.schema().field_index(name)?;
                Some(Self {
                    value: inner.get(name)?,
                    schema: Some(&inner.schema().fields()[index].schema),
                })
            }
            Value::Map(_) => Some(Self {
                value: self.value.entry(name)?,
                schema: self.schema.and_then(|schema| schema.value_schema()),
            }),
            _ => None,
        }
    }
}

impl Fields {
    /// The folder of a record.
    pub(super) fn encode(&self, cell: Cell<'_>) -> Result<String, Error> {
        let mut encoded = String::new();
        for path in &self.paths {
            if !encoded.is_empty() {
                encoded.push_str(&self.delimiter);
            }
            let FieldPath(name) = path;
            let value = path.find(cell)?.value;
            let _ = match value {
                Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) | Value::Boolean(_) => {
                    write!(encoded, "{name}={value}") // Writing to a string does not fail.
                }
                Value::String(text) => write!(encoded, "{name}={}", one_folder(text)),
                other => {
                    let kind = other
                        .value_type()
                        .map_or_else(|| "null".to_owned(), |kind| format!("{kind:?}"));
                    return Err(Error::fatal(format!(
                        "field {name} is {kind}: a folder is named after an integer, a string or a boolean only"
                    )));
                }
            };
        }
        Ok(encoded)
    }
}

/// A text as the name of one folder: neither slashes nor control characters lead anywhere else. Written as Hive does.
fn one_folder(text: &str) -> String {
    let is_plain = |character: char| character != '/' && !character.is_control();
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_plain(character) {
            out.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(out, "%{byte:02X}"); // Writing to a string does not fail.
        }
    }
    out
}
