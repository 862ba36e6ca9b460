//! `HeaderFrom`: moves or copies fields to headers.

use forebay_connect_api::{
    Schema, SchemaAndValue, Value,
    config::{ConfigDef, ConfigType, Importance, Validator},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, non_empty_list, required, with_replace_null};
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, entry, field_value, fit, require_field_value, require_map, require_struct,
    structure,
};
use crate::{Error, Record};

const FIELDS: &str = "fields";
const HEADERS: &str = "headers";
const OPERATION: &str = "operation";

pub(super) fn config_def() -> ConfigDef {
    let list = |name, documentation| {
        required(name, ConfigType::List, Importance::High, documentation).validator(non_empty_list())
    };
    let operation = required(
        OPERATION,
        ConfigType::String,
        Importance::High,
        "move takes the fields out of the key or value, copy leaves them there.",
    );
    let def = ConfigDef::new()
        .define(list(FIELDS, "The fields that become headers."))
        .define(list(
            HEADERS,
            "The names of the headers, in the order of the fields.",
        ))
        .define(operation.validator(Validator::one_of(["move", "copy"])));
    with_replace_null(def)
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let config = setup.config;
    let (fields, headers) = (config.get_list(FIELDS), config.get_list(HEADERS));
    if fields.len() != headers.len() {
        return Err(Error::config(
            "'fields' config must have the same number of elements as 'headers' config.",
        ));
    }
    let operation = config.get_string(OPERATION);
    Ok(Box::new(HeaderFrom {
        side: setup.side,
        pairs: fields.iter().cloned().zip(headers.iter().cloned()).collect(),
        moves: operation == "move",
        purpose: format!("header {operation}"),
        with_default: config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug)]
struct HeaderFrom {
    side: Side,
    /// Fields and their headers.
    pairs: Vec<(String, String)>,
    moves: bool,
    purpose: String,
    with_default: bool,
    schemas: SchemaCache,
}

impl HeaderFrom {
    fn is_moved(&self, field: &str) -> bool {
        self.moves && self.pairs.iter().any(|(moved, _)| moved == field)
    }

    fn schemaless(&self, record: &mut Record) -> Result<(), Error> {
        let mut entries = require_map(&self.side.of(record).value, &self.purpose)?.clone();
        for (field, header) in &self.pairs {
            let value = entry(&entries, field).cloned().unwrap_or_default();
            record
                .headers
                .add(header.as_str(), SchemaAndValue::schemaless(value));
        }
        entries.retain(|(key, _)| !key.as_str().is_some_and(|key| self.is_moved(key)));
        self.side.of_mut(record).value = Value::Map(entries);
        Ok(())
    }

    fn with_schema(&mut self, record: &mut Record, schema: &std::sync::Arc<Schema>) -> Result<(), Error> {
        let data = self.side.of(record);
        let value = require_struct(Some(schema), &data.value, &self.purpose)?;
        let mut added = Vec::with_capacity(self.pairs.len());
        for (name, header) in &self.pairs {
            // Kafka fails here, too, with a NullPointerException.
            let missing = || Error::Data(format!("Field does not exist: {name}"));
            let field = schema.field(name).ok_or_else(missing)?;
            let value = field_value(value, name, self.with_default).unwrap_or_default();
            added.push((header.clone(), SchemaAndValue::new(field.schema.clone(), value)));
        }
        if self.moves {
            let mut schemas = std::mem::take(&mut self.schemas);
            let updated = schemas.get(schema, || {
                let kept = schema.fields().iter().filter(|field| !self.is_moved(&field.name));
                let builder = copy_basics(schema, Schema::structure());
                let builder = kept.fold(builder, |builder, field| {
                    builder.field(field.name.clone(), field.schema.clone())
                });
                Ok(builder.build()?)
            });
            self.schemas = schemas;
            let updated = updated?;
            let values = updated.fields().iter().map(|field| {
                let value = require_field_value(value, &field.name, self.with_default)?;
                fit(field, value)
            });
            let values = values.collect::<Result<_, _>>()?;
            *self.side.of_mut(record) = SchemaAndValue {
                value: structure(updated.clone(), values)?,
                schema: Some(updated),
            };
        }
        for (header, data) in added {
            record.headers.add(header, data);
        }
        Ok(())
    }
}

impl Transformation for HeaderFrom {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        match self.side.of(&record).schema.clone() {
            None => self.schemaless(&mut record)?,
            Some(schema) => self.with_schema(&mut record, &schema)?,
        }
        Ok(Some(record))
    }
}
