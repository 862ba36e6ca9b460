//! Values with named fields (Kafka's `Struct`).

use std::sync::Arc;

use super::{Error, Value, validate};
use crate::Schema;

/// One value per field of a schema of type STRUCT, in its order.
#[derive(Debug, Clone)]
pub struct Struct {
    schema: Arc<Schema>,
    values: Vec<Value>,
}

impl Struct {
    /// All fields null, for [`Struct::with`] to fill.
    ///
    /// # Errors
    /// If `schema` is of another type.
    pub fn new(schema: Arc<Schema>) -> Result<Self, Error> {
        let values = vec![Value::Null; schema.fields().len()];
        Self::from_values(schema, values)
    }

    /// A value per field, in the schema's order. The values are not checked: see [`Struct::validate`].
    ///
    /// # Errors
    /// If `schema` is of another type or the numbers differ.
    pub fn from_values(schema: Arc<Schema>, values: Vec<Value>) -> Result<Self, Error> {
        if schema.schema_type() != crate::schema::Type::Struct {
            return Err(Error::NotAStruct(schema.schema_type()));
        }
        if schema.fields().len() != values.len() {
            return Err(Error::FieldCount {
                expected: schema.fields().len(),
                found: values.len(),
            });
        }
        Ok(Self { schema, values })
    }

    /// Sets a field.
    ///
    /// # Errors
    /// If there is no such field, or the value does not fit it.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Result<Self, Error> {
        let value = value.into();
        let (index, known) = self
            .schema
            .field_index(field)
            .map(|index| (index, &self.schema.fields()[index]))
            .ok_or_else(|| Error::NoSuchField(field.to_owned()))?;
        validate(&known.schema, &value).map_err(|error| error.within(field))?;
        self.values[index] = value;
        Ok(self)
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The values in the order of the schema's fields, null where a default may stand.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values for good.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The value of a field, or its default if it is null (`Struct.get`). `None`: there is no such field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        let index = self.schema.field_index(field)?;
        Some(
            match (
                &self.values[index],
                self.schema.fields()[index].schema.default_value(),
            ) {
                (Value::Null, Some(default)) => default,
                (value, _) => value,
            },
        )
    }

    /// The value of a field as it is (`Struct.getWithoutDefault`). `None`: there is no such field.
    pub fn get_without_default(&self, field: &str) -> Option<&Value> {
        self.schema.field_index(field).map(|index| &self.values[index])
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, value) in self.schema.fields().iter().zip(&self.values) {
            validate(&field.schema, value).map_err(|error| error.within(&field.name))?;
        }
        Ok(())
    }
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.schema, &other.schema) || self.schema == other.schema)
            && self.values == other.values
    }
}
