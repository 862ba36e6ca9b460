//! `SetSchemaMetadata`: gives the schema of the key or value another name or version.

use forebay_connect_api::{
    SchemaAndValue, Value,
    config::{ConfigDef, ConfigType, Importance},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, optional, required, with_replace_null};
use crate::record::Side;
use crate::structure::{SchemaCache, fit, require_field_value, require_fields, structure};
use crate::{Error, Record};

const SCHEMA_NAME: &str = "schema.name";
const SCHEMA_VERSION: &str = "schema.version";

pub(super) fn config_def() -> ConfigDef {
    let version = required(
        SCHEMA_VERSION,
        ConfigType::Int,
        Importance::High,
        "The schema's new version.",
    );
    let def = ConfigDef::new()
        .define(optional(SCHEMA_NAME, Importance::High, "The schema's new name."))
        .define(version.optional());
    with_replace_null(def)
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let name = setup.config.get_optional::<&str>(SCHEMA_NAME).map(str::to_owned);
    let version = setup.config.get_optional(SCHEMA_VERSION);
    if name.is_none() && version.is_none() {
        return Err(Error::config("Neither schema name nor version configured"));
    }
    Ok(Box::new(SetSchemaMetadata {
        side: setup.side,
        name,
        version,
        with_default: setup.config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug)]
struct SetSchemaMetadata {
    side: Side,
    name: Option<String>,
    version: Option<i32>,
    with_default: bool,
    schemas: SchemaCache,
}

impl Transformation for SetSchemaMetadata {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of_mut(&mut record);
        let Some(schema) = &data.schema else {
            return if data.value.is_null() {
                Ok(Some(record))
            } else {
                Err(Error::Data(
                    "Schema required for [updating schema metadata]".to_owned(),
                ))
            };
        };
        // Kafka does not take the schemas of anything else.
        require_fields(schema)?;
        let updated = self.schemas.get(schema, || {
            let mut builder = schema.to_builder();
            if let Some(name) = &self.name {
                builder = builder.name(name.as_str());
            }
            if let Some(version) = self.version {
                builder = builder.version(version);
            }
            Ok(builder.build()?)
        })?;
        let value = match std::mem::take(&mut data.value) {
            Value::Struct(of) => {
                let values = updated.fields().iter().map(|field| {
                    let value = require_field_value(&of, &field.name, self.with_default)?;
                    fit(field, value)
                });
                structure(updated.clone(), values.collect::<Result<_, _>>()?)?
            }
            other => other,
        };
        *data = SchemaAndValue {
            schema: Some(updated),
            value,
        };
        Ok(Some(record))
    }
}
