//! One schema for values of two: what one of them lacks is nullable, numbers widen, all else has to be the same.

use std::{fmt, sync::Arc};

use forebay_connect_api::{
    Schema, SchemaBuilder,
    schema::{Logical, Type},
};

use super::{exact, too_many_fields};

/// How Confluent's converters pass a decimal's precision on.
pub(in crate::format) const PRECISION_PARAMETER: &str = "connect.decimal.precision";

#[cfg(test)]
thread_local! {
    /// How many fields were gone through, which is what unifying costs.
    pub(super) static FIELDS_UNIFIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Two types that cannot be one, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::format) struct Conflict {
    /// From the field within to the field outside.
    path: Vec<String>,
    /// What there is already, and what comes; `None`: too many fields.
    types: Option<[String; 2]>,
}

impl Conflict {
    pub(super) fn new(there: impl Into<String>, new: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            types: Some([there.into(), new.into()]),
        }
    }

    /// No conflict, but more fields than a schema may have.
    pub(super) fn too_many() -> Self {
        Self {
            path: Vec::new(),
            types: None,
        }
    }

    pub(super) fn within(mut self, field: &str) -> Self {
        self.path.push(field.to_owned());
        self
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some([there, new]) = &self.types else {
            return f.write_str(&too_many_fields());
        };
        match self.path.as_slice() {
            [] => f.write_str("the value")?,
            path => {
                f.write_str("field ")?;
                for (index, field) in path.iter().rev().enumerate() {
                    write!(f, "{}{field}", if index == 0 { "" } else { "." })?;
                }
            }
        }
        write!(
            f,
            " is {new}, which does not go with the {there} that it has been in this file"
        )
    }
}

/// The schema of values of either; the very same `there` if it is that already.
pub(in crate::format) fn unify(there: &Arc<Schema>, new: &Arc<Schema>) -> Result<Arc<Schema>, Conflict> {
    if Arc::ptr_eq(there, new) || there == new {
        return Ok(Arc::clone(there));
    }
    let conflict = || Conflict::new(describe(there), describe(new));
    let builder = match (there.schema_type(), new.schema_type()) {
        (Type::Struct, Type::Struct) => fields(there, new)?,
        (Type::Array, Type::Array) => {
            let item = unify(inner(there), inner(new)).map_err(|conflict| conflict.within("[]"))?;
            Schema::array(item)
        }
        (Type::Map, Type::Map) => {
            let key = |schema: &Arc<Schema>| Arc::clone(schema.key_schema().expect("a MAP has one"));
            let keys = unify(&key(there), &key(new)).map_err(|conflict| conflict.within("a key"))?;
            let values = unify(inner(there), inner(new)).map_err(|conflict| conflict.within("[]"))?;
            Schema::map(keys, values)
        }
        (one, other) => {
            let of = match (there.logical(), new.logical()) {
                (None, None) if exact::is_conflict(there, new) => return Err(conflict()),
                (None, None) => widest(one, other).ok_or_else(conflict)?,
                (there, new) if there == new => one,
                _ => return Err(conflict()),
            };
            Schema::primitive(of, false)
                .expect("it is primitive")
                .to_builder()
        }
    };
    let unified = described(builder, there, new).build();
    let unified = unified.map_err(|error| Conflict::new(describe(there), error.to_string()))?;
    Ok(if unified == *there {
        Arc::clone(there)
    } else {
        unified
    })
}

fn inner(schema: &Schema) -> &Arc<Schema> {
    schema.value_schema().expect("an ARRAY or MAP has one")
}

fn fields(there: &Arc<Schema>, new: &Arc<Schema>) -> Result<SchemaBuilder, Conflict> {
    if let (Some(one), Some(other)) = (there.name(), new.name())
        && one != other
    {
        return Err(Conflict::new(describe(there), describe(new)));
    }
    #[cfg(test)]
    FIELDS_UNIFIED.set(FIELDS_UNIFIED.get() + there.fields().len() + new.fields().len());
    let mut builder = Schema::structure();
    for field in there.fields() {
        let unified = match new.field(&field.name) {
            Some(other) => {
                unify(&field.schema, &other.schema).map_err(|conflict| conflict.within(&field.name))?
            }
            None => absent(&field.schema),
        };
        builder = builder.field(Arc::clone(&field.name), unified);
    }
    for field in new.fields() {
        if there.field_index(&field.name).is_none() {
            builder = builder.field(Arc::clone(&field.name), absent(&field.schema));
        }
    }
    Ok(builder)
}

