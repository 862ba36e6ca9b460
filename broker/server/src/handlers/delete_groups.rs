//! DeleteGroups: groups without members, with their offsets (KIP-229).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::coordinator_context;
use crate::call::Call;

/// Answers a DeleteGroups request.
pub(crate) async fn handle(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = Vec::with_capacity(request.groups_names.len());
    for name in request.groups_names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let order = names.clone();
    let answers = call
        .core
        .groups
        .ask_each(names, &coordinator_context(call), Command::DeleteGroups)
        .await;
    let mut results: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Response::DeleteGroups(results) => results,
            _ => Vec::new(),
        })
        .collect();
    results.sort_by_key(|result| order.iter().position(|id| *id == result.group_id));
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}
