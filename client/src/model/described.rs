//! What the model tells of groups, without their members.

use forebay_protocol::{
    ErrorCode,
    messages::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest,
        DescribeGroupsResponse, consumer_group_describe_response::DescribedGroup as NewGroup,
        describe_groups_response::DescribedGroup,
    },
};

use super::{State, groups::Phase};

/// There are none of the new protocol.
pub(super) fn new_groups(request: &ConsumerGroupDescribeRequest) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.iter().map(|id| NewGroup {
        group_id: id.clone(),
        error_code: ErrorCode::GroupIdNotFound.to_i16(),
        ..Default::default()
    });
    ConsumerGroupDescribeResponse {
        groups: groups.collect(),
        ..Default::default()
    }
}

impl State {
    pub(super) fn describe_groups(&self, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
        let groups = request.groups.iter().map(|id| {
            let known = self.groups.get(&**id);
            let state = known.map_or("Dead", |group| match group.phase {
                _ if group.members.is_empty() => "Empty",
                Phase::Empty => "Empty",
                Phase::Joining => "PreparingRebalance",
                Phase::Syncing => "CompletingRebalance",
                Phase::Stable => "Stable",
            });
            let protocol_type = known.map_or("", |group| &group.protocol_type);
            DescribedGroup {
                group_id: id.clone(),
                group_state: state.into(),
                protocol_type: protocol_type.into(),
                ..Default::default()
            }
        });
        DescribeGroupsResponse {
            groups: groups.collect(),
            ..Default::default()
        }
    }
}
