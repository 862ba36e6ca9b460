//! What validation answers (Kafka's `ConfigInfos`, `ConfigInfo`, `ConfigKeyInfo`, `ConfigValueInfo`), with the names of its JSON.

use forebay_config::{ConfigDef, ConfigKey, ConfigValue, Properties};
use serde::Serialize;

use crate::provider::redact;

/// The verdict on a configuration.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ConfigInfos {
    /// `connector.class` as it was given.
    pub(crate) name: String,
    /// How many messages there are.
    pub(crate) error_count: usize,
    /// The headings in order.
    pub(crate) groups: Vec<String>,
    /// Each key.
    pub(crate) configs: Vec<ConfigInfo>,
}

/// A key and its value.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigInfo {
    /// `None`: nobody knows the key.
    pub(crate) definition: Option<ConfigKeyInfo>,
    /// Its value, if it was looked at.
    pub(crate) value: Option<ConfigValueInfo>,
}

/// How a key is defined.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigKeyInfo {
    name: String,
    #[serde(rename = "type")]
    config_type: &'static str,
    required: bool,
    default_value: Option<String>,
    importance: &'static str,
    documentation: String,
    group: Option<String>,
    order_in_group: i32,
    width: &'static str,
    display_name: String,
    dependents: Vec<String>,
}

/// What a key is set to.
#[derive(Debug, Serialize)]
pub(crate) struct ConfigValueInfo {
    /// The key.
    pub(crate) name: String,
    value: Option<String>,
    recommended_values: Vec<String>,
    /// What is wrong with it.
    pub(crate) errors: Vec<String>,
    visible: bool,
}

impl ConfigKeyInfo {
    /// The definition of a key, under a prefix.
    pub(crate) fn new(prefix: &str, key: &ConfigKey) -> Self {
        let default = key.default.as_ref().and_then(Option::as_ref);
        Self {
            name: format!("{prefix}{}", key.name),
            config_type: key.config_type.name(),
            required: key.is_required(),
            default_value: default.map(ToString::to_string),
            importance: key.importance.name(),
            documentation: key.documentation.clone(),
            group: key.group.clone(),
            order_in_group: key.order_in_group,
            width: key.width.name(),
            display_name: key.display_name.clone(),
            dependents: key.dependents.clone(),
        }
    }
}

impl ConfigValueInfo {
    fn new(prefix: &str, value: ConfigValue) -> Self {
        Self {
            name: format!("{prefix}{}", value.name),
            value: value.value.as_ref().map(ToString::to_string),
            recommended_values: value.recommended_values.iter().map(ToString::to_string).collect(),
            errors: value.errors,
            visible: value.visible,
        }
    }
}

impl ConfigInfo {
    /// A value that belongs to no key.
    pub(super) fn without_definition(value: ConfigValue) -> Self {
        Self {
            definition: None,
            value: Some(ConfigValueInfo::new("", value)),
        }
    }
}

