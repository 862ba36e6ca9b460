//! ApiVersions: the ranges that Kafka 4.3.1 offers, of the APIs that are served.

use forebay_protocol::messages::api_versions_response::ApiVersion;
use forebay_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use forebay_protocol::{ApiKey, ErrorCode};

use crate::router::{Call, SERVED};

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
    ApiVersionsResponse {
        api_keys: SERVED.iter().copied().map(range).collect(),
        ..Default::default()
    }
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
