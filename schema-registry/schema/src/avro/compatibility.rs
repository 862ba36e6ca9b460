//! Whether data written with one schema can be read with another: Avro's `SchemaCompatibility`, every incompatibility
//! with its place, not just the first.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::{Field, Named, NamedKind, Primitive, Schema, Type};

/// One reason why a reader cannot read what a writer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// What is wrong.
    pub kind: IncompatibilityKind,
    /// Where in the reader's schema, as a JSON pointer.
    pub location: String,
    /// The detail that Avro's own message has.
    pub message: String,
}

/// Avro's `SchemaIncompatibilityType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncompatibilityKind {
    /// Two named types have other names.
    NameMismatch,
    /// Two fixed types have other sizes.
    FixedSizeMismatch,
    /// The writer has symbols that the reader does not know, and the reader has no default.
    MissingEnumSymbols,
    /// A field of the reader is absent from the writer and has no default.
    ReaderFieldMissingDefaultValue,
    /// The types differ and the writer's is not promoted to the reader's.
    TypeMismatch,
    /// A union of the reader has no branch for a type of the writer.
    MissingUnionBranch,
}

impl fmt::Display for IncompatibilityKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NameMismatch => "NAME_MISMATCH",
            Self::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
            Self::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            Self::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::MissingUnionBranch => "MISSING_UNION_BRANCH",
        })
    }
}

impl Schema {
    /// Everything that keeps this schema from reading what `writer` wrote; empty where it can.
    pub fn incompatibilities_reading(&self, writer: &Self) -> Vec<Incompatibility> {
        let mut checker = Checker {
            reader: self,
            writer,
            depth: 0,
            results: HashMap::new(),
        };
        checker.pair(&self.root, &writer.root, &mut Location::default())
    }
}

/// The path to the node in question, without the root.
#[derive(Debug, Default)]
struct Location(Vec<String>);

impl Location {
    fn within<T>(&mut self, step: impl Into<String>, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step.into());
        let result = inside(self);
        self.0.pop();
        result
    }

    fn pointer(&self) -> String {
        let steps: Vec<String> = self
            .0
            .iter()
            .map(|step| step.replace('~', "~0").replace('/', "~1"))
            .collect();
        format!("/{}", steps.join("/"))
    }

    fn report(&self, kind: IncompatibilityKind, message: String) -> Vec<Incompatibility> {
        vec![Incompatibility {
            kind,
            location: self.pointer(),
            message,
        }]
    }
}

/// A node's address: pairs are remembered by identity, as in Avro, so that recursive schemas end.
type Identity = usize;

/// How deep two schemas are compared: types may refer to each other in chains far longer than any text is deep.
const DEPTH_MAX: usize = 256;

/// How many pairs of types are compared; two large unions ask for the product of their sizes.
const PAIRS_MAX: usize = 200_000;

struct Checker<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    depth: usize,
    /// `None` while the pair is being checked: it counts as compatible until proven otherwise.
    results: HashMap<(Identity, Identity), Option<Vec<Incompatibility>>>,
}

fn identity(schema: &Schema, of: &Type) -> Identity {
    match of {
        Type::Named(name) => Arc::as_ptr(schema.definition(name)) as Identity,
        other => std::ptr::from_ref(other) as Identity,
    }
}

impl<'a> Checker<'a> {
    fn pair(&mut self, reader: &'a Type, writer: &'a Type, at: &mut Location) -> Vec<Incompatibility> {
        let key = (identity(self.reader, reader), identity(self.writer, writer));
        if let Some(known) = self.results.get(&key) {
            return known.clone().unwrap_or_default();
        }
        if self.depth == DEPTH_MAX || self.results.len() >= PAIRS_MAX {
            let message =
                format!("too complex to compare: over {DEPTH_MAX} levels or {PAIRS_MAX} pairs of types");
            return at.report(IncompatibilityKind::TypeMismatch, message);
        }
        self.results.insert(key, None);
        self.depth += 1;
        let result = self.compare(reader, writer, at);
        self.depth -= 1;
        self.results.insert(key, Some(result.clone()));
        result
    }

    fn compare(&mut self, reader: &'a Type, writer: &'a Type, at: &mut Location) -> Vec<Incompatibility> {
        match (reader, writer) {
            (Type::Union(_), Type::Union(branches)) => self.each_branch_readable(reader, branches, at),
            (_, Type::Union(branches)) => {
                let mut found = Vec::new();
                for (index, branch) in branches.iter().enumerate() {
                    found.extend(at.within(index.to_string(), |at| self.pair(reader, branch, at)));
                }
                found
            }
            (Type::Union(branches), _) => self.some_branch_reads(branches, writer, at),
            (Type::Primitive(reader_type, _), Type::Primitive(writer_type, _))
                if promotes(*writer_type, *reader_type) =>
            {
                Vec::new()
            }
            (Type::Array(reader, _), Type::Array(writer, _)) => {
                at.within("items", |at| self.pair(reader, writer, at))
            }
            (Type::Map(reader, _), Type::Map(writer, _)) => {
                at.within("values", |at| self.pair(reader, writer, at))
            }
            (Type::Named(reader_name), Type::Named(writer_name)) => {
                let (reader_schema, writer_schema) = (self.reader, self.writer);
                let reader_type = reader_schema.definition(reader_name);
                let writer_type = writer_schema.definition(writer_name);
                if reader_type.type_name() == writer_type.type_name() {
                    self.named(reader_type, (writer_type, writer), at)
                } else {
                    self.mismatch(reader, writer, at)
                }
            }
            _ => self.mismatch(reader, writer, at),
        }
    }

