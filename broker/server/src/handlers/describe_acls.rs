//! DescribeAcls: nobody is asked who he is, so there is nothing to list (`AclApis`, SECURITY_DISABLED).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use crate::call::Call;

/// Answers a DescribeAcls request.
pub(crate) fn handle(_call: &Call, _request: &DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.into(),
        error_message: Some("No Authorizer is configured on the broker".into()),
        ..DescribeAclsResponse::default()
    }
}
