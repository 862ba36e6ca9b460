//! The records of the `_schemas` topic in Confluent's format. Their keys are compared byte for byte by compaction, so
//! the order of members is part of the format.

use forebay_schema_registry_schema::compatibility::CompatibilityLevel;
use serde::{Deserialize, Serialize};

/// A reference to a schema that another uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Schema {
        subject: String,
        version: i32,
    },
    /// The level of a subject, or of all where there is none.
    Config {
        subject: Option<String>,
    },
    DeleteSubject {
        subject: String,
    },
    /// A kind that this registry keeps in the topic but does not know: modes, contexts, associations.
    Other {
        keytype: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct RawKey {
    keytype: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(default)]
    magic: i32,
}

impl Key {
    /// `None` where the bytes are no key of a registry.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let raw: RawKey = serde_json::from_slice(bytes).ok()?;
        Some(match (raw.keytype.as_str(), raw.subject, raw.version) {
            ("SCHEMA", Some(subject), Some(version)) => Self::Schema { subject, version },
            ("CONFIG", subject, _) => Self::Config { subject },
            ("DELETE_SUBJECT", Some(subject), _) => Self::DeleteSubject { subject },
            _ => Self::Other { keytype: raw.keytype },
        })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (keytype, subject, version, magic) = match self {
            Self::Schema { subject, version } => ("SCHEMA", Some(subject.clone()), Some(*version), 1),
            Self::Config { subject } => ("CONFIG", subject.clone(), None, 0),
            Self::DeleteSubject { subject } => ("DELETE_SUBJECT", Some(subject.clone()), None, 0),
            Self::Other { keytype } => (keytype.as_str(), None, None, 0),
        };
        json(&RawKey {
            keytype: keytype.to_owned(),
            subject,
            version,
            magic,
        })
    }
}

/// The value of a [`Key::Schema`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SchemaValue {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    #[serde(default, rename = "schemaType", skip_serializing_if = "Option::is_none")]
    pub(crate) schema_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) references: Vec<Reference>,
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// The greatest number that stands as an `id` in a value which is not a [`SchemaValue`], cut off or of a form to come: that
/// identifier may be in use. What a schema's text says is not looked at, as its quotes are escaped.
pub(crate) fn id_in(value: &[u8]) -> Option<i32> {
    const NAME: &[u8] = br#""id""#;
    let mut starts = (0..value.len()).filter(|start| value[*start..].starts_with(NAME));
    let number = |start: usize| {
        let rest = value[start + NAME.len()..]
            .trim_ascii_start()
            .strip_prefix(b":")?;
        let rest = rest.trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse::<i32>().ok()
    };
    starts.by_ref().filter_map(number).max()
}

/// The value of a [`Key::Config`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ConfigValue {
    #[serde(rename = "compatibilityLevel")]
    pub(crate) compatibility_level: String,
}

/// The value of a [`Key::DeleteSubject`]: all versions up to this one are deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeleteSubjectValue {
    pub(crate) subject: String,
    pub(crate) version: i32,
}

/// A record to write; without a value it is a tombstone.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Record {
    pub(crate) fn schema(value: &SchemaValue) -> Self {
        let key = Key::Schema {
            subject: value.subject.clone(),
            version: value.version,
        };
        Self {
            key: key.to_bytes(),
            value: Some(json(value)),
        }
    }

    pub(crate) fn tombstone(key: &Key) -> Self {
        Self {
            key: key.to_bytes(),
            value: None,
        }
    }

    /// Says nothing: written to know that everything before it has been read.
    pub(crate) fn noop() -> Self {
        Self {
            key: br#"{"keytype":"NOOP","magic":0}"#.to_vec(),
            value: None,
        }
    }

    pub(crate) fn config(subject: Option<&str>, level: CompatibilityLevel) -> Self {
        let key = Key::Config {
            subject: subject.map(str::to_owned),
        };
        let value = ConfigValue {
            compatibility_level: level.to_string(),
        };
        Self {
            key: key.to_bytes(),
            value: Some(json(&value)),
        }
    }

    pub(crate) fn delete_subject(subject: &str, version: i32) -> Self {
        let key = Key::DeleteSubject {
            subject: subject.to_owned(),
        };
        let value = DeleteSubjectValue {
            subject: subject.to_owned(),
            version,
        };
        Self {
            key: key.to_bytes(),
            value: Some(json(&value)),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_confluents_bytes() {
        for (key, text) in [
            (
                Key::Schema {
                    subject: "s".to_owned(),
                    version: 1,
                },
                r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
            ),
            (
                Key::Config { subject: None },
                r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            ),
            (
                Key::Config {
                    subject: Some("s".to_owned()),
                },
                r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
            ),
            (
                Key::DeleteSubject {
                    subject: "s".to_owned(),
                },
                r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(key.to_bytes()).unwrap(), text);
            assert_eq!(Key::parse(text.as_bytes()), Some(key));
        }
        let noop = Key::parse(&Record::noop().key);
        assert_eq!(
            noop,
            Some(Key::Other {
                keytype: "NOOP".to_owned()
            })
        );
        assert_eq!(Key::parse(b"junk"), None);
    }
}
