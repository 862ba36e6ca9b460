//! Groups of the new protocol (KIP-848) as their coordinators describe them. Classic groups are described in their own way.

use forebay_protocol::{
    ErrorCode, TopicPartition,
    messages::{
        ConsumerGroupDescribeRequest,
        consumer_group_describe_response::{Assignment, DescribedGroup, Member},
    },
};

use super::{GroupDescription, MemberDescription, Node, check};
use crate::{cluster::Coordinator, error::Error};

/// The group, or none where it is not one of the new protocol, or the broker does not know of that.
pub(super) async fn describe(
    coordinator: &Coordinator,
    group_id: &str,
    node: Option<Node>,
) -> Result<Option<GroupDescription>, Error> {
    if coordinator
        .node
        .version::<ConsumerGroupDescribeRequest>(i16::MAX)
        .is_err()
    {
        return Ok(None);
    }
    let group_ids = vec![group_id.into()];
    let answer = coordinator
        .node
        .call(|_| ConsumerGroupDescribeRequest {
            group_ids,
            ..Default::default()
        })
        .await?;
    let Some(group) = answer.groups.into_iter().next() else {
        return Ok(None);
    };
    let is_another = matches!(
        ErrorCode::from_i16(group.error_code),
        ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion
    );
    if is_another {
        return Ok(None);
    }
    let action = format!("describe group {group_id}");
    check(action, group.error_code, group.error_message.as_deref())?;
    Ok(Some(description(group, node)))
}

fn description(group: DescribedGroup, coordinator: Option<Node>) -> GroupDescription {
    GroupDescription {
        group_id: group.group_id.into(),
        state: group.group_state.into(),
        protocol_type: "consumer".to_owned(),
        assignor: group.assignor_name.into(),
        coordinator,
        members: group.members.into_iter().map(member).collect(),
        group_epoch: Some(group.group_epoch),
        target_assignment_epoch: Some(group.assignment_epoch),
        error: None,
    }
}

fn member(member: Member) -> MemberDescription {
    MemberDescription {
        member_id: member.member_id.into(),
        group_instance_id: member.instance_id.map(String::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        assignment: partitions(member.assignment),
        member_epoch: Some(member.member_epoch),
        target_assignment: Some(partitions(member.target_assignment)),
        is_upgraded: match member.member_type {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn partitions(assignment: Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.into_iter();
    let mut partitions: Vec<TopicPartition> = topics
        .flat_map(|topic| {
            let name = topic.topic_name.detach();
            topic.partitions.into_iter().map(move |partition| TopicPartition {
                topic: name.clone(),
                partition,
            })
        })
        .collect();
    partitions.sort_unstable();
    partitions
}
