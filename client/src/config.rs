//! Kafka's client configuration: its property names, types and defaults (those of 4.3), as typed structs. What a key means
//! is said in the definition ([`producer_def`] and its siblings); a struct's field carries the key's name.

mod admin;
mod common;
mod consumer;
mod producer;

pub use admin::{AdminConfig, admin_def};
pub use common::{ClientConfig, client_def};
pub use consumer::{AutoOffsetReset, ConsumerConfig, IsolationLevel, consumer_def};
pub use producer::{Acks, ProducerConfig, producer_def};

use std::time::Duration;

use forebay_config::{Config, ConfigDef, Errors, Origin, Properties, UnknownKeys};

/// Reads `properties` and judges unknown keys as their origin demands; warnings go to the log.
fn read(def: &ConfigDef, properties: &Properties, origin: Origin) -> Result<Config, Errors> {
    let verdict = UnknownKeys::check(def, properties.keys().map(String::as_str), origin);
    for warning in &verdict.warnings {
        tracing::warn!("{warning}");
    }
    let parsed = def.parse(properties);
    let mut errors = verdict.errors;
    errors.extend(parsed.as_ref().err().into_iter().flatten().cloned());
    Errors::check(errors)?;
    parsed
}

/// A key in milliseconds as a duration; a negative one is no time at all, `Long.MAX_VALUE` as good as for ever.
fn milliseconds(config: &Config, key: &str) -> Duration {
    let value = match &config.values()[key] {
        Some(forebay_config::Value::Int(value)) => i64::from(*value),
        _ => config.get_long(key),
    };
    Duration::from_millis(value.try_into().unwrap_or(0)).min(crate::chore::LONGEST)
}

/// A key in bytes; a negative one counts as none.
fn bytes(config: &Config, key: &str) -> usize {
    config.get_int(key).try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests;
