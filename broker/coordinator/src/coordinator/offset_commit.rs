//! OffsetCommit: members of the current generation, and those that consume without being members of anything, keep their place
//! (Kafka's `OffsetMetadataManager.commitOffset`).

use forebay_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use forebay_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use super::modern::offsets::Committer;
use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, State};
use crate::command::{append_error, offset_commit_refusal};
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::record::CoordinatorRecord;
use crate::turn::Turn;
use crate::{Now, Outcome, Response};

/// Since this version a group that is not there is called so; before, the generation was.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 9;

/// Clients that leave the retention to the broker.
const DEFAULT_RETENTION_MS: i64 = -1;

impl GroupCoordinator {
    pub(super) fn offset_commit(
        &mut self,
        asker: Asker,
        request: &OffsetCommitRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let mut append = None;
        let response = match self.validate_offset_commit(asker, request, now, outcome) {
            Err(error) => offset_commit_refusal(request, error),
            Ok(()) => {
                let (records, response) = self.offsets_to_commit(request, now);
                match if records.is_empty() {
                    Ok(None)
                } else {
                    self.append(&records, now, outcome).map(Some)
                } {
                    Ok(written) => {
                        append = written;
                        response
                    }
                    Err(error) => offset_commit_refusal(request, append_error(error)),
                }
            }
        };
        self.answer_after(append, (asker, Response::OffsetCommit(response)), now, outcome);
    }

    fn validate_offset_commit(
        &mut self,
        asker: Asker,
        request: &OffsetCommitRequest,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(), ErrorCode> {
        if let Some(group) = self.consumer_group(&request.group_id) {
            let committer = Committer {
                member_id: &request.member_id,
                instance_id: request.group_instance_id.as_ref(),
                epoch: request.generation_id_or_member_epoch,
                api_version: Some(asker.api_version),
            };
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|partition| (&topic.name, topic.topic_id, partition.partition_index))
            });
            return self.check_commit(group, &committer, partitions);
        }
        let decided = self.decide(&request.group_id, now, outcome, |turn, group| {
            turn.offset_commit(group, request)
        });
        if let Some(decided) = decided {
            return decided;
        }
        // Whoever does not claim to be a member may commit; a group that is not there comes to be by it.
        if request.generation_id_or_member_epoch < 0 {
            Ok(())
        } else if self.persisted.is_other_group(&request.group_id) {
            // It has no members here: nobody can have joined it.
            Err(ErrorCode::UnknownMemberId)
        } else if asker.api_version >= GROUP_ID_NOT_FOUND_VERSION {
            Err(ErrorCode::GroupIdNotFound)
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    fn offsets_to_commit(
        &self,
        request: &OffsetCommitRequest,
        now: Now,
    ) -> (Vec<CoordinatorRecord>, OffsetCommitResponse) {
        let expire_timestamp = (request.retention_time_ms != DEFAULT_RETENTION_MS)
            .then(|| Timestamp(now.timestamp.0.saturating_add(request.retention_time_ms)));
        let group = request.group_id.detach();
        let mut records = Vec::new();
        let mut response = OffsetCommitResponse::default();
        for topic in &request.topics {
            let name = topic.name.detach();
            let partitions = topic.partitions.iter().map(|partition| {
                let error = if self.is_metadata_too_large(partition.committed_metadata.as_ref()) {
                    ErrorCode::OffsetMetadataTooLarge
                } else {
                    let key = OffsetKey {
                        group: group.clone(),
                        topic: name.clone(),
                        partition: partition.partition_index,
                    };
                    let epoch = partition.committed_leader_epoch;
                    let offset = OffsetAndMetadata {
                        offset: Offset(partition.committed_offset),
                        leader_epoch: (epoch != -1).then_some(LeaderEpoch(epoch)),
                        metadata: partition
                            .committed_metadata
                            .as_ref()
                            .map(Utf8Bytes::detach)
                            .unwrap_or_default(),
                        commit_timestamp: now.timestamp,
                        expire_timestamp,
                        topic_id: topic.topic_id,
                    };
                    records.push(CoordinatorRecord::Offset(key, Some(offset)));
                    ErrorCode::None
                };
                OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.to_i16(),
                    ..Default::default()
                }
            });
            response.topics.push(OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
                ..Default::default()
            });
        }
        (records, response)
    }

    /// Kafka compares the length that Java gives the string, UTF-16 units, with the "bytes" of the configuration.
    pub(super) fn is_metadata_too_large(&self, metadata: Option<&Utf8Bytes>) -> bool {
        let units_max = self.config.offset_metadata_bytes_max;
        metadata
            .is_some_and(|metadata| metadata.len() > units_max && metadata.encode_utf16().count() > units_max)
    }
}

impl Turn<'_> {
    fn offset_commit(
        &mut self,
        group: &ClassicGroup,
        request: &OffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let state = group.state();
        if generation < 0 && state == State::Empty {
            return Ok(());
        }
        let claims_membership =
            generation >= 0 || !request.member_id.is_empty() || request.group_instance_id.is_some();
        if !claims_membership {
            return Err(ErrorCode::UnknownMemberId);
        }
        group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if generation != group.generation() {
            return Err(ErrorCode::IllegalGeneration);
        }
        match state {
            // The member has heard of the new generation but has no assignment in it yet: what does it commit?
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Dead => Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty => Ok(()),
            State::PreparingRebalance | State::Stable => {
                self.extend_session(group, &request.member_id);
                Ok(())
            }
        }
    }
}
