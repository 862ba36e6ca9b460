//! Values of records (what `Object` is in Connect's Java API), and whether they fit a schema.

pub(crate) mod civil;
mod display;
mod structure;
mod validate;

use std::sync::Arc;

use bytes::Bytes;

pub use structure::Struct;
pub use validate::{Error, validate};

use crate::{Schema, Text, schema::Type};

/// A value. Logical types are in their encoded form, see [`crate::schema::Logical`].
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// Null.
    #[default]
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// INT8.
    Int8(i8),
    /// INT16.
    Int16(i16),
    /// INT32.
    Int32(i32),
    /// INT64.
    Int64(i64),
    /// FLOAT32.
    Float32(f32),
    /// FLOAT64.
    Float64(f64),
    /// STRING.
    String(Text),
    /// BYTES.
    Bytes(Bytes),
    /// ARRAY.
    Array(Vec<Value>),
    /// MAP, in the order of its source. Keys are different from each other; who makes one sees to that.
    Map(Vec<(Value, Value)>),
    /// STRUCT; it carries its schema.
    Struct(Struct),
}

impl Value {
    /// The type of the value; `None` for null, which is of every optional type.
    pub fn value_type(&self) -> Option<Type> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => Type::Boolean,
            Self::Int8(_) => Type::Int8,
            Self::Int16(_) => Type::Int16,
            Self::Int32(_) => Type::Int32,
            Self::Int64(_) => Type::Int64,
            Self::Float32(_) => Type::Float32,
            Self::Float64(_) => Type::Float64,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::Array(_) => Type::Array,
            Self::Map(_) => Type::Map,
            Self::Struct(_) => Type::Struct,
        })
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a STRING.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of any integer type.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int8(number) => Some(i64::from(*number)),
            Self::Int16(number) => Some(i64::from(*number)),
            Self::Int32(number) => Some(i64::from(*number)),
            Self::Int64(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a MAP's entry whose key is this string.
    pub fn entry(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(name, _)| name.as_str() == Some(key))
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident;)+) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

from! {
    bool => Boolean;
    i8 => Int8;
    i16 => Int16;
    i32 => Int32;
    i64 => Int64;
    f32 => Float32;
    f64 => Float64;
    &str => String;
    String => String;
    Text => String;
    Bytes => Bytes;
    Vec<Value> => Array;
    Struct => Struct;
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A value and what is known of its shape (Kafka's `SchemaAndValue`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchemaAndValue {
    /// `None`: schemaless.
    pub schema: Option<Arc<Schema>>,
    /// The value.
    pub value: Value,
}

impl SchemaAndValue {
    /// A value with its schema, not checked: see [`SchemaAndValue::validate`].
    pub fn new(schema: Arc<Schema>, value: impl Into<Value>) -> Self {
        Self {
            schema: Some(schema),
            value: value.into(),
        }
    }

    /// A value without a schema.
    pub fn schemaless(value: impl Into<Value>) -> Self {
        Self {
            schema: None,
            value: value.into(),
        }
    }

    /// A STRING with the plain required schema.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::new(Schema::string_schema(), text.into())
    }

    /// Checks the value against the schema, if there is one.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<(), Error> {
        match &self.schema {
            Some(schema) => validate(schema, &self.value),
            None => Ok(()),
        }
    }
}
