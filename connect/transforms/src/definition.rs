//! How the keys of transformations and predicates are defined: what several of them share.

use forebay_connect_api::config::{ConfigDef, ConfigKey, ConfigType, Error, Importance, Validator, Value};

/// Whether a field's default stands for null.
pub(crate) const REPLACE_NULL_WITH_DEFAULT: &str = "replace.null.with.default";

/// A key that has to be given.
pub(crate) fn required(
    name: &str,
    config_type: ConfigType,
    importance: Importance,
    documentation: &str,
) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
}

/// A string that may be left out.
pub(crate) fn optional(name: &str, importance: Importance, documentation: &str) -> ConfigKey {
    required(name, ConfigType::String, importance, documentation).optional()
}

/// Adds [`REPLACE_NULL_WITH_DEFAULT`].
pub(crate) fn with_replace_null(def: ConfigDef) -> ConfigDef {
    let documentation = "Whether a field that is null and has a default is taken for its default: true, as in Kafka before 3.8, or \
                         stays null: false.";
    def.define(
        required(
            REPLACE_NULL_WITH_DEFAULT,
            ConfigType::Boolean,
            Importance::Medium,
            documentation,
        )
        .default(true),
    )
}

/// A list of names that must have one (Kafka's `ValidList`, since 4.2).
pub(crate) fn names() -> Validator {
    Validator::own("[any non-duplicate, non-empty values]", |key, value| {
        let message = match value {
            Some(Value::List(items)) if items.is_empty() => {
                format!("Configuration '{key}' must not be empty. Valid values include: any non-empty value")
            }
            Some(Value::List(items)) if items.iter().any(String::is_empty) => {
                format!("Configuration '{key}' values must not be empty.")
            }
            _ => return Ok(()),
        };
        Err(about(key, message))
    })
}

/// A list that must have something (Kafka's `NonEmptyListValidator`).
pub(crate) fn non_empty_list() -> Validator {
    Validator::custom("non-empty list", |_, value| match value {
        Some(Value::List(items)) if !items.is_empty() => Ok(()),
        _ => Err("Empty list".to_owned()),
    })
}

/// What is wrong with a key, in its own words.
pub(crate) fn about(key: &str, message: impl Into<String>) -> Error {
    Error::Other {
        key: Some(key.to_owned()),
        message: message.into(),
    }
}

/// Names without those that came before.
pub(crate) fn unique(names: &[String]) -> Vec<String> {
    let mut unique: Vec<String> = Vec::new();
    for name in names {
        if !unique.contains(name) {
            unique.push(name.clone());
        }
    }
    unique
}
