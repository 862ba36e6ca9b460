//! `MaskField`: puts zero, or a replacement, in the place of what fields hold.

use bytes::Bytes;
use forebay_connect_api::{
    Schema, Value,
    config::{ConfigDef, ConfigType, Importance, Validator},
    schema::Logical,
};

use super::{Setup, Transformation};
use crate::big_decimal::BigDecimal;
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, names, optional, required, with_replace_null};
use crate::record::Side;
use crate::structure::{fit, require_field_value, require_map, require_struct, set_entry, structure};
use crate::{Error, Record, java};

const FIELDS: &str = "fields";
const REPLACEMENT: &str = "replacement";
const PURPOSE: &str = "mask fields";

pub(super) fn config_def() -> ConfigDef {
    let fields = required(FIELDS, ConfigType::List, Importance::High, "The fields to mask.");
    let replacement = optional(
        REPLACEMENT,
        Importance::Low,
        "What the fields hold instead; numbers and strings only. Without it: zero, false, an empty string, and so on.",
    );
    let def = ConfigDef::new()
        .define(fields.validator(names()))
        .define(replacement.validator(Validator::NonEmpty));
    with_replace_null(def)
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(MaskField {
        side: setup.side,
        fields: setup.config.get_list(FIELDS).to_vec(),
        replacement: setup.config.get_optional::<&str>(REPLACEMENT).map(str::to_owned),
        with_default: setup.config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
    }))
}

#[derive(Debug)]
struct MaskField {
    side: Side,
    fields: Vec<String>,
    replacement: Option<String>,
    with_default: bool,
}

impl MaskField {
    fn masked(&self, schema: Option<&Schema>, value: &Value) -> Result<Value, Error> {
        match &self.replacement {
            _ if value.is_null() => Ok(Value::Null),
            None => zero(schema, value).ok_or_else(|| {
                let class = java::class_name(schema, value);
                Error::Data(format!("Cannot mask value of type: class {class}"))
            }),
            Some(replacement) => replaced(schema, value, replacement),
        }
    }

    fn value(&self, schema: Option<&Schema>, value: &Value) -> Result<Value, Error> {
        let Some(schema) = schema else {
            let mut updated = require_map(value, PURPOSE)?.clone();
            for field in &self.fields {
                let before = value.entry(field).unwrap_or(&Value::Null);
                set_entry(&mut updated, field, self.masked(None, before)?);
            }
            return Ok(Value::Map(updated));
        };
        let of = require_struct(Some(schema), value, PURPOSE)?;
        let values = of.schema().fields().iter().map(|field| {
            let value = require_field_value(of, &field.name, self.with_default)?;
            if self.fields.iter().any(|masked| **masked == *field.name) {
                fit(field, self.masked(Some(&field.schema), &value)?)
            } else {
                fit(field, value)
            }
        });
        let values = values.collect::<Result<_, _>>()?;
        structure(of.schema().clone(), values)
    }
}

impl Transformation for MaskField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of_mut(&mut record);
        data.value = self.value(data.schema.as_deref(), &data.value)?;
        Ok(Some(record))
    }
}

fn zero(schema: Option<&Schema>, value: &Value) -> Option<Value> {
    Some(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        // The logical types of these have their zero, too.
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => "".into(),
        Value::Bytes(_) if is_decimal(schema).is_some() => Value::Bytes(Bytes::from_static(&[0])),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Null | Value::Bytes(_) | Value::Struct(_) => return None,
    })
}

fn is_decimal(schema: Option<&Schema>) -> Option<i32> {
    match schema?.logical()? {
        Logical::Decimal { scale } => Some(scale),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation)] // As Java narrows.
fn replaced(schema: Option<&Schema>, value: &Value, replacement: &str) -> Result<Value, Error> {
    let no_number = || {
        Error::Data(format!(
            "Unable to convert {replacement} (class java.lang.String) to a number"
        ))
    };
    let number = || BigDecimal::parse(replacement).ok_or_else(no_number);
    let is_date = schema.and_then(Schema::logical).is_some() && !matches!(value, Value::Bytes(_));
    Ok(match value {
        Value::Int8(_) => Value::Int8(number()?.to_i64_wrapping() as i8),
        Value::Int16(_) => Value::Int16(number()?.to_i64_wrapping() as i16),
        Value::Int32(_) if !is_date => Value::Int32(number()?.to_i64_wrapping() as i32),
        Value::Int64(_) if !is_date => Value::Int64(number()?.to_i64_wrapping()),
        Value::Float32(_) => Value::Float32(number()?.to_f64() as f32),
        Value::Float64(_) => Value::Float64(number()?.to_f64()),
        Value::String(_) => replacement.into(),
        Value::Bytes(_) if let Some(scale) = is_decimal(schema) => {
            let unreadable = || {
                Error::Data(format!(
                    "Unable to convert {replacement} (class java.lang.String) to number"
                ))
            };
            let number = BigDecimal::parse(replacement).ok_or_else(unreadable)?;
            let mismatch = || {
                Error::Data(format!(
                    "Decimal value has mismatching scale for given Decimal schema. Schema has scale {scale}, value has scale {}.",
                    number.scale()
                ))
            };
            Value::Bytes(number.unscaled(i64::from(scale)).ok_or_else(mismatch)?)
        }
        other => {
            let class = java::class_name(schema, other);
            return Err(Error::Data(format!(
                "Cannot mask value of type class {class} with custom replacement."
            )));
        }
    })
}
