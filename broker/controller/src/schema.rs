//! What may be configured on topics and brokers, and which value holds where several places set one (Kafka's
//! `KafkaConfigSchema`, `ControllerConfigurationValidator` and `ConfigHelper`).

use std::collections::BTreeSet;
use std::fmt;

use forebay_config::{Config, ConfigDef, ConfigKey, ConfigType, Properties, Synonym};
use forebay_protocol::NodeId;

use crate::image::{ConfigResource, MetadataImage, ResourceType};

/// Where a value comes from, with the number that DescribeConfigs gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic = 1,
    /// Set on the group.
    Group = 8,
    /// Set on this broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// Given when this broker started.
    StaticBroker = 4,
    /// Given nowhere.
    Default = 5,
}

/// One key of a resource with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value that holds; `None`: null, or a secret.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// Whether it can only be set at start.
    pub read_only: bool,
    /// Every place that sets it, the one that wins first: key, value, source.
    pub synonyms: Vec<(String, Option<String>, ConfigSource)>,
    /// The type of the value.
    pub config_type: ConfigType,
    /// What it is for.
    pub documentation: String,
}

/// A check that spans several keys of a topic, on top of each key's own.
pub type TopicCheck = Box<dyn Fn(&Config) -> Result<(), String> + Send + Sync>;

/// A check of a group's keys: what is set on it, and what is set on this broker.
pub type GroupCheck = Box<dyn Fn(&Config, &Config) -> Result<(), String> + Send + Sync>;

/// A check of a broker's keys together: what would hold of them, and what does now, if that can be read.
pub type BrokerCheck = Box<dyn Fn(&Config, Option<&Config>) -> Result<(), String> + Send + Sync>;

/// The definitions, and what this node was started with.
pub struct ConfigSchema {
    /// The keys of topics. Their synonyms are keys of `broker`.
    pub topic: ConfigDef,
    /// What the log demands of a topic's keys together.
    pub topic_check: TopicCheck,
    /// The keys of groups. Their synonyms are keys of `broker`.
    pub group: ConfigDef,
    /// What brokers demand of a group's keys, given what is set on it and on the broker.
    pub group_check: GroupCheck,
    /// The keys of brokers.
    pub broker: ConfigDef,
    /// What a broker demands of its keys together before they change while it runs.
    pub broker_check: BrokerCheck,
    /// What this broker was started with.
    pub broker_properties: Properties,
    /// The keys of brokers that may be set while they run, on one or on all (Kafka's update mode `cluster-wide`).
    pub cluster_wide_updates: BTreeSet<String>,
    /// The keys of brokers that may be set while they run, on each alone (Kafka's update mode `per-broker`).
    pub per_broker_updates: BTreeSet<String>,
}

impl fmt::Debug for ConfigSchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the properties: there may be secrets among them.
        formatter.debug_struct("ConfigSchema").finish_non_exhaustive()
    }
}

/// The settings beside a topic's own that its values can come from, the strongest first.
struct Broker<'a> {
    dynamic: Option<&'a Properties>,
    dynamic_default: Option<&'a Properties>,
    fixed: &'a Properties,
}

impl<'a> Broker<'a> {
    fn places(&self) -> impl Iterator<Item = (&'a Properties, ConfigSource)> {
        let dynamic = self
            .dynamic
            .map(|properties| (properties, ConfigSource::DynamicBroker));
        let default = self
            .dynamic_default
            .map(|properties| (properties, ConfigSource::DynamicDefaultBroker));
        dynamic
            .into_iter()
            .chain(default)
            .chain([(self.fixed, ConfigSource::StaticBroker)])
    }

