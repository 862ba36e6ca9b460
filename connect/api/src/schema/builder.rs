//! Makes schemas (Kafka's `SchemaBuilder`).

use std::{collections::BTreeMap, sync::Arc};

use super::{Error, Field, Fields, Kind, Schema};
use crate::Value;

/// A schema that is not finished. Begun by [`Schema::int32`], [`Schema::structure`] and so on.
#[derive(Debug, Clone)]
pub struct SchemaBuilder {
    schema: Schema,
    error: Option<Error>,
}

impl SchemaBuilder {
    pub(super) fn new(kind: Kind) -> Self {
        let schema = Schema {
            kind,
            optional: false,
            default: None,
            name: None,
            version: None,
            doc: None,
            parameters: BTreeMap::new(),
        };
        Self { schema, error: None }
    }

    /// Allows null.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.schema.optional = true;
        self
    }

    /// Allows null or not.
    #[must_use]
    pub fn with_optional(mut self, optional: bool) -> Self {
        self.schema.optional = optional;
        self
    }

    /// The value that stands for null or for a field that is missing; checked by [`SchemaBuilder::build`].
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        self.schema.default = Some(value);
        self
    }

    /// Names it.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.schema.name = Some(name.into());
        self
    }

    /// Gives it a version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.schema.version = Some(version);
        self
    }

    /// Documents it.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<Arc<str>>) -> Self {
        self.schema.doc = Some(doc.into());
        self
    }

    /// Adds or replaces a parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.schema.parameters.insert(name.into(), value.into());
        self
    }

    /// Adds a field to a STRUCT; what is wrong with it, [`SchemaBuilder::build`] says.
    #[must_use]
    pub fn field(mut self, name: impl Into<Arc<str>>, schema: Arc<Schema>) -> Self {
        let name = name.into();
        let not_a_struct = Error::NotAStruct(self.schema.schema_type());
        let error = match &mut self.schema.kind {
            _ if name.is_empty() => Some(Error::EmptyFieldName),
            Kind::Struct(fields) => fields.push(Field { name, schema }).err(),
            _ => Some(not_a_struct),
        };
        self.error = self.error.or(error);
        self
    }

    /// Finishes the schema.
    ///
    /// # Errors
    /// If fields or the default do not fit.
    pub fn build(self) -> Result<Arc<Schema>, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let schema = self.schema;
        if let Some(default) = &schema.default {
            crate::value::validate(&schema, default)?;
        }
        Ok(Arc::new(schema))
    }

    pub(super) fn unchecked(self) -> Schema {
        self.schema
    }
}

impl From<Schema> for SchemaBuilder {
    fn from(schema: Schema) -> Self {
        Self { schema, error: None }
    }
}

impl Fields {
    fn push(&mut self, field: Field) -> Result<(), Error> {
        if self.by_name.contains_key(&field.name) {
            return Err(Error::DuplicateField(field.name));
        }
        self.by_name.insert(Arc::clone(&field.name), self.fields.len());
        self.fields.push(field);
        Ok(())
    }
}
