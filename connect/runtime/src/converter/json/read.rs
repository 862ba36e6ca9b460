//! JSON as values, with or without a schema.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay_connect_api::schema::{Decimal, Logical, Type};
use forebay_connect_api::{Schema, Struct, Value};
use serde_json::{Number, Value as Json};
use std::sync::Arc;

use super::Options;
use crate::converter::Error;

/// How many digits a decimal may be written with: more are no number that anybody means.
const DECIMAL_DIGITS_MAX: usize = 38;

/// A value of which only the JSON is known: integers are INT64, other numbers FLOAT64, objects maps.
pub(super) fn schemaless(json: Json) -> Result<Value, Error> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::String(text) => text.into(),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int64(integer),
            None if is_integral(&number) => {
                return Err(Error::data(format!(
                    "{number} is beyond the 64 bits that integers without schema have"
                )));
            }
            None => Value::Float64(finite(&number)?),
        },
        Json::Array(items) => Value::Array(items.into_iter().map(schemaless).collect::<Result<_, _>>()?),
        Json::Object(members) => {
            let entries = members.into_iter().map(|(key, value)| {
                let value = schemaless(value).map_err(|error| error.within(&key))?;
                Ok((key.into(), value))
            });
            Value::Map(entries.collect::<Result<_, Error>>()?)
        }
    })
}

/// A value of a schema; `None` is a field that is missing.
pub(super) fn typed(schema: &Arc<Schema>, json: Option<&Json>, options: Options) -> Result<Value, Error> {
    let Some(json) = json.filter(|json| !json.is_null()) else {
        return match schema.default_value() {
            Some(default) if options.replace_null_with_default => Ok(default.clone()),
            _ if schema.is_optional() => Ok(Value::Null),
            _ => {
                let wanted = schema.schema_type();
                Err(Error::data(format!(
                    "Invalid null value for required {wanted} field"
                )))
            }
        };
    };
    if let Some(Logical::Decimal { scale }) = schema.logical()
        && let Json::Number(number) = json
    {
        return decimal(number, scale);
    }
    let wanted = schema.schema_type();
    let unfit = || {
        Error::data(format!(
            "Invalid value for a field of type {wanted}: {}",
            shortened(json)
        ))
    };
    let integer = || json.as_i64().ok_or_else(unfit);
    Ok(match wanted {
        Type::Boolean => Value::Boolean(json.as_bool().ok_or_else(unfit)?),
        Type::Int8 => Value::Int8(integer()?.try_into().map_err(|_| unfit())?),
        Type::Int16 => Value::Int16(integer()?.try_into().map_err(|_| unfit())?),
        Type::Int32 => Value::Int32(integer()?.try_into().map_err(|_| unfit())?),
        Type::Int64 => Value::Int64(integer()?),
        Type::Float32 => Value::Float32(float(json).and_then(|text| text.parse().ok()).ok_or_else(unfit)?),
        Type::Float64 => Value::Float64(float(json).and_then(|text| text.parse().ok()).ok_or_else(unfit)?),
        Type::String => json.as_str().ok_or_else(unfit)?.into(),
        Type::Bytes => {
            let text = json.as_str().ok_or_else(unfit)?;
            let bytes = STANDARD.decode(text);
            Value::Bytes(
                bytes
                    .map_err(|error| Error::data_because("Invalid bytes field", error))?
                    .into(),
            )
        }
        Type::Array => {
            let items_schema = schema.value_schema().expect("an ARRAY has one");
            let items = json.as_array().ok_or_else(unfit)?.iter();
            let items = items.map(|item| typed(items_schema, Some(item), options));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Type::Map => Value::Map(map(schema, json, options)?),
        Type::Struct => {
            let members = json.as_object().ok_or_else(unfit)?;
            let values = schema.fields().iter().map(|field| {
                let value = typed(&field.schema, members.get(&*field.name), options);
                value.map_err(|error| error.within(&field.name))
            });
            let structure = Struct::from_values(Arc::clone(schema), values.collect::<Result<_, _>>()?);
            Value::Struct(structure.expect("a value for each of its fields"))
        }
    })
}

fn map(schema: &Schema, json: &Json, options: Options) -> Result<Vec<(Value, Value)>, Error> {
    let keys = schema.key_schema().expect("a MAP has one");
    let values = schema.value_schema().expect("a MAP has one");
    if keys.schema_type() == Type::String {
        let members = json.as_object().ok_or_else(|| {
            let found = shortened(json);
            Error::data(format!(
                "Maps with string fields should be encoded as JSON objects, but found {found}"
            ))
        })?;
        let entries = members.iter().map(|(key, value)| {
            let value = typed(values, Some(value), options).map_err(|error| error.within(key))?;
            Ok((key.as_str().into(), value))
        });
        return entries.collect();
    }
    let pairs = json.as_array().ok_or_else(|| {
        let found = shortened(json);
        Error::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
        ))
    })?;
    let entries = pairs.iter().map(|pair| match pair.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((
            typed(keys, Some(key), options)?,
            typed(values, Some(value), options)?,
        )),
        Some(other) => {
            let found = other.len();
            Err(Error::data(format!(
                "Found invalid map entry, expected length 2 but found :{found}"
            )))
        }
        None => Err(Error::data(format!(
            "Found invalid map entry instead of array tuple: {}",
            shortened(pair)
        ))),
    });
    entries.collect()
}

/// The text of a number, or one of those that JSON has as strings.
fn float(json: &Json) -> Option<String> {
    match json {
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) => match text.as_str() {
            "NaN" => Some("NaN".to_owned()),
            "Infinity" => Some("inf".to_owned()),
            "-Infinity" => Some("-inf".to_owned()),
            _ => None,
        },
        _ => None,
    }
}

fn finite(number: &Number) -> Result<f64, Error> {
    let value = number.as_f64().filter(|value| value.is_finite());
    value.ok_or_else(|| Error::data(format!("{number} is beyond the numbers without schema")))
}

fn is_integral(number: &Number) -> bool {
    !number.to_string().contains(['.', 'e', 'E'])
}

/// The unscaled number of a decimal, which must not have more digits behind the point than its schema.
fn decimal(number: &Number, scale: i32) -> Result<Value, Error> {
    let text = number.to_string();
    let unfit = || {
        Error::data(format!(
            "{text} is no decimal with {scale} digits behind the point"
        ))
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| unfit())?),
        None => (text.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let behind = i32::try_from(fraction.len()).map_err(|_| unfit())?;
    let unscaled = format!("{whole}{fraction}");
    let unscaled: i128 = unscaled.parse().map_err(|_| unfit())?;
    // The number is unscaled * 10^(exponent - behind), and wanted as n * 10^-scale.
    let shift = i64::from(exponent) - i64::from(behind) + i64::from(scale);
    let power = |digits: u64| {
        let digits = u32::try_from(digits)
            .ok()
            .filter(|digits| *digits as usize <= DECIMAL_DIGITS_MAX)?;
        10_i128.checked_pow(digits)
    };
    let scaled = if unscaled == 0 {
        Some(0)
    } else if shift >= 0 {
        power(shift.unsigned_abs()).and_then(|power| unscaled.checked_mul(power))
    } else {
        power(shift.unsigned_abs())
            .filter(|power| unscaled % power == 0)
            .map(|power| unscaled / power)
    };
    Ok(Value::Bytes(Decimal::encode(scaled.ok_or_else(unfit)?)))
}

/// JSON for a message, whose length is bounded.
fn shortened(json: &Json) -> String {
    const CHARACTERS_MAX: usize = 60;
    let text = json.to_string();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
