//! Changes of log levels (`RuntimeLoggerManager.validateLogLevelConfigs`). They are no metadata: nothing of them is kept.

use std::collections::BTreeSet;

use forebay_protocol::messages::incremental_alter_configs_request::AlterableConfig;

use super::incremental::Operation;
use super::not_supported;
use crate::ApiError;
use crate::image::ResourceType;

/// The logger above all others.
pub const ROOT_LOGGER: &str = "root";

/// Kafka's levels, by name.
pub const LOG_LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// Whether the changes can be made, given the loggers that there are.
pub(super) fn check(loggers: Option<&BTreeSet<String>>, configs: &[AlterableConfig]) -> Result<(), ApiError> {
    let Some(loggers) = loggers else {
        return Err(not_supported(ResourceType::BrokerLogger));
    };
    configs.iter().try_for_each(|config| check_one(loggers, config))
}

fn check_one(loggers: &BTreeSet<String>, config: &AlterableConfig) -> Result<(), ApiError> {
    let name = config.name.as_str();
    let operation = config.config_operation;
    let known = || {
        if name == ROOT_LOGGER || loggers.contains(name) {
            return Ok(());
        }
        Err(ApiError::invalid_config(format!("Logger {name} does not exist!")))
    };
    match Operation::of(operation) {
        Ok(Operation::Set) => {
            known()?;
            let level = config.value.as_ref().map_or("", |value| value.as_str());
            if LOG_LEVELS.contains(&level) {
                return Ok(());
            }
            Err(ApiError::invalid_config(format!(
                "Cannot set the log level of {name} to {level} as it is not a supported log level. Valid log levels are {}",
                LOG_LEVELS.join(", ")
            )))
        }
        Ok(Operation::Delete) => {
            known()?;
            if name != ROOT_LOGGER {
                return Ok(());
            }
            Err(ApiError::invalid_request(
                "Removing the log level of the root logger is not allowed",
            ))
        }
        Ok(Operation::Append) => refused_operation("APPEND operation"),
        Ok(Operation::Subtract) => refused_operation("SUBTRACT operation"),
        Err(_) => refused_operation(&format!("Unknown operation type {operation}")),
    }
}

fn refused_operation(operation: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_request(format!(
        "{operation} is not allowed for the BROKER_LOGGER resource"
    )))
}
