//! From JSON text to [`Schema`], refusing what Avro's own parser refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::name::{self, Name};
use super::{
    Definition, Field, NAME_BYTES_MAX, Named, NamedKind, Order, Primitive, Properties, SCHEMA_BYTES_MAX,
    Schema, Type, defaults, print,
};

/// Why a text is no Avro schema.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than [`SCHEMA_BYTES_MAX`] bytes.
    #[error("the schema has {bytes} bytes, more than the {SCHEMA_BYTES_MAX} allowed")]
    TooLarge {
        /// How long the text is.
        bytes: usize,
    },
    /// The canonical text would have more than [`SCHEMA_BYTES_MAX`] bytes, so that nobody could parse it.
    #[error("the schema's canonical text has more than the {SCHEMA_BYTES_MAX} bytes allowed")]
    CanonicalTooLarge,
    /// No JSON at all, or nested too deep.
    #[error("the schema is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not a schema; the text says what and where.
    #[error("{0}")]
    Invalid(String),
}

/// How deep types may be defined within each other.
const DEPTH_MAX: usize = 256;

/// How deep the JSON parser goes.
const NESTING_MAX: usize = 127;

const SCHEMA_RESERVED: &[&str] = &[
    "doc",
    "fields",
    "items",
    "name",
    "namespace",
    "size",
    "symbols",
    "values",
    "type",
    "aliases",
];
const FIELD_RESERVED: &[&str] = &["default", "doc", "name", "order", "type", "aliases"];

fn invalid<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(message.into()))
}

impl Schema {
    /// Parses `text`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_with_references(text, &[])
    }

    /// Parses `text`, which may use the named types that `references` define.
    pub fn parse_with_references(text: &str, references: &[Self]) -> Result<Self, Error> {
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(Error::TooLarge { bytes: text.len() });
        }
        let json: Value = serde_json::from_str(text)?;
        let mut parser = Parser {
            named: BTreeMap::new(),
            known: BTreeSet::new(),
        };
        for (name, definition) in references.iter().flat_map(|reference| &reference.named) {
            parser.known.insert(name.clone());
            let definition = Definition {
                named: Arc::clone(&definition.named),
                referenced: true,
            };
            parser.named.insert(name.clone(), definition);
        }
        parser.collect_names(&json, None)?;
        let root = parser.schema(&json, None)?;
        let schema = Self {
            root,
            named: parser.named,
        };
        if !schema.is_printable(&schema.root, &mut BTreeSet::new(), DEPTH_MAX) {
            return invalid(format!(
                "the schema's types are defined within each other deeper than {DEPTH_MAX} levels"
            ));
        }
        defaults::check(&schema).map_err(Error::Invalid)?;
        match print::check(&schema, SCHEMA_BYTES_MAX, NESTING_MAX) {
            Ok(()) => Ok(schema),
            Err(print::Unparsable::TooLong) => Err(Error::CanonicalTooLarge),
            Err(print::Unparsable::TooDeep) => invalid(format!(
                "the schema's types are defined within each other deeper than {NESTING_MAX} levels of JSON where each is \
                 written out at its first use"
            )),
        }
    }
}

impl Schema {
    /// Whether no type is written out deeper than `levels` within others, each where it is first met: names may be used
    /// before their definition, which makes the canonical text deeper than the one that was parsed.
    fn is_printable<'a>(&'a self, of: &'a Type, met: &mut BTreeSet<&'a str>, levels: usize) -> bool {
        let Some(levels) = levels.checked_sub(1) else {
            return false;
        };
        match of {
            Type::Primitive(..) => true,
            Type::Array(element, _) | Type::Map(element, _) => self.is_printable(element, met, levels),
            Type::Union(branches) => branches
                .iter()
                .all(|branch| self.is_printable(branch, met, levels)),
            Type::Named(name) => match &self.definition(name).kind {
                NamedKind::Record { fields, .. } if met.insert(name) => fields
                    .iter()
                    .all(|field| self.is_printable(&field.schema, met, levels)),
                _ => true,
            },
        }
    }
}

struct Parser {
    named: BTreeMap<String, Definition>,
    /// Every full name that is defined anywhere, so that a name may be used before its definition.
    known: BTreeSet<String>,
}

