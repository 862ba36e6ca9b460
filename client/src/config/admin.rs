//! The keys of an admin client (Kafka's `AdminClientConfig`).

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Errors, Origin, Properties, Validator};

use super::{
    common::{ClientConfig, client_def},
    read,
};

/// The keys of an admin client.
pub fn admin_def() -> ConfigDef {
    client_def()
        .define(
            ConfigKey::new("retries", ConfigType::Int)
                .default(i32::MAX)
                .validator(Validator::between(0, i32::MAX))
                .documentation("How often a call is tried again, within default.api.timeout.ms."),
        )
        .meaningless(
            "bootstrap.controllers",
            "use bootstrap.servers: brokers forward to the controller",
        )
}

/// What an admin client needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AdminConfig {
    /// What every client needs.
    pub client: ClientConfig,
    /// `retries`
    pub retries: u32,
}

impl AdminConfig {
    /// Reads the keys of [`admin_def`]; unknown keys are treated as their origin demands.
    ///
    /// # Errors
    /// Everything that is wrong, in Kafka's words.
    pub fn new(properties: &Properties, origin: Origin) -> Result<Self, Errors> {
        let config = read(&admin_def(), properties, origin)?;
        let retries = config.get_int("retries").try_into().unwrap_or(0);
        Ok(Self {
            client: ClientConfig::from_config(&config),
            retries,
        })
    }
}
