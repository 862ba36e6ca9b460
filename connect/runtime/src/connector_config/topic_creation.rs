//! How the topics of a source connector are made (KIP-158): the first group whose patterns fit the topic's name says with how
//! many partitions and replicas and with which configuration, else the group `default`.

use std::collections::BTreeMap;

use forebay_client::admin::NewTopic;
use forebay_config::{Config, ConfigDef, ConfigKey, ConfigType, Errors, Properties, Validator, Value, Width};
use regex::Regex;

use super::def::regular_expressions;
use super::whole;

const PREFIX: &str = "topic.creation.";
const DEFAULT: &str = "default";
const OWN_KEYS: [&str; 4] = ["include", "exclude", "replication.factor", "partitions"];

/// The groups of a connector.
#[derive(Debug)]
pub(crate) struct TopicCreation {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    replication_factor: Option<i16>,
    partitions: Option<i32>,
    configs: BTreeMap<String, String>,
}

/// The keys of a connector's groups; empty where it has no such keys, as the broker makes its topics then.
pub(crate) fn topic_creation_def(properties: &Properties) -> ConfigDef {
    if !is_used(properties) {
        return ConfigDef::new();
    }
    let default = |suffix: &str| properties.get(&format!("{PREFIX}{DEFAULT}.{suffix}")).cloned();
    let mut def = ConfigDef::new().embed(&format!("{PREFIX}{DEFAULT}."), DEFAULT, 1, &group_def(None));
    for alias in aliases(properties) {
        let inherited = (
            default("replication.factor").unwrap_or_default(),
            default("partitions").unwrap_or_default(),
        );
        let heading = format!("Topic Creation: {alias}");
        def = def.embed(
            &format!("{PREFIX}{alias}."),
            &heading,
            1,
            &group_def(Some(&inherited)),
        );
    }
    def
}

fn is_used(properties: &Properties) -> bool {
    properties.keys().any(|key| key.starts_with(PREFIX))
}

/// The groups beside the default one, in their order.
fn aliases(properties: &Properties) -> Vec<String> {
    let listed = properties.get("topic.creation.groups").map_or("", String::as_str);
    let mut aliases: Vec<String> = Vec::new();
    for alias in listed.split(',').map(str::trim) {
        if !alias.is_empty() && alias != DEFAULT && !aliases.iter().any(|known| known == alias) {
            aliases.push(alias.to_owned());
        }
    }
    aliases
}

/// The keys of one group; those that count are required of the default one and inherited by the others.
fn group_def(inherited: Option<&(String, String)>) -> ConfigDef {
    let counted = |name: &str, config_type: ConfigType, inherited: Option<&String>| {
        let key = ConfigKey::new(name, config_type)
            .validator(positive_or_brokers())
            .width(Width::Long);
        // What the default group has wrong is reported there.
        match inherited.filter(|value| config_type.parse(value).is_ok()) {
            Some(value) => key.default(value),
            None if inherited.is_some() => key.default(-1),
            None => key,
        }
    };
    let patterns = |name: &str, default: &str| {
        ConfigKey::new(name, ConfigType::List)
            .default(default)
            .validator(regular_expressions())
            .width(Width::Long)
    };
    let include = if inherited.is_some() { "" } else { ".*" };
    let (replication_factor, partitions) = match inherited {
        Some((replication_factor, partitions)) => (Some(replication_factor), Some(partitions)),
        None => (None, None),
    };
    ConfigDef::new()
        .define(
            patterns("include", include)
                .documentation("Patterns of topics that are made as this group says."),
        )
        .define(patterns("exclude", "").documentation("Patterns of topics that are not, though included."))
        .define(
            counted("replication.factor", ConfigType::Short, replication_factor)
                .documentation("The replication factor of new topics; -1: the broker's default."),
        )
        .define(
            counted("partitions", ConfigType::Int, partitions)
                .documentation("The number of partitions of new topics; -1: the broker's default."),
        )
}

