//! `ValueToKey`: makes the key of some fields of the value.

use forebay_connect_api::{
    Schema, SchemaAndValue, Value,
    config::{ConfigDef, ConfigType, Importance},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, names, required, unique, with_replace_null};
use crate::structure::{
    SchemaCache, entry, fit, require_field_value, require_map, require_struct, structure,
};
use crate::{Error, Record};

const FIELDS: &str = "fields";
const PURPOSE: &str = "copying fields from value to key";

pub(super) fn config_def() -> ConfigDef {
    let fields = required(
        FIELDS,
        ConfigType::List,
        Importance::High,
        "The fields of the value that the key is made of.",
    );
    with_replace_null(ConfigDef::new().define(fields.validator(names())))
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(ValueToKey {
        fields: unique(setup.config.get_list(FIELDS)),
        with_default: setup.config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug)]
struct ValueToKey {
    fields: Vec<String>,
    with_default: bool,
    schemas: SchemaCache,
}

impl ValueToKey {
    fn key(&mut self, data: &SchemaAndValue) -> Result<SchemaAndValue, Error> {
        let Some(schema) = &data.schema else {
            let entries = require_map(&data.value, PURPOSE)?;
            let of = |name: &String| {
                (
                    name.as_str().into(),
                    entry(entries, name).cloned().unwrap_or_default(),
                )
            };
            let key = Value::Map(self.fields.iter().map(of).collect());
            return Ok(SchemaAndValue::schemaless(key));
        };
        let value = require_struct(Some(schema), &data.value, PURPOSE)?;
        let of = value.schema();
        let key_schema = self.schemas.get(of, || {
            let mut builder = Schema::structure();
            for name in &self.fields {
                let missing = || Error::Data(format!("Field does not exist: {name}"));
                let field = of.field(name).ok_or_else(missing)?;
                builder = builder.field(name.as_str(), field.schema.clone());
            }
            Ok(builder.build()?)
        })?;
        let values = key_schema.fields().iter().map(|field| {
            let value = require_field_value(value, &field.name, self.with_default)?;
            fit(field, value)
        });
        let values = values.collect::<Result<_, _>>()?;
        Ok(SchemaAndValue {
            value: structure(key_schema.clone(), values)?,
            schema: Some(key_schema),
        })
    }
}

impl Transformation for ValueToKey {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        record.key = self.key(&record.value)?;
        Ok(Some(record))
    }
}
