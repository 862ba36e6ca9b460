//! Whether a value fits a schema (Kafka's `ConnectSchema.validateValue`).

use std::sync::Arc;

use super::Value;
use crate::{Schema, schema::Type};

/// How a value does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Null where a value is needed.
    #[error("null used for a required value of type {0}")]
    Null(Type),
    /// A value of another type.
    #[error("a value of type {found} used where the schema wants {expected}")]
    Type {
        /// The schema's.
        expected: Type,
        /// The value's.
        found: Type,
    },
    /// A struct of another schema.
    #[error("Struct schemas do not match.")]
    StructSchema,
    /// A struct was wanted of a schema of another type.
    #[error("Not a struct schema: {0}")]
    NotAStruct(Type),
    /// As many values as fields are needed.
    #[error("{found} values for a struct of {expected} fields")]
    FieldCount {
        /// The schema's fields.
        expected: usize,
        /// The values given.
        found: usize,
    },
    /// A field that the schema does not have.
    #[error("{0} is not a valid field name")]
    NoSuchField(String),
    /// Something inside does not fit.
    #[error("{field}: {error}")]
    Within {
        /// The field, or `[3]` for an item.
        field: String,
        /// How it does not.
        error: Box<Error>,
    },
}

impl Error {
    pub(super) fn within(self, field: &str) -> Self {
        Self::Within {
            field: field.to_owned(),
            error: Box::new(self),
        }
    }
}

/// Checks a value and everything inside it.
///
/// # Errors
/// The first thing that does not fit.
pub fn validate(schema: &Schema, value: &Value) -> Result<(), Error> {
    let Some(found) = value.value_type() else {
        // A default stands for null, as when a struct is read.
        return if schema.is_optional() || schema.default_value().is_some() {
            Ok(())
        } else {
            Err(Error::Null(schema.schema_type()))
        };
    };
    let expected = schema.schema_type();
    if found != expected {
        return Err(Error::Type { expected, found });
    }
    match value {
        Value::Array(items) => {
            let item_schema = schema.value_schema().expect("an ARRAY has one");
            for (index, item) in items.iter().enumerate() {
                validate(item_schema, item).map_err(|error| error.within(&format!("[{index}]")))?;
            }
            Ok(())
        }
        Value::Map(entries) => {
            let key_schema = schema.key_schema().expect("a MAP has one");
            let value_schema = schema.value_schema().expect("a MAP has one");
            for (key, value) in entries {
                validate(key_schema, key).map_err(|error| error.within("a key"))?;
                validate(value_schema, value).map_err(|error| error.within(&format!("[{key}]")))?;
            }
            Ok(())
        }
        Value::Struct(inner) if is_same(inner.schema(), schema) => inner.validate(),
        Value::Struct(_) => Err(Error::StructSchema),
        _ => Ok(()),
    }
}

/// Equal but for what does not shape values. Mostly the very same, which costs nothing to find out.
fn is_same(of_value: &Arc<Schema>, wanted: &Schema) -> bool {
    std::ptr::eq(Arc::as_ptr(of_value), wanted) || **of_value == *wanted
}
