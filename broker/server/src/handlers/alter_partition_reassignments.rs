//! AlterPartitionReassignments: decided by the controller.

use forebay_broker_controller::AlterPartitionReassignments;
use forebay_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use crate::call::Call;

/// Answers an AlterPartitionReassignments request.
pub(crate) async fn handle(
    call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    match call
        .core
        .metadata
        .submit(AlterPartitionReassignments { request })
        .await
    {
        Ok(response) => response,
        Err(error) => AlterPartitionReassignmentsResponse {
            error_code: error.error_code().into(),
            error_message: Some(error.to_string().into()),
            ..AlterPartitionReassignmentsResponse::default()
        },
    }
}
