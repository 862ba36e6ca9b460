//! DeleteAcls: without an authorizer there are no rules (`AclApis`, SECURITY_DISABLED).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use forebay_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use crate::call::Call;

/// Answers a DeleteAcls request.
pub(crate) fn handle(_call: &Call, request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult {
        error_code: ErrorCode::SecurityDisabled.into(),
        error_message: Some("No Authorizer is configured.".into()),
        ..DeleteAclsFilterResult::default()
    };
    DeleteAclsResponse {
        filter_results: vec![refused; request.filters.len()],
        ..DeleteAclsResponse::default()
    }
}
