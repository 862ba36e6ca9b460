//! What a request does to the state: which records are written, what is answered. Pure: nothing is changed here, only
//! [`State::replay`] does that once the records are in the topic.

use std::sync::Arc;

use forebay_schema_registry_schema::avro;
use forebay_schema_registry_schema::compatibility::{self, CompatibilityLevel};

use crate::error::Error;
use crate::record::{Key, Record, Reference, SchemaValue};
use crate::state::{AVRO, Identity, State, Subject, Version};

/// A schema that somebody sent.
#[derive(Debug, Clone)]
pub(crate) struct Submitted {
    pub(crate) schema: String,
    pub(crate) schema_type: Option<String>,
    pub(crate) references: Vec<Reference>,
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionId {
    Latest,
    Number(i32),
}

impl VersionId {
    /// `latest` in any case or `-1`, or a number from 1.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.eq_ignore_ascii_case("latest") || text == "-1" {
            return Ok(Self::Latest);
        }
        let number = text.parse().ok().filter(|number| *number >= 1);
        number
            .map(Self::Number)
            .ok_or_else(|| Error::InvalidVersion(text.to_owned()))
    }
}

/// The answer to a registration, and what must be written before it is given.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) id: i32,
    pub(crate) version: i32,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) records: Vec<Record>,
}

impl State {
    /// The canonical form of a submitted schema.
    fn canonical(&self, submitted: &Submitted) -> Result<(Identity, avro::Schema), Error> {
        let invalid = |reason| Error::InvalidSchema {
            schema: shorten(&submitted.schema),
            reason,
        };
        let schema_type = submitted.schema_type.clone().unwrap_or_else(|| AVRO.to_owned());
        let references = submitted.references.clone();
        let mut identity = Identity {
            schema_type,
            text: submitted.schema.clone(),
            references,
        };
        let parsed = self.parse(&identity).map_err(invalid)?;
        identity.text = parsed.to_string();
        Ok((identity, parsed))
    }

    /// Registers a schema under a subject, or finds that it is.
    pub(crate) fn register(&self, subject: &str, submitted: &Submitted) -> Result<Registration, Error> {
        check_subject(subject)?;
        let (identity, parsed) = self.canonical(submitted)?;
        let known = self.subjects.get(subject);
        if let Some((version, found)) = known.and_then(|known| find(known.live(), &identity)) {
            let (text, references) = (identity.text, identity.references);
            return Ok(Registration {
                id: found.content.id,
                version,
                text,
                references,
                records: Vec::new(),
            });
        }
        let messages = self.incompatibilities(subject, &parsed);
        if !messages.is_empty() {
            return Err(Error::Incompatible {
                subject: subject.to_owned(),
                messages,
            });
        }
        let id = self.id_of(&identity).or_else(|| self.next_id());
        let id = id.ok_or(Error::NoIdLeft)?;
        let version = self.next_version(subject);
        let version = version.ok_or_else(|| Error::NoVersionLeft(subject.to_owned()))?;
        let value = SchemaValue {
            subject: subject.to_owned(),
            version,
            id,
            schema_type: None,
            references: identity.references.clone(),
            schema: identity.text.clone(),
            deleted: false,
        };
        let records = vec![Record::schema(&value)];
        Ok(Registration {
            id,
            version,
            text: identity.text,
            references: identity.references,
            records,
        })
    }

    /// The version under which a schema is registered.
    pub(crate) fn lookup(
        &self,
        subject: &str,
        submitted: &Submitted,
        deleted: bool,
    ) -> Result<(i32, &Version), Error> {
        let known = self.subject(subject, deleted)?;
        let (identity, _) = self.canonical(submitted)?;
        let found = find(known.live(), &identity).or_else(|| {
            if deleted {
                find(known.versions.iter().map(|(n, v)| (*n, v)), &identity)
            } else {
                None
            }
        });
        found.ok_or(Error::SchemaNotRegistered)
    }

