//! Values of a schema, in Avro's binary and JSON encodings. A decoder trusts nothing: depth, counts and lengths are
//! bounded by named constants and by the bytes that are there.

use super::Node;

mod binary;
mod json;

/// How deep values may be nested; a recursive schema sets no end itself.
pub const DEPTH_MAX: usize = 200;

/// A value, in the shape that its schema gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `boolean`
    Boolean(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `bytes`
    Bytes(Vec<u8>),
    /// `string`
    String(String),
    /// The items in order.
    Array(Vec<Self>),
    /// The entries in the order in which they were written.
    Map(Vec<(String, Self)>),
    /// The index of the branch, and its value.
    Union(usize, Box<Self>),
    /// The values of the fields in the order of the schema.
    Record(Vec<Self>),
    /// The index of the symbol.
    Enum(usize),
    /// As many bytes as the schema says.
    Fixed(Vec<u8>),
}

/// Why bytes or JSON are no value of a schema, or a value does not fit one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes end within a value.
    #[error("the Avro data ends within a value")]
    Incomplete,
    /// Bytes are left over after the value.
    #[error("{bytes} bytes are left over after the Avro value")]
    LeftOver {
        /// How many.
        bytes: usize,
    },
    /// A number that no encoder writes: a negative length, an index beyond the union or enum, more items than bytes.
    #[error("the Avro data has an impossible {what}: {number}")]
    Impossible {
        /// What the number stands for.
        what: &'static str,
        /// The number.
        number: i64,
    },
    /// A string that is not UTF-8.
    #[error("an Avro string is not UTF-8")]
    NotUtf8,
    /// Values within values beyond [`DEPTH_MAX`].
    #[error("the value is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// JSON or a value that the schema has no place for.
    #[error("expected {expected} at {path}, found {found}")]
    Unexpected {
        /// What the schema has there.
        expected: String,
        /// Where, as a JSON pointer.
        path: String,
        /// What is there instead.
        found: String,
    },
}

impl Node<'_> {
    /// Reads one value that fills `bytes`.
    pub fn decode(self, bytes: &[u8]) -> Result<Value, Error> {
        binary::decode(self, bytes)
    }

    /// Reads the value that `bytes` begin with, and leaves those after it.
    pub fn decode_next(self, bytes: &mut &[u8]) -> Result<Value, Error> {
        binary::decode_next(self, bytes)
    }

    /// Writes `value` behind what `out` holds.
    pub fn encode(self, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
        binary::encode(self, value, out)
    }

    /// Reads Avro's JSON encoding: a union's value, unless null, is an object of one member named after the branch.
    pub fn decode_json(self, json: &serde_json::Value) -> Result<Value, Error> {
        json::decode(self, json)
    }

    /// Writes Avro's JSON encoding.
    pub fn encode_json(self, value: &Value) -> Result<serde_json::Value, Error> {
        json::encode(self, value)
    }
}

/// Puts `step` before the place that an error names; costs nothing where there is none.
fn located<T>(step: impl std::fmt::Display, result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|error| match error {
        Error::Unexpected {
            expected,
            path,
            found,
        } => {
            let path = if path == "/" {
                format!("/{step}")
            } else {
                format!("/{step}{path}")
            };
            Error::Unexpected {
                expected,
                path,
                found,
            }
        }
        other => other,
    })
}

fn unexpected<T>(expected: impl Into<String>, found: impl Into<String>) -> Result<T, Error> {
    Err(Error::Unexpected {
        expected: expected.into(),
        path: "/".to_owned(),
        found: found.into(),
    })
}

#[cfg(test)]
mod tests;
