//! The keys that a connector has for its transformations and predicates, as a form shows them (Kafka's `ConnectorConfig.enrich`).

use std::cmp::Ordering;
use std::sync::Arc;

use forebay_connect_api::Timestamp;
use forebay_connect_api::config::{
    ConfigDef, ConfigKey, ConfigType, Error, Importance, Properties, Recommender, Validator, Value, Values,
    Width, class_hint,
};

use super::Chain;
use crate::{predicate, transformation};

pub(super) const TRANSFORMS: &str = "transforms";
pub(super) const PREDICATES: &str = "predicates";

/// The aliases that a configuration lists, each once.
pub(super) fn aliases(properties: &Properties, key: &str) -> Vec<String> {
    let listed = properties.get(key).map_or("", String::as_str);
    let mut aliases: Vec<String> = Vec::new();
    for alias in listed.split(',').map(str::trim).filter(|alias| !alias.is_empty()) {
        if !aliases.iter().any(|known| known == alias) {
            aliases.push(alias.to_owned());
        }
    }
    aliases
}

/// One of the two kinds.
struct Kind {
    /// The key that lists the aliases.
    key: &'static str,
    /// The heading of a form.
    group: &'static str,
    /// What Kafka calls it.
    name: &'static str,
    classes: Vec<&'static str>,
    find: fn(&str) -> Option<ConfigDef>,
}

fn kinds() -> [Kind; 2] {
    [
        Kind {
            key: TRANSFORMS,
            group: "Transforms",
            name: "Transformation",
            classes: transformation::CLASSES.iter().map(|class| class.class).collect(),
            find: |name| transformation::find(name).map(|class| with_condition((class.config_def)())),
        },
        Kind {
            key: PREDICATES,
            group: "Predicates",
            name: "Predicate",
            classes: predicate::CLASSES.iter().map(|class| class.class).collect(),
            find: |name| predicate::find(name).map(|class| (class.config_def)()),
        },
    ]
}

/// What every transformation has beside its own keys.
fn with_condition(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("predicate", ConfigType::String)
            .optional()
            .importance(Importance::Medium)
            .documentation("The alias of the predicate that says to which records the transformation applies; none: to all."),
    )
    .define(
        ConfigKey::new("negate", ConfigType::Boolean)
            .default(false)
            .importance(Importance::Medium)
            .documentation("Whether it applies to those records that the predicate does not mean."),
    )
}