    /// A subject with versions: live ones, or with `deleted` any.
    pub(crate) fn subject(&self, name: &str, deleted: bool) -> Result<&Subject, Error> {
        let found = self.subjects.get(name);
        let found = found.filter(|subject| {
            if deleted {
                !subject.versions.is_empty()
            } else {
                subject.live().next().is_some()
            }
        });
        found.ok_or_else(|| Error::SubjectNotFound(name.to_owned()))
    }

    /// One version of a subject.
    pub(crate) fn version(
        &self,
        subject: &str,
        version: VersionId,
        deleted: bool,
    ) -> Result<(i32, &Version), Error> {
        let known = self.subject(subject, deleted)?;
        match version {
            VersionId::Latest if deleted => known
                .versions
                .iter()
                .next_back()
                .map(|(number, found)| (*number, found)),
            VersionId::Latest => known.live().next_back(),
            VersionId::Number(number) => known
                .versions
                .get(&number)
                .filter(|found| deleted || !found.deleted)
                .map(|found| (number, found)),
        }
        .ok_or(Error::VersionNotFound(match version {
            VersionId::Latest => -1,
            VersionId::Number(number) => number,
        }))
    }

    /// The level that counts for a subject.
    pub(crate) fn effective_level(&self, subject: &str) -> CompatibilityLevel {
        let own = self.subjects.get(subject).and_then(|subject| subject.level);
        own.unwrap_or_else(|| self.global_level())
    }

    /// What keeps a schema from being the subject's next version.
    fn incompatibilities(&self, subject: &str, new: &avro::Schema) -> Vec<String> {
        let live = self.subjects.get(subject).into_iter().flat_map(Subject::live);
        compare(self.effective_level(subject), new, live)
    }

    /// The check of a schema against one version (`Some`) or all that the level demands.
    pub(crate) fn check(
        &self,
        subject: &str,
        version: Option<VersionId>,
        submitted: &Submitted,
    ) -> Result<Vec<String>, Error> {
        let (_, new) = self.canonical(submitted)?;
        let Some(version) = version else {
            return Ok(self.incompatibilities(subject, &new));
        };
        match self.version(subject, version, false) {
            Ok(found) => Ok(compare(
                self.effective_level(subject),
                &new,
                std::iter::once(found),
            )),
            // Nothing to be incompatible with.
            Err(Error::SubjectNotFound(_)) if version == VersionId::Latest => Ok(Vec::new()),
            Err(Error::SubjectNotFound(_)) => Err(Error::VersionNotFound(match version {
                VersionId::Latest => -1,
                VersionId::Number(number) => number,
            })),
            Err(error) => Err(error),
        }
    }

    /// Deletes a subject: softly, or for good what is softly deleted already. Gives the versions.
    pub(crate) fn delete_subject(
        &self,
        name: &str,
        permanent: bool,
    ) -> Result<(Vec<i32>, Vec<Record>), Error> {
        let known = self.subject(name, true)?;
        let live: Vec<i32> = known.live().map(|(number, _)| number).collect();
        for number in known
            .versions
            .keys()
            .copied()
            .filter(|number| permanent || live.contains(number))
        {
            self.check_unreferenced(name, number, true)?;
        }
        if permanent {
            if !live.is_empty() {
                return Err(Error::SubjectNotSoftDeleted(name.to_owned()));
            }
            let versions: Vec<i32> = known.versions.keys().copied().collect();
            let mut records: Vec<Record> = versions.iter().map(|version| tombstone(name, *version)).collect();
            records.push(Record::tombstone(&Key::DeleteSubject {
                subject: name.to_owned(),
            }));
            if known.level.is_some() {
                records.push(Record::tombstone(&Key::Config {
                    subject: Some(name.to_owned()),
                }));
            }
            return Ok((versions, records));
        }
        match live.last() {
            Some(last) => Ok((live.clone(), vec![Record::delete_subject(name, *last)])),
            None => Err(Error::SubjectSoftDeleted(name.to_owned())),
        }
    }

