//! Generates `fn read`: the fields in their order, then the tagged ones. What a version does not have gets its default.

use std::fmt::Write as _;

use super::code::{Context, default, struct_bytes_min};
use super::names;
use super::schema::{Field, Kind};
use super::versions::{Versions, When};

/// The function that reads a structure.
pub(super) fn function(context: Context<'_>) -> String {
    let mut code = String::from(
        "fn read(reader: &mut crate::Reader, version: i16) -> Result<Self, crate::decode::Error> {\n",
    );
    if let When::If(condition) = context.message.flexible_versions.when(context.possible()) {
        let _ = writeln!(code, "let flexible = {condition};");
    }
    for field in &context.structure.fields {
        let mutable = if field.tag.is_some() { "mut " } else { "" };
        let present = field.in_place().intersect(context.possible());
        let value = if present.is_empty() {
            String::new()
        } else {
            value(context, field, present)
        };
        let value = field
            .in_place()
            .when(context.possible())
            .choose(&value, &default(field));
        let _ = writeln!(code, "let {mutable}{} = {value};", names::local(&field.name));
    }
    if context.has_tags() {
        let _ = writeln!(code, "let unknown_tagged_fields = {};", tagged(context));
    }
    let names = context.structure.fields.iter().map(|field| {
        let (name, local) = (names::field(&field.name), names::local(&field.name));
        if name == local {
            name
        } else {
            format!("{name}: {local}")
        }
    });
    let names = names.chain(context.has_tags().then(|| "unknown_tagged_fields".to_owned()));
    let _ = writeln!(
        code,
        "Ok(Self {{ {} }})\n}}",
        names.collect::<Vec<_>>().join(", ")
    );
    code
}

/// The expression that reads a field which is there.
fn value(context: Context<'_>, field: &Field, present: Versions) -> String {
    if !field.is_optional() {
        return plain(context, field, present);
    }
    field.nullable.when(present).choose(
        &nullable(context, field, present),
        &format!("Some({})", plain(context, field, present)),
    )
}

fn plain(context: Context<'_>, field: &Field, present: Versions) -> String {
    let (name, flexible) = (names::camel(&field.name), context.flexible(field));
    match &field.kind {
        Kind::Array(element) => format!(
            "reader.array({})?",
            array_arguments(context, field, element, present)
        ),
        Kind::Struct(structure) => format!("{structure}::read(reader, version)?"),
        kind => match primitive(kind) {
            Some(method) => format!("reader.{method}()?"),
            None => format!("reader.{}({name:?}, {flexible})?", variable(kind)),
        },
    }
}

fn nullable(context: Context<'_>, field: &Field, present: Versions) -> String {
    let (name, flexible) = (names::camel(&field.name), context.flexible(field));
    match &field.kind {
        Kind::Array(element) => format!(
            "reader.nullable_array({})?",
            array_arguments(context, field, element, present)
        ),
        Kind::Struct(structure) => {
            // Kafka has a byte for it in place, a number in a tagged field; 1 looks the same in both.
            let null = if field.tag.is_some() {
                "reader.unsigned_varint()? == 0"
            } else {
                "reader.i8()? < 0"
            };
            format!("if {null} {{ None }} else {{ Some({structure}::read(reader, version)?) }}")
        }
        kind => format!("reader.nullable_{}({name:?}, {flexible})?", variable(kind)),
    }
}

fn array_arguments(context: Context<'_>, field: &Field, element: &Kind, present: Versions) -> String {
    let (name, flexible) = (names::camel(&field.name), context.flexible(field));
    let (bytes_min, read) = match element {
        Kind::Struct(structure) => (
            struct_minimum(context, structure, present),
            format!("|reader| {structure}::read(reader, version)"),
        ),
        kind => match primitive(kind) {
            Some(method) => (fixed_size(kind).to_string(), format!("crate::Reader::{method}")),
            None => {
                let bytes_min = match (flexible.as_str(), kind) {
                    ("true", _) => "1".to_owned(),
                    ("false", Kind::String) => "2".to_owned(),
                    ("false", _) => "4".to_owned(),
                    (_, Kind::String) => "if flexible { 1 } else { 2 }".to_owned(),
                    _ => "if flexible { 1 } else { 4 }".to_owned(),
                };
                (
                    bytes_min,
                    format!("|reader| reader.{}({name:?}, {flexible})", variable(kind)),
                )
            }
        },
    };
    format!("{name:?}, {flexible}, {bytes_min}, {read}")
}

