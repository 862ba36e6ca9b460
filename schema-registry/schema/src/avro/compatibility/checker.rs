//! The walk over two schemas at once. Each pair of types is compared once, and once more if its faults were not wanted the
//! first time; its time is bounded whatever the schemas are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::{Incompatibility, IncompatibilityKind, Location, Report};
use crate::avro::{Field, Named, NamedKind, Primitive, Schema, Type};

/// How deep two schemas are compared: types may refer to each other in chains far longer than any text is deep.
const DEPTH_MAX: usize = 256;

/// How many pairs of types are compared; two large unions ask for the product of their sizes.
const PAIRS_MAX: usize = 200_000;

/// How many pairs, fields, aliases and symbols are looked at.
const STEPS_MAX: usize = 4_000_000;

pub(super) fn check(reader: &Schema, writer: &Schema) -> Vec<Incompatibility> {
    let mut checker = Checker {
        reader,
        writer,
        depth: 0,
        steps_left: STEPS_MAX,
        too_complex: false,
        known: HashMap::new(),
        fields: HashMap::new(),
        symbols: HashMap::new(),
        report: Report::default(),
    };
    let mut root = Location::default();
    let is_readable = checker.pair(&reader.root, &writer.root, &mut root, Wanted::Faults);
    let mut found = checker.report.found;
    if checker.too_complex {
        let mut complex = Report::default();
        let message =
            format!("too complex to compare: over {DEPTH_MAX} levels or {PAIRS_MAX} pairs of types");
        complex.add(IncompatibilityKind::TypeMismatch, &root, message);
        found.splice(0..0, complex.found);
    }
    debug_assert_eq!(is_readable, found.is_empty(), "no fault is without its reason");
    found
}

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Every fault with its place.
    Faults,
    /// Yes or no: whether a branch of a union will do.
    Answer,
}

/// What is known of a pair of types.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// It is being compared for the first time: it counts as readable until proven otherwise.
    Underway,
    Readable,
    Unreadable {
        /// Its faults are in the report, or are being put there.
        reported: bool,
    },
}

/// A node's address: pairs are remembered by identity, as in Avro, so that recursive schemas end.
type Identity = usize;

struct Checker<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    depth: usize,
    steps_left: usize,
    too_complex: bool,
    known: HashMap<(Identity, Identity), Known>,
    /// The fields of the writer's records by their names.
    fields: HashMap<Identity, Rc<HashMap<&'a str, &'a Field>>>,
    /// The symbols of the reader's enums.
    symbols: HashMap<Identity, Rc<HashSet<&'a str>>>,
    report: Report,
}

fn identity(schema: &Schema, of: &Type) -> Identity {
    match of {
        Type::Named(name) => Arc::as_ptr(schema.definition(name)) as Identity,
        other => std::ptr::from_ref(other) as Identity,
    }
}

impl<'a> Checker<'a> {
    /// Whether `reader` reads what `writer` wrote.
    fn pair(&mut self, reader: &'a Type, writer: &'a Type, at: &mut Location, wanted: Wanted) -> bool {
        let key = (identity(self.reader, reader), identity(self.writer, writer));
        let known = self.known.get(&key).copied();
        let again = match known {
            Some(Known::Underway | Known::Readable) => return true,
            Some(Known::Unreadable { reported }) if reported || wanted == Wanted::Answer => return false,
            Some(Known::Unreadable { .. }) => true,
            None => false,
        };
        if !self.take_steps(1) {
            return false;
        }
        if self.depth == DEPTH_MAX || (!again && self.known.len() >= PAIRS_MAX) {
            self.too_complex = true;
            return false;
        }
        let reported = wanted == Wanted::Faults;
        // Compared again, it stays unreadable: what was decided by it holds.
        let meanwhile = if again {
            Known::Unreadable { reported }
        } else {
            Known::Underway
        };
        self.known.insert(key, meanwhile);
        self.depth += 1;
        let is_readable = self.compare(reader, writer, at, wanted) && !again;
        self.depth -= 1;
        let result = if is_readable {
            Known::Readable
        } else {
            Known::Unreadable { reported }
        };
        self.known.insert(key, result);
        is_readable
    }

