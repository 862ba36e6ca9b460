//! UpdateFeatures: decided by the controller, among the features that are served here.

use forebay_broker_controller::UpdateFeatures;
use forebay_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::api_versions;
use crate::call::Call;

/// Answers an UpdateFeatures request.
pub(crate) async fn handle(call: &Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let command = UpdateFeatures {
        request,
        version: call.version,
        served: api_versions::served_features().copied().collect(),
    };
    match call.core.metadata.submit(command).await {
        Ok(response) => response,
        Err(error) => UpdateFeaturesResponse {
            error_code: error.error_code().into(),
            error_message: Some(error.to_string().into()),
            ..UpdateFeaturesResponse::default()
        },
    }
}
