//! `HoistField`: wraps the whole key or value in a struct, or a map, with one field.

use forebay_connect_api::{
    Schema, SchemaAndValue, Value,
    config::{ConfigDef, ConfigType, Importance},
};

use super::{Setup, Transformation};
use crate::definition::required;
use crate::record::Side;
use crate::structure::{SchemaCache, fit, structure};
use crate::{Error, Record};

const FIELD: &str = "field";

pub(super) fn config_def() -> ConfigDef {
    ConfigDef::new().define(required(
        FIELD,
        ConfigType::String,
        Importance::Medium,
        "The name of the one field of the struct or map that is made.",
    ))
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(HoistField {
        side: setup.side,
        field: setup.config.get_string(FIELD).to_owned(),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug)]
struct HoistField {
    side: Side,
    field: String,
    schemas: SchemaCache,
}

impl Transformation for HoistField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of_mut(&mut record);
        let value = std::mem::take(&mut data.value);
        let Some(schema) = &data.schema else {
            let entry = (self.field.as_str().into(), value);
            *data = SchemaAndValue::schemaless(Value::Map(vec![entry]));
            return Ok(Some(record));
        };
        let wrapped = self.schemas.get(schema, || {
            let builder = Schema::structure().field(self.field.as_str(), schema.clone());
            Ok(builder.build()?)
        })?;
        let value = fit(&wrapped.fields()[0], value)?;
        *data = SchemaAndValue {
            value: structure(wrapped.clone(), vec![value])?,
            schema: Some(wrapped),
        };
        Ok(Some(record))
    }
}
