//! AlterConfigs, which replaces all that is set: decided by the controller.

use forebay_broker_controller::AlterConfigs;
use forebay_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use forebay_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::call::Call;

/// Answers an AlterConfigs request.
pub(crate) async fn handle(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked: Vec<_> = request
        .resources
        .iter()
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect();
    match call.core.metadata.submit(AlterConfigs { request }).await {
        Ok(response) => response,
        Err(error) => {
            let failed = |(resource_type, resource_name)| AlterConfigsResourceResponse {
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                resource_type,
                resource_name,
                ..AlterConfigsResourceResponse::default()
            };
            AlterConfigsResponse {
                responses: asked.into_iter().map(failed).collect(),
                ..AlterConfigsResponse::default()
            }
        }
    }
}