impl Parser {
    /// The depth is bounded by the JSON parser's own limit of 128.
    fn collect_names(&mut self, json: &Value, namespace: Option<&Arc<str>>) -> Result<(), Error> {
        match json {
            Value::Array(branches) => branches
                .iter()
                .try_for_each(|branch| self.collect_names(branch, namespace)),
            Value::Object(object) => match object.get("type").and_then(Value::as_str) {
                Some("record" | "error") => {
                    let name = self.define(object, namespace)?;
                    let fields = object.get("fields").and_then(Value::as_array);
                    let mut types = fields.into_iter().flatten().filter_map(|field| field.get("type"));
                    types.try_for_each(|field| self.collect_names(field, name.namespace.as_ref()))
                }
                Some("enum" | "fixed") => self.define(object, namespace).map(drop),
                Some("array") => object
                    .get("items")
                    .map_or(Ok(()), |items| self.collect_names(items, namespace)),
                Some("map") => object
                    .get("values")
                    .map_or(Ok(()), |values| self.collect_names(values, namespace)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn define(&mut self, object: &Map<String, Value>, namespace: Option<&Arc<str>>) -> Result<Name, Error> {
        let name = parse_name(object, namespace)?;
        if Primitive::from_name(&name.full()).is_some() {
            return invalid(format!(
                "Schemas may not be named after primitives: {}",
                name.full()
            ));
        }
        if !self.known.insert(name.full()) {
            return invalid(format!("Can't redefine: {}", name.full()));
        }
        Ok(name)
    }

    fn schema(&mut self, json: &Value, namespace: Option<&Arc<str>>) -> Result<Type, Error> {
        match json {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(object) => self.object(object, namespace),
            other => invalid(format!("Schema not yet supported: {other}")),
        }
    }

    fn by_name(&self, text: &str, namespace: Option<&Arc<str>>) -> Result<Type, Error> {
        if let Some(primitive) = Primitive::from_name(text) {
            return Ok(Type::Primitive(primitive, Vec::new()));
        }
        let candidates = [Name::new(text, namespace).full(), text.to_owned()];
        match candidates.into_iter().find(|name| self.known.contains(name)) {
            Some(name) => Ok(Type::Named(name)),
            None => invalid(format!("Undefined name: \"{text}\"")),
        }
    }

    fn union(&mut self, branches: &[Value], namespace: Option<&Arc<str>>) -> Result<Type, Error> {
        let mut types = Vec::with_capacity(branches.len());
        let mut seen = BTreeSet::new();
        for branch in branches {
            let branch = self.schema(branch, namespace)?;
            let name = match &branch {
                Type::Union(_) => return invalid("Nested union"),
                Type::Primitive(primitive, _) => primitive.name().to_owned(),
                Type::Array(..) => "array".to_owned(),
                Type::Map(..) => "map".to_owned(),
                Type::Named(name) => name.clone(),
            };
            if seen.contains(&name) {
                return invalid(format!("Duplicate in union:{name}"));
            }
            seen.insert(name);
            types.push(branch);
        }
        Ok(Type::Union(types))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: Option<&Arc<str>>) -> Result<Type, Error> {
        let Some(word) = object.get("type").and_then(Value::as_str) else {
            return invalid(format!("No type: {}", Value::Object(object.clone())));
        };
        if let Some(primitive) = Primitive::from_name(word) {
            return Ok(Type::Primitive(primitive, properties(object, SCHEMA_RESERVED)));
        }
        match word {
            "record" | "error" => self.record(object, namespace, word == "error"),
            "enum" => self.enumeration(object, namespace),
            "fixed" => self.fixed(object, namespace),
            "array" => match object.get("items") {
                Some(items) => {
                    let items = self.schema(items, namespace)?;
                    Ok(Type::Array(Box::new(items), properties(object, SCHEMA_RESERVED)))
                }
                None => invalid("Array has no items type"),
            },
            "map" => match object.get("values") {
                Some(values) => {
                    let values = self.schema(values, namespace)?;
                    Ok(Type::Map(Box::new(values), properties(object, SCHEMA_RESERVED)))
                }
                None => invalid("Map has no values type"),
            },
            // A union or a name in an object, as Avro's parser has always taken it.
            name => self.by_name(name, namespace),
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&Arc<str>>,
        is_error: bool,
    ) -> Result<Type, Error> {
        let name = parse_name(object, namespace)?;
        let Some(list) = object.get("fields").and_then(Value::as_array) else {
            return invalid(format!("Record has no fields: {}", name.full()));
        };
        let mut fields = Vec::with_capacity(list.len());
        let mut seen = BTreeSet::new();
        for json in list {
            let field = self.field(json, name.namespace.as_ref())?;
            if !seen.insert(field.name.clone()) {
                return invalid(format!(
                    "Duplicate field {} in record {}",
                    field.name,
                    name.full()
                ));
            }
            fields.push(field);
        }
        self.put(
            object,
            name,
            NamedKind::Record { fields, is_error },
            SCHEMA_RESERVED,
        )
    }

    fn field(&mut self, json: &Value, namespace: Option<&Arc<str>>) -> Result<Field, Error> {
        let Some(field) = json.as_object() else {
            return invalid(format!("No field name: {json}"));
        };
        let Some(field_name) = field.get("name").and_then(Value::as_str) else {
            return invalid(format!("No field name: {json}"));
        };
        check_name(field_name)?;
        let Some(schema) = field.get("type") else {
            return invalid(format!("No field type: {json}"));
        };
        let schema = self.schema(schema, namespace)?;
        let order = match field
            .get("order")
            .map(|order| order.as_str().unwrap_or_default().to_ascii_lowercase())
        {
            None => Order::Ascending,
            Some(order) => match order.as_str() {
                "ascending" => Order::Ascending,
                "descending" => Order::Descending,
                "ignore" => Order::Ignore,
                _ => return invalid(format!("field {field_name} has an order that is none: {order}")),
            },
        };
        Ok(Field {
            name: field_name.to_owned(),
            default: field
                .get("default")
                .map(|default| defaults::canonical(default, &schema)),
            schema,
            doc: text(field, "doc"),
            order,
            aliases: strings(field, "aliases"),
            properties: properties(field, FIELD_RESERVED),
        })
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        namespace: Option<&Arc<str>>,
    ) -> Result<Type, Error> {
        let name = parse_name(object, namespace)?;
        let Some(list) = object.get("symbols").and_then(Value::as_array) else {
            return invalid(format!("Enum has no symbols: {}", name.full()));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(list.len());
        let mut seen = BTreeSet::new();
        for symbol in list {
            let Some(symbol) = symbol.as_str() else {
                return invalid(format!("Illegal enum symbol: {symbol}"));
            };
            check_name(symbol)?;
            if !seen.insert(symbol) {
                return invalid(format!("Duplicate enum symbol: {symbol}"));
            }
            symbols.push(symbol.to_owned());
        }
        let default = text(object, "default");
        if let Some(default) = default.as_ref().filter(|default| !symbols.contains(default)) {
            return invalid(format!(
                "The Enum Default: {default} is not in the enum symbol set: [{}]",
                symbols.join(", ")
            ));
        }
        let reserved: Vec<&str> = SCHEMA_RESERVED.iter().copied().chain(["default"]).collect();
        self.put(object, name, NamedKind::Enum { symbols, default }, &reserved)
    }

    fn fixed(&mut self, object: &Map<String, Value>, namespace: Option<&Arc<str>>) -> Result<Type, Error> {
        let name = parse_name(object, namespace)?;
        let size = object
            .get("size")
            .and_then(Value::as_i64)
            .and_then(|size| i32::try_from(size).ok());
        match size.map(u32::try_from) {
            Some(Ok(size)) => self.put(object, name, NamedKind::Fixed { size }, SCHEMA_RESERVED),
            _ => invalid(format!("Invalid or no size: {}", name.full())),
        }
    }

    fn put(
        &mut self,
        object: &Map<String, Value>,
        name: Name,
        kind: NamedKind,
        reserved: &[&str],
    ) -> Result<Type, Error> {
        let full = name.full();
        let aliases = strings(object, "aliases");
        let aliases = aliases
            .iter()
            .map(|alias| Name::new(alias, name.namespace.as_ref()))
            .collect();
        let properties = properties(object, reserved);
        let named = Named {
            doc: text(object, "doc"),
            name,
            aliases,
            properties,
            kind,
        };
        let definition = Definition {
            named: Arc::new(named),
            referenced: false,
        };
        self.named.insert(full.clone(), definition);
        Ok(Type::Named(full))
    }
}

fn parse_name(object: &Map<String, Value>, namespace: Option<&Arc<str>>) -> Result<Name, Error> {
    let Some(text) = object.get("name").and_then(Value::as_str) else {
        return invalid(format!("No name in schema: {}", Value::Object(object.clone())));
    };
    let own = object.get("namespace").and_then(Value::as_str).map(Arc::from);
    let name = Name::new(text, own.as_ref().or(namespace));
    check_name(&name.simple)?;
    let bytes = name.simple.len() + name.namespace.as_ref().map_or(0, |namespace| namespace.len() + 1);
    if bytes > NAME_BYTES_MAX {
        return invalid(format!(
            "a name has {bytes} bytes with its namespace, more than the {NAME_BYTES_MAX} allowed"
        ));
    }
    Ok(name)
}

fn check_name(name: &str) -> Result<(), Error> {
    match name {
        "" => invalid("Empty name"),
        name if name::is_valid(name) => Ok(()),
        name => invalid(format!("Illegal character in: {name}")),
    }
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn strings(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = object.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn properties(object: &Map<String, Value>, reserved: &[&str]) -> Properties {
    let own = object.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    own.map(|(key, value)| (key.clone(), defaults::canonical_numbers(value)))
        .collect()
}
