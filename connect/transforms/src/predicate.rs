//! Kafka's predicates, which say to which records a transformation applies, and the table that lists them.

mod has_header_key;
mod record_is_tombstone;
pub(crate) mod topic_name_matches;

use std::fmt;

use forebay_connect_api::config::{Config, ConfigDef};

use crate::transformation::is_name_of;
use crate::{Error, Record};

/// Looks at records (Kafka's `Predicate`).
pub(crate) trait Predicate: fmt::Debug + Send + Sync {
    /// Whether the record is one of those meant.
    fn test(&self, record: &Record) -> bool;
}

/// One of Kafka's classes.
#[derive(Debug)]
pub struct Class {
    /// The full name of the Java class; `/connector-plugins` shows it.
    pub class: &'static str,
    /// Its keys.
    pub config_def: fn() -> ConfigDef,
    pub(crate) new: fn(&Config) -> Result<Box<dyn Predicate>, Error>,
}

/// Every class, in Kafka's order.
pub const CLASSES: &[Class] = &[
    Class {
        class: "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
        config_def: has_header_key::config_def,
        new: has_header_key::new,
    },
    Class {
        class: "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        config_def: ConfigDef::new,
        new: record_is_tombstone::new,
    },
    Class {
        class: "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        config_def: topic_name_matches::config_def,
        new: topic_name_matches::new,
    },
];

/// The class of that name, in full or without its package.
pub fn find(name: &str) -> Option<&'static Class> {
    let name = name.trim();
    CLASSES.iter().find(|class| is_name_of(class.class, name))
}
