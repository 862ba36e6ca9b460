//! Whether data written with one schema can be read with another: Avro's `SchemaCompatibility`, every incompatibility
//! with its place, not just the first. Unlike there, one that two types have is reported once, where they first meet, and not
//! at every use of them: types that use types twice would double the list with each level.

use std::fmt;

use super::Schema;

mod checker;

/// How many incompatibilities are reported.
pub const INCOMPATIBILITIES_MAX: usize = 1000;

/// No further incompatibility is reported when their texts have so many bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

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
    /// What keeps this schema from reading what `writer` wrote, up to [`INCOMPATIBILITIES_MAX`]; empty where it can.
    pub fn incompatibilities_reading(&self, writer: &Self) -> Vec<Incompatibility> {
        checker::check(self, writer)
    }
}

/// What was found.
#[derive(Debug, Default)]
struct Report {
    found: Vec<Incompatibility>,
    text_bytes: usize,
}

impl Report {
    fn is_full(&self) -> bool {
        self.found.len() == INCOMPATIBILITIES_MAX || self.text_bytes >= TEXT_BYTES_MAX
    }

    fn add(&mut self, kind: IncompatibilityKind, at: &Location, message: String) {
        let location = at.pointer();
        self.text_bytes += location.len() + message.len();
        self.found.push(Incompatibility {
            kind,
            location,
            message,
        });
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
}
