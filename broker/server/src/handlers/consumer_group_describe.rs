//! ConsumerGroupDescribe: epochs, members and assignments of consumer groups, in the order they were asked for (KIP-848).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::coordinator_context;
use crate::authorized_operations;
use crate::call::Call;

/// Answers a ConsumerGroupDescribe request.
pub(crate) async fn handle(
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let order = request.group_ids.clone();
    let context = coordinator_context(call);
    let groups = &call.core.groups;
    let answers = groups
        .ask_each(request.group_ids, &context, Command::ConsumerGroupDescribe)
        .await;
    let mut groups: Vec<_> = answers
        .into_iter()
        .flat_map(|answer| match answer {
            Response::ConsumerGroupDescribe(groups) => groups,
            _ => Vec::new(),
        })
        .collect();
    groups.sort_by_key(|group| order.iter().position(|id| *id == group.group_id));
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