    /// All of them, each key as the strongest place has it.
    fn settings(&self) -> Properties {
        let mut settings = self.fixed.clone();
        for properties in [self.dynamic_default, self.dynamic].into_iter().flatten() {
            settings.extend(
                properties
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        settings
    }
}

impl ConfigSchema {
    /// Checks what a topic would have set on it.
    ///
    /// # Errors
    /// What is wrong, in Kafka's words.
    pub fn validate_topic(
        &self,
        properties: &Properties,
        image: &MetadataImage,
        node: NodeId,
    ) -> Result<(), String> {
        if let Some(unknown) = properties.keys().find(|name| self.topic.key(name).is_none()) {
            return Err(format!("Unknown topic config name: {unknown}"));
        }
        let first = |errors: forebay_config::Errors| {
            errors
                .iter()
                .next()
                .map_or_else(|| "invalid configuration".to_owned(), ToString::to_string)
        };
        // Each key on its own first, then all of them over what the broker has.
        self.topic.parse(properties).map_err(first)?;
        let server = self.broker_settings(image, node);
        let parsed = self
            .topic
            .parse_with_defaults(properties, &server)
            .map_err(first)?;
        (self.topic_check)(&parsed)
    }

    /// Checks what brokers would have set on them while they run (`DynamicBrokerConfig.validateConfigs`): on one broker, or on
    /// all, of which `node` is one. Keys that no broker knows pass: plug-ins may read them.
    ///
    /// # Errors
    /// What is wrong, in Kafka's words.
    pub fn validate_broker(
        &self,
        properties: &Properties,
        resource: &ConfigResource,
        image: &MetadataImage,
        node: NodeId,
    ) -> Result<(), String> {
        let per_broker = !resource.name.is_empty();
        let refuse = |message: &str, names: Vec<&str>| {
            if names.is_empty() {
                Ok(())
            } else {
                Err(format!("{message}: [{}]", names.join(", ")))
            }
        };
        let names = || properties.keys().map(String::as_str);
        let fixed = |name: &&str| {
            self.broker.key(name).is_some()
                && !self.cluster_wide_updates.contains(*name)
                && !self.per_broker_updates.contains(*name)
        };
        refuse(
            "Cannot update these configs dynamically",
            names().filter(fixed).collect(),
        )?;
        let before = image.configs(resource);
        let has_changed =
            |name: &str, value: &String| before.and_then(|before| before.get(name)) != Some(value);
        for (name, value) in properties.iter().filter(|(name, value)| has_changed(name, value)) {
            if let Some(key) = self.broker.key(name) {
                check(key, value)?;
            }
        }
        let single = |name: &&str| !per_broker && self.per_broker_updates.contains(*name);
        refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            names().filter(single).collect(),
        )?;
        let node = resource.name.parse().map_or(node, NodeId);
        let now = self.broker(image, node);
        let then = Broker {
            dynamic: if per_broker { Some(properties) } else { now.dynamic },
            dynamic_default: if per_broker {
                now.dynamic_default
            } else {
                Some(properties)
            },
            fixed: now.fixed,
        };
        // What is wrong already, as an earlier release has taken it, may be put right one by one: the rest is judged without it.
        let (now, wrong) = self.without_errors(now.settings());
        let (then, left) = self.without_errors(then.settings());
        if left.iter().any(|error| !wrong.contains(error)) {
            let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
            return Err(lines.join("\n"));
        }
        let then = self.broker.parse(&then).map_err(|errors| errors.to_string())?;
        (self.broker_check)(&then, self.broker.parse(&now).ok().as_ref())
    }

    /// A broker's settings but for those that are wrong by themselves, and what is wrong with these.
    fn without_errors(&self, mut settings: Properties) -> (Properties, Vec<forebay_config::Error>) {
        let errors: Vec<_> = self.broker.parse(&settings).err().into_iter().flatten().collect();
        for name in errors.iter().filter_map(forebay_config::Error::key) {
            settings.remove(name);
        }
        (settings, errors)
    }

    /// Checks what a group would have set on it (`GroupConfig.validate`).
    ///
    /// # Errors
    /// What is wrong, in Kafka's words.
    pub fn validate_group(
        &self,
        properties: &Properties,
        image: &MetadataImage,
        node: NodeId,
    ) -> Result<(), String> {
        if let Some(unknown) = properties.keys().find(|name| self.group.key(name).is_none()) {
            return Err(format!("Unknown group config name: {unknown}"));
        }
        for (name, value) in properties {
            if let Some(key) = self.group.key(name) {
                check(key, value)?;
            }
        }
        let first = |errors: forebay_config::Errors| errors.to_string();
        let server = self.broker_settings(image, node);
        let group = self
            .group
            .parse_with_defaults(properties, &server)
            .map_err(first)?;
        let broker = self.broker.parse(&server).map_err(first)?;
        (self.group_check)(&group, &broker)
    }

    /// Every key of a group that has `properties` set on it, by name, as DescribeConfigs tells.
    pub fn describe_group(
        &self,
        properties: &Properties,
        image: &MetadataImage,
        node: NodeId,
    ) -> Vec<ConfigEntry> {
        let broker = self.broker(image, node);
        let own = |source: &mut ConfigSource| {
            if *source == ConfigSource::Topic {
                *source = ConfigSource::Group;
            }
        };
        let entries = self.group.keys().iter().map(|key| {
            let mut entry = self.topic_entry(key, properties, &broker);
            own(&mut entry.source);
            entry.synonyms.iter_mut().for_each(|(_, _, source)| own(source));
            entry
        });
        let mut entries: Vec<ConfigEntry> = entries.collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    /// Whether a key holds a list, to which one can add.
    pub(crate) fn is_list(&self, resource_type: ResourceType, name: &str) -> bool {
        self.key(resource_type, name)
            .is_some_and(|key| key.config_type == ConfigType::List)
    }

    /// The default of a key as text.
    pub(crate) fn default_value(&self, resource_type: ResourceType, name: &str) -> Option<String> {
        self.key(resource_type, name)?
            .default
            .as_ref()?
            .as_ref()
            .map(ToString::to_string)
    }

    fn key(&self, resource_type: ResourceType, name: &str) -> Option<&ConfigKey> {
        match resource_type {
            ResourceType::Topic => self.topic.key(name),
            ResourceType::Broker => self.broker.key(name),
            ResourceType::Group => self.group.key(name),
            ResourceType::BrokerLogger | ResourceType::ClientMetrics => None,
        }
    }

    /// What broker `node` has set on it, wherever: what a topic's keys fall back on.
    pub fn broker_settings(&self, image: &MetadataImage, node: NodeId) -> Properties {
        self.broker(image, node).settings()
    }

    fn broker<'a>(&'a self, image: &'a MetadataImage, node: NodeId) -> Broker<'a> {
        Broker {
            dynamic: image.configs(&ConfigResource::broker(node)),
            dynamic_default: image.configs(&ConfigResource::default_broker()),
            fixed: &self.broker_properties,
        }
    }

    /// The value of one key of a topic that has `properties` set on it.
    pub fn topic_value(
        &self,
        name: &str,
        properties: &Properties,
        image: &MetadataImage,
        node: NodeId,
    ) -> Option<String> {
        let key = self.topic.key(name)?;
        effective(key, properties, &self.broker(image, node)).0
    }

    /// Every key of a topic that has `properties` set on it, by name, as CreateTopics and DescribeConfigs tell.
    pub fn describe_topic(
        &self,
        properties: &Properties,
        image: &MetadataImage,
        node: NodeId,
    ) -> Vec<ConfigEntry> {
        let broker = self.broker(image, node);
        let shown = self.topic.keys().iter().filter(|key| !key.internal);
        let mut entries: Vec<ConfigEntry> = shown
            .map(|key| self.topic_entry(key, properties, &broker))
            .collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    fn topic_entry(&self, key: &ConfigKey, properties: &Properties, broker: &Broker<'_>) -> ConfigEntry {
        let (value, source) = effective(key, properties, broker);
        let is_sensitive = key.config_type == ConfigType::Password;
        let mut synonyms = Vec::new();
        if properties.contains_key(&key.name) {
            synonyms.push((key.name.clone(), value.clone(), ConfigSource::Topic));
        }
        let first = key.synonyms.first().map(|synonym| synonym.name.as_str());
        synonyms.extend(self.synonyms(&key.synonyms, first, broker));
        hide(is_sensitive, &mut synonyms);
        ConfigEntry {
            name: key.name.clone(),
            value: value.filter(|_| !is_sensitive),
            source,
            is_sensitive,
            read_only: false,
            synonyms,
            config_type: key.config_type,
            documentation: key.documentation.clone(),
        }
    }

    /// The places that set a broker's key under any of its names, then its defaults. As Kafka's, the list opens with one name:
    /// `retention.ms` shows nothing where only `log.retention.hours` is set.
    fn synonyms(
        &self,
        names: &[Synonym],
        first: Option<&str>,
        broker: &Broker<'_>,
    ) -> Vec<(String, Option<String>, ConfigSource)> {
        let mut found = Vec::new();
        for (properties, source) in broker.places() {
            for Synonym { name, .. } in names {
                if let Some(value) = properties.get(name) {
                    found.push((name.clone(), Some(value.clone()), source));
                }
            }
        }
        for Synonym { name, .. } in names {
            if let Some(value) = self.default_value(ResourceType::Broker, name) {
                found.push((name.clone(), Some(value), ConfigSource::Default));
            }
        }
        found
            .into_iter()
            .skip_while(|(name, _, _)| Some(name.as_str()) != first)
            .collect()
    }

    /// All names of a broker's key, those of finer units first (`brokerConfigSynonyms`): those under which a topic's key knows it.
    fn names_of<'a>(&'a self, own: &'a [Synonym; 1]) -> &'a [Synonym] {
        let mut of_topics = self.topic.keys().iter().map(|key| key.synonyms.as_slice());
        of_topics
            .find(|names| names.iter().any(|synonym| synonym.name == own[0].name))
            .unwrap_or(own)
    }

    /// Every key of this broker by name, as DescribeConfigs tells.
    pub fn describe_broker(&self, image: &MetadataImage, node: NodeId) -> Vec<ConfigEntry> {
        let broker = self.broker(image, node);
        let shown = self.broker.keys().iter().filter(|key| !key.internal);
        let mut entries: Vec<ConfigEntry> = shown.map(|key| self.broker_entry(key, &broker)).collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    /// What is set on all brokers, by name, as DescribeConfigs tells of the broker without an id.
    pub fn describe_default_broker(&self, image: &MetadataImage) -> Vec<ConfigEntry> {
        let nothing = Properties::new();
        let set = image.configs(&ConfigResource::default_broker());
        let broker = Broker {
            dynamic: None,
            dynamic_default: set,
            fixed: &nothing,
        };
        let entry = |(name, value): (&String, &String)| match self.broker.key(name) {
            Some(key) => {
                let mut entry = self.broker_entry(key, &broker);
                entry
                    .synonyms
                    .retain(|(_, _, source)| *source == ConfigSource::DynamicDefaultBroker);
                entry
            }
            // What only a plug-in knows could be a secret.
            None => ConfigEntry {
                name: name.clone(),
                value: None,
                source: ConfigSource::DynamicDefaultBroker,
                is_sensitive: true,
                read_only: true,
                synonyms: vec![(
                    name.clone(),
                    Some(value.clone()).filter(|_| false),
                    ConfigSource::DynamicDefaultBroker,
                )],
                config_type: ConfigType::String,
                documentation: String::new(),
            },
        };
        set.into_iter().flatten().map(entry).collect()
    }

    fn broker_entry(&self, key: &ConfigKey, broker: &Broker<'_>) -> ConfigEntry {
        let own = [Synonym {
            name: key.name.clone(),
            unit: forebay_config::Unit::Same,
        }];
        let mut synonyms = self.synonyms(self.names_of(&own), Some(key.name.as_str()), broker);
        let (value, source) = match synonyms.first() {
            Some((_, value, source)) => (value.clone(), *source),
            None => (None, ConfigSource::Default),
        };
        let is_sensitive = key.config_type == ConfigType::Password;
        hide(is_sensitive, &mut synonyms);
        ConfigEntry {
            name: key.name.clone(),
            value: value.filter(|_| !is_sensitive),
            source,
            is_sensitive,
            read_only: !self.cluster_wide_updates.contains(&key.name)
                && !self.per_broker_updates.contains(&key.name),
            synonyms,
            config_type: key.config_type,
            documentation: key.documentation.clone(),
        }
    }
}

/// The value that holds, and where it comes from (`resolveEffectiveTopicConfig`).
fn effective(
    key: &ConfigKey,
    properties: &Properties,
    broker: &Broker<'_>,
) -> (Option<String>, ConfigSource) {
    if let Some(value) = properties.get(&key.name) {
        return (Some(value.clone()), ConfigSource::Topic);
    }
    for (properties, source) in broker.places() {
        for synonym in &key.synonyms {
            if let Some(value) = properties.get(&synonym.name) {
                return (Some(synonym.unit.convert(value)), source);
            }
        }
    }
    let default = key
        .default
        .as_ref()
        .and_then(Option::as_ref)
        .map(ToString::to_string);
    (default, ConfigSource::Default)
}

fn hide(is_sensitive: bool, synonyms: &mut [(String, Option<String>, ConfigSource)]) {
    if is_sensitive {
        for (_, value, _) in synonyms {
            *value = None;
        }
    }
}

/// Reads one value and shows it to its key's validator.
fn check(key: &ConfigKey, value: &str) -> Result<(), String> {
    let single = ConfigDef::new().define(key.clone());
    let given = Properties::from([(key.name.clone(), value.to_owned())]);
    match single.parse(&given) {
        Ok(_) => Ok(()),
        Err(errors) => Err(errors.iter().next().map_or_else(String::new, ToString::to_string)),
    }
}
