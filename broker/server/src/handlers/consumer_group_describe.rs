//! ConsumerGroupDescribe: epochs, members and assignments of consumer groups, in the order they were asked for (KIP-848).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::consumer_group_describe_response::DescribedGroup;
use forebay_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::coordinator_context;
use super::repetitions::{Names, REPEATED, REPEATED_MESSAGE};
use crate::authorized_operations;
use crate::call::Call;

/// Answers a ConsumerGroupDescribe request.
pub(crate) async fn handle(
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let names = Names::of(request.group_ids);
    let context = coordinator_context(call);
    let groups = &call.core.groups;
    let answers = groups
        .ask_each(names.wanted.clone(), &context, Command::ConsumerGroupDescribe)
        .await;
    let mut groups: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Response::ConsumerGroupDescribe(groups) => groups,
            _ => Vec::new(),
        })
        .collect();
    groups.extend(names.refused.iter().map(refused));
    names.sort(&mut groups, |group| &group.group_id);
    for group in &mut groups {
        group.authorized_operations = if request.include_authorized_operations && group.error_code == 0 {
            authorized_operations::GROUP
        } else {
            authorized_operations::UNKNOWN
        };
    }
    ConsumerGroupDescribeResponse {
        groups,
        ..ConsumerGroupDescribeResponse::default()
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
