//! What the model does with committed offsets.

use std::collections::BTreeMap;

use forebay_protocol::{
    ErrorCode,
    messages::{
        OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
        },
    },
};

use super::{State, groups::Phase};

impl State {
    pub(super) fn offset_commit(
        &mut self,
        request: &OffsetCommitRequest,
        refuse: Option<ErrorCode>,
    ) -> OffsetCommitResponse {
        let names: BTreeMap<_, _> = self
            .topics
            .iter()
            .map(|(name, topic)| (topic.id, name.clone()))
            .collect();
        let group = self.groups.entry(request.group_id.to_string()).or_default();
        let generation = request.generation_id_or_member_epoch;
        let simple = generation < 0 && group.members.is_empty();
        let checked = group.check(
            &request.member_id,
            request.group_instance_id.as_deref(),
            generation,
        );
        let code = match checked {
            _ if simple => ErrorCode::None,
            // A member may commit what it has read while the others join.
            ErrorCode::None if group.phase == Phase::Syncing => ErrorCode::RebalanceInProgress,
            code => code,
        };
        let error_code = refuse.unwrap_or(code).to_i16();
        let mut topics = Vec::new();
        for topic in &request.topics {
            let name = names
                .get(&topic.topic_id)
                .cloned()
                .unwrap_or_else(|| topic.name.to_string());
            let mut answer = OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                ..Default::default()
            };
            for partition in &topic.partitions {
                if error_code == 0 {
                    let metadata = partition
                        .committed_metadata
                        .as_deref()
                        .unwrap_or_default()
                        .to_owned();
                    let value = (
                        partition.committed_offset,
                        partition.committed_leader_epoch,
                        metadata,
                    );
                    group
                        .offsets
                        .insert((name.clone(), partition.partition_index), value);
                }
                let partition_index = partition.partition_index;
                answer.partitions.push(OffsetCommitResponsePartition {
                    partition_index,
                    error_code,
                    ..Default::default()
                });
            }
            topics.push(answer);
        }
        OffsetCommitResponse {
            topics,
            ..Default::default()
        }
    }

    pub(super) fn offset_fetch(
        &mut self,
        request: &OffsetFetchRequest,
        refuse: Option<ErrorCode>,
    ) -> OffsetFetchResponse {
        let ids: BTreeMap<_, _> = self
            .topics
            .iter()
            .map(|(name, topic)| (topic.id, name.clone()))
            .collect();
        let groups = request.groups.iter().map(|wanted| {
            let group = self.groups.entry(wanted.group_id.to_string()).or_default();
            let mut topics = Vec::new();
            for topic in wanted.topics.iter().flatten() {
                let name = ids
                    .get(&topic.topic_id)
                    .cloned()
                    .unwrap_or_else(|| topic.name.to_string());
                let partitions = topic.partition_indexes.iter().map(|index| {
                    let known = group.offsets.get(&(name.clone(), *index)).cloned();
                    let (offset, epoch, metadata) = known.unwrap_or((-1, -1, String::new()));
                    OffsetFetchResponsePartitions {
                        partition_index: *index,
                        committed_offset: offset,
                        committed_leader_epoch: epoch,
                        metadata: Some(metadata.into()),
                        ..Default::default()
                    }
                });
                topics.push(OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: partitions.collect(),
                    ..Default::default()
                });
            }
            let error_code = refuse.map_or(0, ErrorCode::to_i16);
            OffsetFetchResponseGroup {
                group_id: wanted.group_id.clone(),
                topics,
                error_code,
                ..Default::default()
            }
        });
        OffsetFetchResponse {
            groups: groups.collect(),
            ..Default::default()
        }
    }
}
