//! The records of consumer groups in our own words, from and to Kafka's keys and values. A group is nothing but its records: each key names
//! a part of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::internal_record::{GroupRecordKey, GroupRecordValue};
use forebay_protocol::messages::consumer_group_current_member_assignment_value::TopicPartitions as OwnedTopic;
use forebay_protocol::messages::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol,
};
use forebay_protocol::messages::consumer_group_target_assignment_member_value::TopicPartition as TargetTopic;
use forebay_protocol::messages::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};
use forebay_protocol::{Utf8Bytes, encode};
use forebay_records::Timestamp;

use super::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState, OwnedPartitions};
use crate::Record;
use crate::assignment::Assignment;
use crate::classic::Protocol;

/// All values have but one version.
const VERSION: i16 = 0;

/// What a record is about. The order keeps together what belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerKey {
    pub(crate) group: Utf8Bytes,
    pub(crate) part: Part,
}

impl ConsumerKey {
    /// The first key that a group can have.
    pub(crate) fn first_of(group: &Utf8Bytes) -> Self {
        Self {
            group: group.clone(),
            part: Part::Epoch,
        }
    }
}

/// A part of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Which epoch the group is in.
    Epoch,
    /// The metadata of its topics as Kafka before 4.1 kept it. Only deleted, never written.
    SubscriptionMetadata,
    /// What a member has said of itself.
    Member(Utf8Bytes),
    /// Which epoch the target assignment is of.
    TargetEpoch,
    /// What a member is to have.
    Target(Utf8Bytes),
    /// What a member has.
    Current(Utf8Bytes),
    /// Which topics a regular expression means.
    RegularExpression(Utf8Bytes),
}

/// The epoch of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupEpoch {
    pub(crate) epoch: i32,
    /// Of the topics that it subscribes to.
    pub(crate) metadata_hash: i64,
}

/// The epoch of a target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetEpoch {
    pub(crate) epoch: i32,
    /// When it was computed; 0 if nobody knows.
    pub(crate) timestamp: Timestamp,
}

/// The topics that a regular expression means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedRegularExpression {
    pub(crate) topics: BTreeSet<Utf8Bytes>,
    /// Of the image that was looked at.
    pub(crate) version: i64,
    pub(crate) timestamp: Timestamp,
}

/// What a record says; its kind is that of its key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ConsumerValue {
    Epoch(GroupEpoch),
    SubscriptionMetadata(Arc<ConsumerGroupPartitionMetadataValue>),
    Member(Arc<MemberMetadata>),
    TargetEpoch(TargetEpoch),
    Target(Arc<Assignment>),
    Current(Arc<CurrentAssignment>),
    RegularExpression(Arc<ResolvedRegularExpression>),
}

/// The key, if it is that of a consumer group. Everything in it is copied.
pub(crate) fn decode_key(key: &GroupRecordKey) -> Option<ConsumerKey> {
    let (group, part) = match key {
        GroupRecordKey::ConsumerGroupMetadata(key) => (&key.group_id, Part::Epoch),
        GroupRecordKey::ConsumerGroupPartitionMetadata(key) => (&key.group_id, Part::SubscriptionMetadata),
        GroupRecordKey::ConsumerGroupMemberMetadata(key) => {
            (&key.group_id, Part::Member(key.member_id.detach()))
        }
        GroupRecordKey::ConsumerGroupTargetAssignmentMetadata(key) => (&key.group_id, Part::TargetEpoch),
        GroupRecordKey::ConsumerGroupTargetAssignmentMember(key) => {
            (&key.group_id, Part::Target(key.member_id.detach()))
        }
        GroupRecordKey::ConsumerGroupCurrentMemberAssignment(key) => {
            (&key.group_id, Part::Current(key.member_id.detach()))
        }
        GroupRecordKey::ConsumerGroupRegularExpression(key) => (
            &key.group_id,
            Part::RegularExpression(key.regular_expression.detach()),
        ),
        _ => return None,
    };
    Some(ConsumerKey {
        group: group.detach(),
        part,
    })
}

