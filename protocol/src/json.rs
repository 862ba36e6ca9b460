//! Values as Kafka's JsonConverter writes them.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

use crate::{Records, Utf8Bytes, Uuid};

/// A number as Java writes it; what JSON has no number for goes by Java's name.
pub(crate) fn float(value: f64) -> Value {
    let name = if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "Infinity"
    } else if value == f64::NEG_INFINITY {
        "-Infinity"
    } else {
        let number = java_double(value).parse().map(Value::Number);
        return number.expect("it is a number");
    };
    name.into()
}

/// A finite number as Java's `Double.toString` writes it: `1.5`, `1.0E7`, `1.0E-4`.
#[must_use]
pub fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    let (digits, exponent) = text.split_once('E').expect("it has an exponent");
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

/// JSON in one line, with numbers as Java's tools print them.
///
/// # Panics
/// Never: a value has no keys but text, and memory takes everything.
#[must_use]
pub fn java_json(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, JavaNumbers);
    value.serialize(&mut serializer).expect("memory takes everything");
    String::from_utf8(text).expect("JSON is text")
}

/// The library writes exponents as `e+7`.
struct JavaNumbers;

impl Formatter for JavaNumbers {
    fn write_number_str<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: &str) -> io::Result<()> {
        match number.split_once('e') {
            Some((digits, exponent)) => {
                write!(writer, "{digits}E{}", exponent.trim_start_matches('+'))
            }
            None => writer.write_all(number.as_bytes()),
        }
    }
}

pub(crate) fn uuid(value: Uuid) -> Value {
    value.to_string().into()
}

pub(crate) fn string(value: &Utf8Bytes) -> Value {
    value.as_str().into()
}

pub(crate) fn bytes(value: &bytes::Bytes) -> Value {
    STANDARD.encode(value).into()
}

/// Kafka leaves them out, and puts an empty string in their place.
pub(crate) fn records(_: &Records) -> Value {
    "".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (12.5, "12.5"),
            (-0.001, "-0.001"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e-4, "1.25E-4"),
            (-1.5e300, "-1.5E300"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            assert_eq!(java_json(&float(value)), expected);
        }
    }
}
