//! What another registry's records on the same topic did to ours: which of ours do not hold, and what has to be written
//! so that the topic says again what the state says.

use super::{AVRO, Content, Identity, State, parse};
use crate::record::{Key, Record, SchemaValue};

impl State {
    /// Remembers anew which versions another schema takes the place of.
    pub(crate) fn forget_replaced(&mut self) {
        self.replaced.clear();
    }

    /// What has to be written where `records`, decided since [`State::forget_replaced`] and applied, do not hold because
    /// another registry was faster; nothing where they do. Only schemas can lose: of the other records the last one counts.
    pub(crate) fn amends(&self, records: &[Record]) -> Vec<Record> {
        records.iter().filter_map(|record| self.amend(record)).collect()
    }

    fn amend(&self, record: &Record) -> Option<Record> {
        let Some(Key::Schema { subject, version }) = Key::parse(&record.key) else {
            return None;
        };
        let written: SchemaValue = parse(record.value.as_deref()?).ok()?;
        let key = (subject, version);
        let replaced = self.replaced.get(&key);
        match (replaced, self.version_of(&key)) {
            // It was not there when this was decided.
            (Some(other), _) if other.content.id != written.id => Some(other.record(&key.0, version)),
            (_, Some(held)) if held.content.is(&written) => None,
            (_, Some(other)) => Some(other.record(&key.0, version)),
            (_, None) => Some(Record::tombstone(&Key::Schema {
                subject: key.0,
                version,
            })),
        }
    }

    /// The records of versions that a later record, left out of the state, hides in the topic.
    pub(crate) fn hidden(&self) -> Vec<Record> {
        let hidden = self.hidden.iter();
        hidden
            .filter_map(|key| Some(self.version_of(key)?.record(&key.0, key.1)))
            .collect()
    }
}

impl Content {
    /// Whether this is what a record says.
    fn is(&self, written: &SchemaValue) -> bool {
        let schema_type = written.schema_type.as_deref().unwrap_or(AVRO);
        let Identity {
            schema_type: own_type,
            text,
            references,
        } = &self.identity;
        (self.id, own_type.as_str(), text, references)
            == (written.id, schema_type, &written.schema, &written.references)
    }
}