/// The value, if it is one of a consumer group. Everything in it is copied.
pub(crate) fn decode_value(value: &GroupRecordValue) -> Option<ConsumerValue> {
    Some(match value {
        GroupRecordValue::ConsumerGroupMetadata(value) => ConsumerValue::Epoch(GroupEpoch {
            epoch: value.epoch,
            metadata_hash: value.metadata_hash,
        }),
        GroupRecordValue::ConsumerGroupPartitionMetadata(value) => {
            let mut value = value.clone();
            for topic in &mut value.topics {
                topic.topic_name = topic.topic_name.detach();
                for rack in topic.partition_metadata.iter_mut().flat_map(|one| &mut one.racks) {
                    *rack = rack.detach();
                }
            }
            ConsumerValue::SubscriptionMetadata(Arc::new(value))
        }
        GroupRecordValue::ConsumerGroupMemberMetadata(value) => {
            ConsumerValue::Member(Arc::new(member_metadata(value)))
        }
        GroupRecordValue::ConsumerGroupTargetAssignmentMetadata(value) => {
            ConsumerValue::TargetEpoch(TargetEpoch {
                epoch: value.assignment_epoch,
                timestamp: Timestamp(value.assignment_timestamp),
            })
        }
        GroupRecordValue::ConsumerGroupTargetAssignmentMember(value) => {
            let topics = value.topic_partitions.iter();
            let partitions = topics.flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|partition| (topic.topic_id, *partition))
            });
            ConsumerValue::Target(Arc::new(partitions.collect()))
        }
        GroupRecordValue::ConsumerGroupCurrentMemberAssignment(value) => {
            ConsumerValue::Current(Arc::new(CurrentAssignment {
                member_epoch: value.member_epoch,
                previous_member_epoch: value.previous_member_epoch,
                state: MemberState::of(value.state),
                assigned: owned(&value.assigned_partitions, value.member_epoch),
                pending_revocation: owned(&value.partitions_pending_revocation, value.member_epoch),
            }))
        }
        GroupRecordValue::ConsumerGroupRegularExpression(value) => {
            ConsumerValue::RegularExpression(Arc::new(ResolvedRegularExpression {
                topics: value.topics.iter().map(Utf8Bytes::detach).collect(),
                version: value.version,
                timestamp: Timestamp(value.timestamp),
            }))
        }
        _ => return None,
    })
}

fn member_metadata(value: &ConsumerGroupMemberMetadataValue) -> MemberMetadata {
    let text = |text: &Option<Utf8Bytes>| text.as_ref().map(Utf8Bytes::detach);
    let classic = value
        .classic_member_metadata
        .as_ref()
        .map(|classic| ClassicMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .iter()
                .map(|protocol| Protocol {
                    name: protocol.name.detach(),
                    metadata: Bytes::copy_from_slice(&protocol.metadata),
                })
                .collect(),
        });
    MemberMetadata {
        instance_id: text(&value.instance_id),
        rack_id: text(&value.rack_id),
        client_id: value.client_id.detach(),
        client_host: value.client_host.detach(),
        subscribed_topics: value
            .subscribed_topic_names
            .iter()
            .map(Utf8Bytes::detach)
            .collect(),
        subscribed_regex: text(&value.subscribed_topic_regex),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        server_assignor: text(&value.server_assignor),
        classic,
    }
}

/// Records of Kafka before 4.3 tell no epochs: then they are the member's own.
fn owned(topics: &[OwnedTopic], member_epoch: i32) -> OwnedPartitions {
    let mut owned = OwnedPartitions::default();
    for topic in topics {
        let epochs = topic
            .assignment_epochs
            .as_ref()
            .filter(|epochs| epochs.len() == topic.partitions.len());
        for (index, partition) in topic.partitions.iter().enumerate() {
            let epoch = epochs.map_or(member_epoch.max(0), |epochs| epochs[index]);
            owned.insert(topic.topic_id, *partition, epoch);
        }
    }
    owned
}

