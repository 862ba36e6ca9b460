//! Default values: whether they fit their field (Avro's `isValidDefault`), and the form in which they are written back.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::{Field, NamedKind, Primitive, Schema, Type};

/// How many values are compared with a type, over all defaults of a schema: as many values as a text can hold, each with
/// several branches of a union.
const STEPS_MAX: usize = 2_000_000;

/// Every default of the schema's own records, checked; the message is Avro's.
pub(super) fn check(schema: &Schema) -> Result<(), String> {
    let mut fitting = Fitting {
        schema,
        steps_left: STEPS_MAX,
        known: HashMap::new(),
    };
    for named in schema.own_definitions() {
        let NamedKind::Record { fields, .. } = &named.kind else {
            continue;
        };
        for Field {
            name,
            schema: of,
            default,
            ..
        } in fields
        {
            let Some(default) = default else { continue };
            let is_fit = fitting.fits(of, default);
            if fitting.steps_left == 0 {
                return Err(format!(
                    "Invalid default for field {name}: it is too complex to be checked"
                ));
            }
            if !is_fit {
                let type_name = schema.type_name(of);
                return Err(format!(
                    "Invalid default for field {name}: {default} not a {type_name}"
                ));
            }
        }
    }
    Ok(())
}

/// Compares values with types. Records whose fields are unions of records ask for the same value and type along very many
/// ways, so each answer is remembered.
struct Fitting<'a> {
    schema: &'a Schema,
    steps_left: usize,
    /// Whether a record fits a value, by their addresses.
    known: HashMap<(usize, usize), bool>,
}

impl<'a> Fitting<'a> {
    /// The depth follows that of the value, which the JSON parser bounds; a record without a value takes its defaults, which
    /// a recursive one could ask for endlessly: a field that is absent from the value must have a default of its own.
    fn fits(&mut self, of: &'a Type, value: &'a Value) -> bool {
        let Some(steps_left) = self.steps_left.checked_sub(1) else {
            return false;
        };
        self.steps_left = steps_left;
        match of {
            Type::Primitive(primitive, _) => fits_primitive(*primitive, value),
            Type::Array(items, _) => value
                .as_array()
                .is_some_and(|elements| elements.iter().all(|element| self.fits(items, element))),
            Type::Map(values, _) => value
                .as_object()
                .is_some_and(|entries| entries.values().all(|entry| self.fits(values, entry))),
            Type::Union(branches) => branches.iter().any(|branch| self.fits(branch, value)),
            Type::Named(name) => match &self.schema.definition(name).kind {
                NamedKind::Record { fields, .. } => {
                    let Some(entries) = value.as_object() else {
                        return false;
                    };
                    let key = (fields.as_ptr() as usize, std::ptr::from_ref(value) as usize);
                    if let Some(is_fit) = self.known.get(&key) {
                        return *is_fit;
                    }
                    let is_fit = fields.iter().all(|field| match entries.get(&field.name) {
                        Some(entry) => self.fits(&field.schema, entry),
                        None => field.default.is_some(), // checked on its own
                    });
                    self.known.insert(key, is_fit);
                    is_fit
                }
                NamedKind::Enum { .. } | NamedKind::Fixed { .. } => value.is_string(),
            },
        }
    }
}

fn fits_primitive(primitive: Primitive, value: &Value) -> bool {
    match primitive {
        Primitive::Null => value.is_null(),
        Primitive::Boolean => value.is_boolean(),
        Primitive::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Primitive::Long => value.as_i64().is_some(),
        Primitive::Float | Primitive::Double => value.is_number(),
        Primitive::Bytes | Primitive::String => value.is_string(),
    }
}

/// The default as Java's parser keeps it: fractions in the form of `Double.toString`, and text for a floating-point
/// field read as a number.
pub(super) fn canonical(default: &Value, of: &Type) -> Value {
    if let (Value::String(text), Type::Primitive(Primitive::Float | Primitive::Double, _)) = (default, of)
        && let Some(number) = text.trim().parse().ok().and_then(java_number)
    {
        return number;
    }
    canonical_numbers(default)
}

/// Every fraction in a JSON tree, as Java's parser keeps it.
pub(super) fn canonical_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.as_str().contains(['.', 'e', 'E']) => number
            .as_f64()
            .and_then(java_number)
            .unwrap_or_else(|| value.clone()),
        Value::Array(elements) => Value::Array(elements.iter().map(canonical_numbers).collect()),
        Value::Object(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), canonical_numbers(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Java's `Double.toString`: plain between 10^-3 and 10^7, else `d.dddE±n`.
fn java_number(number: f64) -> Option<Value> {
    if !number.is_finite() {
        return None;
    }
    let plain = number == 0.0 || (1e-3..1e7).contains(&number.abs());
    let text = if plain {
        format!("{number:?}")
    } else {
        let scientific = format!("{number:E}");
        let (mantissa, exponent) = scientific.split_once('E')?;
        let point = if mantissa.contains('.') { "" } else { ".0" };
        format!("{mantissa}{point}E{exponent}")
    };
    Some(Value::Number(Number::from_string_unchecked(text)))
}
