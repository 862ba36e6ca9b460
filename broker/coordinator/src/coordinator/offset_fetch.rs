//! OffsetFetch: where a group stands (Kafka's `OffsetMetadataManager.fetchOffsets`), and the shapes in which versions ask for it.

use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use forebay_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use super::modern::offsets::check_fetch;
use super::{Asker, GroupCoordinator, answer};
use crate::command::{no_offset, offset_fetch_refusal};
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::{Now, Outcome, Response};

/// Since this version a request names several groups (KIP-709).
const GROUPS_VERSION: i16 = 8;

/// The groups that a request asks for, in the shape of version 8 whatever its version is: one [`Command::OffsetFetch`](crate::Command)
/// each. In versions with topic ids the server fills in the names.
#[must_use]
pub fn offset_fetch_groups(request: OffsetFetchRequest, api_version: i16) -> Vec<OffsetFetchRequestGroup> {
    if api_version >= GROUPS_VERSION {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topic = |topic: forebay_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..Default::default()
            }
        };
        topics.into_iter().map(topic).collect()
    });
    vec![OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..Default::default()
    }]
}

/// The response to a request from the answers to its groups, in their order.
#[must_use]
pub fn offset_fetch_response(groups: Vec<OffsetFetchResponseGroup>, api_version: i16) -> OffsetFetchResponse {
    if api_version >= GROUPS_VERSION {
        return OffsetFetchResponse {
            groups,
            ..Default::default()
        };
    }
    let mut response = OffsetFetchResponse::default();
    for group in groups {
        response.error_code = group.error_code;
        response
            .topics
            .extend(group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
                name: topic.name,
                partitions: topic.partitions.into_iter().map(partition_of_old).collect(),
                ..Default::default()
            }));
    }
    response
}

fn partition_of_old(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
        ..Default::default()
    }
}

impl GroupCoordinator {
    /// With `require_stable` the answer is what is newest, once that is committed, and partitions to which an open transaction has
    /// committed are said to be unstable (KIP-447); without, what is committed.
    pub(super) fn offset_fetch(
        &mut self,
        asker: Asker,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
        now: Now,
        outcome: &mut Outcome,
    ) {
        if let Some(group) = self.consumer_group(&request.group_id)
            && let Err(error) = check_fetch(group, request.member_id.as_ref(), request.member_epoch)
        {
            let refused = offset_fetch_refusal(request, error, asker.api_version);
            return answer(asker, Response::OffsetFetch(refused), outcome);
        }
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| self.fetch_topic(request, topic, require_stable))
                .collect(),
            None => self.fetch_all(&request.group_id, require_stable),
        };
        let group = OffsetFetchResponseGroup {
            group_id: request.group_id.clone(),
            topics,
            ..Default::default()
        };
        let response = Response::OffsetFetch(group);
        if require_stable {
            self.answer_after(None, (asker, response), now, outcome);
        } else {
            answer(asker, response, outcome);
        }
    }

    fn fetch_topic(
        &self,
        request: &OffsetFetchRequestGroup,
        topic: &OffsetFetchRequestTopics,
        newest: bool,
    ) -> OffsetFetchResponseTopics {
        let mut key = OffsetKey {
            group: request.group_id.clone(),
            topic: topic.name.clone(),
            partition: i32::MIN,
        };
        let partitions = topic.partition_indexes.iter().map(|partition| {
            key.partition = *partition;
            if newest && self.persisted.has_open_transaction(&key) {
                return no_offset(*partition, ErrorCode::UnstableOffsetCommit);
            }
            let offsets = &self.persisted.offsets;
            let offset = if newest {
                offsets.get(&key)
            } else {
                offsets.committed(&key)
            };
            match offset.filter(|offset| !is_of_another_topic(offset.topic_id, topic.topic_id)) {
                Some(offset) => committed(*partition, offset),
                None => no_offset(*partition, ErrorCode::None),
            }
        });
        OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    }

    fn fetch_all(&self, group: &Utf8Bytes, newest: bool) -> Vec<OffsetFetchResponseTopics> {
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        let mut add = |key: &OffsetKey, offset: &OffsetAndMetadata| {
            if topics.last().is_none_or(|topic| topic.name != key.topic) {
                topics.push(OffsetFetchResponseTopics {
                    name: key.topic.clone(),
                    ..Default::default()
                });
            }
            if let Some(topic) = topics.last_mut() {
                topic
                    .partitions
                    .push(if newest && self.persisted.has_open_transaction(key) {
                        no_offset(key.partition, ErrorCode::UnstableOffsetCommit)
                    } else {
                        committed(key.partition, offset)
                    });
            }
        };
        if newest {
            self.persisted
                .offsets_of(group)
                .for_each(|(key, offset)| add(key, offset));
        } else {
            self.persisted
                .committed_offsets_of(group)
                .for_each(|(key, offset)| add(key, offset));
        }
        topics
    }
}

/// An offset of a topic that was deleted and created again is none of the new topic.
fn is_of_another_topic(committed: Uuid, asked: Uuid) -> bool {
    !committed.is_zero() && !asked.is_zero() && committed != asked
}

fn committed(partition_index: i32, offset: &OffsetAndMetadata) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: offset.offset.0,
        committed_leader_epoch: offset.leader_epoch.map_or(-1, |epoch| epoch.0),
        metadata: Some(offset.metadata.clone()),
        ..Default::default()
    }
}
