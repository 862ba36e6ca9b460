//! `ReplaceField`: leaves fields out, or renames them.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, SchemaAndValue, Struct, Value,
    config::{self, ConfigDef, ConfigType, Error as ConfigError, Importance, Validator},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, required, with_replace_null};
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, fit, require_field_value, require_map, require_struct, set_entry, structure,
};
use crate::{Error, Record, java};

const EXCLUDE: &str = "exclude";
const INCLUDE: &str = "include";
const RENAMES: &str = "renames";
const PURPOSE: &str = "field replacement";

pub(super) fn config_def() -> ConfigDef {
    let list =
        |name, documentation| required(name, ConfigType::List, Importance::Medium, documentation).default("");
    let renames = Validator::own(
        "list of colon-delimited pairs, e.g. foo:bar,abc:xyz",
        |_, value| match value {
            Some(config::Value::List(items)) => parse_renames(items).map(drop),
            _ => Ok(()),
        },
    );
    let def = ConfigDef::new()
        .define(list(
            EXCLUDE,
            "Fields that are left out, also those that are included.",
        ))
        .define(list(
            INCLUDE,
            "The only fields that are kept, if there are any here.",
        ))
        .define(
            list(
                RENAMES,
                "Old and new names of fields, as in old:new,other:another.",
            )
            .validator(renames),
        );
    with_replace_null(def)
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let config = setup.config;
    Ok(Box::new(ReplaceField {
        side: setup.side,
        fields: Fields {
            exclude: config.get_list(EXCLUDE).to_vec(),
            include: config.get_list(INCLUDE).to_vec(),
            renames: parse_renames(config.get_list(RENAMES))?,
        },
        with_default: config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

/// Old and new names; the last of an old name counts.
fn parse_renames(items: &[String]) -> Result<Vec<(String, String)>, ConfigError> {
    let mut renames: Vec<(String, String)> = Vec::new();
    for item in items {
        let [old, new] = java::split(item)[..] else {
            let reason = format!("Invalid rename mapping: {item}");
            return Err(ConfigError::invalid(RENAMES, java::list(items), reason));
        };
        renames.retain(|(known, _)| known != old);
        renames.push((old.to_owned(), new.to_owned()));
    }
    Ok(renames)
}

#[derive(Debug)]
struct Fields {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: Vec<(String, String)>,
}

impl Fields {
    fn keeps(&self, name: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|item| item == name);
        !is_in(&self.exclude) && (self.include.is_empty() || is_in(&self.include))
    }

    fn new_name<'a>(&'a self, name: &'a str) -> &'a str {
        let renamed = self.renames.iter().find(|(old, _)| old == name);
        renamed.map_or(name, |(_, new)| new)
    }

    /// From which field one of the result has its value. As in Kafka that goes by the new names alone, also where a field of that
    /// name has been there before.
    fn old_name<'a>(&'a self, name: &'a str) -> &'a str {
        let renamed = self.renames.iter().find(|(_, new)| new == name);
        renamed.map_or(name, |(old, _)| old)
    }

    fn schema(&self, of: &Schema) -> Result<Arc<Schema>, Error> {
        let kept = of.fields().iter().filter(|field| self.keeps(&field.name));
        let builder = copy_basics(of, Schema::structure());
        let builder = kept.fold(builder, |builder, field| {
            builder.field(self.new_name(&field.name), field.schema.clone())
        });
        Ok(builder.build()?)
    }
}

#[derive(Debug)]
struct ReplaceField {
    side: Side,
    fields: Fields,
    with_default: bool,
    schemas: SchemaCache,
}

impl ReplaceField {
    fn schemaless(&self, value: &Value) -> Result<Value, Error> {
        let mut updated = Vec::new();
        for (key, value) in require_map(value, PURPOSE)? {
            let name = key.as_str().unwrap_or_default();
            if self.fields.keeps(name) {
                set_entry(&mut updated, self.fields.new_name(name), value.clone());
            }
        }
        Ok(Value::Map(updated))
    }

    fn with_schema(&mut self, of: &Struct) -> Result<SchemaAndValue, Error> {
        let fields = &self.fields;
        let updated = self.schemas.get(of.schema(), || fields.schema(of.schema()))?;
        let values = updated.fields().iter().map(|field| {
            let old = fields.old_name(&field.name);
            let value = fit(field, require_field_value(of, old, self.with_default)?)?;
            match value.value_type() {
                Some(found) if found != field.schema.schema_type() => Err(Error::Data(format!(
                    "Invalid Java object for schema with type {}: class {} for field: \"{}\"",
                    field.schema.schema_type(),
                    java::class_name(of.schema().field(old).map(|field| &*field.schema), &value),
                    field.name
                ))),
                _ => Ok(value),
            }
        });
        let values = values.collect::<Result<_, _>>()?;
        Ok(SchemaAndValue {
            value: structure(updated.clone(), values)?,
            schema: Some(updated),
        })
    }
}

impl Transformation for ReplaceField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of(&record);
        if data.value.is_null() {
            return Ok(Some(record));
        }
        let updated = match &data.schema {
            None => SchemaAndValue::schemaless(self.schemaless(&data.value)?),
            Some(schema) => self.with_schema(require_struct(Some(schema), &data.value, PURPOSE)?)?,
        };
        *self.side.of_mut(&mut record) = updated;
        Ok(Some(record))
    }
}
