//! `TimestampConverter`: turns moments in one form into another: text, a number, or one of Connect's logical types. Where there is
//! no schema, Date, Time and Timestamp are the numbers that stand for them, which Kafka keeps as Java's objects.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, SchemaAndValue, Struct, Value,
    config::{ConfigDef, ConfigType, Importance, Validator},
    schema::{self, Logical, Type},
};

use super::{Setup, Transformation};
use crate::date_format::{DateFormat, Unreadable};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, required, with_replace_null};
use crate::record::Side;
use crate::structure::{
    SchemaCache, copy_basics, entry, fit, require_field_value, require_map, require_struct_or_null,
    set_entry, structure,
};
use crate::{Error, Record, java};

const FIELD: &str = "field";
const TARGET_TYPE: &str = "target.type";
const FORMAT: &str = "format";
const UNIX_PRECISION: &str = "unix.precision";
const PURPOSE: &str = "converting timestamp formats";

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

pub(super) fn config_def() -> ConfigDef {
    let key = |name, importance, documentation| required(name, ConfigType::String, importance, documentation);
    let def = ConfigDef::new()
        .define(
            key(
                FIELD,
                Importance::High,
                "The field that holds the timestamp; empty: the whole key or value is one.",
            )
            .default(""),
        )
        .define(
            key(
                TARGET_TYPE,
                Importance::High,
                "What the timestamp becomes: string, unix, Date, Time or Timestamp.",
            )
            .validator(Validator::one_of(Form::ALL.map(|(name, _)| name))),
        )
        .define(
            key(
                FORMAT,
                Importance::Medium,
                "How the timestamp is written, or read, where it is text: a pattern of java.text.SimpleDateFormat, in English and UTC. \
                 Weeks (Y, w, W, F) are only written.",
            )
            .default(""),
        )
        .define(
            key(
                UNIX_PRECISION,
                Importance::Low,
                "What the number counts where the timestamp is one, or becomes one: seconds, milliseconds, microseconds or \
                 nanoseconds. What is finer than milliseconds is lost.",
            )
            .default("milliseconds")
            .validator(Validator::one_of(["nanoseconds", "microseconds", "milliseconds", "seconds"])),
        );
    with_replace_null(def)
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let config = setup.config;
    let target = Form::of(config.get_string(TARGET_TYPE));
    let pattern = config.get_string(FORMAT);
    if target == Form::Text && pattern.is_empty() {
        return Err(Error::config(
            "TimestampConverter requires format option to be specified when using string timestamps",
        ));
    }
    let format = if pattern.is_empty() {
        None
    } else {
        let format = DateFormat::new(pattern, setup.now).map_err(|error| {
            Error::config(format!(
                "TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: {pattern}: {error}"
            ))
        })?;
        Some(format)
    };
    Ok(Box::new(TimestampConverter {
        side: setup.side,
        field: config.get_string(FIELD).to_owned(),
        convert: Convert {
            target,
            format,
            precision: Precision::of(config.get_string(UNIX_PRECISION)),
        },
        with_default: config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
        schemas: SchemaCache::default(),
    }))
}

/// What a timestamp looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

impl Form {
    const ALL: [(&'static str, Self); 5] = [
        ("string", Self::Text),
        ("unix", Self::Unix),
        ("Date", Self::Date),
        ("Time", Self::Time),
        ("Timestamp", Self::Timestamp),
    ];

    fn of(name: &str) -> Self {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map_or(Self::Timestamp, |(_, form)| *form)
    }

    /// The form of values of a schema.
    fn of_schema(schema: &Schema) -> Result<Self, Error> {
        Ok(match (schema.logical(), schema.schema_type()) {
            (Some(Logical::Timestamp), _) => Self::Timestamp,
            (Some(Logical::Date), _) => Self::Date,
            (Some(Logical::Time), _) => Self::Time,
            (_, Type::String) => Self::Text,
            (_, Type::Int64) => Self::Unix,
            _ => {
                return Err(Error::Connect(format!(
                    "Schema {} does not correspond to a known timestamp type format",
                    java::schema_text(schema)
                )));
            }
        })
    }

    /// The form of a value without a schema; null has none.
    fn of_value(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Null | Value::Int64(_) => Ok(Self::Unix),
            Value::String(_) => Ok(Self::Text),
            other => Err(Error::Data(format!(
                "TimestampConverter does not support class {} objects as timestamps",
                java::class_name(None, other)
            ))),
        }
    }

