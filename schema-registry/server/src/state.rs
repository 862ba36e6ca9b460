//! Everything the registry knows, built by [`State::replay`] alone from the records of the topic.

mod races;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use forebay_schema_registry_schema::avro;
use forebay_schema_registry_schema::compatibility::CompatibilityLevel;

use crate::record::{ConfigValue, DeleteSubjectValue, Key, Record, Reference, SchemaValue, id_in};

/// The only type of schema that can be registered so far; others are kept as they are found in the topic.
pub(crate) const AVRO: &str = "AVRO";

/// A schema behind an identifier. The same content has the same identifier under every subject.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) id: i32,
    pub(crate) identity: Identity,
    /// The parsed schema, or why there is none: what is in the topic is kept, even if it would be refused today.
    pub(crate) parsed: Result<avro::Schema, String>,
}

/// What makes two schemas the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) schema_type: String,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
}

/// A version of a subject.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) content: Arc<Content>,
    /// Softly: it keeps its number and its identifier until it is deleted for good.
    pub(crate) deleted: bool,
}

impl Version {
    /// Its record.
    pub(crate) fn record(&self, subject: &str, number: i32) -> Record {
        let Content { id, identity, .. } = &*self.content;
        Record::schema(&SchemaValue {
            subject: subject.to_owned(),
            version: number,
            id: *id,
            schema_type: Some(identity.schema_type.clone()).filter(|of| of != AVRO),
            references: identity.references.clone(),
            schema: identity.text.clone(),
            deleted: self.deleted,
        })
    }
}

/// A subject's versions and level.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    pub(crate) versions: BTreeMap<i32, Version>,
    pub(crate) level: Option<CompatibilityLevel>,
}

impl Subject {
    /// The versions that are not deleted, oldest first.
    pub(crate) fn live(&self) -> impl DoubleEndedIterator<Item = (i32, &Version)> {
        self.versions
            .iter()
            .filter(|(_, version)| !version.deleted)
            .map(|(number, version)| (*number, version))
    }
}

/// The registry's whole state.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) subjects: BTreeMap<String, Subject>,
    pub(crate) level: Option<CompatibilityLevel>,
    /// What holds where no level is set: `schema.compatibility.level`.
    default_level: CompatibilityLevel,
    contents: HashMap<i32, Arc<Content>>,
    ids: HashMap<Identity, i32>,
    /// The highest identifier ever seen: none is given twice, not even after its schema is deleted.
    id_max: i32,
    /// Versions whose last record in the topic was left out: compaction would take the record away that counts.
    hidden: BTreeSet<VersionKey>,
    /// Versions whose record cannot be read here: it may make sense to another registry, so their numbers are not given.
    unreadable: BTreeSet<VersionKey>,
    /// What versions were before another schema took their place; since [`State::forget_replaced`].
    replaced: BTreeMap<VersionKey, Version>,
}

/// A subject and a version's number.
type VersionKey = (String, i32);

/// Why a record of the topic was left out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Skipped {
    #[error("its key is not one of a schema registry")]
    Key,
    #[error("its value cannot be read: {0}")]
    Value(String),
    #[error("schema id {id} belongs to another schema already; the first one keeps it")]
    IdTaken { id: i32 },
}

impl State {
    /// An empty registry.
    pub(crate) fn new(default_level: CompatibilityLevel) -> Self {
        Self {
            default_level,
            ..Self::default()
        }
    }

    /// The level of subjects that have none of their own.
    pub(crate) fn global_level(&self) -> CompatibilityLevel {
        self.level.unwrap_or(self.default_level)
    }

    /// Applies one record.
    pub(crate) fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Skipped> {
        match (Key::parse(key).ok_or(Skipped::Key)?, value) {
            (Key::Schema { subject, version }, Some(value)) => {
                let key = (subject, version);
                let outcome = parse(value).and_then(|value| self.put_schema(&key, value));
                self.note(key, value, outcome.as_ref().err());
                outcome
            }
            (Key::Schema { subject, version }, None) => {
                self.remove_version(&subject, version);
                self.note((subject, version), &[], None);
                Ok(())
            }
            (Key::Config { subject }, value) => {
                let level = match value {
                    Some(value) => {
                        let text = parse::<ConfigValue>(value)?.compatibility_level;
                        Some(
                            text.parse()
                                .map_err(|_| Skipped::Value(format!("no level: {text}")))?,
                        )
                    }
                    None => None,
                };
                self.set_level(subject, level);
                Ok(())
            }
            (Key::DeleteSubject { subject }, Some(value)) => {
                let up_to = parse::<DeleteSubjectValue>(value)?.version;
                let versions = self
                    .subjects
                    .get_mut(&subject)
                    .into_iter()
                    .flat_map(|it| it.versions.range_mut(..=up_to));
                versions.for_each(|(_, version)| version.deleted = true);
                Ok(())
            }
            (Key::DeleteSubject { .. } | Key::Other { .. }, _) => Ok(()),
        }
    }

    /// Remembers what a left out record of a version means for others.
    fn note(&mut self, key: VersionKey, value: &[u8], skipped: Option<&Skipped>) {
        self.hidden.remove(&key);
        self.unreadable.remove(&key);
        match skipped {
            Some(Skipped::IdTaken { .. }) if self.version_of(&key).is_some() => {
                self.hidden.insert(key);
            }
            Some(Skipped::Value(_)) => {
                self.id_max = self.id_max.max(id_in(value).unwrap_or(0));
                self.unreadable.insert(key);
            }
            _ => {}
        }
    }

