//! Structs that are configurations: their fields are the keys, their doc comments the documentation that Connect's `validate` answers
//! and reference pages show. What a program reads and what a user is told cannot part ways then.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{Config, ConfigDef, ConfigKey, ConfigType, Errors, Password, Properties, Validator, Value};

/// A struct that is read from a configuration. Derive it:
///
/// ```
/// # mod example {
/// use forebay_config::{Configuration, Setting};
///
/// /// How records reach their topic.
/// #[derive(Debug, Configuration)]
/// #[config(crate = forebay_config, group = "Reading")]
/// pub struct Reading {
///     /// The directory to read.
///     #[config(importance = High, validator = Validator::NonEmpty)]
///     pub path: String,
///     /// At most so many records at once.
///     #[config(default = 2000, validator = Validator::at_least(1))]
///     pub batch_size: usize,
///     /// What becomes of a file once its records are committed.
///     #[config(name = "cleanup.policy", default = "none")]
///     pub cleanup: Cleanup,
///     /// Where files go with cleanup.policy=move.
///     pub finished_path: Option<String>,
/// }
///
/// /// What becomes of files.
/// #[derive(Debug, PartialEq, Setting)]
/// #[config(crate = forebay_config)]
/// pub enum Cleanup {
///     /// They stay.
///     None,
///     /// They are deleted.
///     Delete,
///     /// They move.
///     Move,
/// }
/// # }
/// # use {example::*, forebay_config::Configuration as _};
/// let given = [("path", "/in"), ("cleanup.policy", "delete")];
/// let reading = Reading::parse(&given.map(|(key, value)| (key.into(), value.into())).into()).unwrap();
/// assert_eq!((reading.batch_size, reading.cleanup), (2000, Cleanup::Delete));
///
/// let wrong = Reading::parse(&[("batch.size".into(), "0".into())].into()).unwrap_err().to_string();
/// assert!(wrong.contains("Missing required configuration \"path\""), "{wrong}");
/// assert!(wrong.contains("Value must be at least 1"), "{wrong}");
/// ```
///
/// The key of a field is its name with dots for underscores, its type and what values it allows those of the field's type
/// ([`Setting`]), its documentation the doc comment, without which nothing compiles. A field without `default` is required, an
/// `Option` is `null` unless given. Of `#[config(…)]` there are, on a field, `name`, `default`, `importance` (`High`, `Medium`, else
/// low), `width`, `group`, `display`, `validator` (beside what the type allows), `recommender`, `dependents`, `alias` (as often as
/// need be), `class`, `guards`, `internal`, and `flatten` for a field that is a configuration itself; on the struct `group`, the
/// heading for all of them, and `crate`, where this crate is found (unless it is `forebay_connect_api::config`).
pub trait Configuration: Sized {
    /// Its keys, in the order of the fields.
    fn definition() -> ConfigDef;

    /// Reads it from what its definition, or one that has all its keys, has parsed.
    fn from_config(config: &Config) -> Self;

    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the fields.
    fn parse(properties: &Properties) -> Result<Self, Errors> {
        Ok(Self::from_config(&Self::definition().parse(properties)?))
    }
}

/// A type that a field of a [`Configuration`] can have. Derive it for an enum whose variants are the values that a user may write: `RecordKey`
/// is written `record_key`, or as `#[config(name = "…")]` says; with `#[config(ignore_case)]` on the enum in any case.
pub trait Setting: Sized {
    /// The type of the key.
    const CONFIG_TYPE: ConfigType;
    /// Whether the key may be left out although it has no default.
    const IS_OPTIONAL: bool = false;

    /// What the type alone demands of a value.
    fn validator() -> Option<Validator> {
        None
    }

    /// A value that the validator has let through; `None` if it cannot have.
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

/// The key of a field, for the derived code.
pub fn key_of<T: Setting>(name: &str, documentation: &str) -> ConfigKey {
    let mut key = ConfigKey::new(name, T::CONFIG_TYPE).documentation(documentation);
    key.validator = T::validator();
    if T::IS_OPTIONAL { key.optional() } else { key }
}

/// The value of a field, for the derived code.
///
/// # Panics
/// If `config` was not parsed with the field's key.
pub fn setting_of<T: Setting>(config: &Config, name: &str) -> T {
    let value = config.values().get(name);
    let value = value.unwrap_or_else(|| panic!("configuration {name} is not defined"));
    T::from_value(value.as_ref())
        .unwrap_or_else(|| panic!("configuration {name} is not what its field wants"))
}

impl<T: Setting> Setting for Option<T> {
    const CONFIG_TYPE: ConfigType = T::CONFIG_TYPE;
    const IS_OPTIONAL: bool = true;

    fn validator() -> Option<Validator> {
        T::validator().map(|validator| Validator::NullOr(Box::new(validator)))
    }

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! setting {
    ($($type:ty: $variant:ident, $value:ident => $result:expr $(, $validator:expr)?;)+) => {$(
        impl Setting for $type {
            const CONFIG_TYPE: ConfigType = ConfigType::$variant;

            $(fn validator() -> Option<Validator> {
                Some($validator)
            })?

            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value {
                    Some(Value::$variant($value)) => $result,
                    _ => None,
                }
            }
        }
    )+};
}

setting! {
    bool: Boolean, value => Some(*value);
    i16: Short, value => Some(*value);
    i32: Int, value => Some(*value);
    i64: Long, value => Some(*value);
    f64: Double, value => Some(*value);
    u16: Int, value => (*value).try_into().ok(), Validator::between(0, u16::MAX);
    u32: Int, value => (*value).try_into().ok(), Validator::at_least(0);
    usize: Int, value => (*value).try_into().ok(), Validator::at_least(0);
    u64: Long, value => (*value).try_into().ok(), Validator::at_least(0);
    // In milliseconds, as nearly all of Kafka's.
    Duration: Long, value => (*value).try_into().ok().map(Duration::from_millis), Validator::at_least(0);
    Vec<String>: List, value => Some(value.clone());
    Password: Password, value => Some(value.clone());
}

macro_rules! text_setting {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            const CONFIG_TYPE: ConfigType = ConfigType::String;

            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value {
                    Some(Value::String(value) | Value::Class(value)) => Some(value.as_str().into()),
                    _ => None,
                }
            }
        }
    )+};
}

text_setting!(String, Arc<str>, PathBuf);

#[cfg(test)]
mod tests;
