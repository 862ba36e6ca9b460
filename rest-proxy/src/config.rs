//! The proxy's keys, under Confluent's names.

use std::time::Duration;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Errors, Importance, Properties, Validator};

/// The definition of every key that the proxy reads.
pub fn config_def() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new("schema.registry.url", ConfigType::String)
                .default("http://localhost:8081")
                .importance(Importance::High)
                .documentation("Where the schemas of Avro records are registered and found; several addresses are separated by commas."),
        )
        .define(
            ConfigKey::new("consumer.request.timeout.ms", ConfigType::Int)
                .default(1_000)
                .validator(Validator::at_least(0))
                .importance(Importance::Medium)
                .documentation("How long a read waits, in milliseconds, for records, unless the instance or the request says less."),
        )
        .define(
            ConfigKey::new("consumer.request.max.bytes", ConfigType::Long)
                .default(67_108_864_i64)
                .validator(Validator::at_least(1))
                .importance(Importance::Medium)
                .documentation("How many bytes of keys and values one read gives at most; the first record always comes."),
        )
        .define(
            ConfigKey::new("consumer.instance.timeout.ms", ConfigType::Int)
                .default(300_000)
                .validator(Validator::at_least(0))
                .importance(Importance::Low)
                .documentation("After how long without a request, in milliseconds, a consumer instance is closed."),
        )
        .define(
            ConfigKey::new("consumer.instances.max", ConfigType::Int)
                .default(1_000)
                .validator(Validator::at_least(1))
                .importance(Importance::Low)
                .documentation("How many consumer instances there may be at once."),
        )
}

/// The keys, read.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) schema_registry_url: String,
    pub(crate) request_timeout: Duration,
    pub(crate) request_bytes_max: u64,
    pub(crate) instance_timeout: Duration,
    pub(crate) instances_max: usize,
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
            schema_registry_url: config.get_string("schema.registry.url").to_owned(),
            request_timeout: milliseconds("consumer.request.timeout.ms"),
            request_bytes_max: config.get_long("consumer.request.max.bytes").unsigned_abs(),
            instance_timeout: milliseconds("consumer.instance.timeout.ms"),
            instances_max: config.get_int("consumer.instances.max").unsigned_abs() as usize,
        })
    }
}
