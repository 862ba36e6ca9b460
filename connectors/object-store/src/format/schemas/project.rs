//! Whether records of one schema can be written with another (Kafka's `SchemaProjector`), and a value as another schema has it.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, Struct, Value,
    schema::{Logical, Type},
};

use super::{is_exact, wants_exact};

/// A value that does not fit; why, is found out by whoever needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) struct Misfit;

/// Whether every record of `source` can be written as one of `target`; else, why not.
pub(super) fn check(source: &Schema, target: &Schema) -> Result<(), String> {
    let (from, to) = (source.schema_type(), target.schema_type());
    if from != to && !is_promotable(from, to) {
        return Err(format!(
            "Schema type mismatch. source type: {from} and target type: {to}"
        ));
    }
    if source.name() != target.name() {
        let names = [source, target].map(|schema| schema.name().unwrap_or("null"));
        return Err(format!(
            "Schema name mismatch. source name: {} and target name: {}",
            names[0], names[1]
        ));
    }
    // Java's compares all parameters, so that a symbol more in an enum is no match; what matters is how a value is read.
    if source.logical() != target.logical() {
        let scale = |schema: &Schema| match schema.logical() {
            Some(Logical::Decimal { scale }) => scale.to_string(),
            other => format!("{other:?}"),
        };
        return Err(format!(
            "Schema parameters not equal: {} and {}",
            scale(source),
            scale(target)
        ));
    }
    if source.is_optional() && !target.is_optional() && target.default_value().is_none() {
        let message = "Writer schema is optional, however, target schema does not provide a default value.";
        return Err(message.to_owned());
    }
    for field in target.fields() {
        match source.field(&field.name) {
            Some(known) => check(&known.schema, &field.schema)
                .map_err(|error| format!("Error projecting {}: {error}", field.name))?,
            None if field.schema.is_optional() || field.schema.default_value().is_some() => {}
            None => {
                return Err(format!(
                    "Required field `{}` is missing from source schema",
                    field.name
                ));
            }
        }
    }
    if let (Some(source), Some(target)) = (source.key_schema(), target.key_schema()) {
        check(source, target)?;
    }
    match (source.value_schema(), target.value_schema()) {
        (Some(source), Some(target)) => check(source, target),
        _ => Ok(()),
    }
}

fn is_promotable(source: Type, target: Type) -> bool {
    const NUMBERS: [Type; 6] = [
        Type::Int8,
        Type::Int16,
        Type::Int32,
        Type::Int64,
        Type::Float32,
        Type::Float64,
    ];
    let place = |of: Type| NUMBERS.iter().position(|number| *number == of);
    matches!((place(source), place(target)), (Some(source), Some(target)) if source <= target)
}

/// Whether nothing can be said of a value that came without a schema: there is no column for it, and none is needed.
pub(in crate::format) fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_unknown),
        Value::Map(entries) => entries.iter().all(|(_, value)| is_unknown(value)),
        _ => false,
    }
}

/// The value as `target` has it: its fields in its order, those that are missing null or their default, numbers widened, objects as
/// structs.
pub(in crate::format) fn conform(target: &Arc<Schema>, value: &Value) -> Result<Value, Misfit> {
    Ok(match (target.schema_type(), value) {
        (_, Value::Null) => match target.default_value() {
            Some(default) => default.clone(),
            None if target.is_optional() => Value::Null,
            None => return Err(Misfit),
        },
        (Type::Struct, Value::Struct(row)) => {
            if Arc::ptr_eq(row.schema(), target)
                && row.values().iter().all(|value| !value.is_null())
                && is_flat(target)
            {
                return Ok(value.clone());
            }
            let value_of = |name: &str| row.schema().field_index(name).map(|index| &row.values()[index]);
            Value::Struct(structure(target, value_of)?)
        }
        (Type::Struct, Value::Map(entries)) => {
            let strange = |(key, value): &(Value, Value)| match key.as_str() {
                Some(name) => target.field_index(name).is_none() && !is_unknown(value),
                None => true,
            };
            if entries.iter().any(strange) {
                return Err(Misfit);
            }
            Value::Struct(structure(target, |name| value.entry(name))?)
        }
        (Type::Array, Value::Array(items)) => {
            let of = target.value_schema().expect("an ARRAY has one");
            Value::Array(
                items
                    .iter()
                    .map(|item| conform(of, item))
                    .collect::<Result<_, _>>()?,
            )
        }
        (Type::Map, Value::Map(entries)) => {
            let keys = target.key_schema().expect("a MAP has one");
            let values = target.value_schema().expect("a MAP has one");
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((conform(keys, key)?, conform(values, value)?)));
            Value::Map(entries.collect::<Result<_, Misfit>>()?)
        }
        (Type::Int64 | Type::Float64, value)
            if value.as_i64().is_some_and(|number| !is_exact(number)) && wants_exact(target) =>
        {
            return Err(Misfit);
        }
        (Type::Float32 | Type::Float64, _) => float(target.schema_type(), value)?,
        (Type::Int8, value) => Value::Int8(integer(value)?),
        (Type::Int16, value) => Value::Int16(integer(value)?),
        (Type::Int32, value) => Value::Int32(integer(value)?),
        (Type::Int64, value) => Value::Int64(integer(value)?),
        (wanted, value) if value.value_type() == Some(wanted) => value.clone(),
        _ => return Err(Misfit),
    })
}

fn is_flat(schema: &Schema) -> bool {
    schema
        .fields()
        .iter()
        .all(|field| field.schema.schema_type().is_primitive())
}

fn structure<'a>(
    target: &Arc<Schema>,
    value_of: impl Fn(&str) -> Option<&'a Value>,
) -> Result<Struct, Misfit> {
    let fields = target.fields().iter();
    let values = fields.map(|field| conform(&field.schema, value_of(&field.name).unwrap_or(&Value::Null)));
    let values = values.collect::<Result<_, _>>()?;
    Ok(Struct::from_values(Arc::clone(target), values).expect("a value for each field"))
}

fn integer<T: TryFrom<i64>>(value: &Value) -> Result<T, Misfit> {
    value
        .as_i64()
        .and_then(|number| T::try_from(number).ok())
        .ok_or(Misfit)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers widen, as Kafka's projector has it"
)]
fn float(wanted: Type, value: &Value) -> Result<Value, Misfit> {
    let number = match (value, value.as_i64()) {
        (Value::Float32(number), _) => f64::from(*number),
        (Value::Float64(number), _) if wanted == Type::Float64 => *number,
        (_, Some(number)) => number as f64,
        _ => return Err(Misfit),
    };
    Ok(match wanted {
        Type::Float32 => Value::Float32(number as f32),
        _ => Value::Float64(number),
    })
}
