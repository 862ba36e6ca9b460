//! IncrementalAlterConfigs: decided by the controller (KIP-339). Levels of loggers, which are no metadata, change here (KIP-412).

use forebay_broker_controller::{ApiError, IncrementalAlterConfigs, ResourceType};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use forebay_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::call::Call;
use crate::loggers::Loggers;

/// Answers an IncrementalAlterConfigs request.
pub(crate) async fn handle(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.clone();
    let validate_only = request.validate_only;
    let loggers = call.core.loggers.as_deref();
    let command = IncrementalAlterConfigs {
        request,
        loggers: loggers.map(Loggers::names),
    };
    let response = match call.core.metadata.submit(command).await {
        Ok(response) => response,
        Err(error) => {
            let error = ApiError::new(error.error_code(), error.to_string());
            return IncrementalAlterConfigs::refused(&resources, &error);
        }
    };
    if let Some(loggers) = loggers.filter(|_| !validate_only) {
        for (resource, answer) in resources.iter().zip(&response.responses) {
            let of_loggers = ResourceType::of(resource.resource_type) == Some(ResourceType::BrokerLogger);
            if of_loggers && answer.error_code == i16::from(ErrorCode::None) {
                change(loggers, resource);
            }
        }
    }
    response
}

/// The controller has looked at it.
fn change(loggers: &Loggers, resource: &AlterConfigsResource) {
    // A level that is taken back has no value.
    let changes = resource.configs.iter().map(|config| {
        let is_set = config.config_operation == 0;
        let level = config.value.as_ref().filter(|_| is_set);
        (
            config.name.to_string(),
            level.and_then(|level| level.parse().ok()),
        )
    });
    loggers.change(changes);
}
