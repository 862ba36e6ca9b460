//! DeleteGroups: groups without members, with their offsets (KIP-229).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::coordinator_context;
use super::repetitions::Names;
use crate::call::Call;

/// Answers a DeleteGroups request.
pub(crate) async fn handle(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let names = Names::distinct(request.groups_names);
    let answers = call
        .core
        .groups
        .ask_each(
            names.wanted.clone(),
            &coordinator_context(call),
            Command::DeleteGroups,
        )
        .await;
    let mut results: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Response::DeleteGroups(results) => results,
            _ => Vec::new(),
        })
        .collect();
    names.sort(&mut results, |result| &result.group_id);
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}
