//! What values are made of: a schema and where its values come from, down to the fields of fields.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::{Schema, Struct, Value, schema::Type};

use crate::{pattern::Pattern, random::Random};

/// A schema and the making of its values.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) schema: Arc<Schema>,
    pub(crate) content: Content,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// True with this chance.
    Boolean(f64),
    /// Integers, of the schema's width.
    Integer(Integers),
    /// Fractions from `min` to `max`, without that, of the schema's width.
    Fraction { min: f64, max: f64 },
    /// Texts.
    Text(Pattern),
    /// Any bytes.
    Bytes(Length),
    /// One of these.
    Options(Vec<Value>),
    /// One of each field.
    Struct(Vec<Template>),
    /// Items.
    Array(Box<Template>, Length),
    /// Entries whose keys are texts.
    Map(Pattern, Box<Template>, Length),
    /// As often null as not.
    Nullable(Box<Template>),
}

/// Where integers come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Integers {
    /// From `min` to `max`, without that.
    Range { min: i64, max: i64 },
    /// `start` for the first record, `step` more for each that follows, and `start` again instead of `restart`.
    Iteration {
        start: i64,
        step: i64,
        restart: Option<i64>,
    },
}

/// From `min` to `max`, without that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Template {
    /// The value for one record.
    pub(crate) fn value(&self, iteration: u64, random: &mut Random) -> Value {
        match &self.content {
            Content::Boolean(chance) => (random.fraction() < *chance).into(),
            Content::Integer(integers) => self.integer(integers.number(iteration, random)),
            Content::Fraction { min, max } => {
                let number = min + random.fraction() * (max - min);
                match self.schema.schema_type() {
                    #[allow(clippy::cast_possible_truncation)] // A narrower float is what is asked for.
                    Type::Float32 => (number as f32).into(),
                    _ => number.into(),
                }
            }
            Content::Text(pattern) => pattern.text(random).into(),
            Content::Bytes(length) => {
                let bytes: Bytes = (0..length.draw(random))
                    .map(|_| random.next().to_le_bytes()[0])
                    .collect();
                bytes.into()
            }
            Content::Options(options) => options[random.index(options.len())].clone(),
            Content::Struct(fields) => {
                let values = fields
                    .iter()
                    .map(|field| field.value(iteration, random))
                    .collect();
                let made = Struct::from_values(Arc::clone(&self.schema), values);
                made.expect("a template has one part per field of its STRUCT")
                    .into()
            }
            Content::Array(items, length) => {
                let items: Vec<Value> = (0..length.draw(random))
                    .map(|_| items.value(iteration, random))
                    .collect();
                items.into()
            }
            Content::Map(keys, values, length) => {
                let mut entries: Vec<(Value, Value)> = Vec::new();
                for _ in 0..length.draw(random) {
                    let (key, value) = (Value::from(keys.text(random)), values.value(iteration, random));
                    match entries.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, known)) => *known = value,
                        None => entries.push((key, value)),
                    }
                }
                Value::Map(entries)
            }
            Content::Nullable(inner) => match random.below(2) {
                0 => Value::Null,
                _ => inner.value(iteration, random),
            },
        }
    }

    /// Cut to the schema's width, as Java's are.
    #[allow(clippy::cast_possible_truncation)]
    fn integer(&self, number: i64) -> Value {
        match self.schema.schema_type() {
            Type::Int32 => (number as i32).into(),
            _ => number.into(),
        }
    }
}

impl Integers {
    fn number(self, iteration: u64, random: &mut Random) -> i64 {
        match self {
            Self::Range { min, max } => {
                let width = max.wrapping_sub(min).cast_unsigned();
                min.wrapping_add(random.below(width.max(1)).cast_signed())
            }
            Self::Iteration { start, step, restart } => {
                let round = restart.map(|end| {
                    end.wrapping_sub(start)
                        .unsigned_abs()
                        .div_ceil(step.unsigned_abs().max(1))
                });
                let place = round.map_or(iteration, |round| iteration % round.max(1));
                start.wrapping_add(step.wrapping_mul(place.cast_signed()))
            }
        }
    }
}

impl Length {
    fn draw(self, random: &mut Random) -> usize {
        self.min + random.index(self.max.saturating_sub(self.min).max(1))
    }
}
