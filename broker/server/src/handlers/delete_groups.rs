//! DeleteGroups: groups without members, with their offsets (KIP-229).

use std::collections::HashSet;

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::delete_groups_response::DeletableGroupResult;
use forebay_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::coordinator_context;
use super::room::{ASK_AGAIN, Entry, answer_each};
use crate::call::Call;

/// Answers a DeleteGroups request.
pub(crate) async fn handle(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = request.groups_names;
    // What is named again counts once.
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    drop(seen);
    let context = &coordinator_context(call);
    let delete = async |names| {
        let coordinators = &call.core.groups;
        let answers = coordinators.ask_each(names, context, Command::DeleteGroups);
        let results = answers.await.into_iter().flat_map(|answer| match answer {
            Response::DeleteGroups(results) => results,
            _ => Vec::new(),
        });
        results.collect()
    };
    DeletableGroupResult::answer(answer_each(names, call.version, delete).await)
}

impl Entry for DeletableGroupResult {
    type Answer = DeleteGroupsResponse;

    fn name(&self) -> &Utf8Bytes {
        &self.group_id
    }

    fn refused(id: &Utf8Bytes) -> Self {
        Self {
            group_id: id.clone(),
            error_code: ASK_AGAIN.into(),
            ..Self::default()
        }
    }

    fn answer(results: Vec<Self>) -> DeleteGroupsResponse {
        DeleteGroupsResponse {
            results,
            ..DeleteGroupsResponse::default()
        }
    }

    fn entries(answer: DeleteGroupsResponse) -> Vec<Self> {
        answer.results
    }
}
