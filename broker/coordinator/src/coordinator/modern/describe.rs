//! ConsumerGroupDescribe: what readers may see of consumer groups (Kafka's `consumerGroupDescribe`).

use std::collections::BTreeMap;

use forebay_protocol::messages::consumer_group_describe_response::{
    Assignment as AssignmentMessage, DescribedGroup, Member as MemberMessage, TopicPartitions,
};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::consumer::{ConsumerGroup, Member};
use crate::coordinator::GroupCoordinator;

/// What `MemberType` says of members of each protocol.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl GroupCoordinator {
    pub(in crate::coordinator) fn consumer_group_describe(
        &self,
        groups: Vec<Utf8Bytes>,
    ) -> Vec<DescribedGroup> {
        let describe = |group_id: Utf8Bytes| {
            if group_id.is_empty() {
                return DescribedGroup {
                    error_code: ErrorCode::InvalidGroupId.to_i16(),
                    ..Default::default()
                };
            }
            let visible = self.visible_group(&group_id);
            if visible.is_some_and(|group| group.as_consumer().is_some())
                && let Some(group) = self.committed_consumer_group(&group_id)
            {
                return self.described(&group);
            }
            let message = if self.groups.contains_key(&group_id) || self.persisted.is_other_group(&group_id) {
                format!("Group {group_id} is not a consumer group.")
            } else {
                format!("Group {group_id} not found.")
            };
            DescribedGroup {
                group_id,
                error_code: ErrorCode::GroupIdNotFound.to_i16(),
                error_message: Some(message.into()),
                ..Default::default()
            }
        };
        groups.into_iter().map(describe).collect()
    }

    fn described(&self, group: &ConsumerGroup) -> DescribedGroup {
        let members = group
            .members()
            .map(|(id, member)| self.described_member(group, id, member));
        DescribedGroup {
            group_id: group.id().clone(),
            group_state: Utf8Bytes::from_static(group.state().name()),
            group_epoch: group.epoch(),
            assignment_epoch: group.target_epoch().epoch,
            assignor_name: Utf8Bytes::from_static(group.assignor(&self.config.consumer.assignors).name()),
            members: members.collect(),
            ..Default::default()
        }
    }

    fn described_member(&self, group: &ConsumerGroup, id: &Utf8Bytes, member: &Member) -> MemberMessage {
        let metadata = &member.metadata;
        let target = group.target(id).map(|target| self.topics(target.partitions()));
        MemberMessage {
            member_id: id.clone(),
            instance_id: metadata.instance_id.clone(),
            rack_id: metadata.rack_id.clone(),
            member_epoch: member.epoch(),
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            subscribed_topic_names: metadata.subscribed_topics.iter().cloned().collect(),
            subscribed_topic_regex: metadata.subscribed_regex.clone(),
            // What it has yet to let go of is still its own.
            assignment: self.topics(member.current.owned()),
            target_assignment: target.unwrap_or_default(),
            member_type: if member.uses_classic_protocol() {
                CLASSIC_MEMBER
            } else {
                CONSUMER_MEMBER
            },
            ..Default::default()
        }
    }

    /// With the names of topics that exist.
    fn topics(&self, partitions: impl Iterator<Item = (Uuid, i32)>) -> AssignmentMessage {
        let mut topics: BTreeMap<Uuid, Option<TopicPartitions>> = BTreeMap::new();
        for (topic_id, partition) in partitions {
            let topic = topics.entry(topic_id).or_insert_with(|| {
                let topic_name = self.image.topic_name(topic_id)?;
                Some(TopicPartitions {
                    topic_id,
                    topic_name,
                    ..Default::default()
                })
            });
            if let Some(topic) = topic {
                topic.partitions.push(partition);
            }
        }
        AssignmentMessage {
            topic_partitions: topics.into_values().flatten().collect(),
            ..Default::default()
        }
    }
}
