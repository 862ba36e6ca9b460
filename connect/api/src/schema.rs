//! Schemas of records (Kafka's `Schema`, `ConnectSchema`, `Field`). A schema is immutable, shared by `Arc`, and made by a
//! [`SchemaBuilder`].

mod builder;
mod digits;
mod logical;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

pub use builder::SchemaBuilder;
pub use logical::{
    DATE, DECIMAL, Decimal, Logical, MILLISECONDS_PER_DAY, SCALE_PARAMETER, TIME, TIMESTAMP, date, decimal,
    time, timestamp,
};

use crate::Value;

/// Why a schema cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two fields of one struct share a name.
    #[error("Cannot create field because of field name duplication {0}")]
    DuplicateField(Arc<str>),
    /// A field without a name.
    #[error("fieldName cannot be null.")]
    EmptyFieldName,
    /// Fields were given to something that is no struct.
    #[error("Cannot create fields on type {0}")]
    NotAStruct(Type),
    /// The default is no value of the schema.
    #[error("Invalid default value: {0}")]
    Default(#[from] crate::value::Error),
}

/// The type of a schema's values, without what is inside (Kafka's `Schema.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// A signed integer of 8 bits.
    Int8,
    /// A signed integer of 16 bits.
    Int16,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// A floating-point number of 32 bits.
    Float32,
    /// A floating-point number of 64 bits.
    Float64,
    /// True or false.
    Boolean,
    /// UTF-8.
    String,
    /// Bytes.
    Bytes,
    /// Items of one schema.
    Array,
    /// Entries of one schema for keys and one for values.
    Map,
    /// Named fields.
    Struct,
}

impl Type {
    /// Kafka's name of the constant: `INT32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }

    /// Whether values hold no other values.
    pub const fn is_primitive(self) -> bool {
        !matches!(self, Self::Array | Self::Map | Self::Struct)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A type with the schemas of what is inside.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Primitive(Type),
    Array(Arc<Schema>),
    Map(Arc<Schema>, Arc<Schema>),
    Struct(Fields),
}

/// What values of a record, a field, an item look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    kind: Kind,
    optional: bool,
    default: Option<Value>,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    parameters: BTreeMap<Arc<str>, Arc<str>>,
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// What its values look like.
    pub schema: Arc<Schema>,
}

/// Fields in order, and an index by name.
#[derive(Debug, Clone, Default)]
struct Fields {
    fields: Vec<Field>,
    by_name: BTreeMap<Arc<str>, usize>,
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

macro_rules! builders {
    ($($(#[$doc:meta])* $name:ident: $type:ident;)+) => {$(
        $(#[$doc])*
        pub fn $name() -> SchemaBuilder {
            SchemaBuilder::new(Kind::Primitive(Type::$type))
        }
    )+};
}

impl Schema {
    builders! {
        /// Begins a schema of type INT8.
        int8: Int8;
        /// Begins a schema of type INT16.
        int16: Int16;
        /// Begins a schema of type INT32.
        int32: Int32;
        /// Begins a schema of type INT64.
        int64: Int64;
        /// Begins a schema of type FLOAT32.
        float32: Float32;
        /// Begins a schema of type FLOAT64.
        float64: Float64;
        /// Begins a schema of type BOOLEAN.
        boolean: Boolean;
        /// Begins a schema of type STRING.
        string: String;
        /// Begins a schema of type BYTES.
        bytes: Bytes;
    }

    /// Begins a schema of type ARRAY.
    pub fn array(items: Arc<Schema>) -> SchemaBuilder {
        SchemaBuilder::new(Kind::Array(items))
    }

    /// Begins a schema of type MAP.
    pub fn map(keys: Arc<Schema>, values: Arc<Schema>) -> SchemaBuilder {
        SchemaBuilder::new(Kind::Map(keys, values))
    }

    /// Begins a schema of type STRUCT, without fields.
    pub fn structure() -> SchemaBuilder {
        SchemaBuilder::new(Kind::Struct(Fields::default()))
    }

    /// The plain schema of a primitive type, required or optional (`Schema.STRING_SCHEMA`, `OPTIONAL_STRING_SCHEMA`), shared by
    /// all who ask. `None` for a type that is not primitive.
    pub fn primitive(primitive: Type, optional: bool) -> Option<Arc<Schema>> {
        const TYPES: [Type; 9] = [
            Type::Int8,
            Type::Int16,
            Type::Int32,
            Type::Int64,
            Type::Float32,
            Type::Float64,
            Type::Boolean,
            Type::String,
            Type::Bytes,
        ];
        static SHARED: LazyLock<Vec<[Arc<Schema>; 2]>> = LazyLock::new(|| {
            let plain = |of, optional| {
                let mut schema = SchemaBuilder::new(Kind::Primitive(of)).unchecked();
                schema.optional = optional;
                Arc::new(schema)
            };
            TYPES
                .iter()
                .map(|of| [plain(*of, false), plain(*of, true)])
                .collect()
        });
        let place = TYPES.iter().position(|of| *of == primitive)?;
        Some(Arc::clone(&SHARED[place][usize::from(optional)]))
    }

    /// The plain required STRING.
    pub fn string_schema() -> Arc<Schema> {
        Self::primitive(Type::String, false).expect("STRING is primitive")
    }

    /// The plain optional STRING.
    pub fn optional_string_schema() -> Arc<Schema> {
        Self::primitive(Type::String, true).expect("STRING is primitive")
    }

    /// The plain optional BYTES.
    pub fn optional_bytes_schema() -> Arc<Schema> {
        Self::primitive(Type::Bytes, true).expect("BYTES is primitive")
    }

    /// The type.
    pub fn schema_type(&self) -> Type {
        match &self.kind {
            Kind::Primitive(primitive) => *primitive,
            Kind::Array(_) => Type::Array,
            Kind::Map(..) => Type::Map,
            Kind::Struct(_) => Type::Struct,
        }
    }

    /// Whether a value may be null.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// The value that stands for null or for a field that is missing.
    pub fn default_value(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// The name: of the record in Avro, of the logical type ([`DECIMAL`]).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The version.
    pub fn version(&self) -> Option<i32> {
        self.version
    }

    /// Documentation for readers.
    pub fn doc(&self) -> Option<&str> {
        self.doc.as_deref()
    }

    /// Parameters, sorted by name.
    pub fn parameters(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.parameters
    }

    /// The fields of a STRUCT in order; none for other types.
    pub fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Struct(fields) => &fields.fields,
            _ => &[],
        }
    }

    /// Where in [`Schema::fields`] the field of that name is.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        match &self.kind {
            Kind::Struct(fields) => fields.by_name.get(name).copied(),
            _ => None,
        }
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.field_index(name).map(|index| &self.fields()[index])
    }

    /// The schema of a MAP's keys.
    pub fn key_schema(&self) -> Option<&Arc<Schema>> {
        match &self.kind {
            Kind::Map(keys, _) => Some(keys),
            _ => None,
        }
    }

    /// The schema of a MAP's values or an ARRAY's items.
    pub fn value_schema(&self) -> Option<&Arc<Schema>> {
        match &self.kind {
            Kind::Map(_, inner) | Kind::Array(inner) => Some(inner),
            _ => None,
        }
    }

    /// The same as a builder, to be changed.
    pub fn to_builder(&self) -> SchemaBuilder {
        SchemaBuilder::from(self.clone())
    }
}

#[cfg(test)]
mod tests;
