//! What the parts of the generator share: the Rust types of fields, their defaults, how a default is told from a value, and how
//! few bytes a value takes.

use super::names;
use super::schema::{Field, Kind, Message, Struct};
use super::versions::Versions;

/// What a structure is generated from.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) message: &'a Message,
    pub(super) structure: &'a Struct,
}

impl Context<'_> {
    /// The versions at which the structure is read and written.
    pub(super) fn possible(&self) -> Versions {
        self.structure.versions.intersect(self.message.valid_versions)
    }

    /// Whether the structure has a place for tagged fields at any version.
    pub(super) fn has_tags(&self) -> bool {
        !self
            .message
            .flexible_versions
            .intersect(self.possible())
            .is_empty()
    }

    /// The Rust expression that says whether a field has the flexible form.
    pub(super) fn flexible(&self, field: &Field) -> String {
        match field.flexible {
            Some(versions) => versions.when(self.possible()).expression(),
            None => self.flexible_variable(),
        }
    }

    /// `flexible` where it depends on the version.
    pub(super) fn flexible_variable(&self) -> String {
        match self.message.flexible_versions.when(self.possible()) {
            super::versions::When::If(_) => "flexible".to_owned(),
            when => when.expression(),
        }
    }
}

/// The Rust type of a value that is not null.
pub(super) fn plain_type(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int8 => "i8".to_owned(),
        Kind::Int16 => "i16".to_owned(),
        Kind::Uint16 => "u16".to_owned(),
        Kind::Int32 => "i32".to_owned(),
        Kind::Uint32 => "u32".to_owned(),
        Kind::Int64 => "i64".to_owned(),
        Kind::Float64 => "f64".to_owned(),
        Kind::Uuid => "crate::Uuid".to_owned(),
        Kind::String => "crate::Utf8Bytes".to_owned(),
        Kind::Bytes => "bytes::Bytes".to_owned(),
        Kind::Records => "crate::Records".to_owned(),
        Kind::Struct(name) => name.clone(),
        Kind::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

/// The Rust type of a field.
pub(super) fn field_type(field: &Field) -> String {
    if field.is_optional() {
        format!("Option<{}>", plain_type(&field.kind))
    } else {
        plain_type(&field.kind)
    }
}

/// Whether the default is what `Default` gives for the type.
pub(super) fn is_natural_default(field: &Field) -> bool {
    if field.is_optional() {
        return field.is_null_by_default();
    }
    match field.default.as_deref() {
        None => true,
        Some(text) => matches!(text, "0" | "false"),
    }
}

/// The default of a field, as an expression.
pub(super) fn default(field: &Field) -> String {
    if field.is_null_by_default() {
        return "None".to_owned();
    }
    let text = field.default.as_deref();
    let plain = match (&field.kind, text) {
        (Kind::Bool, text) => text.unwrap_or("false").to_owned(),
        (Kind::Float64, text) => text.unwrap_or("0.0").to_owned(),
        (Kind::Uuid, None) => "crate::Uuid::ZERO".to_owned(),
        (Kind::Array(_), None) => "Vec::new()".to_owned(),
        (Kind::Bytes, None) => "bytes::Bytes::new()".to_owned(),
        (Kind::Records, None) => "crate::Records::EMPTY".to_owned(),
        (Kind::String, None) => "crate::Utf8Bytes::default()".to_owned(),
        (Kind::String, Some(text)) => format!("crate::Utf8Bytes::from_static({text:?})"),
        (Kind::Struct(name), None) => format!("{name}::default()"),
        (Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Uint32 | Kind::Int64, text) => {
            integer(text)
        }
        (kind, Some(text)) => panic!("{}: {text:?} is no default of {kind:?}", field.name),
    };
    if field.is_optional() {
        format!("Some({plain})")
    } else {
        plain
    }
}

fn integer(text: Option<&str>) -> String {
    match text.unwrap_or("0") {
        "9223372036854775807" => "i64::MAX".to_owned(),
        "-2147483648" => "i32::MIN".to_owned(),
        "0x7fffffff" => "i32::MAX".to_owned(),
        text => text.to_owned(),
    }
}

/// Whether a field holds something else than its default, as an expression.
pub(super) fn is_set(field: &Field) -> String {
    let name = format!("self.{}", names::field(&field.name));
    if field.is_optional() {
        if field.is_null_by_default() {
            return format!("{name}.is_some()");
        }
        return match (&field.kind, &field.default) {
            (Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_), None) => {
                format!("{name}.as_ref().is_none_or(|value| !value.is_empty())")
            }
            _ => format!("{name} != {}", default(field)),
        };
    }
    match (&field.kind, field.default.as_deref()) {
        (Kind::Bool, Some("true")) => format!("!{name}"),
        (Kind::Bool, _) => name,
        (Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_), None) => format!("!{name}.is_empty()"),
        _ => format!("{name} != {}", default(field)),
    }
}

/// The fewest bytes that a value may take, in its flexible form or not. Null takes no more.
pub(super) fn bytes_min(message: &Message, field: &Field, kind: &Kind, version: i16) -> usize {
    let flexible = field
        .flexible
        .unwrap_or(message.flexible_versions)
        .contains(version);
    match kind {
        Kind::Bool | Kind::Int8 => 1,
        Kind::Int16 | Kind::Uint16 => 2,
        Kind::Int32 | Kind::Uint32 => 4,
        Kind::Int64 | Kind::Float64 => 8,
        Kind::Uuid => 16,
        Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) if flexible => 1,
        Kind::String => 2,
        Kind::Bytes | Kind::Records | Kind::Array(_) => 4,
        Kind::Struct(_) if field.nullable.contains(version) => 1,
        Kind::Struct(name) => struct_bytes_min(message, name, version),
    }
}

/// The fewest bytes that a structure may take at a version.
pub(super) fn struct_bytes_min(message: &Message, name: &str, version: i16) -> usize {
    let structure = message
        .structs
        .iter()
        .find(|structure| structure.name == name)
        .expect("the schema is checked");
    let present = structure
        .fields
        .iter()
        .filter(|field| field.in_place().contains(version));
    let fields: usize = present
        .map(|field| bytes_min(message, field, &field.kind, version))
        .sum();
    fields + usize::from(message.flexible_versions.contains(version))
}
