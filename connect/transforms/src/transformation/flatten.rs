//! `Flatten`: puts the fields of nested structs, or maps, into one, under names made of those on the way.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, SchemaAndValue, SchemaBuilder, Struct, Value,
    config::{ConfigDef, ConfigType, Importance},
    schema::Type,
};

use super::{Setup, Transformation};
use crate::definition::required;
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, fit, primitive, require_map, require_struct, set_entry, structure,
};
use crate::{Error, Record, java};

const DELIMITER: &str = "delimiter";
const PURPOSE: &str = "flattening";

pub(super) fn config_def() -> ConfigDef {
    ConfigDef::new().define(
        required(
            DELIMITER,
            ConfigType::String,
            Importance::Medium,
            "What stands between the names of fields that a new name is made of.",
        )
        .default("."),
    )
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(Flatten {
        side: setup.side,
        delimiter: setup.config.get_string(DELIMITER).to_owned(),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug)]
struct Flatten {
    side: Side,
    delimiter: String,
    schemas: SchemaCache,
}

impl Transformation for Flatten {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of(&record);
        if data.value.is_null() {
            return Ok(Some(record));
        }
        let names = Names(&self.delimiter);
        let flat = match &data.schema {
            None => {
                let mut flat = Vec::new();
                names.flatten_map(require_map(&data.value, PURPOSE)?, "", &mut flat)?;
                SchemaAndValue::schemaless(Value::Map(flat))
            }
            Some(schema) => {
                let of = require_struct(Some(schema), &data.value, PURPOSE)?;
                let flat = self.schemas.get(schema, || names.flat_schema(schema))?;
                let mut values = Vec::with_capacity(flat.fields().len());
                names.flatten_struct(of.schema(), Some(of), "", &mut values)?;
                let fitted = flat
                    .fields()
                    .iter()
                    .zip(values)
                    .map(|(field, value)| match value {
                        Some(value) => fit(field, value),
                        None => Ok(Value::Null),
                    });
                let values = fitted.collect::<Result<_, _>>()?;
                SchemaAndValue {
                    value: structure(flat.clone(), values)?,
                    schema: Some(flat),
                }
            }
        };
        *self.side.of_mut(&mut record) = flat;
        Ok(Some(record))
    }
}

/// How names are made.
struct Names<'a>(&'a str);

impl Names<'_> {
    fn name(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}{}{name}", self.0)
        }
    }

    fn flatten_map(
        &self,
        entries: &[(Value, Value)],
        prefix: &str,
        flat: &mut Vec<(Value, Value)>,
    ) -> Result<(), Error> {
        for (key, value) in entries {
            let name = match key {
                Value::String(name) => self.name(prefix, name),
                other => self.name(prefix, &other.to_string()),
            };
            match value {
                Value::Map(inner) => self.flatten_map(inner, &name, flat)?,
                Value::Struct(_) => {
                    return Err(Error::Data(format!(
                        "Flatten transformation does not support class {} for record without schemas (for field {name}).",
                        java::class_name(None, value)
                    )));
                }
                other => set_entry(flat, &name, other.clone()),
            }
        }
        Ok(())
    }

    fn flat_schema(&self, schema: &Schema) -> Result<Arc<Schema>, Error> {
        let builder = copy_basics(schema, Schema::structure());
        let default = default_struct(schema.default_value());
        let builder = self.add_fields(builder, schema, "", schema.is_optional(), default)?;
        Ok(builder.build()?)
    }

    /// Adds what is in a struct. A field may be null where anything around it may be; where it has no default, it has that which a
    /// default around it has for it.
    fn add_fields(
        &self,
        mut builder: SchemaBuilder,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        around: Option<&Struct>,
    ) -> Result<SchemaBuilder, Error> {
        for field in schema.fields() {
            let name = self.name(prefix, &field.name);
            let optional = optional || field.schema.is_optional();
            let inherited = around.and_then(|around| around.get(&field.name));
            let default = field
                .schema
                .default_value()
                .or(inherited)
                .filter(|default| !default.is_null());
            let inner = match field.schema.schema_type() {
                Type::Struct => {
                    let around = default_struct(default);
                    builder = self.add_fields(builder, &field.schema, &name, optional, around)?;
                    continue;
                }
                Type::Map => return Err(unsupported(&name)),
                Type::Array => field.schema.value_schema().cloned().map(Schema::array),
                of => primitive(of),
            };
            let inner = inner.expect("neither a map nor a struct");
            let mut inner = copy_basics(&field.schema, inner).with_optional(optional);
            if let Some(default) = default {
                inner = inner.default_value(default.clone());
            }
            builder = builder.field(name, inner.build()?);
        }
        Ok(builder)
    }

    /// The values in the order of the flat schema's fields; `None` for those of a struct that is null.
    fn flatten_struct(
        &self,
        schema: &Schema,
        of: Option<&Struct>,
        prefix: &str,
        values: &mut Vec<Option<Value>>,
    ) -> Result<(), Error> {
        for field in schema.fields() {
            match field.schema.schema_type() {
                Type::Struct => {
                    let name = self.name(prefix, &field.name);
                    let inner = of.and_then(|of| default_struct(of.get_without_default(&field.name)));
                    self.flatten_struct(&field.schema, inner, &name, values)?;
                }
                Type::Map => return Err(unsupported(&self.name(prefix, &field.name))),
                _ => values.push(of.and_then(|of| of.get(&field.name)).cloned()),
            }
        }
        Ok(())
    }
}

fn default_struct(value: Option<&Value>) -> Option<&Struct> {
    match value {
        Some(Value::Struct(inner)) => Some(inner),
        _ => None,
    }
}

fn unsupported(name: &str) -> Error {
    Error::Data(format!(
        "Flatten transformation does not support MAP for record with schemas (for field {name})."
    ))
}
