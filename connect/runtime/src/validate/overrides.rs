//! Client keys that a connector overrides (KIP-458): whether the worker lets it, whether their values can be read, and whether
//! they leave the guarantees alone.

use forebay_client::config::{admin_def, consumer_def, producer_def};
use forebay_config::{ConfigDef, ConfigValue, Properties};
use forebay_connect_api::PluginType;

use super::ConfigInfos;
use crate::config::OverridePolicy;
use crate::guarantees::{self, Client, Level};

/// Who a client is, which [`OverridePolicy::Principal`] lets a connector say.
const PRINCIPAL_KEYS: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

/// One part for each client that the connector's tasks have.
pub(super) fn validate(
    policy: OverridePolicy,
    plugin_type: PluginType,
    properties: &Properties,
) -> Vec<ConfigInfos> {
    let has_queue = properties
        .get("errors.deadletterqueue.topic.name")
        .is_some_and(|topic| !topic.trim().is_empty());
    let makes_topics = properties.keys().any(|key| key.starts_with("topic.creation."));
    let is_source = plugin_type == PluginType::Source;
    let clients = [
        (
            ("producer.override.", Some(Client::Producer)),
            producer_def as fn() -> ConfigDef,
            is_source || has_queue,
        ),
        (
            ("consumer.override.", Some(Client::Consumer)),
            consumer_def,
            !is_source,
        ),
        (
            ("admin.override.", None),
            admin_def,
            has_queue || (is_source && makes_topics),
        ),
    ];
    let used = clients.into_iter().filter(|(_, _, is_used)| *is_used);
    used.map(|(client, def, _)| of_client(policy, client, &def(), properties))
        .collect()
}

fn of_client(
    policy: OverridePolicy,
    (prefix, client): (&str, Option<Client>),
    def: &ConfigDef,
    properties: &Properties,
) -> ConfigInfos {
    let given: Properties = properties
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect();
    let mut values: Vec<ConfigValue> = def
        .validate(&given)
        .into_iter()
        .filter(|value| given.contains_key(&value.name))
        .collect();
    for (key, value) in &given {
        if !values.iter().any(|known| known.name == *key) {
            values.push(ConfigValue {
                name: key.clone(),
                value: Some(forebay_config::Value::String(value.clone())),
                recommended_values: Vec::new(),
                errors: Vec::new(),
                visible: true,
            });
        }
    }
    for (key, value) in &given {
        let refusal = client.and_then(|client| guarantees::refusal(client, Level::Connector, key, value));
        let known = values.iter_mut().find(|known| known.name == *key);
        if let (Some(refusal), Some(known)) = (refusal, known)
            && known.errors.is_empty()
        {
            let error = forebay_config::Error::invalid(format!("{prefix}{key}"), value, refusal);
            known.errors.push(error.to_string());
        }
    }
    for value in &mut values {
        let is_allowed = match policy {
            OverridePolicy::All => true,
            OverridePolicy::None => false,
            OverridePolicy::Principal => PRINCIPAL_KEYS.contains(&value.name.as_str()),
        };
        if !is_allowed {
            value.errors.push(format!(
                "The '{policy:?}' policy does not allow '{}' to be overridden in the connector configuration.",
                value.name
            ));
        }
    }
    ConfigInfos::prefixed(prefix, def, values)
}
