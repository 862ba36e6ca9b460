//! A definition: the keys a role knows, how a map of strings becomes typed values, and what a form should show for each
//! key (Kafka's `ConfigDef`, `parse` and `validateAll`). All errors are collected; nothing stops at the first.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Properties, Values,
    config::{Config, Source},
    error::{Error, Errors},
    key::ConfigKey,
    value::{ConfigType, Value},
};

/// The keys of a role in the order they were defined.
#[derive(Debug, Clone, Default)]
pub struct ConfigDef {
    keys: Vec<ConfigKey>,
    index: BTreeMap<String, usize>,
    groups: Vec<String>,
    pub(crate) open_prefixes: Vec<String>,
    open_between: Vec<(String, String)>,
    meaningless: BTreeMap<String, String>,
    /// Prefixes, and what replaces everything below.
    meaningless_below: Vec<(String, String)>,
}

/// What validation found out about one key (Kafka's `ConfigValue`, the `value` object of Connect's `ConfigInfos`).
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigValue {
    /// The key.
    pub name: String,
    /// The value, given or default; `None` if there is none or it could not be read.
    pub value: Option<Value>,
    /// What a form should offer.
    pub recommended_values: Vec<Value>,
    /// What is wrong with it.
    pub errors: Vec<String>,
    /// Whether a form should show it.
    pub visible: bool,
}

impl ConfigDef {
    /// A definition without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    ///
    /// # Panics
    /// If the key is there already, or its validator refuses its default: definitions are part of the program.
    #[must_use]
    pub fn define(mut self, key: ConfigKey) -> Self {
        if let (Some(validator), Some(default)) = (&key.validator, &key.default)
            && let Err(error) = validator.check(&key.name, default.as_ref())
        {
            panic!("default of configuration {}: {error}", key.name);
        }
        if let Some(group) = &key.group
            && !self.groups.contains(group)
        {
            self.groups.push(group.clone());
        }
        for name in std::iter::once(&key.name).chain(&key.aliases) {
            let before = self.index.insert(name.clone(), self.keys.len());
            assert!(before.is_none(), "Configuration {name} is defined twice.");
        }
        self.keys.push(key);
        self
    }

    /// As [`ConfigDef::define`]; a key with a heading but no place stands behind all others under it.
    ///
    /// # Panics
    /// As [`ConfigDef::define`].
    #[must_use]
    pub fn define_in_turn(self, mut key: ConfigKey) -> Self {
        if key.group.is_some() && key.order_in_group < 0 {
            let before = self.keys.iter().filter(|one| one.group == key.group);
            key.order_in_group = before.map(|one| one.order_in_group).max().unwrap_or(0) + 1;
        }
        self.define(key)
    }

    /// Adds all keys of another definition.
    ///
    /// # Panics
    /// As [`ConfigDef::define`].
    #[must_use]
    pub fn extend(mut self, other: &ConfigDef) -> Self {
        for key in &other.keys {
            self = self.define(key.clone());
        }
        self.open_prefixes.extend(other.open_prefixes.iter().cloned());
        self.open_between.extend(other.open_between.iter().cloned());
        self.meaningless.extend(other.meaningless.clone());
        self.meaningless_below
            .extend(other.meaningless_below.iter().cloned());
        self
    }

    /// Adds all keys of another definition under a prefix and a heading (Kafka's `ConfigDef.embed`).
    ///
    /// # Panics
    /// As [`ConfigDef::define`].
    #[must_use]
    pub fn embed(mut self, key_prefix: &str, group: &str, starting_order: i32, child: &ConfigDef) -> Self {
        for (place, key) in (starting_order..).zip(&child.keys) {
            let mut key = key.clone();
            key.name = format!("{key_prefix}{}", key.name);
            key.aliases = key
                .aliases
                .iter()
                .map(|name| format!("{key_prefix}{name}"))
                .collect();
            key.dependents = key
                .dependents
                .iter()
                .map(|name| format!("{key_prefix}{name}"))
                .collect();
            self = self.define(key.group(group, place));
        }
        self
    }

