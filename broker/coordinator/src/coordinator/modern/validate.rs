//! What a heartbeat must be, and which member and epoch it may name, in Kafka's words.

use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Refusal, refuse};
use crate::assignment::Assignment;
use crate::consumer::{LEAVE_EPOCH, Member, STATIC_LEAVE_EPOCH};
use crate::{Assignor, ConsumerConfig};

/// Since this version members make their id themselves.
const CLIENT_MEMBER_ID_VERSION: i16 = 1;

/// Whether a heartbeat is one.
pub(super) fn validate(
    request: &ConsumerGroupHeartbeatRequest,
    api_version: i16,
    config: &ConsumerConfig,
) -> Result<(), Refusal> {
    let epoch = request.member_epoch;
    let is_blank = |text: Option<&Utf8Bytes>| text.is_some_and(|text| text.trim().is_empty());
    let needs_member_id = api_version >= CLIENT_MEMBER_ID_VERSION || epoch > 0 || epoch == LEAVE_EPOCH;
    let invalid = |message: &str| refuse(ErrorCode::InvalidRequest, message);
    if needs_member_id && is_blank(Some(&request.member_id)) {
        return invalid("MemberId can't be empty.");
    }
    if is_blank(Some(&request.group_id)) {
        return invalid("GroupId can't be empty.");
    }
    if is_blank(request.instance_id.as_ref()) {
        return invalid("InstanceId can't be empty.");
    }
    if is_blank(request.rack_id.as_ref()) {
        return invalid("RackId can't be empty.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if request
            .topic_partitions
            .as_ref()
            .is_none_or(|owned| !owned.is_empty())
        {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if epoch == STATIC_LEAVE_EPOCH && request.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    } else if epoch < STATIC_LEAVE_EPOCH {
        return invalid("MemberEpoch is invalid.");
    }
    match &request.server_assignor {
        Some(name) if !config.assignors.iter().any(|assignor| assignor.name() == &**name) => {
            let supported: Vec<&str> = config.assignors.iter().copied().map(Assignor::name).collect();
            let supported = supported.join(", ");
            let message =
                format!("ServerAssignor {name} is not supported. Supported assignors: {supported}.");
            refuse(ErrorCode::UnsupportedAssignor, message)
        }
        _ => Ok(()),
    }
}

/// Whether a member is in the epoch that it says. One that is still in the epoch before is heard, if it owns nothing that it has not in the
/// new one: the answer that told it the new one may have been lost.
pub(super) fn check_epoch(member: &Member, received: i32, owned: Option<&Assignment>) -> Result<(), Refusal> {
    let current = &member.current;
    let (compared, is_valid) = if received == 0 {
        return Ok(());
    } else if received > current.member_epoch {
        ("greater", false)
    } else if received < current.member_epoch {
        let is_subset = |owned: &Assignment| {
            owned
                .partitions()
                .all(|(topic, partition)| current.assigned.contains(topic, partition))
        };
        (
            "smaller",
            received == current.previous_member_epoch && owned.is_some_and(is_subset),
        )
    } else {
        ("equal", true)
    };
    if is_valid {
        return Ok(());
    }
    let known = current.member_epoch;
    let message = format!(
        "The consumer group member has a {compared} member epoch ({received}) than the one known by the group coordinator \
         ({known}). The member must abandon all its partitions and rejoin."
    );
    refuse(ErrorCode::FencedMemberEpoch, message)
}

/// A static member's id is held by a member that has not left.
pub(super) fn unreleased(member: &Utf8Bytes, instance: &Utf8Bytes, current: &Utf8Bytes) -> Refusal {
    Refusal {
        error: ErrorCode::UnreleasedInstanceId,
        message: format!(
            "Static member {member} with instance id {instance} cannot join the group because the instance id is owned \
             by {current} member."
        ),
    }
}

/// A static member's id is held by another member.
pub(super) fn fenced(member: &Utf8Bytes, instance: &Utf8Bytes, current: &Utf8Bytes) -> Refusal {
    Refusal {
        error: ErrorCode::FencedInstanceId,
        message: format!(
            "Static member {member} with instance id {instance} was fenced by member {current}."
        ),
    }
}

/// Nobody holds a static member's id.
pub(super) fn unknown_instance(instance: &Utf8Bytes) -> Refusal {
    Refusal {
        error: ErrorCode::UnknownMemberId,
        message: format!("Instance id {instance} is unknown."),
    }
}
