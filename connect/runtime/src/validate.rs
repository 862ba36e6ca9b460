//! Judges a connector's configuration as a whole: the keys that every connector has, its own, its converters', and those that
//! override client keys (Kafka's `AbstractHerder.validateConnectorConfig`).

mod infos;
mod overrides;
mod sink;
mod source;

use std::sync::Arc;

use forebay_config::{ConfigDef, ConfigValue, Origin, Properties, UnknownKeys, Warning};
use forebay_connect_api::{PluginType, Plugins};
use forebay_connect_transforms::chain_def;

use crate::config::Config;
use crate::connector_config::topic_creation::topic_creation_def;
use crate::connector_config::{OPEN_PREFIXES, shown_def};
use crate::converter::{self, Role};
use crate::herder::Error;
use crate::provider::Providers;
use crate::worker::AnyConnector;
use infos::ConfigInfo;
pub(crate) use infos::{ConfigInfos, ConfigKeyInfo};

/// A configuration as a request has it.
type RawConfig = std::collections::BTreeMap<String, Option<String>>;

/// What is right and wrong with a configuration. May block, as connectors may look at what they are configured with.
///
/// # Errors
/// If it does not say of what connector it is, or there is no such.
pub(crate) fn validate(
    plugins: &Plugins,
    worker: &Config,
    providers: &Providers,
    config: &RawConfig,
) -> Result<ConfigInfos, Error> {
    let raw: Arc<Properties> = Arc::new(
        config
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect(),
    );
    let (resolved, unresolved) = match providers.resolve(&raw) {
        Ok(resolved) => (resolved.properties, None),
        Err(errors) => (Arc::clone(&raw), Some(errors)),
    };
    let properties = &*resolved;
    let Some(class) = properties.get("connector.class") else {
        return Err(Error::BadRequest(format!(
            "Connector config {} contains no connector type",
            in_braces(config)
        )));
    };
    let plugin = plugins
        .find(class)
        .map_err(|error| Error::BadRequest(error.to_string()))?;
    let any = AnyConnector::new(plugin);
    let connector = any.connector();
    let common = common_def(plugin.plugin_type(), &worker.originals, properties);
    let own = connector.config();

    let mut values = common.validate(properties);
    match &any {
        AnyConnector::Sink(_) => sink::check(properties, &mut values),
        AnyConnector::Source(source) => {
            source::check(&**source, worker.is_exactly_once(), properties, &mut values);
        }
    }
    refuse_nulls(config, &mut values);
    check_transformations(properties, &mut values);
    values.extend(connector.validate(properties));
    for error in unresolved.iter().flatten() {
        add_error(
            &mut values,
            error.key().unwrap_or_default(),
            None,
            error.to_string(),
        );
    }
    let unknown = unknown_keys(&common, &own, properties);

    let mut infos = ConfigInfos::new(class, &[&common, &own], values);
    infos
        .configs
        .splice(0..0, unknown.into_iter().map(ConfigInfo::without_definition));
    for part in overrides::validate(worker.override_policy, plugin.plugin_type(), properties) {
        infos.append(part);
    }
    for role in [Role::Header, Role::Key, Role::Value] {
        infos.append(converter_infos(role, properties));
    }
    infos.count_errors();
    infos.hide_resolved(&raw, properties);
    Ok(infos)
}

/// The keys of a configuration, as far as they are no secret of anybody: with their values left out.
fn in_braces(config: &RawConfig) -> String {
    let keys: Vec<&str> = config.keys().map(String::as_str).collect();
    format!("{{{}}}", keys.join(", "))
}

/// The keys of every connector, and those of the topics that a source connector makes.
fn common_def(plugin_type: PluginType, worker: &Properties, properties: &Properties) -> ConfigDef {
    let def = shown_def(plugin_type, worker).extend(&chain_def(properties));
    match plugin_type {
        PluginType::Source => def.extend(&topic_creation_def(properties)),
        PluginType::Sink => def,
    }
}

/// What is wrong with transformations as a whole. Kafka says most of it when a task starts.
fn check_transformations(properties: &Properties, values: &mut Vec<ConfigValue>) {
    let is_about =
        |value: &&ConfigValue| value.name.starts_with("transforms") || value.name.starts_with("predicates");
    let are_right = values
        .iter()
        .filter(is_about)
        .all(|value| value.errors.is_empty());
    for error in forebay_connect_transforms::check(properties, are_right) {
        add_error(
            values,
            error.key().unwrap_or("transforms"),
            None,
            error.to_string(),
        );
    }
}

fn refuse_nulls(config: &RawConfig, values: &mut Vec<ConfigValue>) {
    for (key, _) in config.iter().filter(|(_, value)| value.is_none()) {
        let reason = "Null value can not be supplied as the configuration value.";
        add_error(values, key, None, reason.to_owned());
    }
}

/// Adds an error to a key's value, made if it is not there.
fn add_error(values: &mut Vec<ConfigValue>, key: &str, value: Option<&str>, error: String) {
    if let Some(known) = values.iter_mut().find(|value| value.name == key) {
        known.errors.push(error);
        return;
    }
    values.push(ConfigValue {
        name: key.to_owned(),
        value: value.map(|value| forebay_config::Value::String(value.to_owned())),
        recommended_values: Vec::new(),
        errors: vec![error],
        visible: true,
    });
}

/// Keys that nobody knows, or that have no meaning here. One that is nearly a key that guards durability or security is an error; of the
/// others, the key that was meant, or what replaces it, is recommended, and the log has one warning.
fn unknown_keys(common: &ConfigDef, own: &ConfigDef, properties: &Properties) -> Vec<ConfigValue> {
    let mut known = own.clone();
    for key in common.keys() {
        if known.key(&key.name).is_none() {
            known = known.define(key.clone());
        }
    }
    for prefix in OPEN_PREFIXES {
        known = known.open_prefix(prefix);
    }
    let verdict = UnknownKeys::check(
        &known,
        properties.keys().map(String::as_str),
        Origin::ConnectorJson,
    );
    let mut values = Vec::new();
    for error in verdict.errors {
        add_error(
            &mut values,
            error.key().unwrap_or_default(),
            None,
            error.to_string(),
        );
    }
    for warning in verdict.warnings {
        tracing::warn!("{warning}");
        let keys = match warning {
            Warning::Unknown(keys) => keys,
            Warning::Meaningless { key, instead } => vec![(key, Some(instead))],
        };
        for (key, nearest) in keys {
            values.push(ConfigValue {
                name: key,
                value: None,
                recommended_values: nearest.into_iter().map(forebay_config::Value::String).collect(),
                errors: Vec::new(),
                visible: true,
            });
        }
    }
    values
}

/// The keys of the converter that a connector names itself.
fn converter_infos(role: Role, properties: &Properties) -> ConfigInfos {
    let key = role.key();
    let class = properties
        .get(key)
        .and_then(|class| converter::find(class.trim()));
    let Some(class) = class else {
        return ConfigInfos::default();
    };
    let prefix = format!("{key}.");
    let mut own: Properties = properties
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
        .collect();
    own.entry(converter::TYPE.to_owned())
        .or_insert_with(|| role.type_name().to_owned());
    let def = class.shown_def();
    ConfigInfos::prefixed(&prefix, &def, def.validate(&own))
}

#[cfg(test)]
mod tests;