    /// Takes `count` from the steps that are left; `false` when there are not as many.
    fn take_steps(&mut self, count: usize) -> bool {
        match self.steps_left.checked_sub(count) {
            Some(left) => self.steps_left = left,
            None => {
                self.steps_left = 0;
                self.too_complex = true;
            }
        }
        !self.too_complex
    }

    /// Puts a fault into the report, if it is wanted and has room there. Always `false`.
    fn fault(
        &mut self,
        wanted: Wanted,
        kind: IncompatibilityKind,
        at: &Location,
        message: impl FnOnce() -> String,
    ) -> bool {
        if wanted == Wanted::Faults && !self.report.is_full() {
            self.report.add(kind, at, message());
        }
        false
    }

    fn compare(&mut self, reader: &'a Type, writer: &'a Type, at: &mut Location, wanted: Wanted) -> bool {
        match (reader, writer) {
            (Type::Union(_), Type::Union(branches)) => {
                self.each_branch_readable(reader, branches, at, wanted)
            }
            (_, Type::Union(branches)) => all(branches.iter().enumerate(), |(index, branch)| {
                at.within(index.to_string(), |at| self.pair(reader, branch, at, wanted))
            }),
            (Type::Union(branches), _) => self.some_branch_reads(branches, writer, at, wanted),
            (Type::Primitive(reader_type, _), Type::Primitive(writer_type, _))
                if promotes(*writer_type, *reader_type) =>
            {
                true
            }
            (Type::Array(reader, _), Type::Array(writer, _)) => {
                at.within("items", |at| self.pair(reader, writer, at, wanted))
            }
            (Type::Map(reader, _), Type::Map(writer, _)) => {
                at.within("values", |at| self.pair(reader, writer, at, wanted))
            }
            (Type::Named(reader_name), Type::Named(writer_name)) => {
                let (reader_schema, writer_schema) = (self.reader, self.writer);
                let reader_type = reader_schema.definition(reader_name);
                let writer_type = writer_schema.definition(writer_name);
                if reader_type.type_name() == writer_type.type_name() {
                    self.named(reader_type, (writer_type, writer), at, wanted)
                } else {
                    self.mismatch(reader, writer, at, wanted)
                }
            }
            _ => self.mismatch(reader, writer, at, wanted),
        }
    }

    fn mismatch(&mut self, reader: &Type, writer: &Type, at: &Location, wanted: Wanted) -> bool {
        let (reader, writer) = (self.reader.type_name(reader), self.writer.type_name(writer));
        let message = || {
            format!(
                "reader type: {} not compatible with writer type: {}",
                reader.to_uppercase(),
                writer.to_uppercase()
            )
        };
        self.fault(wanted, IncompatibilityKind::TypeMismatch, at, message)
    }

    fn lacks_branch(&mut self, writer: &Type, at: &Location, wanted: Wanted) -> bool {
        let word = self.writer.type_name(writer).to_uppercase();
        let message = || format!("reader union lacking writer type: {word}");
        self.fault(wanted, IncompatibilityKind::MissingUnionBranch, at, message)
    }

    fn each_branch_readable(
        &mut self,
        reader: &'a Type,
        branches: &'a [Type],
        at: &mut Location,
        wanted: Wanted,
    ) -> bool {
        all(branches.iter().enumerate(), |(index, branch)| {
            self.pair(reader, branch, at, Wanted::Answer)
                || at.within(index.to_string(), |at| self.lacks_branch(branch, at, wanted))
        })
    }

    fn some_branch_reads(
        &mut self,
        branches: &'a [Type],
        writer: &'a Type,
        at: &mut Location,
        wanted: Wanted,
    ) -> bool {
        for branch in branches {
            if self.too_complex {
                return false;
            }
            if self.pair(branch, writer, at, Wanted::Answer) {
                return true;
            }
        }
        self.lacks_branch(writer, at, wanted)
    }

