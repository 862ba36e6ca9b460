//! ListGroups: the groups of all coordinators of this broker (KIP-518, KIP-848).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::coordinator_context;
use crate::call::Call;

/// Answers a ListGroups request.
pub(crate) async fn handle(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut response = ListGroupsResponse::default();
    let answers = call
        .core
        .groups
        .ask_all(&coordinator_context(call), || {
            Command::ListGroups(request.clone())
        })
        .await;
    for answer in answers {
        match answer {
            Response::ListGroups(Ok(groups)) => response.groups.extend(groups),
            // A coordinator that has just resigned has no groups to tell of.
            Response::ListGroups(Err(ErrorCode::NotCoordinator)) => {}
            Response::ListGroups(Err(code)) => {
                return ListGroupsResponse {
                    error_code: code.into(),
                    ..ListGroupsResponse::default()
                };
            }
            _ => {}
        }
    }
    response
}
