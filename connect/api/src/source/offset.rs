//! Source partitions and source offsets: small maps that become JSON in the offset topic.

use std::{fmt, sync::Arc};

/// A value in a source partition or source offset: what JSON can hold and gives back unchanged.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// Any integer type of Java's, which the offset topic does not tell apart.
    Int64(i64),
    /// A number with a fraction; must be finite to become JSON.
    Float64(f64),
    /// A string.
    String(Arc<str>),
}

impl From<i64> for OffsetValue {
    fn from(value: i64) -> Self {
        Self::Int64(value)
    }
}

impl From<bool> for OffsetValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for OffsetValue {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<Arc<str>> for OffsetValue {
    fn from(value: Arc<str>) -> Self {
        Self::String(value)
    }
}

/// A source partition or a source offset. Fields are kept sorted by name, so that equal maps are the same bytes in the offset
/// topic, whose compaction depends on that. `Display` is that JSON.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OffsetMap(Vec<(Arc<str>, OffsetValue)>);

/// Why some text is no source partition or source offset.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is JSON, but no object.
    #[error("a source partition or offset is a JSON object, not {0}")]
    NotAnObject(String),
    /// A field is an array, an object, or an integer beyond 64 bits.
    #[error("field {field} is {value}: fields are null, booleans, strings, and numbers of at most 64 bits")]
    Field {
        /// The field.
        field: String,
        /// Its value as JSON.
        value: String,
    },
}

impl OffsetMap {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this field added or replaced.
    #[must_use]
    pub fn with(mut self, field: impl Into<Arc<str>>, value: impl Into<OffsetValue>) -> Self {
        let (field, value) = (field.into(), value.into());
        match self.place(&field) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => self.0.insert(index, (field, value)),
        }
        self
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&OffsetValue> {
        self.place(field).ok().map(|index| &self.0[index].1)
    }

    fn place(&self, field: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(field))
    }

    /// The value of a field that is an integer.
    pub fn get_int64(&self, field: &str) -> Option<i64> {
        match self.get(field) {
            Some(OffsetValue::Int64(value)) => Some(*value),
            _ => None,
        }
    }

    /// The value of a field that is a string.
    pub fn get_str(&self, field: &str) -> Option<&str> {
        match self.get(field) {
            Some(OffsetValue::String(value)) => Some(value),
            _ => None,
        }
    }

    /// Each field, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OffsetValue)> {
        self.0.iter().map(|(field, value)| (&**field, value))
    }

    /// How many fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a JSON object, with its fields in any order.
    ///
    /// # Errors
    /// If it is no object of simple values.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        match serde_json::from_str(json)? {
            serde_json::Value::Object(fields) => {
                let mut map = Self::new();
                for (field, value) in fields {
                    let Some(value) = from_json(&value) else {
                        let value = value.to_string();
                        return Err(Error::Field { field, value });
                    };
                    map = map.with(field, value);
                }
                Ok(map)
            }
            other => Err(Error::NotAnObject(other.to_string())),
        }
    }
}

fn from_json(value: &serde_json::Value) -> Option<OffsetValue> {
    Some(match value {
        serde_json::Value::Null => OffsetValue::Null,
        serde_json::Value::Bool(value) => OffsetValue::Boolean(*value),
        serde_json::Value::String(value) => value.as_str().into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => OffsetValue::Int64(number),
            None if number.to_string().contains(['.', 'e', 'E']) => {
                OffsetValue::Float64(number.as_f64().filter(|number| number.is_finite())?)
            }
            None => return None,
        },
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
    })
}

impl fmt::Display for OffsetMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (field, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:", quoted(field))?;
            match value {
                OffsetValue::Null => f.write_str("null")?,
                OffsetValue::Boolean(value) => value.fmt(f)?,
                OffsetValue::Int64(value) => value.fmt(f)?,
                // JSON knows no NaN and no infinity; Rust's shortest form is JSON's, with a fraction that keeps it a float.
                OffsetValue::Float64(value) if value.is_finite() => write!(f, "{value:?}")?,
                OffsetValue::Float64(_) => f.write_str("null")?,
                OffsetValue::String(value) => f.write_str(&quoted(value))?,
            }
        }
        f.write_str("}")
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_bytes_for_equal_maps() {
        let map = OffsetMap::new()
            .with("position", 42)
            .with("file\"name", "/tmp/ü\n")
            .with("done", true)
            .with("at", OffsetValue::Float64(1.0))
            .with("none", OffsetValue::Null);
        let json = r#"{"at":1.0,"done":true,"file\"name":"/tmp/ü\n","none":null,"position":42}"#;
        assert_eq!(map.to_string(), json);
        assert_eq!(OffsetMap::from_json(json).expect("our own output"), map);
        let shuffled = r#"{ "position": 42, "none":null, "at":1.0, "done":true, "file\"name":"/tmp/ü\n" }"#;
        assert_eq!(OffsetMap::from_json(shuffled).expect("the same fields"), map);
    }

    #[test]
    fn what_json_cannot_give_back_is_refused() {
        let refused = [
            "[]",
            "{",
            "{\"a\":[1]}",
            "{\"a\":{}}",
            "{\"a\":9223372036854775808}",
            "{\"a\":1e999}",
        ];
        for json in refused {
            assert!(OffsetMap::from_json(json).is_err(), "{json}");
        }
    }
}