    fn mismatch(&self, reader: &Type, writer: &Type, at: &Location) -> Vec<Incompatibility> {
        let (reader, writer) = (self.reader.type_name(reader), self.writer.type_name(writer));
        let message = format!(
            "reader type: {} not compatible with writer type: {}",
            reader.to_uppercase(),
            writer.to_uppercase()
        );
        at.report(IncompatibilityKind::TypeMismatch, message)
    }

    fn lacking(&self, writer: &Type) -> String {
        format!(
            "reader union lacking writer type: {}",
            self.writer.type_name(writer).to_uppercase()
        )
    }

    fn each_branch_readable(
        &mut self,
        reader: &'a Type,
        branches: &'a [Type],
        at: &mut Location,
    ) -> Vec<Incompatibility> {
        let mut found = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            if !self.pair(reader, branch, &mut Location::default()).is_empty() {
                let message = self.lacking(branch);
                let kind = IncompatibilityKind::MissingUnionBranch;
                found.extend(at.within(index.to_string(), |at| at.report(kind, message)));
            }
        }
        found
    }

    fn some_branch_reads(
        &mut self,
        branches: &'a [Type],
        writer: &'a Type,
        at: &mut Location,
    ) -> Vec<Incompatibility> {
        if branches
            .iter()
            .any(|branch| self.pair(branch, writer, &mut Location::default()).is_empty())
        {
            return Vec::new();
        }
        at.report(IncompatibilityKind::MissingUnionBranch, self.lacking(writer))
    }

    fn named(
        &mut self,
        reader: &'a Named,
        (writer, writer_node): (&'a Named, &'a Type),
        at: &mut Location,
    ) -> Vec<Incompatibility> {
        let mut found = at.within("name", |at| check_names(reader, writer, at));
        match (&reader.kind, &writer.kind) {
            (NamedKind::Record { fields: reader, .. }, NamedKind::Record { fields: writer, .. }) => {
                found.extend(at.within("fields", |at| self.fields(reader, (writer, writer_node), at)));
            }
            (
                NamedKind::Enum {
                    symbols: reader,
                    default,
                },
                NamedKind::Enum { symbols: writer, .. },
            ) => {
                let unknown: BTreeSet<&String> =
                    writer.iter().filter(|symbol| !reader.contains(symbol)).collect();
                let has_default = default.as_ref().is_some_and(|default| reader.contains(default));
                if !unknown.is_empty() && !has_default {
                    let list: Vec<&str> = unknown.into_iter().map(String::as_str).collect();
                    let message = format!("[{}]", list.join(", "));
                    let kind = IncompatibilityKind::MissingEnumSymbols;
                    found.extend(at.within("symbols", |at| at.report(kind, message)));
                }
            }
            (NamedKind::Fixed { size: reader }, NamedKind::Fixed { size: writer }) if reader != writer => {
                let message = format!("expected: {writer}, found: {reader}");
                found.extend(at.within("size", |at| {
                    at.report(IncompatibilityKind::FixedSizeMismatch, message)
                }));
            }
            _ => {}
        }
        found
    }

    fn fields(
        &mut self,
        reader: &'a [Field],
        (writer, writer_node): (&'a [Field], &'a Type),
        at: &mut Location,
    ) -> Vec<Incompatibility> {
        let mut found = Vec::new();
        for (index, field) in reader.iter().enumerate() {
            found.extend(
                at.within(index.to_string(), |at| match writer_field(writer, field) {
                    Some(theirs) => at.within("type", |at| self.pair(&field.schema, &theirs.schema, at)),
                    None if field.default.is_some() => Vec::new(),
                    // Java compares an enum that has a default symbol with the writer's whole record here; so do we.
                    None if self.is_enum_with_default(&field.schema) => {
                        at.within("type", |at| self.pair(&field.schema, writer_node, at))
                    }
                    None => at.report(
                        IncompatibilityKind::ReaderFieldMissingDefaultValue,
                        field.name.clone(),
                    ),
                }),
            );
        }
        found
    }

    fn is_enum_with_default(&self, of: &Type) -> bool {
        match of {
            Type::Named(name) => {
                matches!(
                    &self.reader.definition(name).kind,
                    NamedKind::Enum { default: Some(_), .. }
                )
            }
            _ => false,
        }
    }
}

/// Simple names must be equal, or an alias of the reader the writer's full name.
fn check_names(reader: &Named, writer: &Named, at: &Location) -> Vec<Incompatibility> {
    let expected = writer.name.full();
    if reader.name.simple == writer.name.simple || reader.aliases.iter().any(|alias| alias.full() == expected)
    {
        return Vec::new();
    }
    at.report(IncompatibilityKind::NameMismatch, format!("expected: {expected}"))
}

/// The writer's field of the same name, else of one of the reader's aliases. Where several match, Java gives up with an
/// exception; the first match in the order of the aliases is what its decoder would read.
fn writer_field<'a>(writer: &'a [Field], reader: &Field) -> Option<&'a Field> {
    let names = std::iter::once(&reader.name).chain(&reader.aliases);
    names
        .into_iter()
        .find_map(|name| writer.iter().find(|field| field.name == *name))
}

fn promotes(writer: Primitive, reader: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    writer == reader
        || matches!(
            (writer, reader),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}
