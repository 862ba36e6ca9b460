//! The schemas that a schema refers to, and those that they refer to: each is asked for once, however many ways lead to it,
//! and the registry's answers decide neither how many there are nor how much memory they take.

use std::collections::{BTreeSet, HashMap, HashSet};

use forebay_schema_registry_schema::avro;
use serde::{Deserialize, Serialize};

use crate::client::{Answer, Error, SchemaId};

/// How deep references may refer to schemas with references.
const DEPTH_MAX: usize = 16;

/// How many schemas a schema may refer to, those that they refer to included.
const REFERENCES_MAX: usize = 250;

/// How long the texts of these may be together, in bytes.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// One of the references of a schema, as the registry writes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reference {
    name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// All that are met, and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Subjects and versions, in the order in which they were met.
    met: Vec<(String, i32)>,
    places: HashMap<(String, i32), usize>,
    /// What was answered, in the same order.
    known: Vec<Known>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    id: SchemaId,
    text: String,
    references: BTreeSet<usize>,
}

impl References {
    /// Notes where these lead; gives their places.
    pub(crate) fn meet(&mut self, references: &[Reference]) -> Result<BTreeSet<usize>, Error> {
        let mut places = BTreeSet::new();
        for Reference { subject, version, .. } in references {
            let key = (subject.clone(), *version);
            let place = match self.places.get(&key) {
                Some(place) => *place,
                None if self.met.len() == REFERENCES_MAX => {
                    return Err(Error::Answer(format!(
                        "the schema refers to more than {REFERENCES_MAX} others"
                    )));
                }
                None => {
                    self.met.push(key.clone());
                    self.places.insert(key, self.met.len() - 1);
                    self.met.len() - 1
                }
            };
            places.insert(place);
        }
        Ok(places)
    }

    /// The subject and version to ask for next.
    pub(crate) fn next(&self) -> Option<(String, i32)> {
        self.met.get(self.known.len()).cloned()
    }

    /// Takes the answer about the one that was next.
    pub(crate) fn take(&mut self, answer: Answer) -> Result<(), Error> {
        self.bytes += answer.schema.len();
        if self.bytes > BYTES_MAX {
            return Err(Error::Answer(format!(
                "the schemas that the schema refers to are longer than {BYTES_MAX} bytes together"
            )));
        }
        let references = self.meet(&answer.references)?;
        self.known.push(Known {
            id: SchemaId(answer.id),
            text: answer.schema,
            references,
        });
        Ok(())
    }

    /// The schemas, each behind those that it refers to. The same text under several names is parsed once.
    pub(crate) fn parse(self) -> Result<Vec<avro::Schema>, Error> {
        let mut schemas: Vec<avro::Schema> = Vec::with_capacity(self.known.len());
        let mut seen = HashSet::new();
        for place in self.in_order()? {
            let known = &self.known[place];
            if !seen.insert(known.text.as_str()) {
                continue;
            }
            let parsed = avro::Schema::parse_with_references(&known.text, &schemas);
            schemas.push(parsed.map_err(|error| Error::Unsupported {
                id: known.id,
                reason: error.to_string(),
            })?);
        }
        Ok(schemas)
    }

    /// Level by level: first those without references, then those that refer to these only, and so on.
    fn in_order(&self) -> Result<Vec<usize>, Error> {
        let mut order = Vec::with_capacity(self.known.len());
        let mut placed: HashSet<usize> = HashSet::new();
        for _ in 0..DEPTH_MAX {
            let is_next = |place: &usize| {
                let mut references = self.known[*place].references.iter();
                !placed.contains(place) && references.all(|reference| placed.contains(reference))
            };
            let level: Vec<usize> = (0..self.known.len()).filter(is_next).collect();
            placed.extend(&level);
            order.extend(level);
        }
        if order.len() < self.known.len() {
            return Err(Error::Answer(format!(
                "references go deeper than {DEPTH_MAX} levels, or in a circle"
            )));
        }
        Ok(order)
    }
}
