//! Compatibility levels, and the check of a new schema against the versions of its subject (Confluent's
//! `CompatibilityLevel` and `CompatibilityChecker`).

use std::fmt;
use std::str::FromStr;

use crate::avro;

/// What a new version of a subject owes to the versions before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompatibilityLevel {
    /// Nothing.
    None,
    /// It reads what the latest version wrote.
    #[default]
    Backward,
    /// It reads what every version wrote.
    BackwardTransitive,
    /// The latest version reads what it writes.
    Forward,
    /// Every version reads what it writes.
    ForwardTransitive,
    /// Backward and forward.
    Full,
    /// Backward and forward, for every version.
    FullTransitive,
}

impl CompatibilityLevel {
    const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// Whether all live versions count, or the latest only.
    pub fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    /// Confluent's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    fn new_reads_old(self) -> bool {
        matches!(
            self,
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive
        )
    }

    fn old_reads_new(self) -> bool {
        matches!(
            self,
            Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive
        )
    }
}

impl fmt::Display for CompatibilityLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text is no compatibility level.
#[derive(Debug, thiserror::Error)]
#[error(
    "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
)]
pub struct UnknownLevel;

impl FromStr for CompatibilityLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownLevel)
    }
}

/// A live version of a subject.
#[derive(Debug)]
pub struct Version<'a> {
    /// Its number.
    pub number: i32,
    /// Its schema.
    pub schema: &'a avro::Schema,
}

/// The messages that Confluent's registry answers with, empty where `new` is compatible with `previous` (oldest first).
/// As there, the check stops at the first version that is incompatible, newest first.
pub fn check(level: CompatibilityLevel, new: &avro::Schema, previous: &[Version<'_>]) -> Vec<String> {
    let count = if level.is_transitive() {
        previous.len()
    } else {
        previous.len().min(1)
    };
    for version in previous.iter().rev().take(count) {
        let mut messages = Vec::new();
        if level.new_reads_old() {
            let found = new.incompatibilities_reading(version.schema);
            messages.extend(found.iter().map(|found| describe(found, "new", "old")));
        }
        if level.old_reads_new() {
            let found = version.schema.incompatibilities_reading(new);
            messages.extend(found.iter().map(|found| describe(found, "old", "new")));
        }
        if !messages.is_empty() {
            messages.push(format!("{{oldSchemaVersion: {}}}", version.number));
            messages.push(format!("{{oldSchema: '{}'}}", version.schema));
            messages.push(format!("{{validateFields: 'false', compatibility: '{level}'}}"));
            return messages;
        }
    }
    Vec::new()
}

/// One incompatibility in the words of Confluent's clients, who show it to people; `reader` and `writer` are `new` or `old`.
fn describe(found: &avro::Incompatibility, reader: &str, writer: &str) -> String {
    use avro::IncompatibilityKind::{
        FixedSizeMismatch, MissingEnumSymbols, MissingUnionBranch, NameMismatch,
        ReaderFieldMissingDefaultValue, TypeMismatch,
    };
    let (at, message) = (&found.location, &found.message);
    let description = match found.kind {
        FixedSizeMismatch => format!(
            "The size of FIXED type field at path '{at}' in the {reader} schema does not match with the {writer} schema"
        ),
        TypeMismatch => format!(
            "The type (path '{at}') of a field in the {reader} schema does not match with the {writer} schema"
        ),
        NameMismatch => format!("The name of the schema has changed (path '{at}')"),
        MissingEnumSymbols => format!(
            "The {reader} schema is missing enum symbols '{message}' at path '{at}' in the {writer} schema"
        ),
        MissingUnionBranch => format!(
            "The {reader} schema is missing a type inside a union field at path '{at}' in the {writer} schema"
        ),
        ReaderFieldMissingDefaultValue => format!(
            "The field '{message}' at path '{at}' in the {reader} schema has no default value and is missing in the {writer} schema"
        ),
    };
    format!(
        "{{errorType:'{}', description:'{description}', additionalInfo:'{message}'}}",
        found.kind
    )
}

#[cfg(test)]
mod tests;
