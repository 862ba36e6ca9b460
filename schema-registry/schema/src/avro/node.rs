//! A schema as those see it who map it to other types: converters, encoders.

use serde_json::Value;

use super::{Field, NamedKind, Primitive, Properties, Schema, Type};

/// One type within a schema. Named types lead back to their definition, so a recursive schema has no end.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    schema: &'a Schema,
    of: &'a Type,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `int`, 32 bits
    Int,
    /// `long`, 64 bits
    Long,
    /// `float`, 32 bits
    Float,
    /// `double`, 64 bits
    Double,
    /// `bytes`
    Bytes,
    /// `string`
    String,
    /// An array of the type given.
    Array(Node<'a>),
    /// A map from strings to the type given.
    Map(Node<'a>),
    /// One of several types.
    Union(Branches<'a>),
    /// A record with its fields in order.
    Record(Vec<FieldView<'a>>),
    /// An enum's symbols.
    Enum(&'a [String]),
    /// A number of bytes.
    Fixed(usize),
}

/// The branches of a union. A view: a decoder asks for it with each value, which may be a single byte.
#[derive(Debug, Clone, Copy)]
pub struct Branches<'a> {
    schema: &'a Schema,
    branches: &'a [Type],
}

/// A field of a record.
#[derive(Debug, Clone, Copy)]
pub struct FieldView<'a> {
    schema: &'a Schema,
    field: &'a Field,
}

impl Schema {
    /// The outermost type.
    pub fn root(&self) -> Node<'_> {
        Node {
            schema: self,
            of: &self.root,
        }
    }
}

impl<'a> Node<'a> {
    /// What this type is.
    pub fn kind(self) -> Kind<'a> {
        let schema = self.schema;
        match self.of {
            Type::Primitive(primitive, _) => match primitive {
                Primitive::Null => Kind::Null,
                Primitive::Boolean => Kind::Boolean,
                Primitive::Int => Kind::Int,
                Primitive::Long => Kind::Long,
                Primitive::Float => Kind::Float,
                Primitive::Double => Kind::Double,
                Primitive::Bytes => Kind::Bytes,
                Primitive::String => Kind::String,
            },
            Type::Array(items, _) => Kind::Array(Node { schema, of: items }),
            Type::Map(values, _) => Kind::Map(Node { schema, of: values }),
            Type::Union(branches) => Kind::Union(Branches { schema, branches }),
            Type::Named(name) => match &schema.definition(name).kind {
                NamedKind::Record { fields, .. } => {
                    Kind::Record(fields.iter().map(|field| FieldView { schema, field }).collect())
                }
                NamedKind::Enum { symbols, .. } => Kind::Enum(symbols),
                NamedKind::Fixed { size } => Kind::Fixed(*size as usize),
            },
        }
    }

    /// The name by which Avro's JSON encoding tells a union's branches apart: the full name of a named type, else the
    /// type's word.
    pub fn branch_name(self) -> &'a str {
        match self.of {
            Type::Named(name) => name,
            other => self.schema.type_name(other),
        }
    }

    /// The full name of a named type.
    pub fn full_name(self) -> Option<&'a str> {
        match self.of {
            Type::Named(name) => Some(name),
            _ => None,
        }
    }

    /// The documentation of a named type.
    pub fn doc(self) -> Option<&'a str> {
        match self.of {
            Type::Named(name) => self.schema.definition(name).doc.as_deref(),
            _ => None,
        }
    }

    /// A custom property such as `logicalType`, `precision`, `connect.name`.
    pub fn property(self, key: &str) -> Option<&'a Value> {
        let properties: &'a Properties = match self.of {
            Type::Primitive(_, properties) | Type::Array(_, properties) | Type::Map(_, properties) => {
                properties
            }
            Type::Named(name) => &self.schema.definition(name).properties,
            Type::Union(_) => return None,
        };
        properties
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }
}

impl<'a> Branches<'a> {
    /// How many.
    #[expect(
        clippy::len_without_is_empty,
        reason = "Avro knows unions of nothing, but nobody asks"
    )]
    pub fn len(self) -> usize {
        self.branches.len()
    }

    /// One by its index.
    pub fn get(self, index: usize) -> Option<Node<'a>> {
        let schema = self.schema;
        self.branches.get(index).map(|of| Node { schema, of })
    }

    /// All in order.
    pub fn iter(self) -> impl Iterator<Item = Node<'a>> {
        let schema = self.schema;
        self.branches.iter().map(move |of| Node { schema, of })
    }
}

impl<'a> FieldView<'a> {
    /// The field's name.
    pub fn name(self) -> &'a str {
        &self.field.name
    }

    /// The field's type.
    pub fn node(self) -> Node<'a> {
        Node {
            schema: self.schema,
            of: &self.field.schema,
        }
    }

    /// The field's default in Avro's JSON form; `null` is a default too.
    pub fn default(self) -> Option<&'a Value> {
        self.field.default.as_ref()
    }

    /// The field's documentation.
    pub fn doc(self) -> Option<&'a str> {
        self.field.doc.as_deref()
    }
}