fn positive_or_brokers() -> Validator {
    Validator::custom(
        "Positive number, or -1 to use the broker's default",
        |_, value| {
            let number = match value {
                Some(Value::Short(number)) => i32::from(*number),
                Some(Value::Int(number)) => *number,
                _ => return Err("Value must be non-null".to_owned()),
            };
            if number == -1 || number > 0 {
                Ok(())
            } else {
                Err("the number must be positive, or -1 to use the broker's default".to_owned())
            }
        },
    )
}

impl TopicCreation {
    /// Reads the groups; `None` where there are none.
    pub(super) fn new(properties: &Properties) -> Result<Option<Self>, Errors> {
        if !is_used(properties) {
            return Ok(None);
        }
        let config = topic_creation_def(properties).parse(properties)?;
        let aliases = aliases(properties);
        let groups = aliases.iter().map(String::as_str).chain([DEFAULT]);
        Ok(Some(Self {
            groups: groups.map(|alias| Group::new(&config, alias)).collect(),
        }))
    }

    /// The topic of that name, to be made.
    pub(crate) fn new_topic(&self, name: &str) -> NewTopic {
        let fits = |group: &&Group| {
            group.include.iter().any(|pattern| pattern.is_match(name))
                && !group.exclude.iter().any(|pattern| pattern.is_match(name))
        };
        // The default group is the last, and made for whatever is left, patterns or not.
        let group = self.groups.iter().find(fits).or(self.groups.last());
        let mut topic = NewTopic::new(name);
        if let Some(group) = group {
            topic.partitions = group.partitions;
            topic.replication_factor = group.replication_factor;
            topic.configs = group.configs.clone();
        }
        topic
    }
}

impl Group {
    fn new(config: &Config, alias: &str) -> Self {
        let key = |suffix: &str| format!("{PREFIX}{alias}.{suffix}");
        let patterns = |suffix: &str| {
            let patterns = config.get_list(&key(suffix)).iter();
            patterns.filter_map(|pattern| whole(pattern).ok()).collect()
        };
        let own_keys = config.originals_with_prefix(&format!("{PREFIX}{alias}."));
        Self {
            include: patterns("include"),
            exclude: patterns("exclude"),
            replication_factor: Some(config.get_short(&key("replication.factor")))
                .filter(|factor| *factor > 0),
            partitions: Some(config.get_int(&key("partitions"))).filter(|partitions| *partitions > 0),
            configs: own_keys
                .into_iter()
                .filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs
            .iter()
            .map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_first_group_that_fits_decides_and_inherits() {
        let none = TopicCreation::new(&Properties::new()).expect("nothing is wrong");
        assert!(none.is_none());
        let creation = TopicCreation::new(&properties(&[
            ("groups", "compacted, other"),
            ("default.replication.factor", "-1"),
            ("default.partitions", "3"),
            ("compacted.include", "state-.*,x"),
            ("compacted.exclude", "state-not"),
            ("compacted.cleanup.policy", "compact"),
            ("other.include", "o"),
            ("other.partitions", "7"),
        ]));
        let creation = creation.expect("nothing is wrong").expect("there are groups");
        for (name, partitions, configs) in [
            ("state-1", 3, 1),
            ("x", 3, 1),
            ("xx", 3, 0),
            ("state-not", 3, 0),
            ("o", 7, 0),
        ] {
            let topic = creation.new_topic(name);
            assert_eq!(
                (topic.partitions, topic.configs.len()),
                (Some(partitions), configs),
                "{name}"
            );
            assert_eq!(topic.replication_factor, None);
        }
    }

    #[test]
    fn the_default_group_must_say_its_numbers_and_patterns_must_be_patterns() {
        for (pairs, key) in [
            (&[("default.partitions", "1")][..], "default.replication.factor"),
            (
                &[("default.replication.factor", "1"), ("default.partitions", "0")],
                "default.partitions",
            ),
            (
                &[
                    ("groups", "a"),
                    ("a.include", "("),
                    ("default.replication.factor", "1"),
                    ("default.partitions", "1"),
                ],
                "a.include",
            ),
        ] {
            let errors = TopicCreation::new(&properties(pairs)).expect_err(key);
            assert!(errors.to_string().contains(key), "{errors}");
        }
    }
}
