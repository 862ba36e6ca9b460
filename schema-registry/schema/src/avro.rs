//! An Avro schema that keeps what a registry must keep: the order of fields and properties, documentation, aliases.
//!
//! Its canonical text is the one by which Confluent's registry identifies a schema, Java's `Schema.toString()`, which the
//! specification's canonical form is not. Why data is encoded here too: `docs/decisions/0001-avro-data.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

mod compatibility;
pub mod data;
mod defaults;
mod name;
mod node;
mod parse;
mod print;

pub use compatibility::{INCOMPATIBILITIES_MAX, Incompatibility, IncompatibilityKind};
pub use node::{Branches, FieldView, Kind, Node};
pub use parse::Error;

/// The longest schema text that is parsed, in bytes; the canonical text may not be longer either.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// The longest full name of a type, in bytes. A namespace is said once and belongs to each name within.
pub const NAME_BYTES_MAX: usize = 1024;

/// A parsed schema. Every named type that it uses is in it, those of references included.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Type,
    named: BTreeMap<String, Definition>,
}

/// A named type as one schema has it.
#[derive(Debug, Clone)]
struct Definition {
    named: Arc<Named>,
    /// Defined by a reference: known here, but no part of this schema's own text.
    referenced: bool,
}

/// One node of a schema.
#[derive(Debug, Clone)]
enum Type {
    Primitive(Primitive, Properties),
    Array(Box<Self>, Properties),
    Map(Box<Self>, Properties),
    Union(Vec<Self>),
    /// A named type by its full name; the definition is in [`Schema::named`].
    Named(String),
}

/// Custom properties (`logicalType` among them) in the order in which they were written.
type Properties = Vec<(String, Value)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// A record, enum or fixed.
#[derive(Debug)]
struct Named {
    name: name::Name,
    doc: Option<String>,
    aliases: Vec<name::Name>,
    properties: Properties,
    kind: NamedKind,
}

#[derive(Debug)]
enum NamedKind {
    Record {
        fields: Vec<Field>,
        is_error: bool,
    },
    Enum {
        symbols: Vec<String>,
        default: Option<String>,
    },
    Fixed {
        size: u32,
    },
}

#[derive(Debug)]
struct Field {
    name: String,
    schema: Type,
    doc: Option<String>,
    default: Option<Value>,
    order: Order,
    aliases: Vec<String>,
    properties: Properties,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    Ignore,
}

impl Primitive {
    const ALL: [Self; 8] = [
        Self::Null,
        Self::Boolean,
        Self::Int,
        Self::Long,
        Self::Float,
        Self::Double,
        Self::Bytes,
        Self::String,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primitive| primitive.name() == name)
    }
}

impl Named {
    /// The word of Avro's `Schema.Type`.
    fn type_name(&self) -> &'static str {
        match self.kind {
            NamedKind::Record { .. } => "record",
            NamedKind::Enum { .. } => "enum",
            NamedKind::Fixed { .. } => "fixed",
        }
    }
}

impl Schema {
    /// The definition behind a [`Type::Named`] of this schema.
    fn definition(&self, full_name: &str) -> &Arc<Named> {
        &self.known(full_name).named
    }

    /// Whether a reference defines the type.
    fn is_referenced(&self, full_name: &str) -> bool {
        self.known(full_name).referenced
    }

    fn known(&self, full_name: &str) -> &Definition {
        self.named.get(full_name).expect("parsing resolves every name")
    }

    /// The types that this schema's own text defines.
    fn own_definitions(&self) -> impl Iterator<Item = &Named> {
        let own = self.named.values().filter(|definition| !definition.referenced);
        own.map(|definition| definition.named.as_ref())
    }

    /// The word of Avro's `Schema.Type` for a node.
    fn type_name(&self, of: &Type) -> &'static str {
        match of {
            Type::Primitive(primitive, _) => primitive.name(),
            Type::Array(..) => "array",
            Type::Map(..) => "map",
            Type::Union(_) => "union",
            Type::Named(name) => self.definition(name).type_name(),
        }
    }
}

#[cfg(test)]
mod tests;
