//! Configuration definitions as Kafka has them (`ConfigDef`), and readers of TOML and `.properties`. One for all roles.
//!
//! A [`ConfigDef`] lists the keys of a role; [`ConfigDef::parse`] turns strings into a typed [`Config`] or into ALL the
//! [`Errors`] at once, in Kafka's wording. [`Entries`] are settings with the place they came from, and
//! [`Entries::parse`] adds the policy for unknown keys. Knows no role, no file system and no clock.

mod config;
mod configuration;
mod def;
mod entries;
mod error;
mod key;
mod nearest;
pub mod properties;
mod reference;
pub mod toml;
mod unknown;
mod validator;
mod value;

pub use config::{Config, FromValue, Source};
pub use configuration::{Configuration, Setting, key_of, setting_of};
pub use def::{ConfigDef, ConfigValue};
pub use entries::{Entries, Entry, Location, Origin, Parsed};
pub use error::{Error, Errors};
pub use forebay_config_derive::{Configuration, Setting};
pub use key::{ConfigKey, Importance, Recommender, Synonym, Unit, Width};
pub use nearest::{class_hint, nearest};
pub use unknown::{UnknownKey, UnknownKeys, Warning};
pub use validator::{CustomCheck, OwnCheck, Validator};
pub use value::{ConfigType, Password, Value};

/// Settings as they come: keys and values as strings, sorted by key.
pub type Properties = std::collections::BTreeMap<String, String>;

/// Parsed values by key; `None` is Kafka's `null`.
pub type Values = std::collections::BTreeMap<String, Option<Value>>;
