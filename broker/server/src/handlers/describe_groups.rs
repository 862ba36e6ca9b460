//! DescribeGroups: state and members of groups, in the order they were asked for.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::coordinator_context;
use crate::authorized_operations;
use crate::call::Call;

/// Answers a DescribeGroups request.
pub(crate) async fn handle(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let order = request.groups.clone();
    let answers = call
        .core
        .groups
        .ask_each(
            request.groups,
            &coordinator_context(call),
            Command::DescribeGroups,
        )
        .await;
    let mut groups: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Response::DescribeGroups(groups) => groups,
            _ => Vec::new(),
        })
        .collect();
    groups.sort_by_key(|group| order.iter().position(|id| *id == group.group_id));
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
