//! ConsumerGroupDescribe: epochs, members and assignments of consumer groups, in the order they were asked for (KIP-848).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::consumer_group_describe_response::DescribedGroup;
use forebay_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::coordinator_context;
use super::room::{ASK_AGAIN, Entry, NO_ROOM_MESSAGE, answer_each};
use crate::authorized_operations;
use crate::call::Call;

/// Answers a ConsumerGroupDescribe request.
pub(crate) async fn handle(
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let context = &coordinator_context(call);
    let describe = async |names| {
        let coordinators = &call.core.groups;
        let answers = coordinators.ask_each(names, context, Command::ConsumerGroupDescribe);
        let groups = answers.await.into_iter().flat_map(|answer| match answer {
            Response::ConsumerGroupDescribe(groups) => groups,
            _ => Vec::new(),
        });
        groups.collect()
    };
    let mut groups: Vec<DescribedGroup> = answer_each(request.group_ids, call.version, describe).await;
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

impl Entry for DescribedGroup {
    type Answer = ConsumerGroupDescribeResponse;

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

    fn answer(groups: Vec<Self>) -> ConsumerGroupDescribeResponse {
        ConsumerGroupDescribeResponse {
            groups,
            ..ConsumerGroupDescribeResponse::default()
        }
    }

    fn entries(answer: ConsumerGroupDescribeResponse) -> Vec<Self> {
        answer.groups
    }
}
