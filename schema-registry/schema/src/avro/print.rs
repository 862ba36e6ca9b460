//! The text by which a registry identifies a schema: what Java's `Schema.toString(references, false)` prints. White
//! space and the order of members do not matter to it; documentation, aliases, defaults and properties do.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::{Field, Named, NamedKind, Order, Properties, Schema, Type};

/// The canonical text: compact, each named type defined where it is first met, types of references by name only.
impl fmt::Display for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::new(self, usize::MAX);
        printer.node(&self.root, None);
        formatter.write_str(&printer.out)
    }
}

/// Why nobody could parse the canonical text, though it is that of a schema that was parsed.
pub(super) enum Unparsable {
    TooLong,
    TooDeep,
}

/// Whether the canonical text can be parsed. It may be longer than the text that it is of: a name that was short within its
/// namespace is written in full elsewhere, and a number as Java writes it. And deeper: a type is written where it is met first,
/// wherever it was defined.
pub(super) fn check(schema: &Schema, bytes_max: usize, nesting_max: usize) -> Result<(), Unparsable> {
    let mut printer = Printer::new(schema, bytes_max);
    printer.node(&schema.root, None);
    if printer.out.len() > bytes_max {
        return Err(Unparsable::TooLong);
    }
    if nesting(&printer.out) > nesting_max {
        return Err(Unparsable::TooDeep);
    }
    Ok(())
}

/// How many arrays and objects of a JSON text are within each other at most.
fn nesting(json: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Printer<'a> {
    schema: &'a Schema,
    printed: BTreeSet<&'a str>,
    out: String,
    /// No further type is written when it is exceeded.
    bytes_max: usize,
}

impl<'a> Printer<'a> {
    fn new(schema: &'a Schema, bytes_max: usize) -> Self {
        Self {
            schema,
            printed: BTreeSet::new(),
            out: String::new(),
            bytes_max,
        }
    }

    /// The depth is bounded by the parser.
    fn node(&mut self, of: &'a Type, namespace: Option<&str>) {
        if self.out.len() > self.bytes_max {
            return;
        }
        match of {
            Type::Primitive(primitive, properties) if properties.is_empty() => self.string(primitive.name()),
            Type::Primitive(primitive, properties) => {
                self.member('{', "type");
                self.string(primitive.name());
                self.properties(properties);
                self.out.push('}');
            }
            Type::Array(items, properties) => {
                self.container("array", "items", (items, properties), namespace);
            }
            Type::Map(values, properties) => self.container("map", "values", (values, properties), namespace),
            Type::Union(branches) => {
                self.list(branches, |printer, branch| printer.node(branch, namespace));
            }
            Type::Named(name) => {
                let named = self.schema.definition(name);
                if self.schema.is_referenced(name) || !self.printed.insert(name) {
                    self.string(&named.name.qualified(namespace));
                } else {
                    self.definition(named, namespace);
                }
            }
        }
    }

    fn container(
        &mut self,
        word: &str,
        member: &str,
        (element, properties): (&'a Type, &'a Properties),
        namespace: Option<&str>,
    ) {
        self.member('{', "type");
        self.string(word);
        self.member(',', member);
        self.node(element, namespace);
        self.properties(properties);
        self.out.push('}');
    }

    fn definition(&mut self, named: &'a Named, enclosing: Option<&str>) {
        let is_error = matches!(named.kind, NamedKind::Record { is_error: true, .. });
        self.member('{', "type");
        self.string(if is_error { "error" } else { named.type_name() });
        self.member(',', "name");
        self.string(&named.name.simple);
        let namespace = named.name.namespace.as_deref();
        if namespace != enclosing {
            self.member(',', "namespace");
            self.string(namespace.unwrap_or_default());
        }
        if let Some(doc) = &named.doc {
            self.member(',', "doc");
            self.string(doc);
        }
        match &named.kind {
            NamedKind::Record { fields, .. } => {
                self.member(',', "fields");
                self.list(fields, |printer, field| printer.field(field, namespace));
            }
            NamedKind::Enum { symbols, default } => {
                self.member(',', "symbols");
                self.list(symbols, |printer, symbol| printer.string(symbol));
                if let Some(default) = default {
                    self.member(',', "default");
                    self.string(default);
                }
            }
            NamedKind::Fixed { size } => {
                self.member(',', "size");
                self.out.push_str(&size.to_string());
            }
        }
        self.properties(&named.properties);
        if !named.aliases.is_empty() {
            self.member(',', "aliases");
            self.list(&named.aliases, |printer, alias| {
                printer.string(&alias.qualified(namespace));
            });
        }
        self.out.push('}');
    }

    fn field(&mut self, field: &'a Field, namespace: Option<&str>) {
        self.member('{', "name");
        self.string(&field.name);
        self.member(',', "type");
        self.node(&field.schema, namespace);
        if let Some(doc) = &field.doc {
            self.member(',', "doc");
            self.string(doc);
        }
        if let Some(default) = &field.default {
            self.member(',', "default");
            self.value(default);
        }
        match field.order {
            Order::Ascending => {}
            Order::Descending => self.order("descending"),
            Order::Ignore => self.order("ignore"),
        }
        if !field.aliases.is_empty() {
            self.member(',', "aliases");
            self.list(&field.aliases, |printer, alias| printer.string(alias));
        }
        self.properties(&field.properties);
        self.out.push('}');
    }

    fn order(&mut self, order: &str) {
        self.member(',', "order");
        self.string(order);
    }

    fn properties(&mut self, properties: &'a Properties) {
        for (key, value) in properties {
            self.member(',', key);
            self.value(value);
        }
    }

    fn list<T>(&mut self, elements: &'a [T], mut print: impl FnMut(&mut Self, &'a T)) {
        self.out.push('[');
        for (index, element) in elements.iter().enumerate() {
            if self.out.len() > self.bytes_max {
                break;
            }
            if index > 0 {
                self.out.push(',');
            }
            print(self, element);
        }
        self.out.push(']');
    }

    fn member(&mut self, before: char, name: &str) {
        self.out.push(before);
        self.string(name);
        self.out.push(':');
    }

    fn string(&mut self, text: &str) {
        self.out.push_str(&Value::from(text).to_string());
    }

    fn value(&mut self, value: &Value) {
        self.out.push_str(&value.to_string());
    }
}