/// The fewest bytes of a structure, by version.
fn struct_minimum(context: Context<'_>, structure: &str, versions: Versions) -> String {
    let minimum = |version| struct_bytes_min(context.message, structure, version);
    let mut arms: Vec<(i16, i16, usize)> = Vec::new();
    for version in versions.lowest..=versions.highest {
        match arms.last_mut() {
            Some((_, highest, bytes)) if *bytes == minimum(version) => *highest = version,
            _ => arms.push((version, version, minimum(version))),
        }
    }
    let (_, _, last) = arms.pop().expect("only asked of fields that are there");
    if arms.is_empty() {
        return last.to_string();
    }
    let arm = |(lowest, highest, bytes): &(i16, i16, usize)| {
        let range = if lowest == highest {
            lowest.to_string()
        } else {
            format!("{lowest}..={highest}")
        };
        format!("{range} => {bytes},\n")
    };
    let arms: String = arms.iter().map(arm).collect();
    format!("match version {{ {arms} _ => {last} }}")
}

/// The method that reads and writes a value of fixed size.
pub(super) fn primitive(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Bool => Some("bool"),
        Kind::Int8 => Some("i8"),
        Kind::Int16 => Some("i16"),
        Kind::Uint16 => Some("u16"),
        Kind::Int32 => Some("i32"),
        Kind::Uint32 => Some("u32"),
        Kind::Int64 => Some("i64"),
        Kind::Float64 => Some("f64"),
        Kind::Uuid => Some("uuid"),
        _ => None,
    }
}

fn fixed_size(kind: &Kind) -> usize {
    match kind {
        Kind::Bool | Kind::Int8 => 1,
        Kind::Int16 | Kind::Uint16 => 2,
        Kind::Int32 | Kind::Uint32 => 4,
        Kind::Int64 | Kind::Float64 => 8,
        Kind::Uuid => 16,
        _ => unreachable!("only asked of primitives"),
    }
}

/// The method that reads and writes a value with a length.
pub(super) fn variable(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Records => "records",
        _ => unreachable!("only asked of strings, bytes and records"),
    }
}

/// The expression that reads the tagged fields, and gives those that are unknown.
fn tagged(context: Context<'_>) -> String {
    let flexible = context.message.flexible_versions.intersect(context.possible());
    let mut arms = String::new();
    for field in context
        .structure
        .fields
        .iter()
        .filter(|field| field.tag.is_some())
    {
        let (tag, name) = (field.tag.unwrap_or_default(), names::local(&field.name));
        let present = field.tagged.intersect(flexible);
        let value = if present.is_empty() {
            String::new()
        } else {
            value(context, field, present)
        };
        match field.tagged.when(flexible) {
            When::Always => _ = writeln!(arms, "{tag} => {{ {name} = {value}; }}"),
            When::If(condition) => {
                _ = writeln!(arms, "{tag} if {condition} => {{ {name} = {value}; }}");
                _ = writeln!(arms, "{tag} => return Err(reader.tag_not_in_version({tag})),");
            }
            When::Never => _ = writeln!(arms, "{tag} => return Err(reader.tag_not_in_version({tag})),"),
        }
    }
    let read = if arms.is_empty() {
        "reader.unknown_tagged_fields()?".to_owned()
    } else {
        format!(
            "reader.tagged_fields(|reader, tag| {{ match tag {{ {arms} _ => return Ok(false), }} Ok(true) }})?"
        )
    };
    match context.flexible_variable().as_str() {
        "true" => read,
        flexible => format!("if {flexible} {{ {read} }} else {{ crate::TaggedFields::default() }}"),
    }
}
