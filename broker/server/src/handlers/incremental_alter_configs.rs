//! IncrementalAlterConfigs: decided by the controller (KIP-339).

use forebay_broker_controller::IncrementalAlterConfigs;
use forebay_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use forebay_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::call::Call;

/// Answers an IncrementalAlterConfigs request.
pub(crate) async fn handle(
    call: &Call,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let asked: Vec<_> = request
        .resources
        .iter()
        .map(|resource| (resource.resource_type, resource.resource_name.clone()))
        .collect();
    match call
        .core
        .metadata
        .submit(IncrementalAlterConfigs { request })
        .await
    {
        Ok(response) => response,
        Err(error) => {
            let failed = |(resource_type, resource_name)| AlterConfigsResourceResponse {
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                resource_type,
                resource_name,
                ..AlterConfigsResourceResponse::default()
            };
            IncrementalAlterConfigsResponse {
                responses: asked.into_iter().map(failed).collect(),
                ..Default::default()
            }
        }
    }
}