/// The schema of a field that some records do not have: its default stands for it, or else null.
fn absent(schema: &Arc<Schema>) -> Arc<Schema> {
    if schema.is_optional() || schema.default_value().is_some() {
        return Arc::clone(schema);
    }
    let optional = schema.to_builder().optional().build();
    optional.expect("it was sound, and has no default")
}

/// The type that holds the numbers of both.
fn widest(one: Type, other: Type) -> Option<Type> {
    const INTEGERS: [Type; 4] = [Type::Int8, Type::Int16, Type::Int32, Type::Int64];
    let integer = |of: Type| INTEGERS.iter().position(|integer| *integer == of);
    let is_float = |of: Type| matches!(of, Type::Float32 | Type::Float64);
    match (integer(one), integer(other)) {
        _ if one == other => Some(one),
        (Some(one), Some(other)) => Some(INTEGERS[one.max(other)]),
        (Some(_), None) if is_float(other) => Some(Type::Float64),
        (None, Some(_)) if is_float(one) => Some(Type::Float64),
        (None, None) if is_float(one) && is_float(other) => Some(Type::Float64),
        _ => None,
    }
}

/// What is said of a schema besides its type.
fn described(mut builder: SchemaBuilder, there: &Schema, new: &Schema) -> SchemaBuilder {
    builder = builder.with_optional(there.is_optional() || new.is_optional());
    if let Some(name) = there.name().or_else(|| new.name()) {
        builder = builder.name(name);
    }
    if let Some(version) = there.version().max(new.version()) {
        builder = builder.version(version);
    }
    if let Some(doc) = there.doc().or_else(|| new.doc()) {
        builder = builder.doc(doc);
    }
    for (name, value) in new.parameters().iter().chain(there.parameters()) {
        if &**name != PRECISION_PARAMETER && !exact::is_note(name) {
            builder = builder.parameter(Arc::clone(name), Arc::clone(value));
        }
    }
    builder = exact::joined(builder, there, new);
    // Without one a decimal may have as many digits as a column can, and so may the union.
    let precision = |schema: &Schema| schema.parameters().get(PRECISION_PARAMETER)?.parse::<u8>().ok();
    if let (Some(one), Some(other)) = (precision(there), precision(new)) {
        builder = builder.parameter(PRECISION_PARAMETER, one.max(other).to_string());
    }
    match (there.default_value(), new.default_value()) {
        (Some(one), Some(other)) if one == other => builder.default_value(one.clone()),
        // Which of two is meant depends on the record, so none is: null stays null.
        (Some(_), Some(_)) => builder.optional(),
        // It stands for null, which the other's records may have and mean.
        (Some(_), None) if new.is_optional() => builder.optional(),
        (None, Some(_)) if there.is_optional() => builder.optional(),
        (Some(one), None) | (None, Some(one))
            if one.value_type() == Some(there.schema_type())
                && one.value_type() == Some(new.schema_type()) =>
        {
            builder.default_value(one.clone())
        }
        (None, None) => builder,
        _ => builder.optional(),
    }
}

fn describe(schema: &Schema) -> String {
    let what = match schema.logical() {
        Some(Logical::Decimal { scale }) => format!("a decimal of scale {scale}"),
        Some(other) => format!("{other:?}"),
        None => exact::describe(schema).map_or_else(|| schema.schema_type().to_string(), str::to_owned),
    };
    match schema.name() {
        Some(name) if schema.logical().is_none() => format!("{what} {name}"),
        _ => what,
    }
}

/// Of a schema that is sound.
pub(super) fn optional(builder: SchemaBuilder) -> Arc<Schema> {
    builder.optional().build().expect("nothing in it is at fault")
}