/// What a form offers.
struct Choices(ConfigType, Vec<&'static str>);

impl Recommender for Choices {
    fn valid_values(&self, _key: &str, _parsed: &Values) -> Vec<Value> {
        self.1
            .iter()
            .filter_map(|choice| self.0.parse(choice).ok())
            .collect()
    }

    fn visible(&self, _key: &str, _parsed: &Values) -> bool {
        true
    }
}

/// The keys of each transformation and predicate of a configuration, without `transforms` and `predicates` themselves. Of one whose
/// class is not known only `type` is there.
pub fn chain_def(properties: &Properties) -> ConfigDef {
    let mut def = ConfigDef::new();
    for kind in kinds() {
        for alias in aliases(properties, kind.key) {
            let prefix = format!("{}.{alias}.", kind.key);
            let group = format!("{}: {alias}", kind.group);
            let type_key = format!("{prefix}type");
            let class = properties.get(&type_key).map_or("", |class| class.trim());
            let find = kind.find;
            def = def.define(
                ConfigKey::new(&type_key, ConfigType::Class)
                    .importance(Importance::High)
                    .group(&group, 0)
                    .width(Width::Long)
                    .display_name(format!("{} type for {alias}", kind.name))
                    .documentation(format!(
                        "Class of the {} '{alias}': the full name of Kafka's Java class, or that without its package.",
                        kind.name.to_lowercase()
                    ))
                    .validator(known_class(&kind))
                    .recommender(Arc::new(Choices(ConfigType::Class, kind.classes.clone()))),
            );
            let own = find(class);
            def = def.define(version_key(&prefix, &group, kind.name, &alias, own.is_some()));
            if let Some(own) = own {
                let own = sorted(&own).keys().iter().fold(ConfigDef::new(), |def, key| {
                    def.define(without_prefix(&prefix, key))
                });
                def = def.embed(&prefix, &group, 2, &own);
            }
        }
    }
    def
}

/// There is one version of each; the key is known because Kafka has it (KIP-891).
fn version_key(prefix: &str, group: &str, kind: &str, alias: &str, is_known: bool) -> ConfigKey {
    let key = ConfigKey::new(format!("{prefix}plugin.version"), ConfigType::String)
        .importance(Importance::High)
        .group(group, 1)
        .width(Width::Long)
        .display_name(format!("{kind} version for {alias}"))
        .documentation(format!(
            "Version of the {} '{alias}'. There is one of each here, and it is taken whatever this says.",
            kind.to_lowercase()
        ));
    if is_known {
        let versions = vec![env!("CARGO_PKG_VERSION")];
        key.default(env!("CARGO_PKG_VERSION"))
            .recommender(Arc::new(Choices(ConfigType::String, versions)))
    } else {
        key.optional()
    }
}

fn known_class(kind: &Kind) -> Validator {
    let (find, classes) = (kind.find, kind.classes.clone());
    Validator::custom("a class of this worker", move |_, value| match value {
        Some(Value::Class(class)) if find(class).is_none() => Err(not_found(class, classes.iter().copied())),
        _ => Ok(()),
    })
}

/// What is said of a class that is not there.
pub(super) fn not_found<'a>(class: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("Class {class} could not be found.{}", class_hint(class, known))
}

/// In the order in which a form shows what has no order of its own: required keys first, then by importance, then by name.
fn sorted(def: &ConfigDef) -> ConfigDef {
    let mut keys: Vec<&ConfigKey> = def.keys().iter().collect();
    keys.sort_by(|a, b| compare(a, b));
    keys.into_iter()
        .fold(ConfigDef::new(), |def, key| def.define(key.clone()))
}

fn compare(a: &ConfigKey, b: &ConfigKey) -> Ordering {
    let rank = |key: &ConfigKey| match key.importance {
        Importance::High => 0,
        Importance::Medium => 1,
        Importance::Low => 2,
    };
    let by_need = b.is_required().cmp(&a.is_required());
    by_need
        .then(rank(a).cmp(&rank(b)))
        .then_with(|| a.name.cmp(&b.name))
}

/// The errors of a key under a prefix name it without, as Kafka's do.
fn without_prefix(prefix: &str, key: &ConfigKey) -> ConfigKey {
    let mut key = key.clone();
    if let Some(inner) = key.validator.take() {
        let (prefix, description) = (prefix.to_owned(), inner.to_string());
        key.validator = Some(Validator::own(description, move |key, value| {
            inner.check(key.strip_prefix(&prefix).unwrap_or(key), value)
        }));
    }
    key
}

/// What is wrong with the transformations of a configuration as a whole: a predicate that is negated and not there and, if each of
/// their keys `are_right` by itself, what Kafka says only when a task starts.
pub fn check(properties: &Properties, are_right: bool) -> Vec<Error> {
    let mut errors = Vec::new();
    for alias in aliases(properties, TRANSFORMS) {
        let key = |name: &str| format!("{TRANSFORMS}.{alias}.{name}");
        if properties.contains_key(&key("negate")) && !properties.contains_key(&key("predicate")) {
            errors.push(Error::Other {
                message: format!(
                    "Config '{}' was provided but there is no config '{}' defining a predicate to be negated.",
                    key("negate"),
                    key("predicate")
                ),
                key: Some(key("type")),
            });
        }
    }
    // Whatever the time is.
    if are_right && let Err(of_chain) = Chain::new(properties, Timestamp(0)) {
        errors.extend(of_chain);
    }
    errors
}
