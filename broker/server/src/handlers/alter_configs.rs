//! AlterConfigs, which replaces all that is set: decided by the controller.

use forebay_broker_controller::{AlterConfigs, ApiError};
use forebay_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::call::Call;

/// Answers an AlterConfigs request.
pub(crate) async fn handle(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let resources = request.resources.clone();
    match call.core.metadata.submit(AlterConfigs { request }).await {
        Ok(response) => response,
        Err(error) => {
            let error = ApiError::new(error.error_code(), error.to_string());
            AlterConfigs::refused(&resources, &error)
        }
    }
}
