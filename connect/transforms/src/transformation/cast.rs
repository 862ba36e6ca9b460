//! `Cast`: turns the whole key or value, or some of its fields, into another primitive type.

mod convert;

use std::sync::Arc;

use forebay_connect_api::{
    Schema, SchemaAndValue, Value,
    config::{self, ConfigDef, ConfigType, Error as ConfigError, Importance, Validator},
    schema::Type,
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, about, required, with_replace_null};
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, entry, fit, primitive, require_field_value, require_fields, require_map,
    require_struct, set_entry, structure,
};
use crate::{Error, Record, java};
use convert::convert;

const SPEC: &str = "spec";
const PURPOSE: &str = "cast types";

/// To what can be cast.
const TARGETS: [Type; 8] = [
    Type::Int8,
    Type::Int16,
    Type::Int32,
    Type::Int64,
    Type::Float32,
    Type::Float64,
    Type::Boolean,
    Type::String,
];

/// Types that can be named, but not cast to.
const OTHERS: [Type; 4] = [Type::Bytes, Type::Array, Type::Map, Type::Struct];

pub(super) fn config_def() -> ConfigDef {
    let spec = required(
        SPEC,
        ConfigType::List,
        Importance::High,
        "Fields and their new types, as in field1:int32,field2:string; or one type alone for the whole key or value. The types are \
         int8, int16, int32, int64, float32, float64, boolean and string. Bytes become strings only, in base64.",
    );
    let validator = Validator::own(
        "list of colon-delimited pairs, e.g. foo:bar,abc:xyz",
        |_, value| match value {
            Some(config::Value::List(items)) => Casts::parse(items).map(drop),
            _ => Ok(()),
        },
    );
    with_replace_null(ConfigDef::new().define(spec.validator(validator)))
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(Cast {
        side: setup.side,
        casts: Casts::parse(setup.config.get_list(SPEC))?,
        with_default: setup.config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

/// What is cast to what.
#[derive(Debug, Clone, PartialEq)]
enum Casts {
    Whole(Type),
    Fields(Vec<(String, Type)>),
}

impl Casts {
    fn parse(items: &[String]) -> Result<Self, ConfigError> {
        if items.is_empty() {
            return Err(about(SPEC, "Must specify at least one field to cast."));
        }
        let mut whole = None;
        let mut fields: Vec<(String, Type)> = Vec::new();
        for item in items {
            match java::split(item)[..] {
                [target] => whole = Some(target_type(target)?),
                [field, target] => {
                    let (field, target) = (field.trim().to_owned(), target_type(target)?);
                    fields.retain(|(known, _)| *known != field);
                    fields.push((field, target));
                }
                _ => {
                    // Kafka names the key of another transformation here.
                    let reason = format!("Invalid rename mapping: {item}");
                    return Err(ConfigError::invalid("renames", java::list(items), reason));
                }
            }
        }
        match whole {
            None => Ok(Self::Fields(fields)),
            Some(target) if items.len() == 1 => Ok(Self::Whole(target)),
            Some(_) => Err(about(
                SPEC,
                "Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec",
            )),
        }
    }

    fn field(&self, name: &str) -> Option<Type> {
        match self {
            Self::Whole(_) => None,
            Self::Fields(fields) => fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, target)| *target),
        }
    }
}

fn target_type(name: &str) -> Result<Type, ConfigError> {
    let name = name.trim();
    let is_it = |of: &&Type| of.name().eq_ignore_ascii_case(name);
    if let Some(target) = TARGETS.iter().find(is_it) {
        return Ok(*target);
    }
    Err(about(
        SPEC,
        match OTHERS.iter().find(is_it) {
            Some(other) => format!(
                "Cast transformation does not support casting to {other}; supported types are {}",
                java::list(&TARGETS.map(|of| of.name().to_owned()))
            ),
            None => format!("Invalid type found in casting spec: {name}"),
        },
    ))
}

#[derive(Debug)]
struct Cast {
    side: Side,
    casts: Casts,
    with_default: bool,
    schemas: SchemaCache,
}

impl Cast {
    fn schemaless(&self, value: &Value) -> Result<Value, Error> {
        let fields = match &self.casts {
            Casts::Whole(target) => return convert(None, value, *target),
            Casts::Fields(fields) => fields,
        };
        let mut updated = require_map(value, PURPOSE)?.clone();
        for (field, target) in fields {
            let cast = match entry(&updated, field) {
                Some(value) => convert(None, value, *target)?,
                None => Value::Null,
            };
            set_entry(&mut updated, field, cast);
        }
        Ok(Value::Map(updated))
    }

    fn with_schema(&mut self, schema: &Arc<Schema>, value: &Value) -> Result<SchemaAndValue, Error> {
        let casts = &self.casts;
        let updated = self.schemas.get(schema, || updated_schema(casts, schema))?;
        if let Casts::Whole(target) = casts {
            return Ok(SchemaAndValue {
                value: convert(Some(schema), value, *target)?,
                schema: Some(updated),
            });
        }
        let of = require_struct(Some(schema), value, PURPOSE)?;
        let values = updated
            .fields()
            .iter()
            .zip(of.schema().fields())
            .map(|(field, before)| {
                let value = require_field_value(of, &before.name, self.with_default)?;
                let value = match casts.field(&before.name) {
                    Some(target) => convert(Some(&before.schema), &value, target)?,
                    None => value,
                };
                fit(field, value)
            });
        let values = values.collect::<Result<_, _>>()?;
        Ok(SchemaAndValue {
            value: structure(updated.clone(), values)?,
            schema: Some(updated),
        })
    }
}

impl Transformation for Cast {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of(&record);
        if data.value.is_null() {
            return Ok(Some(record));
        }
        let cast = match &data.schema {
            None => SchemaAndValue::schemaless(self.schemaless(&data.value)?),
            Some(schema) => self.with_schema(schema, &data.value)?,
        };
        *self.side.of_mut(&mut record) = cast;
        Ok(Some(record))
    }
}

fn updated_schema(casts: &Casts, schema: &Schema) -> Result<Arc<Schema>, Error> {
    let target_builder = |target| primitive(target).expect("only those can be cast to");
    let (mut builder, of) = match casts {
        Casts::Whole(target) => (copy_basics(schema, target_builder(*target)), *target),
        Casts::Fields(_) => {
            let mut builder = copy_basics(schema, Schema::structure());
            for field in require_fields(schema)? {
                let Some(target) = casts.field(&field.name) else {
                    builder = builder.field(field.name.clone(), field.schema.clone());
                    continue;
                };
                let mut inner = target_builder(target).with_optional(field.schema.is_optional());
                if let Some(default) = field.schema.default_value() {
                    inner = inner.default_value(convert(Some(&field.schema), default, target)?);
                }
                builder = builder.field(field.name.clone(), inner.build()?);
            }
            (builder, Type::Struct)
        }
    };
    builder = builder.with_optional(schema.is_optional());
    if let Some(default) = schema.default_value() {
        builder = builder.default_value(convert(Some(schema), default, of)?);
    }
    Ok(builder.build()?)
}