    fn named(
        &mut self,
        reader: &'a Named,
        (writer, writer_node): (&'a Named, &'a Type),
        at: &mut Location,
        wanted: Wanted,
    ) -> bool {
        if !self.take_steps(reader.aliases.len()) {
            return false;
        }
        let same_name = has_name_of(reader, writer)
            || at.within("name", |at| {
                let message = || format!("expected: {}", writer.name.full());
                self.fault(wanted, IncompatibilityKind::NameMismatch, at, message)
            });
        let same_inside = match (&reader.kind, &writer.kind) {
            (NamedKind::Record { fields, .. }, NamedKind::Record { .. }) => at.within("fields", |at| {
                self.fields(fields, (writer, writer_node), at, wanted)
            }),
            (NamedKind::Enum { .. }, NamedKind::Enum { symbols, .. }) => {
                at.within("symbols", |at| self.symbols(reader, symbols, at, wanted))
            }
            (NamedKind::Fixed { size: reader }, NamedKind::Fixed { size: writer }) if reader != writer => {
                let message = || format!("expected: {writer}, found: {reader}");
                at.within("size", |at| {
                    self.fault(wanted, IncompatibilityKind::FixedSizeMismatch, at, message)
                })
            }
            _ => true,
        };
        same_name && same_inside
    }

    fn symbols(&mut self, reader: &'a Named, writer: &'a [String], at: &Location, wanted: Wanted) -> bool {
        let NamedKind::Enum { symbols, default } = &reader.kind else {
            return true;
        };
        // The parser sees to it that the default is one of the symbols.
        if default.is_some() {
            return true;
        }
        if !self.take_steps(writer.len()) {
            return false;
        }
        let known = Rc::clone(
            self.symbols
                .entry(std::ptr::from_ref(reader) as Identity)
                .or_insert_with(|| Rc::new(symbols.iter().map(String::as_str).collect())),
        );
        let mut unknown = writer
            .iter()
            .map(String::as_str)
            .filter(|symbol| !known.contains(symbol))
            .peekable();
        if unknown.peek().is_none() {
            return true;
        }
        let message = || {
            let unknown: BTreeSet<&str> = unknown.collect();
            format!("[{}]", unknown.into_iter().collect::<Vec<_>>().join(", "))
        };
        self.fault(wanted, IncompatibilityKind::MissingEnumSymbols, at, message)
    }

    fn fields(
        &mut self,
        reader: &'a [Field],
        (writer, writer_node): (&'a Named, &'a Type),
        at: &mut Location,
        wanted: Wanted,
    ) -> bool {
        let theirs = self.fields_of(writer);
        all(reader.iter().enumerate(), |(index, field)| {
            if !self.take_steps(1 + field.aliases.len()) {
                return false;
            }
            at.within(index.to_string(), |at| match writer_field(&theirs, field) {
                Some(theirs) => at.within("type", |at| self.pair(&field.schema, &theirs.schema, at, wanted)),
                None if field.default.is_some() => true,
                // Java compares an enum that has a default symbol with the writer's whole record here; so do we.
                None if self.is_enum_with_default(&field.schema) => {
                    at.within("type", |at| self.pair(&field.schema, writer_node, at, wanted))
                }
                None => {
                    let kind = IncompatibilityKind::ReaderFieldMissingDefaultValue;
                    self.fault(wanted, kind, at, || field.name.clone())
                }
            })
        })
    }

    fn fields_of(&mut self, writer: &'a Named) -> Rc<HashMap<&'a str, &'a Field>> {
        let by_name = || {
            let fields = match &writer.kind {
                NamedKind::Record { fields, .. } => fields.as_slice(),
                _ => &[],
            };
            Rc::new(fields.iter().map(|field| (field.name.as_str(), field)).collect())
        };
        let identity = std::ptr::from_ref(writer) as Identity;
        Rc::clone(self.fields.entry(identity).or_insert_with(by_name))
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

/// Whether all are, and each is looked at: all faults are wanted, not just the first.
fn all<T>(items: impl Iterator<Item = T>, mut is_good: impl FnMut(T) -> bool) -> bool {
    let mut are_good = true;
    for item in items {
        are_good &= is_good(item);
    }
    are_good
}

/// Simple names must be equal, or an alias of the reader the writer's full name.
fn has_name_of(reader: &Named, writer: &Named) -> bool {
    reader.name.simple == writer.name.simple || reader.aliases.contains(&writer.name)
}

/// The writer's field of the same name, else of one of the reader's aliases. Where several match, Java gives up with an
/// exception; the first match in the order of the aliases is what its decoder would read.
fn writer_field<'a>(writer: &HashMap<&str, &'a Field>, reader: &Field) -> Option<&'a Field> {
    let mut names = std::iter::once(&reader.name).chain(&reader.aliases);
    names.find_map(|name| writer.get(name.as_str()).copied())
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
