//! Whether records of one schema can be written with another (Kafka's `SchemaProjector`), and a value as another schema has it.

use std::sync::Arc;

use forebay_connect_api::{
    Schema, Struct, Value,
    schema::{Logical, Type},
};

use super::{is_exact, wants_exact};
use crate::format::columns::{PADDING_BYTES_MAX, size};

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

/// What conforming may cost, and did.
#[derive(Debug)]
pub(in crate::format) struct Room {
    /// Bytes for fields that the value lacks.
    left: usize,
    /// Structs that there are in what was conformed.
    pub(in crate::format) structs: usize,
}

impl Room {
    pub(in crate::format) fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            structs: 0,
        }
    }

    fn pay(&mut self, bytes: usize) -> Result<(), Misfit> {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Misfit)
    }
}

/// What a field takes in the struct of a record that lacks it.
fn absent_bytes(schema: &Schema) -> usize {
    size_of::<Value>() + schema.default_value().map_or(0, size)
}

/// What all fields of a schema take in a record that has none of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::format) struct Width {
    /// Of those that a record has once.
    pub(in crate::format) once: usize,
    /// Of those in arrays and maps, that each struct in them has.
    pub(in crate::format) each: usize,
}

impl Width {
    /// How much more a record with so many structs takes with a wider schema, at the most.
    pub(in crate::format) fn lacks_of(self, wider: Self, records: usize, structs: usize) -> usize {
        let once = wider.once.saturating_sub(self.once).saturating_mul(records);
        let each = wider.each.saturating_sub(self.each).saturating_mul(structs);
        once.saturating_add(each)
    }

    pub(in crate::format) fn add(&mut self, bytes: usize, in_items: bool) {
        match in_items {
            true => self.each += bytes,
            false => self.once += bytes,
        }
    }
}

/// See [`Width`]; as values.
pub(in crate::format) fn width(schema: &Schema) -> Width {
    let mut width = Width::default();
    add_width(schema, false, &mut width);
    width
}

fn add_width(schema: &Schema, in_items: bool, width: &mut Width) {
    for field in schema.fields() {
        width.add(absent_bytes(&field.schema), in_items);
        add_width(&field.schema, in_items, width);
    }
    for inner in schema.key_schema().into_iter().chain(schema.value_schema()) {
        add_width(inner, true, width);
    }
}

/// Whether it is for all that it lacks that a value does not conform.
pub(in crate::format) fn is_too_sparse(target: &Arc<Schema>, value: &Value) -> bool {
    let mut room = Room::new(PADDING_BYTES_MAX);
    conform_within(target, value, &mut room).is_err() && room.left == 0
}

/// The value as `target` has it: its fields in its order, those that are missing null or their default, numbers widened, objects as
/// structs. What lacks very much is a misfit.
pub(in crate::format) fn conform(target: &Arc<Schema>, value: &Value) -> Result<Value, Misfit> {
    conform_within(target, value, &mut Room::new(PADDING_BYTES_MAX))
}

/// See [`conform`].
pub(in crate::format) fn conform_within(
    target: &Arc<Schema>,
    value: &Value,
    room: &mut Room,
) -> Result<Value, Misfit> {
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
                room.structs += 1;
                return Ok(value.clone());
            }
            let value_of = |_, name: &str| row.schema().field_index(name).map(|index| &row.values()[index]);
            Value::Struct(structure(target, value_of, room)?)
        }
        (Type::Struct, Value::Map(entries)) => {
            let mut values = vec![None; target.fields().len()];
            for (key, value) in entries {
                match target.field_index(key.as_str().ok_or(Misfit)?) {
                    Some(index) => {
                        values[index].get_or_insert(value);
                    }
                    None if is_unknown(value) => {}
                    None => return Err(Misfit),
                }
            }
            Value::Struct(structure(target, |index, _| values[index], room)?)
        }
        (Type::Array, Value::Array(items)) => {
            let of = target.value_schema().expect("an ARRAY has one");
            let items = items.iter().map(|item| conform_within(of, item, room));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        (Type::Map, Value::Map(entries)) => {
            let keys = target.key_schema().expect("a MAP has one");
            let values = target.value_schema().expect("a MAP has one");
            let entries = entries.iter().map(|(key, value)| {
                Ok((
                    conform_within(keys, key, room)?,
                    conform_within(values, value, room)?,
                ))
            });
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
    value_of: impl Fn(usize, &str) -> Option<&'a Value>,
    room: &mut Room,
) -> Result<Struct, Misfit> {
    room.structs += 1;
    let mut values = Vec::new();
    for (index, field) in target.fields().iter().enumerate() {
        let value = value_of(index, &field.name);
        if value.is_none_or(Value::is_null) {
            room.pay(absent_bytes(&field.schema))?;
        }
        values.push(conform_within(
            &field.schema,
            value.unwrap_or(&Value::Null),
            room,
        )?);
    }
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
