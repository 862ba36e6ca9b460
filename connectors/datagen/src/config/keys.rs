//! The keys: Confluent's, and `rate`, `count` of our own.

use forebay_connect_api::config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Value};

use crate::quickstart;

pub(super) const KAFKA_TOPIC: &str = "kafka.topic";
pub(super) const MAX_INTERVAL: &str = "max.interval";
pub(super) const ITERATIONS: &str = "iterations";
pub(super) const SCHEMA_STRING: &str = "schema.string";
pub(super) const SCHEMA_FILENAME: &str = "schema.filename";
pub(super) const SCHEMA_KEYFIELD: &str = "schema.keyfield";
pub(super) const QUICKSTART: &str = "quickstart";
pub(super) const RANDOM_SEED: &str = "random.seed";
pub(super) const RATE: &str = "rate";
pub(super) const COUNT: &str = "count";

fn known_quickstart() -> Validator {
    let names = quickstart::names().collect::<Vec<_>>().join(", ");
    let description = format!("[{names}], or none");
    Validator::custom(description, move |_, value| match value {
        Some(Value::String(name)) if !name.is_empty() && quickstart::find(name).is_none() => Err(format!(
            "there is no such quickstart; there are {names}, and {SCHEMA_STRING} takes any schema"
        )),
        _ => Ok(()),
    })
}

fn not_negative() -> Validator {
    Validator::at_least(0)
}

pub(crate) fn definition() -> ConfigDef {
    what(pace(ConfigDef::new())).meaningless(
        "generate.timeout",
        "making a record cannot hang, so it has no timeout",
    )
}

fn key(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
}

fn high(name: &str, config_type: ConfigType, documentation: &str) -> ConfigKey {
    key(name, config_type, Importance::High, documentation)
}

/// What.
fn what(definition: ConfigDef) -> ConfigDef {
    definition
        .define(
            high(
                SCHEMA_STRING,
                ConfigType::String,
                "An Avro schema as JSON text, with `arg.properties` as of Avro Random Generator: options, range, iteration, regex, \
                 length, odds. Not together with schema.filename or quickstart.",
            )
            .default(""),
        )
        .define(
            high(
                SCHEMA_FILENAME,
                ConfigType::String,
                "A file of the worker with such a schema. Not together with schema.string or quickstart.",
            )
            .default(""),
        )
        .define(high(SCHEMA_KEYFIELD, ConfigType::String, "The field whose value is the record's key").default(""))
        .define(
            high(
                QUICKSTART,
                ConfigType::String,
                "The name of a ready schema. Not together with schema.string or schema.filename.",
            )
            .default("")
            .validator(known_quickstart()),
        )
}

/// Where to, how fast, and how many.
fn pace(definition: ConfigDef) -> ConfigDef {
    definition
        .define(high(KAFKA_TOPIC, ConfigType::String, "The topic to write to").validator(Validator::NonEmpty))
        .define(
            high(
                MAX_INTERVAL,
                ConfigType::Long,
                "The longest time between two records of a task, in milliseconds; it is drawn anew for each. 0 or less: as fast as \
                 they are taken.",
            )
            .default(500),
        )
        .define(
            high(
                ITERATIONS,
                ConfigType::Int,
                "How many records each task makes in all; less than 1: no end. A task that has made them stays idle.",
            )
            .default(-1),
        )
        .define(
            key(
                RANDOM_SEED,
                ConfigType::Long,
                Importance::Low,
                "Two connectors with the same seed and configuration make the same records. Each task makes others. Without a seed, \
                 one is drawn at the first start.",
            )
            .optional(),
        )
        .define(
            key(
                RATE,
                ConfigType::Double,
                Importance::Medium,
                "How many records all tasks together make per second, instead of max.interval. 0: max.interval holds.",
            )
            .default("0.0")
            .validator(not_negative()),
        )
        .define(
            key(
                COUNT,
                ConfigType::Long,
                Importance::Medium,
                "How many records all tasks together make in all. 0: iterations holds.",
            )
            .default(0)
            .validator(not_negative()),
        )
}
