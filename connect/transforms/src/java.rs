//! What of Java shows through in Kafka's messages and results: names of classes, `String.split`, number formats.

use forebay_connect_api::{Schema, Value, schema::Logical};

/// The name of the class that a value has in Java; `null` for none.
pub(crate) fn class_name(schema: Option<&Schema>, value: &Value) -> &'static str {
    if value.is_null() {
        return "null";
    }
    match schema.and_then(Schema::logical) {
        Some(Logical::Decimal { .. }) => return "java.math.BigDecimal",
        Some(Logical::Date | Logical::Time | Logical::Timestamp) => return "java.util.Date",
        None => {}
    }
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

/// `ConnectSchema.toString`.
pub(crate) fn schema_text(schema: &Schema) -> String {
    let of = schema.schema_type();
    match schema.name() {
        Some(name) => format!("Schema{{{name}:{of}}}"),
        None => format!("Schema{{{of}}}"),
    }
}

/// `String.split` at a colon: empty parts at the end are not there.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(':').collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// `[a, b]`, as Java shows a list.
pub(crate) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// `Double.parseDouble`, hexadecimal numbers aside.
pub(crate) fn parse_f64(text: &str) -> Option<f64> {
    decimal_text(text)?.parse().ok()
}

/// `Float.parseFloat`, hexadecimal numbers aside.
pub(crate) fn parse_f32(text: &str) -> Option<f32> {
    decimal_text(text)?.parse().ok()
}

/// What Rust reads, too: its `inf` and its case-insensitive `nan` are no numbers of Java's.
fn decimal_text(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        "NaN" => return Some("NaN"),
        "Infinity" => return Some(text),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    Some(text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("1.5", Some(1.5)),
            (" +2d ", Some(2.0)),
            ("-1e3F", Some(-1000.0)),
            (".5", Some(0.5)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("inf", None),
            ("nan", None),
            ("", None),
            ("1x", None),
        ] {
            assert_eq!(parse_f64(text), expected, "{text:?}");
        }
        assert!(parse_f32("NaN").is_some_and(f32::is_nan));
    }

    #[test]
    fn splitting_drops_what_is_empty_at_the_end() {
        assert_eq!(split("a:b"), ["a", "b"]);
        assert_eq!(split("a::"), ["a"]);
        assert_eq!(split(":b:"), ["", "b"]);
        assert_eq!(split(""), [""]);
    }
}
