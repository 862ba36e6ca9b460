//! DescribeGroups: state and members of groups, in the order they were asked for.

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::describe_groups_response::DescribedGroup;
use forebay_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::coordinator_context;
use super::repetitions::{Names, REPEATED, REPEATED_MESSAGE};
use crate::authorized_operations;
use crate::call::Call;

/// Answers a DescribeGroups request.
pub(crate) async fn handle(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let names = Names::of(request.groups);
    let answers = call
        .core
        .groups
        .ask_each(
            names.wanted.clone(),
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
    groups.extend(names.refused.iter().map(refused));
    names.sort(&mut groups, |group| &group.group_id);
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

fn refused(id: &Utf8Bytes) -> DescribedGroup {
    DescribedGroup {
        group_id: id.clone(),
        error_code: REPEATED.into(),
        error_message: Some(Utf8Bytes::from_static(REPEATED_MESSAGE)),
        ..DescribedGroup::default()
    }
}