    /// Accepts every key that begins so (`producer.override.`), for others to read.
    #[must_use]
    pub fn open_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.open_prefixes.push(prefix.into());
        self
    }

    /// Accepts every key that begins and ends so, with something between (`listener.name.` and `.max.connections`), for others to read.
    #[must_use]
    pub fn open_between(mut self, prefix: impl Into<String>, suffix: impl Into<String>) -> Self {
        self.open_between.push((prefix.into(), suffix.into()));
        self
    }

    /// Knows a key that has no meaning here; `instead` says what replaces it: `there is no ZooKeeper: …`.
    #[must_use]
    pub fn meaningless(mut self, name: impl Into<String>, instead: impl Into<String>) -> Self {
        self.meaningless.insert(name.into(), instead.into());
        self
    }

    /// Knows that all keys that begin so have no meaning here, if neither [`ConfigDef::meaningless`] nor a definition says more.
    #[must_use]
    pub fn meaningless_below(mut self, prefix: impl Into<String>, instead: impl Into<String>) -> Self {
        self.meaningless_below.push((prefix.into(), instead.into()));
        self
    }

    /// What replaces a key that has no meaning here.
    pub(crate) fn replacement(&self, name: &str) -> Option<&str> {
        let below = || {
            let mut prefixes = self.meaningless_below.iter();
            prefixes.find(|(prefix, _)| name.starts_with(prefix.as_str()))
        };
        let exact = self.meaningless.get(name);
        exact
            .or_else(|| below().map(|(_, instead)| instead))
            .map(String::as_str)
    }

    /// Whether [`ConfigDef::meaningless`] knows a key.
    pub fn is_meaningless(&self, name: &str) -> bool {
        self.meaningless.contains_key(name)
    }

    /// The keys in the order they were defined.
    pub fn keys(&self) -> &[ConfigKey] {
        &self.keys
    }

    /// The key of this name or alias.
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.index.get(name).map(|index| &self.keys[*index])
    }

    /// Whether a setting of this name is one that the definition reads, or leaves to others under an open prefix.
    pub fn reads(&self, name: &str) -> bool {
        self.key(name).is_some()
            || self
                .open_prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
            || self.open_between.iter().any(|(prefix, suffix)| {
                let rest = name.strip_prefix(prefix.as_str());
                rest.and_then(|rest| rest.strip_suffix(suffix.as_str()))
                    .is_some_and(|between| !between.is_empty())
            })
    }

    /// The prefixes under which every key is accepted.
    pub fn open_prefixes(&self) -> &[String] {
        &self.open_prefixes
    }

    /// The headings in the order they first appeared.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Reads a role's settings. Unknown keys are left to [`crate::Entries::parse`] and [`crate::UnknownKeys`].
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the definition.
    pub fn parse(&self, properties: &Properties) -> Result<Config, Errors> {
        self.parse_with_defaults(properties, &Properties::new())
    }

    /// As [`ConfigDef::parse`]; a key that is not given takes the first of its synonyms that `server` has, and only then
    /// its default: how a topic's configuration stands on its broker's.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the definition.
    pub fn parse_with_defaults(
        &self,
        properties: &Properties,
        server: &Properties,
    ) -> Result<Config, Errors> {
        let mut values = Values::new();
        let mut sources = BTreeMap::new();
        let mut errors = Vec::new();
        for key in &self.keys {
            let (source, given) = find(key, properties, server);
            let (value, error) = read(key, given.as_deref());
            errors.extend(error);
            values.insert(key.name.clone(), value);
            sources.insert(key.name.clone(), source);
        }
        Errors::check(errors)?;
        Ok(Config::new(values, sources, properties.clone()))
    }

    /// Looks at every key without stopping: what Connect's `validate` answers. In the order of the definition.
    pub fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        let mut parsed = Values::new();
        let mut found = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let (_, given) = find(key, properties, &Properties::new());
            let (value, errors) = read(key, given.as_deref());
            parsed.insert(key.name.clone(), value.clone());
            found.push(ConfigValue {
                name: key.name.clone(),
                value,
                recommended_values: Vec::new(),
                errors: errors.iter().map(ToString::to_string).collect(),
                visible: true,
            });
        }
        for (key, value) in self.keys.iter().zip(&mut found) {
            if let Some(recommender) = &key.recommender {
                value.recommended_values = recommender.valid_values(&key.name, &parsed);
                value.visible = recommender.visible(&key.name, &parsed);
            }
        }
        found.extend(self.undefined_dependents().into_iter().map(|name| ConfigValue {
            errors: vec![format!("{name} is referred in the dependents, but not defined.")],
            name,
            value: None,
            recommended_values: Vec::new(),
            visible: false,
        }));
        found
    }

    /// As [`ConfigDef::validate`]; once each value is right by itself, `check` holds them against each other, and what it
    /// finds goes to the keys that its errors name.
    pub fn validate_with(
        &self,
        properties: &Properties,
        check: impl FnOnce(&Properties) -> Result<(), Errors>,
    ) -> Vec<ConfigValue> {
        let mut values = self.validate(properties);
        if values.iter().any(|value| !value.errors.is_empty()) {
            return values;
        }
        for error in check(properties).err().iter().flatten() {
            let about = values
                .iter_mut()
                .find(|value| Some(value.name.as_str()) == error.key());
            if let Some(value) = about {
                value.errors.push(error.to_string());
            }
        }
        values
    }

    fn undefined_dependents(&self) -> BTreeSet<String> {
        let dependents = self.keys.iter().flat_map(|key| &key.dependents);
        dependents
            .filter(|name| !self.index.contains_key(*name))
            .cloned()
            .collect()
    }
}

/// What is given for a key, and where.
fn find(key: &ConfigKey, properties: &Properties, server: &Properties) -> (Source, Option<String>) {
    let mut names = std::iter::once(&key.name).chain(&key.aliases);
    if let Some(value) = names.find_map(|name| properties.get(name)) {
        return (Source::Given, Some(value.clone()));
    }
    for synonym in &key.synonyms {
        if let Some(value) = server.get(&synonym.name) {
            return (
                Source::Synonym(synonym.name.clone()),
                Some(synonym.unit.convert(value)),
            );
        }
    }
    (Source::Default, None)
}

/// The value of one key and what is wrong with it. As in Kafka a value that cannot be read is also shown to the
/// validator, as `null`, hence up to two errors.
fn read(key: &ConfigKey, given: Option<&str>) -> (Option<Value>, Vec<Error>) {
    let mut errors = Vec::new();
    let value = match (given, &key.default) {
        (Some(given), _) => match key.config_type.parse(given) {
            Ok(value) => Some(value),
            Err(reason) => {
                let shown = if key.config_type == ConfigType::Password {
                    "[hidden]"
                } else {
                    given
                };
                errors.push(Error::invalid(&key.name, shown, reason));
                None
            }
        },
        (None, Some(default)) => default.clone(),
        (None, None) => {
            errors.push(Error::Missing {
                key: key.name.clone(),
            });
            None
        }
    };
    if let Some(validator) = &key.validator {
        errors.extend(validator.check(&key.name, value.as_ref()).err());
    }
    (value, errors)
}

#[cfg(test)]
mod tests;
