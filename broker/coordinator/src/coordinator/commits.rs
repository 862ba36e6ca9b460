//! What OffsetCommit and TxnOffsetCommit have in common: who commits, whether that is one who may, and what an offset becomes.

use forebay_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use forebay_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use super::GroupCoordinator;
use crate::classic::ClassicGroup;
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::record::CoordinatorRecord;

/// Since this version of OffsetCommit a group that is not there is called so; before, the generation was.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 9;

/// Who commits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Committer<'a> {
    pub(super) member_id: &'a Utf8Bytes,
    pub(super) instance_id: Option<&'a Utf8Bytes>,
    /// Of a member of a consumer group; of one of a classic group the generation.
    pub(super) epoch: i32,
    /// The version of an OffsetCommit; `None`: it is part of a transaction.
    pub(super) api_version: Option<i16>,
}

impl Committer<'_> {
    /// Whether it is a member of the generation that a classic group has; none if it does not say that it is one.
    pub(super) fn check_membership(&self, group: &ClassicGroup) -> Option<Result<(), ErrorCode>> {
        let claims = self.epoch >= 0 || !self.member_id.is_empty() || self.instance_id.is_some();
        claims.then(|| {
            group.validate_member(self.member_id, self.instance_id)?;
            if self.epoch == group.generation() {
                Ok(())
            } else {
                Err(ErrorCode::IllegalGeneration)
            }
        })
    }
}

/// What is the same for all offsets that a request commits to a topic.
pub(super) struct CommitTo<'a> {
    pub(super) group: &'a Utf8Bytes,
    pub(super) topic: &'a Utf8Bytes,
    pub(super) topic_id: Uuid,
    pub(super) now: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

/// An offset as a client sends it.
pub(super) struct Sent<'a> {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a Utf8Bytes>,
}

impl<'a> From<&'a OffsetCommitRequestPartition> for Sent<'a> {
    fn from(sent: &'a OffsetCommitRequestPartition) -> Self {
        Self {
            partition: sent.partition_index,
            offset: sent.committed_offset,
            leader_epoch: sent.committed_leader_epoch,
            metadata: sent.committed_metadata.as_ref(),
        }
    }
}

impl<'a> From<&'a TxnOffsetCommitRequestPartition> for Sent<'a> {
    fn from(sent: &'a TxnOffsetCommitRequestPartition) -> Self {
        Self {
            partition: sent.partition_index,
            offset: sent.committed_offset,
            leader_epoch: sent.committed_leader_epoch,
            metadata: sent.committed_metadata.as_ref(),
        }
    }
}

impl GroupCoordinator {
    /// Whether one may commit to a group that is not there: whoever does not say that it is a member makes it.
    pub(super) fn check_without_group(
        &self,
        group: &Utf8Bytes,
        committer: &Committer<'_>,
    ) -> Result<(), ErrorCode> {
        let knows_not_found = |version| version >= GROUP_ID_NOT_FOUND_VERSION;
        if committer.epoch < 0 {
            Ok(())
        } else if self.persisted.is_other_group(group) {
            // It has no members here: nobody can have joined it.
            Err(ErrorCode::UnknownMemberId)
        } else if committer.api_version.is_some_and(knows_not_found) {
            Err(ErrorCode::GroupIdNotFound)
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    /// The record of an offset, unless too much is to be kept with it.
    pub(super) fn offset_record(
        &self,
        to: &CommitTo<'_>,
        sent: &Sent<'_>,
    ) -> Result<CoordinatorRecord, ErrorCode> {
        if self.is_metadata_too_large(sent.metadata) {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let key = OffsetKey {
            group: to.group.clone(),
            topic: to.topic.clone(),
            partition: sent.partition,
        };
        let offset = OffsetAndMetadata {
            offset: Offset(sent.offset),
            leader_epoch: (sent.leader_epoch != -1).then_some(LeaderEpoch(sent.leader_epoch)),
            metadata: sent.metadata.map(Utf8Bytes::detach).unwrap_or_default(),
            commit_timestamp: to.now,
            expire_timestamp: to.expires,
            topic_id: to.topic_id,
        };
        Ok(CoordinatorRecord::Offset(key, Some(offset)))
    }

    /// Kafka compares the length that Java gives the string, UTF-16 units, with the "bytes" of the configuration.
    fn is_metadata_too_large(&self, metadata: Option<&Utf8Bytes>) -> bool {
        let units_max = self.config.offset_metadata_bytes_max;
        metadata
            .is_some_and(|metadata| metadata.len() > units_max && metadata.encode_utf16().count() > units_max)
    }
}
