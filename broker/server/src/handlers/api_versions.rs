//! ApiVersions: the ranges that Kafka 4.3.1 offers, of the APIs that are served.

use forebay_broker_controller::{
    ELIGIBLE_LEADER_REPLICAS_VERSION, GROUP_VERSION, METADATA_VERSION, SUPPORTED_FEATURES, SupportedFeature,
    TRANSACTION_VERSION,
};
use forebay_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use forebay_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use forebay_protocol::{ApiKey, ErrorCode};

use crate::call::Call;

/// Answers an ApiVersions request of a version that is known.
pub(crate) fn handle(call: &Call, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    if call.version >= 3
        && !(is_software(&request.client_software_name) && is_software(&request.client_software_version))
    {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.into(),
            ..Default::default()
        };
    }
    let image = call.core.metadata.image();
    let served = served_features();
    // Older clients take a range from 0 for no range at all (KIP-1022).
    let shown = served
        .clone()
        .filter(|feature| feature.min > 0 || call.version >= 4);
    let finalized = served.map(|feature| (feature.name, image.feature_level(feature.name)));
    ApiVersionsResponse {
        api_keys: call.served.iter().copied().map(range).collect(),
        supported_features: shown
            .map(|feature| SupportedFeatureKey {
                name: feature.name.into(),
                min_version: feature.min,
                max_version: feature.max,
                ..SupportedFeatureKey::default()
            })
            .collect(),
        finalized_features_epoch: image.next_offset().0 - 1,
        finalized_features: finalized
            .filter(|(_, level)| *level > 0)
            .map(|(name, level)| FinalizedFeatureKey {
                name: name.into(),
                max_version_level: level,
                min_version_level: level,
                ..FinalizedFeatureKey::default()
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

/// The features that are served in full. Others, like `share.version`, switch clients to what is not here.
const FEATURES: [&str; 4] = [
    METADATA_VERSION,
    TRANSACTION_VERSION,
    ELIGIBLE_LEADER_REPLICAS_VERSION,
    GROUP_VERSION,
];

/// The features of [`FEATURES`] with the levels that are supported.
pub(crate) fn served_features() -> impl Iterator<Item = &'static SupportedFeature> + Clone {
    SUPPORTED_FEATURES
        .iter()
        .filter(|feature| FEATURES.contains(&feature.name))
}

/// The answer to a version that is not known: read at version 0, it tells which are (KIP-511).
pub(crate) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.into(),
        api_keys: vec![range(ApiKey::ApiVersions)],
        ..Default::default()
    }
}

fn range(api_key: ApiKey) -> ApiVersion {
    let versions = api_key.advertised_versions();
    ApiVersion {
        api_key: api_key.number(),
        min_version: *versions.start(),
        max_version: *versions.end(),
        ..Default::default()
    }
}

/// What a client may call itself: letters and digits, with dots and hyphens within (`ApiVersionsRequest.isValid`).
fn is_software(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(is_inner) && ends_well(name.chars().next()) && ends_well(name.chars().last())
}