impl ConfigInfos {
    /// Every key of the definitions, a later one in place of an earlier of the same name, with its value. Of values that are
    /// there twice the last counts, with the errors of both; those that belong to no key come first.
    pub(super) fn new(name: &str, defs: &[&ConfigDef], values: Vec<ConfigValue>) -> Self {
        let mut keys: Vec<&ConfigKey> = Vec::new();
        for key in defs.iter().flat_map(|def| def.keys()).filter(|key| !key.internal) {
            match keys.iter_mut().find(|known| known.name == key.name) {
                Some(known) => *known = key,
                None => keys.push(key),
            }
        }
        let mut merged: Vec<ConfigValue> = Vec::new();
        for value in values {
            match merged.iter_mut().find(|known| known.name == value.name) {
                Some(known) => {
                    let before = std::mem::replace(&mut known.errors, value.errors.clone());
                    let lost = before.into_iter().filter(|error| !value.errors.contains(error));
                    known.errors.extend(lost);
                    known.value = value.value;
                    known.recommended_values = value.recommended_values;
                }
                None => merged.push(value),
            }
        }
        let (known, strange): (Vec<_>, Vec<_>) = merged
            .into_iter()
            .partition(|value| keys.iter().any(|key| key.name == value.name));
        let mut configs: Vec<ConfigInfo> = strange.into_iter().map(ConfigInfo::without_definition).collect();
        let mut known: Vec<Option<ConfigValue>> = known.into_iter().map(Some).collect();
        for key in keys {
            let value = known
                .iter_mut()
                .find(|value| value.as_ref().is_some_and(|value| value.name == key.name));
            configs.push(ConfigInfo {
                definition: Some(ConfigKeyInfo::new("", key)),
                value: value
                    .and_then(Option::take)
                    .map(|value| ConfigValueInfo::new("", value)),
            });
        }
        let mut groups: Vec<String> = Vec::new();
        for group in defs.iter().flat_map(|def| def.groups()) {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        Self {
            name: name.to_owned(),
            error_count: 0,
            groups,
            configs,
        }
    }

    /// Values of keys under a prefix.
    pub(super) fn prefixed(prefix: &str, def: &ConfigDef, values: Vec<ConfigValue>) -> Self {
        let configs = values.into_iter().map(|value| ConfigInfo {
            definition: def.key(&value.name).map(|key| ConfigKeyInfo::new(prefix, key)),
            value: Some(ConfigValueInfo::new(prefix, value)),
        });
        Self {
            configs: configs.collect(),
            groups: def.groups().to_vec(),
            ..Self::default()
        }
    }

    /// Puts another part behind.
    pub(super) fn append(&mut self, part: Self) {
        for group in part.groups {
            if !self.groups.contains(&group) {
                self.groups.push(group);
            }
        }
        self.configs.extend(part.configs);
    }

    /// Puts references back where config providers gave a value, and takes what they gave out of messages.
    pub(super) fn hide_resolved(&mut self, raw: &Properties, resolved: &Properties) {
        let was_reference = |key: &str| raw.get(key).filter(|text| resolved.get(key) != Some(text));
        self.name = redact(&self.name).into_owned();
        for value in self.configs.iter_mut().filter_map(|config| config.value.as_mut()) {
            if let (Some(text), Some(shown)) = (was_reference(&value.name), &mut value.value) {
                // What is hidden stays so.
                if shown != "[hidden]" {
                    shown.clone_from(text);
                }
            }
            let texts = value.value.iter_mut().chain(&mut value.errors);
            for text in texts.chain(&mut value.recommended_values) {
                *text = redact(text).into_owned();
            }
        }
    }

    pub(super) fn count_errors(&mut self) {
        self.error_count = self.errors().count();
    }

    /// Each message.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        let values = self.configs.iter().filter_map(|config| config.value.as_ref());
        values.flat_map(|value| value.errors.iter().map(String::as_str))
    }

    /// The keys that mean nothing, with those that they nearly are. Those that have no meaning here are not among them.
    fn unknown(&self) -> Vec<String> {
        let is_known = |key: &str| {
            self.configs
                .iter()
                .any(|one| one.definition.as_ref().is_some_and(|own| own.name == key))
        };
        let undefined = self.configs.iter().filter(|config| config.definition.is_none());
        let unknown = undefined
            .filter_map(|config| config.value.as_ref())
            .filter(|value| value.errors.is_empty());
        unknown
            .filter_map(|value| match &value.recommended_values[..] {
                [] => Some(format!("\"{}\"", value.name)),
                [key] if is_known(key) => Some(format!("\"{}\" (did you mean \"{key}\"?)", value.name)),
                _ => None,
            })
            .collect()
    }

    /// All messages as one, for a request that is refused because of them.
    pub(crate) fn message(&self) -> String {
        let count = self.error_count;
        let mut message =
            format!("Connector configuration is invalid and contains the following {count} error(s):");
        for error in self.errors() {
            message.push('\n');
            message.push_str(error);
        }
        // One of them may have been meant for what is missing.
        let unknown = self.unknown();
        if !unknown.is_empty() {
            message.push_str("\nUnknown configurations are ignored: ");
            message.push_str(&unknown.join(", "));
        }
        message.push_str(
            "\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
        );
        message
    }
}
