//! Settings with the place they were written at, so that an error can name file and line.

use std::{fmt, sync::Arc};

use crate::{
    Properties,
    config::Config,
    def::ConfigDef,
    error::{Error, Errors},
    unknown::{UnknownKeys, Warning},
};

/// What kind of place settings come from; decides what an unknown key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Flags such as `--override`: an unknown key is an error.
    CommandLine,
    /// Forebay's own file: an unknown key is an error.
    Toml,
    /// A file written for Kafka: unknown keys are one warning.
    Properties,
    /// A connector's configuration: unknown keys are one warning.
    ConnectorJson,
}

impl Origin {
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Self::CommandLine | Self::Toml)
    }
}

/// A file and a line in it, or just a name such as `--override`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: Option<u32>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value as a string.
    pub value: String,
    /// Where it was written.
    pub location: Location,
    /// What kind of place that is.
    pub origin: Origin,
}

/// Settings in the order they were read; of two with one key the later one holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(Vec<Entry>);

/// A typed configuration and what the user should read about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// What the user should read.
    pub warnings: Vec<Warning>,
}

impl Entries {
    /// No settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting, stronger than those before it.
    pub fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    /// Adds settings that are stronger than these, as flags are stronger than a file.
    pub fn extend(&mut self, stronger: Entries) {
        self.0.extend(stronger.0);
    }

    /// Each setting in the order it was read.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// The value of a key, the last one given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| entry.value.as_str())
    }

    /// Keys and values alone.
    pub fn to_properties(&self) -> Properties {
        self.0
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect()
    }

    /// Reads them as `def` says and judges the keys it does not have, each by the place it came from.
    ///
    /// # Errors
    /// Everything that is wrong, with the place where that is known.
    pub fn parse(&self, def: &ConfigDef) -> Result<Parsed, Errors> {
        let (mut errors, warnings) = self.unknown(def);
        let config = def.parse(&self.to_properties());
        errors.extend(config.as_ref().err().into_iter().flatten().cloned());
        match (
            config,
            Errors::check(errors.into_iter().map(|error| self.locate(def, error)).collect()),
        ) {
            (Ok(config), Ok(())) => Ok(Parsed { config, warnings }),
            (Ok(_) | Err(_), Err(located)) => Err(located),
            (Err(errors), Ok(())) => Err(errors),
        }
    }

    /// What deserves a word, also where [`Entries::parse`] fails: a misspelt key may be the one that is missing.
    pub fn warnings(&self, def: &ConfigDef) -> Vec<Warning> {
        self.unknown(def).1
    }

    fn unknown(&self, def: &ConfigDef) -> (Vec<Error>, Vec<Warning>) {
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        for origin in [
            Origin::CommandLine,
            Origin::Toml,
            Origin::Properties,
            Origin::ConnectorJson,
        ] {
            let keys: std::collections::BTreeSet<&str> = self
                .0
                .iter()
                .filter(|entry| entry.origin == origin)
                .map(|entry| entry.key.as_str())
                .collect();
            let verdict = UnknownKeys::check(def, keys, origin);
            errors.extend(verdict.errors);
            warnings.extend(verdict.warnings);
        }
        (errors, warnings)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.key == key)
    }

    fn locate(&self, def: &ConfigDef, error: Error) -> Error {
        let Some(name) = error.key() else { return error };
        let aliases = def.key(name).map_or(&[][..], |key| &key.aliases);
        let entry = std::iter::once(name)
            .chain(aliases.iter().map(String::as_str))
            .find_map(|name| self.entry(name));
        match entry {
            Some(entry) => Error::At {
                location: entry.location.clone(),
                error: Box::new(error),
            },
            None => error,
        }
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigKey, ConfigType};

    fn entry(key: &str, value: &str, line: u32, origin: Origin) -> Entry {
        let location = Location {
            file: "server.properties".into(),
            line: Some(line),
        };
        Entry {
            key: key.to_owned(),
            value: value.to_owned(),
            location,
            origin,
        }
    }

    #[test]
    fn errors_name_file_and_line_and_the_last_value_holds() {
        let def = ConfigDef::new()
            .define(ConfigKey::new("acks", ConfigType::String).default("all").guards())
            .define(ConfigKey::new("linger.ms", ConfigType::Long).default(5))
            .define(ConfigKey::new("topic", ConfigType::String));
        let mut entries: Entries = [
            entry("linger.ms", "soon", 3, Origin::Properties),
            entry("akcs", "0", 4, Origin::Properties),
        ]
        .into_iter()
        .collect();
        assert_eq!(
            entries
                .parse(&def)
                .expect_err("three things are wrong")
                .to_string(),
            "server.properties:4: Unknown configuration \"akcs\"; did you mean \"acks\"?\n\
             server.properties:3: Invalid value soon for configuration linger.ms: Not a number of type LONG\n\
             Missing required configuration \"topic\" which has no default value."
        );

        entries = [
            entry("linger.ms", "soon", 3, Origin::Properties),
            entry("x", "1", 9, Origin::Properties),
        ]
        .into_iter()
        .collect();
        entries.extend(
            [
                entry("linger.ms", "7", 1, Origin::CommandLine),
                entry("topic", "t", 1, Origin::CommandLine),
            ]
            .into_iter()
            .collect(),
        );
        let parsed = entries.parse(&def).expect("the stronger value is a number");
        assert_eq!(parsed.config.get_long("linger.ms"), 7);
        assert_eq!(parsed.warnings, [Warning::Unknown(vec![("x".to_owned(), None)])]);
    }
}
