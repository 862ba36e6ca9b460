//! The registry's keys, under Confluent's names.

use std::time::Duration;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Errors, Importance, Properties, Validator};
use forebay_schema_registry_schema::compatibility::CompatibilityLevel;

/// The definition of every key that the registry reads.
pub fn config_def() -> ConfigDef {
    let key = ConfigKey::new;
    ConfigDef::new()
        .define(
            key("kafkastore.topic", ConfigType::String)
                .default("_schemas")
                .importance(Importance::Low)
                .documentation("The topic, of one partition and compacted, in which all schemas are kept."),
        )
        .define(
            key("kafkastore.topic.replication.factor", ConfigType::Int)
                .default(-1)
                .validator(Validator::at_least(-1))
                .importance(Importance::High)
                .documentation("How many replicas the topic gets where it is created; -1 leaves it to the broker."),
        )
        .define(
            key("kafkastore.timeout.ms", ConfigType::Int)
                .default(5_000)
                .validator(Validator::at_least(0))
                .importance(Importance::Medium)
                .documentation("How long a request waits, in milliseconds, for its records to be in the topic and read back."),
        )
        .define(
            key("kafkastore.init.timeout.ms", ConfigType::Int)
                .default(60_000)
                .validator(Validator::at_least(0))
                .importance(Importance::Low)
                .documentation("How long the start waits, in milliseconds, for the topic to be created and read."),
        )
        .define(
            key("schema.compatibility.level", ConfigType::String)
                .default("backward")
                .alias("avro.compatibility.level")
                .validator(Validator::one_of_ignoring_case([
                    "none", "backward", "backward_transitive", "forward", "forward_transitive", "full", "full_transitive",
                ]))
                .importance(Importance::High)
                .documentation("The compatibility level of subjects that have none of their own, until PUT /config sets another."),
        )
}

/// The keys, read.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) topic: String,
    pub(crate) replication_factor: Option<i16>,
    pub(crate) timeout: Duration,
    pub(crate) init_timeout: Duration,
    pub(crate) default_level: CompatibilityLevel,
}

impl Config {
    /// Reads `properties`.
    ///
    /// # Errors
    /// Every value that is wrong.
    pub fn new(properties: &Properties) -> Result<Self, Errors> {
        let config = config_def().parse(properties)?;
        let milliseconds = |key| Duration::from_millis(u64::from(config.get_int(key).unsigned_abs()));
        Ok(Self {
            topic: config.get_string("kafkastore.topic").to_owned(),
            replication_factor: i16::try_from(config.get_int("kafkastore.topic.replication.factor"))
                .ok()
                .filter(|factor| *factor > 0),
            timeout: milliseconds("kafkastore.timeout.ms"),
            init_timeout: milliseconds("kafkastore.init.timeout.ms"),
            default_level: config
                .get_string("schema.compatibility.level")
                .parse()
                .unwrap_or_default(),
        })
    }
}
