//! What a text stands for by its looks (Kafka's `Values.parseString`): null, booleans, numbers of the smallest type that holds
//! them, dates and times in ISO 8601. Arrays and maps, which Kafka reads, too, stay the text that they are written as.

use forebay_connect_api::{Schema, SchemaAndValue, Value, schema, schema::Type};

use crate::big_decimal::BigDecimal;
use crate::date_format::DateFormat;

const TIME: &str = "HH:mm:ss.SSS'Z'";
const DATE: &str = "yyyy-MM-dd";
const TIMESTAMP: &str = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'";

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// The value of a text.
pub(crate) fn parse(text: &str) -> SchemaAndValue {
    let plain = |of, value| SchemaAndValue {
        schema: Schema::primitive(of, false),
        value,
    };
    match text.trim() {
        "null" => return SchemaAndValue::default(),
        "true" => return plain(Type::Boolean, Value::Boolean(true)),
        "false" => return plain(Type::Boolean, Value::Boolean(false)),
        _ => {}
    }
    let tokens = tokens(text);
    let first = tokens.first().map_or("", |token| token.trim());
    let is_digit = first.starts_with(|c: char| c.is_ascii_digit());
    let temporal = || temporal(&tokens).filter(|_| is_digit);
    let number = || number(first).filter(|_| is_digit || first.starts_with(['+', '-']));
    temporal()
        .or_else(number)
        .unwrap_or_else(|| SchemaAndValue::string(text))
}

/// The text in pieces: characters with a meaning, unless there is a backslash before, and what is between them.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (index, c) in text.char_indices() {
        if ":,{}[]\"".contains(c) && !is_escaped {
            if start < index {
                tokens.push(&text[start..index]);
            }
            start = index + c.len_utf8();
            tokens.push(&text[index..start]);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
    tokens
}

/// A time has five pieces, as colons are in it; a date has one.
fn temporal(tokens: &[&str]) -> Option<SchemaAndValue> {
    let five = tokens.get(..5).map(|tokens| tokens.concat());
    let with_time = five.and_then(|text| temporal_text(text.trim_start()));
    with_time.or_else(|| temporal_text(tokens.first()?.trim()))
}

fn temporal_text(text: &str) -> Option<SchemaAndValue> {
    let text = text.replace("\\:", ":");
    // The length tells which.
    let pattern = match text.chars().count() {
        10 => DATE,
        13 => TIME,
        24 => TIMESTAMP,
        _ => return None,
    };
    let format = DateFormat::new(pattern, 0).expect("it is one");
    let milliseconds = format.read(&text).ok()?;
    let day = i32::try_from(milliseconds.div_euclid(MILLISECONDS_PER_DAY)).ok()?;
    let of_day = i32::try_from(milliseconds.rem_euclid(MILLISECONDS_PER_DAY)).ok()?;
    let (builder, value) = match pattern {
        DATE => (schema::date(), Value::Int32(day)),
        TIME => (schema::time(), Value::Int32(of_day)),
        _ => (schema::timestamp(), Value::Int64(milliseconds)),
    };
    Some(SchemaAndValue {
        schema: builder.build().ok(),
        value,
    })
}

fn number(text: &str) -> Option<SchemaAndValue> {
    let decimal = BigDecimal::parse(text)?;
    let (single, double) = (decimal.to_f32(), decimal.to_f64());
    let (of, value) = if let Some(integer) = decimal.to_i64() {
        if let Ok(small) = i8::try_from(integer) {
            (Type::Int8, Value::Int8(small))
        } else if let Ok(small) = i16::try_from(integer) {
            (Type::Int16, Value::Int16(small))
        } else if let Ok(small) = i32::try_from(integer) {
            (Type::Int32, Value::Int32(small))
        } else {
            (Type::Int64, Value::Int64(integer))
        }
    } else if single.is_finite() && decimal.scale() != 0 {
        (Type::Float32, Value::Float32(single))
    } else if double.is_finite() && decimal.scale() != 0 {
        (Type::Float64, Value::Float64(double))
    } else {
        let scale = i32::try_from(decimal.scale()).ok()?;
        return Some(SchemaAndValue {
            schema: schema::decimal(scale).build().ok(),
            value: Value::Bytes(decimal.unscaled(decimal.scale())?),
        });
    };
    Some(SchemaAndValue {
        schema: Schema::primitive(of, false),
        value,
    })
}
