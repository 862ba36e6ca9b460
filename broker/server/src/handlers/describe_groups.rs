//! DescribeGroups: state and members of groups, in the order they were asked for.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::describe_groups_response::DescribedGroup;
use forebay_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::coordinator_context;
use super::room::{ASK_AGAIN, Entry, NO_ROOM_MESSAGE, answer_each};
use crate::authorized_operations;
use crate::call::Call;

/// Answers a DescribeGroups request.
pub(crate) async fn handle(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let context = &coordinator_context(call);
    let describe = async |names| {
        let coordinators = &call.core.groups;
        let answers = coordinators.ask_each(names, context, Command::DescribeGroups);
        let groups = answers.await.into_iter().flat_map(|answer| match answer {
            Response::DescribeGroups(groups) => groups,
            _ => Vec::new(),
        });
        groups.collect()
    };
    let mut groups: Vec<DescribedGroup> = answer_each(request.groups, call.version, describe).await;
    let asked = call.version >= 3 && request.include_authorized_operations;
    for group in &mut groups {
        let known = asked && group.error_code == 0;
        group.authorized_operations = if known {
            authorized_operations::GROUP
        } else {
            authorized_operations::UNKNOWN
        };
    }
    DescribeGroupsResponse {
        groups,
        ..DescribeGroupsResponse::default()
    }
}

impl Entry for DescribedGroup {
    type Answer = DescribeGroupsResponse;

    fn name(&self) -> &Utf8Bytes {
        &self.group_id
    }

    fn refused(id: &Utf8Bytes) -> Self {
        Self {
            group_id: id.clone(),
            error_code: ASK_AGAIN.into(),
            error_message: Some(Utf8Bytes::from_static(NO_ROOM_MESSAGE)),
            ..Self::default()
        }
    }

    fn answer(groups: Vec<Self>) -> DescribeGroupsResponse {
        DescribeGroupsResponse {
            groups,
            ..DescribeGroupsResponse::default()
        }
    }

    fn entries(answer: DescribeGroupsResponse) -> Vec<Self> {
        answer.groups
    }
}