    /// Deletes one version: softly, or for good if it is softly deleted already. Gives its number.
    pub(crate) fn delete_version(
        &self,
        subject: &str,
        version: VersionId,
        permanent: bool,
    ) -> Result<(i32, Vec<Record>), Error> {
        let (number, found) = self.version(subject, version, true)?;
        self.check_unreferenced(subject, number, false)?;
        match (permanent, found.deleted) {
            (true, false) => Err(Error::VersionNotSoftDeleted(subject.to_owned(), number)),
            (false, true) => Err(Error::VersionSoftDeleted(subject.to_owned(), number)),
            (true, true) => {
                let mut records = vec![tombstone(subject, number)];
                let known = self.subject(subject, true)?;
                if known.versions.len() == 1 && known.level.is_some() {
                    records.push(Record::tombstone(&Key::Config {
                        subject: Some(subject.to_owned()),
                    }));
                }
                Ok((number, records))
            }
            (false, false) => {
                let deleted = Version {
                    deleted: true,
                    ..found.clone()
                };
                Ok((number, vec![deleted.record(subject, number)]))
            }
        }
    }

    fn check_unreferenced(&self, subject: &str, version: i32, own_may: bool) -> Result<(), Error> {
        let referring = self
            .subjects
            .iter()
            .filter(|(name, _)| !(own_may && name.as_str() == subject));
        let mut references = referring
            .flat_map(|(_, it)| it.live())
            .flat_map(|(_, it)| &it.content.identity.references);
        if references.any(|reference| reference.subject == subject && reference.version == version) {
            return Err(Error::ReferenceExists {
                subject: subject.to_owned(),
                version,
            });
        }
        Ok(())
    }
}

fn tombstone(subject: &str, version: i32) -> Record {
    Record::tombstone(&Key::Schema {
        subject: subject.to_owned(),
        version,
    })
}

fn find<'a>(
    mut versions: impl DoubleEndedIterator<Item = (i32, &'a Version)>,
    identity: &Identity,
) -> Option<(i32, &'a Version)> {
    versions.rfind(|(_, version)| version.content.identity == *identity)
}

fn compare<'a>(
    level: CompatibilityLevel,
    new: &avro::Schema,
    versions: impl Iterator<Item = (i32, &'a Version)>,
) -> Vec<String> {
    let versions: Vec<(i32, &Arc<_>)> = versions
        .map(|(number, version)| (number, &version.content))
        .collect();
    if level != CompatibilityLevel::None
        && let Some((number, content)) = versions.iter().find(|(_, content)| content.parsed.is_err())
    {
        let reason = content.parsed.as_ref().err().map_or("", String::as_str);
        return vec![format!("{{version {number} cannot be compared: {reason}}}")];
    }
    let versions = versions.iter().filter_map(|(number, content)| {
        content.parsed.as_ref().ok().map(|schema| compatibility::Version {
            number: *number,
            schema,
        })
    });
    compatibility::check(level, new, &versions.collect::<Vec<_>>())
}

/// Confluent's rule for names, without contexts, which come later.
pub(crate) fn check_subject(subject: &str) -> Result<(), Error> {
    let invalid = |reason| {
        Err(Error::InvalidSubject {
            subject: subject.to_owned(),
            reason,
        })
    };
    match subject {
        "" => invalid("it is empty"),
        "__GLOBAL" | "__EMPTY" => invalid("the name is reserved"),
        _ if subject.chars().any(char::is_control) => invalid("it has control characters"),
        _ if subject.starts_with(":.") => invalid("contexts are not supported yet"),
        _ => Ok(()),
    }
}

fn shorten(schema: &str) -> String {
    const CHARACTERS_MAX: usize = 200;
    match schema.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &schema[..end]),
        None => schema.to_owned(),
    }
}

#[cfg(test)]
mod tests;
