//! `InsertField`: adds what is known of the record, or a constant, as fields.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, SchemaAndValue, Value,
    config::{self, ConfigDef, Importance},
    schema::{Type, timestamp},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, optional, with_replace_null};
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, fit, require_field_value, require_map, require_struct, set_entry, structure,
};
use crate::{Error, Record};

const STATIC_FIELD: &str = "static.field";
const STATIC_VALUE: &str = "static.value";
const PURPOSE: &str = "field insertion";

/// What can be added, in the order in which it is.
const SOURCES: [(&str, Source, &str); 5] = [
    ("topic.field", Source::Topic, "The field for the topic."),
    (
        "partition.field",
        Source::Partition,
        "The field for the partition.",
    ),
    (
        "offset.field",
        Source::Offset,
        "The field for the offset, which only records of sink connectors have.",
    ),
    (
        "timestamp.field",
        Source::Timestamp,
        "The field for the record's timestamp.",
    ),
    (STATIC_FIELD, Source::Static, "The field for static.value."),
];

pub(super) fn config_def() -> ConfigDef {
    let def = SOURCES
        .iter()
        .fold(ConfigDef::new(), |def, (key, _, documentation)| {
            let documentation = format!(
                "{documentation} With ! at its end it is required, with ? or neither it is optional."
            );
            def.define(optional(key, Importance::Medium, &documentation))
        });
    with_replace_null(def.define(optional(
        STATIC_VALUE,
        Importance::Medium,
        "The value of static.field.",
    )))
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let config = setup.config;
    let insertions: Vec<Insertion> = SOURCES
        .iter()
        .filter_map(|(key, source, _)| Some(Insertion::parse(*source, config.get_optional::<&str>(key)?)))
        .collect();
    if insertions.is_empty() {
        return Err(Error::config("No field insertion configured"));
    }
    let constant = config.get_optional::<&str>(STATIC_VALUE).map(str::to_owned);
    let without_value = insertions
        .iter()
        .find(|insertion| insertion.source == Source::Static);
    if let Some(insertion) = without_value.filter(|_| constant.is_none()) {
        let reason = format!("No value specified for static field: {}", insertion.name);
        return Err(config::Error::invalid(STATIC_VALUE, "null", reason).into());
    }
    Ok(Box::new(InsertField {
        side: setup.side,
        insertions,
        constant: constant.unwrap_or_default(),
        with_default: config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static,
}

/// One field to be added.
#[derive(Debug)]
struct Insertion {
    source: Source,
    name: String,
    optional: bool,
}

impl Insertion {
    fn parse(source: Source, spec: &str) -> Self {
        let name = spec.strip_suffix(['?', '!']).unwrap_or(spec);
        Self {
            source,
            name: name.to_owned(),
            optional: !spec.ends_with('!'),
        }
    }

    fn schema(&self) -> Option<Arc<Schema>> {
        match self.source {
            Source::Topic | Source::Static => Schema::primitive(Type::String, self.optional),
            Source::Partition => Schema::primitive(Type::Int32, self.optional),
            Source::Offset => Schema::primitive(Type::Int64, self.optional),
            Source::Timestamp => timestamp().with_optional(self.optional).build().ok(),
        }
    }
}

#[derive(Debug)]
struct InsertField {
    side: Side,
    insertions: Vec<Insertion>,
    constant: String,
    with_default: bool,
    schemas: SchemaCache,
}

impl InsertField {
    /// What is to be added; `None` where the record does not have it.
    fn value(&self, record: &Record, source: Source) -> Result<Option<Value>, Error> {
        Ok(match source {
            Source::Topic => Some((&*record.topic).into()),
            Source::Partition => record.partition.map(Value::Int32),
            Source::Offset => match record.offset {
                Some(offset) => Some(Value::Int64(offset.0)),
                None => {
                    return Err(Error::Data(format!(
                        "Only SinkRecord supported for [{PURPOSE}], found: org.apache.kafka.connect.source.SourceRecord"
                    )));
                }
            },
            Source::Timestamp => record.timestamp.map(|timestamp| Value::Int64(timestamp.0)),
            Source::Static => Some(self.constant.as_str().into()),
        })
    }

    fn schemaless(&self, record: &Record) -> Result<Value, Error> {
        let mut updated = require_map(&self.side.of(record).value, PURPOSE)?.clone();
        for insertion in &self.insertions {
            if let Some(value) = self.value(record, insertion.source)? {
                set_entry(&mut updated, &insertion.name, value);
            }
        }
        Ok(Value::Map(updated))
    }

    fn with_schema(&mut self, record: &Record, schema: &Schema) -> Result<SchemaAndValue, Error> {
        let of = require_struct(Some(schema), &self.side.of(record).value, PURPOSE)?;
        let insertions = &self.insertions;
        let updated = self.schemas.get(of.schema(), || {
            let mut builder = copy_basics(of.schema(), Schema::structure());
            for field in of.schema().fields() {
                builder = builder.field(field.name.clone(), field.schema.clone());
            }
            for insertion in insertions {
                let schema = insertion.schema().expect("all of them are known to build");
                builder = builder.field(insertion.name.as_str(), schema);
            }
            Ok(builder.build()?)
        })?;
        let mut values = Vec::with_capacity(updated.fields().len());
        for field in of.schema().fields() {
            let value = require_field_value(of, &field.name, self.with_default)?;
            values.push(fit(field, value)?);
        }
        for insertion in &self.insertions {
            // What is not there is not put, so that it does not matter yet whether it is required.
            values.push(self.value(record, insertion.source)?.unwrap_or_default());
        }
        Ok(SchemaAndValue {
            value: structure(updated.clone(), values)?,
            schema: Some(updated),
        })
    }
}

impl Transformation for InsertField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of(&record);
        if data.value.is_null() {
            return Ok(Some(record));
        }
        let updated = match data.schema.clone() {
            None => SchemaAndValue::schemaless(self.schemaless(&record)?),
            Some(schema) => self.with_schema(&record, &schema)?,
        };
        *self.side.of_mut(&mut record) = updated;
        Ok(Some(record))
    }
}
