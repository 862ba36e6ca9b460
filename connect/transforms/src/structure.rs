//! What transformations do with structs, maps and their schemas: looking into them, and making new ones that hold what they must.

use std::sync::Arc;

use forebay_connect_api::{Field, Schema, SchemaBuilder, Struct, Value, schema::Type};

use crate::{Error, java};

/// Schemas that were made of others, the last one used first.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache(Vec<(Arc<Schema>, Arc<Schema>)>);

/// As many as Kafka keeps.
const CACHE_MAX: usize = 16;

impl SchemaCache {
    /// What was made of this schema, else what `make` makes of it.
    pub(crate) fn get(
        &mut self,
        schema: &Arc<Schema>,
        make: impl FnOnce() -> Result<Arc<Schema>, Error>,
    ) -> Result<Arc<Schema>, Error> {
        let known = |of: &Arc<Schema>| Arc::ptr_eq(of, schema);
        // Mostly the very same; comparing looks at every field.
        let place = self.0.iter().position(|(of, _)| known(of));
        let place = place.or_else(|| self.0.iter().position(|(of, _)| of == schema));
        let made = match place {
            Some(0) => return Ok(Arc::clone(&self.0[0].1)),
            Some(place) => self.0.remove(place).1,
            None => make()?,
        };
        self.0.insert(0, (Arc::clone(schema), Arc::clone(&made)));
        self.0.truncate(CACHE_MAX);
        Ok(made)
    }
}

/// Gives a new schema the name, version, documentation and parameters of another (Kafka's `SchemaUtil.copySchemaBasics`).
pub(crate) fn copy_basics(source: &Schema, mut builder: SchemaBuilder) -> SchemaBuilder {
    if let Some(name) = source.name() {
        builder = builder.name(name);
    }
    if let Some(version) = source.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = source.doc() {
        builder = builder.doc(doc);
    }
    for (name, value) in source.parameters() {
        builder = builder.parameter(Arc::clone(name), Arc::clone(value));
    }
    builder
}

/// Begins a schema of a primitive type.
pub(crate) fn primitive(of: Type) -> Option<SchemaBuilder> {
    Schema::primitive(of, false).map(|schema| schema.to_builder())
}

/// The struct that a value must be.
pub(crate) fn require_struct<'a>(
    schema: Option<&Schema>,
    value: &'a Value,
    purpose: &str,
) -> Result<&'a Struct, Error> {
    match value {
        Value::Struct(inner) => Ok(inner),
        other => Err(not_a_struct(schema, other, purpose)),
    }
}

/// The struct or null that a value must be.
pub(crate) fn require_struct_or_null<'a>(
    schema: Option<&Schema>,
    value: &'a Value,
    purpose: &str,
) -> Result<Option<&'a Struct>, Error> {
    match value {
        Value::Null => Ok(None),
        other => require_struct(schema, other, purpose).map(Some),
    }
}

fn not_a_struct(schema: Option<&Schema>, value: &Value, purpose: &str) -> Error {
    let found = java::class_name(schema, value);
    Error::Data(format!(
        "Only Struct objects supported for [{purpose}], found: {found}"
    ))
}

/// The fields of a schema that must be a struct's.
pub(crate) fn require_fields(schema: &Schema) -> Result<&[Field], Error> {
    if schema.schema_type() != Type::Struct {
        return Err(Error::Data("Cannot list fields on non-struct type".to_owned()));
    }
    Ok(schema.fields())
}

/// The map that a value without a schema must be.
pub(crate) fn require_map<'a>(value: &'a Value, purpose: &str) -> Result<&'a Vec<(Value, Value)>, Error> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => {
            let found = java::class_name(None, other);
            Err(Error::Data(format!(
                "Only Map objects supported in absence of schema for [{purpose}], found: {found}"
            )))
        }
    }
}

/// The entry of that name.
pub(crate) fn entry<'a>(entries: &'a [(Value, Value)], name: &str) -> Option<&'a Value> {
    let found = entries.iter().find(|(key, _)| key.as_str() == Some(name));
    found.map(|(_, value)| value)
}

/// Sets the entry of that name, which may be new.
pub(crate) fn set_entry(entries: &mut Vec<(Value, Value)>, name: &str, value: Value) {
    let known = entries.iter_mut().find(|(key, _)| key.as_str() == Some(name));
    match known {
        Some((_, known)) => *known = value,
        None => entries.push((name.into(), value)),
    }
}

/// The value of a struct's field, its default where that is wanted for null.
pub(crate) fn field_value(of: &Struct, name: &str, with_default: bool) -> Option<Value> {
    let value = if with_default {
        of.get(name)
    } else {
        of.get_without_default(name)
    };
    value.cloned()
}

/// The same of a field that must be there.
pub(crate) fn require_field_value(of: &Struct, name: &str, with_default: bool) -> Result<Value, Error> {
    field_value(of, name, with_default)
        .ok_or_else(|| Error::Data(format!("{name} is not a valid field name")))
}

/// A value of the field's type, to be put into it: only null may not fit (Kafka's `Struct.put`, which does not let a default stand
/// for null either).
pub(crate) fn fit(field: &Field, value: Value) -> Result<Value, Error> {
    if value.is_null() && !field.schema.is_optional() {
        return Err(Error::Data(format!(
            "Invalid value: null used for required field: \"{}\", schema type: {}",
            field.name,
            field.schema.schema_type()
        )));
    }
    Ok(value)
}

/// A struct of as many values as the schema has fields.
pub(crate) fn structure(schema: Arc<Schema>, values: Vec<Value>) -> Result<Value, Error> {
    let made = Struct::from_values(schema, values);
    made.map(Value::Struct)
        .map_err(|error| Error::Data(error.to_string()))
}