    fn schema(self, optional: bool) -> Result<Arc<Schema>, Error> {
        let builder = match self {
            Self::Text => Schema::string(),
            Self::Unix => Schema::int64(),
            Self::Date => schema::date(),
            Self::Time => schema::time(),
            Self::Timestamp => schema::timestamp(),
        };
        Ok(builder.with_optional(optional).build()?)
    }
}

/// What a Unix timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Precision {
    fn of(name: &str) -> Self {
        match name {
            "seconds" => Self::Seconds,
            "microseconds" => Self::Microseconds,
            "nanoseconds" => Self::Nanoseconds,
            _ => Self::Milliseconds,
        }
    }

    /// As Java's `TimeUnit`: towards zero, and no further than the bounds.
    fn to_milliseconds(self, unix: i64) -> i64 {
        match self {
            Self::Seconds => unix.saturating_mul(1000),
            Self::Milliseconds => unix,
            Self::Microseconds => unix / 1000,
            Self::Nanoseconds => unix / 1_000_000,
        }
    }

    fn of_milliseconds(self, milliseconds: i64) -> i64 {
        match self {
            Self::Seconds => milliseconds / 1000,
            Self::Milliseconds => milliseconds,
            Self::Microseconds => milliseconds.saturating_mul(1000),
            Self::Nanoseconds => milliseconds.saturating_mul(1_000_000),
        }
    }
}

/// How one value becomes another.
#[derive(Debug)]
struct Convert {
    target: Form,
    format: Option<DateFormat>,
    precision: Precision,
}

impl Convert {
    fn value(&self, value: &Value, form: Form) -> Result<Value, Error> {
        let milliseconds = match (form, value) {
            (_, Value::Null) => return Ok(Value::Null),
            (Form::Text, Value::String(text)) => self.read(text)?,
            (Form::Unix, Value::Int64(unix)) => self.precision.to_milliseconds(*unix),
            (Form::Timestamp, Value::Int64(milliseconds)) => *milliseconds,
            (Form::Date, Value::Int32(days)) => i64::from(*days) * MILLISECONDS_PER_DAY,
            (Form::Time, Value::Int32(milliseconds)) => i64::from(*milliseconds),
            (_, other) => {
                let class = java::class_name(None, other);
                return Err(Error::Data(format!(
                    "Expected a timestamp, but found class {class}"
                )));
            }
        };
        self.write(milliseconds)
    }

    fn read(&self, text: &str) -> Result<i64, Error> {
        let Some(format) = &self.format else {
            return Err(Error::Data(format!(
                "Could not parse timestamp: value ({text}) is a string, and there is no {FORMAT}"
            )));
        };
        format.read(text).map_err(|reason| {
            let pattern = format.pattern();
            Error::Data(match reason {
                Unreadable::Text => {
                    format!("Could not parse timestamp: value ({text}) does not match pattern ({pattern})")
                }
                Unreadable::Letter(letter) => format!(
                    "Could not parse timestamp: '{letter}' in pattern ({pattern}) is only supported for writing"
                ),
                Unreadable::Zone(zone) => format!(
                    "Could not parse timestamp: value ({text}) is in the time zone {zone}, which is not known by that name; use an offset"
                ),
            })
        })
    }

