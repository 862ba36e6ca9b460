//! Generates `fn json`, behind the feature of that name: a structure as Kafka's JsonConverter writes it, for tools and tests.

use std::fmt::Write as _;

use super::code::{Context, is_set};
use super::decode::primitive;
use super::names;
use super::schema::{Field, Kind};
use super::versions::When;

/// The function that gives a structure as JSON.
pub(super) fn function(context: Context<'_>) -> String {
    let mut code = String::new();
    for field in &context.structure.fields {
        let insert = format!(
            "object.insert({:?}.to_owned(), {});\n",
            names::camel(&field.name),
            value(field)
        );
        let in_place = field.in_place().when(context.possible());
        code += &in_place.then(&insert);
        let tagged = field.tagged.when(context.possible());
        let condition = match &tagged {
            When::If(condition) => format!("{condition} && {}", is_set(field)),
            _ => is_set(field),
        };
        if tagged != When::Never {
            let _ = writeln!(code, "if {condition} {{ {insert} }}");
        }
    }
    let mutable = if code.is_empty() { "" } else { "mut " };
    format!(
        "#[cfg(feature = \"json\")]
        fn json(&self, version: i16) -> serde_json::Value {{
            let {mutable}object = serde_json::Map::new();
            {code}
            serde_json::Value::Object(object)
        }}\n"
    )
}

fn value(field: &Field) -> String {
    let name = format!("self.{}", names::field(&field.name));
    let variable = matches!(field.kind, Kind::String | Kind::Bytes | Kind::Records);
    match (field.is_optional(), variable) {
        (true, true) => {
            let function = plain(&field.kind, "");
            format!(
                "{name}.as_ref().map_or(serde_json::Value::Null, {})",
                function.trim_end_matches("()")
            )
        }
        (true, false) => {
            format!(
                "{name}.as_ref().map_or(serde_json::Value::Null, |value| {})",
                plain(&field.kind, "value")
            )
        }
        (false, true) => plain(&field.kind, &format!("&{name}")),
        (false, false) => plain(&field.kind, &name),
    }
}

/// The value at `place`: a reference, or a number.
fn plain(kind: &Kind, place: &str) -> String {
    match kind {
        Kind::Bool | Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Uint32 | Kind::Int64 => {
            format!("serde_json::Value::from({place})")
        }
        Kind::Float64 => format!("crate::json::float({place})"),
        Kind::Uuid => format!("crate::json::uuid({place})"),
        Kind::String => format!("crate::json::string({place})"),
        Kind::Bytes => format!("crate::json::bytes({place})"),
        Kind::Records => format!("crate::json::records({place})"),
        Kind::Struct(_) => format!("{place}.json(version)"),
        Kind::Array(element) => {
            let is_number = primitive(element).is_some();
            let each = plain(element, if is_number { "*element" } else { "element" });
            if !is_number && !matches!(**element, Kind::Struct(_)) {
                let function = each.trim_end_matches("(element)");
                return format!("serde_json::Value::Array({place}.iter().map({function}).collect())");
            }
            format!("serde_json::Value::Array({place}.iter().map(|element| {each}).collect())")
        }
    }
}