    fn put_schema(&mut self, (subject, version): &VersionKey, value: SchemaValue) -> Result<(), Skipped> {
        if value.id < 0 || *version < 1 {
            let reason = format!(
                "version {version} with schema id {} is outside of what there is",
                value.id
            );
            return Err(Skipped::Value(reason));
        }
        let identity = Identity {
            schema_type: value.schema_type.unwrap_or_else(|| AVRO.to_owned()),
            text: value.schema,
            references: value.references,
        };
        let content = match self.contents.get(&value.id) {
            Some(known) if known.identity == identity => Arc::clone(known),
            Some(_) => return Err(Skipped::IdTaken { id: value.id }),
            None => {
                let parsed = self.parse(&identity);
                let content = Arc::new(Content {
                    id: value.id,
                    identity: identity.clone(),
                    parsed,
                });
                self.contents.insert(value.id, Arc::clone(&content));
                self.ids.entry(identity).or_insert(value.id);
                content
            }
        };
        self.id_max = self.id_max.max(value.id);
        let put = Version {
            content,
            deleted: value.deleted,
        };
        let id = put.content.id;
        let before = self.subjects.entry(subject.clone()).or_default();
        let before = before.versions.insert(*version, put);
        if let Some(before) = before.filter(|before| before.content.id != id) {
            self.replaced.entry((subject.clone(), *version)).or_insert(before);
        }
        Ok(())
    }

    fn remove_version(&mut self, subject: &str, version: i32) {
        let Some(entry) = self.subjects.get_mut(subject) else {
            return;
        };
        let Some(removed) = entry.versions.remove(&version) else {
            return;
        };
        if entry.versions.is_empty() && entry.level.is_none() {
            self.subjects.remove(subject);
        }
        let id = removed.content.id;
        let mut others = self
            .subjects
            .values()
            .flat_map(|subject| subject.versions.values());
        if !others.any(|version| version.content.id == id) {
            self.contents.remove(&id);
            self.forget_id(&removed.content);
        }
    }

    /// The same schema may have another identifier, of an import: that one is given from now on.
    fn forget_id(&mut self, content: &Content) {
        let Content { id, identity, .. } = content;
        if self.ids.get(identity) != Some(id) {
            return;
        }
        let same = self.contents.values().filter(|other| other.identity == *identity);
        match same.map(|other| other.id).min() {
            Some(other) => self.ids.insert(identity.clone(), other),
            None => self.ids.remove(identity),
        };
    }

    fn set_level(&mut self, subject: Option<String>, level: Option<CompatibilityLevel>) {
        let Some(subject) = subject else {
            self.level = level;
            return;
        };
        let entry = self.subjects.entry(subject.clone()).or_default();
        entry.level = level;
        if entry.versions.is_empty() && level.is_none() {
            self.subjects.remove(&subject);
        }
    }

    /// Parses a schema with what its references stand for.
    pub(crate) fn parse(&self, identity: &Identity) -> Result<avro::Schema, String> {
        if identity.schema_type != AVRO {
            return Err(format!(
                "schemas of type {} are not supported yet",
                identity.schema_type
            ));
        }
        let mut references = Vec::with_capacity(identity.references.len());
        for Reference {
            name,
            subject,
            version,
        } in &identity.references
        {
            let found = self
                .subjects
                .get(subject)
                .and_then(|subject| subject.versions.get(version));
            let found = found.ok_or_else(|| {
                format!("No schema reference found for subject \"{subject}\" and version {version}")
            })?;
            let parsed = found.content.parsed.as_ref();
            references.push(
                parsed
                    .map_err(|error| format!("the reference {name} cannot be used: {error}"))?
                    .clone(),
            );
        }
        avro::Schema::parse_with_references(&identity.text, &references).map_err(|error| error.to_string())
    }

    fn version_of(&self, (subject, version): &VersionKey) -> Option<&Version> {
        self.subjects.get(subject)?.versions.get(version)
    }

    /// The content behind `id`; that of deleted versions too, until they are deleted for good.
    pub(crate) fn content(&self, id: i32) -> Option<&Arc<Content>> {
        self.contents.get(&id)
    }

    /// The identifier that this schema has, under whatever subject.
    pub(crate) fn id_of(&self, identity: &Identity) -> Option<i32> {
        self.ids.get(identity).copied()
    }

    /// The identifier for a schema that has none yet, unless the greatest there is has been seen.
    pub(crate) fn next_id(&self) -> Option<i32> {
        self.id_max.checked_add(1)
    }

    /// The number of a subject's next version, unless the greatest there is has been seen.
    pub(crate) fn next_version(&self, subject: &str) -> Option<i32> {
        let known = self.subjects.get(subject);
        let last = known.and_then(|known| known.versions.keys().next_back());
        let all = (subject.to_owned(), i32::MIN)..=(subject.to_owned(), i32::MAX);
        let unreadable = self.unreadable.range(all).next_back();
        let last = last.copied().max(unreadable.map(|(_, version)| *version));
        last.unwrap_or(0).max(0).checked_add(1)
    }

    /// The identifiers of live schemas that refer to this version.
    pub(crate) fn referenced_by(&self, subject: &str, version: i32) -> Vec<i32> {
        let versions = self.subjects.values().flat_map(|subject| subject.live());
        let mut ids: Vec<i32> = versions
            .filter(|(_, other)| {
                let mut references = other.content.identity.references.iter();
                references.any(|reference| reference.subject == subject && reference.version == version)
            })
            .map(|(_, other)| other.content.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn parse<'a, T: serde::Deserialize<'a>>(value: &'a [u8]) -> Result<T, Skipped> {
    serde_json::from_slice(value).map_err(|error| Skipped::Value(error.to_string()))
}