/// Writes a record; no value: a tombstone.
///
/// # Panics
/// When the value is of another kind than the key, which nobody here decides.
pub(crate) fn encode(key: &ConsumerKey, value: Option<&ConsumerValue>) -> Result<Record, encode::Error> {
    let value = value
        .map(|value| encode_value(value).to_bytes(VERSION))
        .transpose()?;
    Ok(Record {
        key: encode_key(key).to_bytes()?,
        value,
    })
}

fn encode_key(ConsumerKey { group, part }: &ConsumerKey) -> GroupRecordKey {
    let group_id = group.clone();
    match part {
        Part::Epoch => ConsumerGroupMetadataKey { group_id }.into(),
        Part::SubscriptionMetadata => ConsumerGroupPartitionMetadataKey { group_id }.into(),
        Part::Member(member) => ConsumerGroupMemberMetadataKey {
            group_id,
            member_id: member.clone(),
        }
        .into(),
        Part::TargetEpoch => ConsumerGroupTargetAssignmentMetadataKey { group_id }.into(),
        Part::Target(member) => ConsumerGroupTargetAssignmentMemberKey {
            group_id,
            member_id: member.clone(),
        }
        .into(),
        Part::Current(member) => ConsumerGroupCurrentMemberAssignmentKey {
            group_id,
            member_id: member.clone(),
        }
        .into(),
        Part::RegularExpression(regex) => ConsumerGroupRegularExpressionKey {
            group_id,
            regular_expression: regex.clone(),
        }
        .into(),
    }
}

fn encode_value(value: &ConsumerValue) -> GroupRecordValue {
    match value {
        ConsumerValue::Epoch(epoch) => ConsumerGroupMetadataValue {
            epoch: epoch.epoch,
            metadata_hash: epoch.metadata_hash,
            ..Default::default()
        }
        .into(),
        ConsumerValue::SubscriptionMetadata(value) => {
            ConsumerGroupPartitionMetadataValue::clone(value).into()
        }
        ConsumerValue::Member(metadata) => member_value(metadata).into(),
        ConsumerValue::TargetEpoch(target) => ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: target.epoch,
            assignment_timestamp: target.timestamp.0,
            ..Default::default()
        }
        .into(),
        ConsumerValue::Target(assignment) => ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: assignment
                .topics()
                .map(|(topic_id, partitions)| TargetTopic {
                    topic_id,
                    partitions: partitions.iter().copied().collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
        .into(),
        ConsumerValue::Current(current) => ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: current.member_epoch,
            previous_member_epoch: current.previous_member_epoch,
            state: current.state.number(),
            assigned_partitions: owned_topics(&current.assigned),
            partitions_pending_revocation: owned_topics(&current.pending_revocation),
            ..Default::default()
        }
        .into(),
        ConsumerValue::RegularExpression(resolved) => ConsumerGroupRegularExpressionValue {
            topics: resolved.topics.iter().cloned().collect(),
            version: resolved.version,
            timestamp: resolved.timestamp.0,
            ..Default::default()
        }
        .into(),
    }
}

fn member_value(metadata: &MemberMetadata) -> ConsumerGroupMemberMetadataValue {
    ConsumerGroupMemberMetadataValue {
        instance_id: metadata.instance_id.clone(),
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.subscribed_topics.iter().cloned().collect(),
        subscribed_topic_regex: metadata.subscribed_regex.clone(),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        server_assignor: metadata.server_assignor.clone(),
        classic_member_metadata: metadata.classic.as_ref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|protocol| ClassicProtocol {
                    name: protocol.name.clone(),
                    metadata: protocol.metadata.clone(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn owned_topics(owned: &OwnedPartitions) -> Vec<OwnedTopic> {
    let topics = owned.topics().map(|(topic_id, partitions)| OwnedTopic {
        topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
        ..Default::default()
    });
    topics.collect()
}
