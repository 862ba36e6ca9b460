//! Integers and doubles in one column of values that came without a schema. JSON says 1 and 1.0 of the same field, so such a column is
//! one of doubles from the first fraction on. A double holds no integer beyond 2^53 but those that end in zeros, in binary; so that none
//! is rounded, the schema of the column notes in a parameter, of which nobody else hears, whether there are others.

use std::sync::{Arc, LazyLock};

use forebay_connect_api::{Schema, SchemaBuilder, schema::Type};

/// Whether all integers of a field are ones that a double holds.
const PARAMETER: &str = "forebay.exact";
/// Digits of a double, in binary.
const DIGITS: u32 = 53;

/// Whether a double holds it.
pub(in crate::format) fn is_exact(number: i64) -> bool {
    let magnitude = number.unsigned_abs();
    let digits = u64::BITS - magnitude.leading_zeros();
    digits <= DIGITS || digits - magnitude.trailing_zeros() <= DIGITS
}

/// Whether a column takes only integers that a double holds. Others make another schema of it, or are at fault.
pub(in crate::format) fn wants_exact(schema: &Schema) -> bool {
    noted(schema) == Some(true)
}

fn noted(schema: &Schema) -> Option<bool> {
    schema.parameters().get(PARAMETER).map(|noted| &**noted == "true")
}

/// The schema of an integer that came without one.
pub(super) fn integer(number: i64) -> Arc<Schema> {
    static INTEGERS: LazyLock<[Arc<Schema>; 2]> =
        LazyLock::new(|| [false, true].map(|exact| note(Schema::int64().optional(), exact)));
    Arc::clone(&INTEGERS[usize::from(is_exact(number))])
}

/// The schema of a double that came without one.
pub(super) fn double() -> Arc<Schema> {
    static DOUBLE: LazyLock<Arc<Schema>> = LazyLock::new(|| note(Schema::float64().optional(), true));
    Arc::clone(&DOUBLE)
}

fn note(builder: SchemaBuilder, exact: bool) -> Arc<Schema> {
    let noted = builder.parameter(PARAMETER, exact.to_string());
    noted.build().expect("a number may have any parameter")
}

/// Whether one is of doubles and the other of integers that they do not hold.
pub(super) fn is_conflict(one: &Schema, other: &Schema) -> bool {
    let is_rounded = |one: &Schema, other: &Schema| {
        noted(one) == Some(false) && other.schema_type() == Type::Float64 && noted(other).is_some()
    };
    is_rounded(one, other) || is_rounded(other, one)
}

/// Whether a parameter is the note, which [`joined`] makes anew.
pub(super) fn is_note(parameter: &str) -> bool {
    parameter == PARAMETER
}

/// Notes what is true of both.
pub(super) fn joined(builder: SchemaBuilder, one: &Schema, other: &Schema) -> SchemaBuilder {
    match (noted(one), noted(other)) {
        (Some(one), Some(other)) => builder.parameter(PARAMETER, (one && other).to_string()),
        _ => builder,
    }
}

/// What a user reads of such integers.
pub(super) fn describe(schema: &Schema) -> Option<&'static str> {
    (noted(schema) == Some(false)).then_some("INT64 beyond 2^53")
}

/// The schema without notes.
pub(in crate::format) fn plain(schema: &Arc<Schema>) -> Arc<Schema> {
    if !has_notes(schema) {
        return Arc::clone(schema);
    }
    let inner = |schema: Option<&Arc<Schema>>| plain(schema.expect("the type has schemas inside"));
    let mut builder = match schema.schema_type() {
        Type::Struct => schema
            .fields()
            .iter()
            .fold(Schema::structure(), |builder, field| {
                builder.field(Arc::clone(&field.name), plain(&field.schema))
            }),
        Type::Array => Schema::array(inner(schema.value_schema())),
        Type::Map => Schema::map(inner(schema.key_schema()), inner(schema.value_schema())),
        Type::Int64 => Schema::int64(),
        _ => Schema::float64(),
    };
    if let Some(name) = schema.name() {
        builder = builder.name(name);
    }
    let built = builder.with_optional(schema.is_optional()).build();
    built.expect("it was sound")
}

fn has_notes(schema: &Schema) -> bool {
    let inner = schema.key_schema().into_iter().chain(schema.value_schema());
    let mut inner = inner.chain(schema.fields().iter().map(|field| &field.schema));
    noted(schema).is_some() || inner.any(|inner| has_notes(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_hold_integers_of_53_digits() {
        let large = 1_i64 << 53;
        let cases = [
            (0, true),
            (-1, true),
            (large - 1, true),
            (large, true),
            (large + 1, false),
            (-large - 1, false),
            (large + 2, true),
            (i64::MAX, false),
            (i64::MAX - 1023, true),
            (i64::MIN, true),
        ];
        for (number, exact) in cases {
            assert_eq!(is_exact(number), exact, "{number}");
        }
    }
}