    #[allow(clippy::cast_possible_truncation)] // As Java narrows; a time of day fits.
    fn write(&self, milliseconds: i64) -> Result<Value, Error> {
        Ok(match self.target {
            Form::Text => match &self.format {
                Some(format) => format.write(milliseconds).into(),
                None => return Err(Error::Data(format!("there is no {FORMAT}"))),
            },
            Form::Unix => Value::Int64(self.precision.of_milliseconds(milliseconds)),
            Form::Date => Value::Int32(milliseconds.div_euclid(MILLISECONDS_PER_DAY) as i32),
            Form::Time => Value::Int32(milliseconds.rem_euclid(MILLISECONDS_PER_DAY) as i32),
            Form::Timestamp => Value::Int64(milliseconds),
        })
    }
}

#[derive(Debug)]
struct TimestampConverter {
    side: Side,
    /// Empty: all of it.
    field: String,
    convert: Convert,
    with_default: bool,
    schemas: SchemaCache,
}

impl TimestampConverter {
    fn schemaless(&self, value: &Value) -> Result<Value, Error> {
        if value.is_null() || self.field.is_empty() {
            return self.convert.value(value, Form::of_value(value)?);
        }
        let mut updated = require_map(value, PURPOSE)?.clone();
        let before = entry(&updated, &self.field).cloned().unwrap_or_default();
        let converted = self.convert.value(&before, Form::of_value(&before)?)?;
        set_entry(&mut updated, &self.field, converted);
        Ok(Value::Map(updated))
    }

    fn with_schema(&mut self, schema: &Arc<Schema>, value: &Value) -> Result<SchemaAndValue, Error> {
        if self.field.is_empty() {
            return Ok(SchemaAndValue {
                schema: Some(self.convert.target.schema(schema.is_optional())?),
                value: self.convert.value(value, Form::of_schema(schema)?)?,
            });
        }
        let of = require_struct_or_null(Some(schema), value, PURPOSE)?;
        let mut schemas = std::mem::take(&mut self.schemas);
        let updated = schemas.get(schema, || self.updated_schema(schema));
        self.schemas = schemas;
        let updated = updated?;
        let value = match of {
            Some(of) => structure(updated.clone(), self.values(of, &updated)?)?,
            None => Value::Null,
        };
        Ok(SchemaAndValue {
            schema: Some(updated),
            value,
        })
    }

    fn updated_schema(&self, schema: &Schema) -> Result<Arc<Schema>, Error> {
        let mut builder = copy_basics(schema, Schema::structure());
        for field in schema.fields() {
            let inner = if *field.name == *self.field {
                self.convert.target.schema(field.schema.is_optional())?
            } else {
                field.schema.clone()
            };
            builder = builder.field(field.name.clone(), inner);
        }
        builder = builder.with_optional(schema.is_optional());
        let Some(Value::Struct(default)) = schema.default_value() else {
            return Ok(builder.build()?);
        };
        // The default is of the schema that it is the default of, without it.
        let without = builder.clone().build()?;
        let default = structure(without.clone(), self.values(default, &without)?)?;
        Ok(builder.default_value(default).build()?)
    }

    fn values(&self, of: &Struct, updated: &Schema) -> Result<Vec<Value>, Error> {
        let fields = of.schema().fields().iter().zip(updated.fields());
        let values = fields.map(|(before, field)| {
            let value = require_field_value(of, &before.name, self.with_default)?;
            let value = if *before.name == *self.field {
                self.convert.value(&value, Form::of_schema(&before.schema)?)?
            } else {
                value
            };
            fit(field, value)
        });
        values.collect()
    }
}

impl Transformation for TimestampConverter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of(&record);
        let converted = match &data.schema {
            None => SchemaAndValue::schemaless(self.schemaless(&data.value)?),
            Some(schema) => {
                let schema = schema.clone();
                self.with_schema(&schema, &data.value)?
            }
        };
        *self.side.of_mut(&mut record) = converted;
        Ok(Some(record))
    }
}
