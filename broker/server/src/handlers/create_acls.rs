//! CreateAcls: without an authorizer a rule would promise what nobody keeps (`AclApis`, SECURITY_DISABLED).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::create_acls_response::AclCreationResult;
use forebay_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use crate::call::Call;

/// Answers a CreateAcls request.
pub(crate) fn handle(_call: &Call, request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult {
        error_code: ErrorCode::SecurityDisabled.into(),
        error_message: Some("No Authorizer is configured.".into()),
        ..AclCreationResult::default()
    };
    CreateAclsResponse {
        results: vec![refused; request.creations.len()],
        ..CreateAclsResponse::default()
    }
}
