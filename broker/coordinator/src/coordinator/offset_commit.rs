//! OffsetCommit: members of the current generation, and those that consume without being members of anything, keep their place
//! (Kafka's `OffsetMetadataManager.commitOffset`).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use forebay_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use forebay_records::Timestamp;

use super::commits::{CommitTo, Committer};
use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, State};
use crate::command::{append_error, offset_commit_refusal};
use crate::record::CoordinatorRecord;
use crate::turn::Turn;
use crate::{Now, Outcome, Response};

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
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            epoch: request.generation_id_or_member_epoch,
            api_version: Some(asker.api_version),
        };
        if let Some(group) = self.consumer_group(&request.group_id) {
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|partition| (&topic.name, topic.topic_id, partition.partition_index))
            });
            return self.check_commit(group, &committer, partitions);
        }
        let decided = self.decide(&request.group_id, now, outcome, |turn, group| {
            turn.offset_commit(group, &committer)
        });
        decided.unwrap_or_else(|| self.check_without_group(&request.group_id, &committer))
    }

    fn offsets_to_commit(
        &self,
        request: &OffsetCommitRequest,
        now: Now,
    ) -> (Vec<CoordinatorRecord>, OffsetCommitResponse) {
        let expires = (request.retention_time_ms != DEFAULT_RETENTION_MS)
            .then(|| Timestamp(now.timestamp.0.saturating_add(request.retention_time_ms)));
        let group = request.group_id.detach();
        let mut records = Vec::new();
        let mut response = OffsetCommitResponse::default();
        for topic in &request.topics {
            let to = CommitTo {
                group: &group,
                topic: &topic.name.detach(),
                topic_id: topic.topic_id,
                now: now.timestamp,
                expires,
            };
            let partitions = topic.partitions.iter().map(|partition| {
                let record = self.offset_record(&to, &partition.into());
                let error = record.map(|record| records.push(record)).err();
                OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.unwrap_or(ErrorCode::None).to_i16(),
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
}

impl Turn<'_> {
    fn offset_commit(&mut self, group: &ClassicGroup, committer: &Committer<'_>) -> Result<(), ErrorCode> {
        let state = group.state();
        if committer.epoch < 0 && state == State::Empty {
            return Ok(());
        }
        committer
            .check_membership(group)
            .ok_or(ErrorCode::UnknownMemberId)??;
        match state {
            // The member has heard of the new generation but has no assignment in it yet: what does it commit?
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Dead => Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty => Ok(()),
            State::PreparingRebalance | State::Stable => {
                self.extend_session(group, committer.member_id);
                Ok(())
            }
        }
    }
}
