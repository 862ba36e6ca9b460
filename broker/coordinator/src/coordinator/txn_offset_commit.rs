//! TxnOffsetCommit: offsets as part of a transaction, and its end (Kafka's `OffsetMetadataManager.commitTransactionalOffset`,
//! `replayEndTransactionMarker`; KIP-98, 447). Until the end nobody reads them; whoever asks for stable offsets waits for it.

use forebay_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use forebay_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use forebay_protocol::{ErrorCode, Uuid};

use super::commits::{CommitTo, Committer};
use super::group::Group;
use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, State};
use crate::command::{append_error, txn_offset_commit_refusal};
use crate::record::CoordinatorRecord;
use crate::{EndOfTransaction, Now, Outcome, Response, TransactionPart};

impl GroupCoordinator {
    pub(super) fn txn_offset_commit(
        &mut self,
        asker: Asker,
        request: &TxnOffsetCommitRequest,
        verification: u64,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let decided = self.validate_txn_offset_commit(request).and_then(|()| {
            let (records, response) = self.transactional_offsets(request, now);
            let part = TransactionPart::Records {
                producer_id: request.producer_id.into(),
                producer_epoch: request.producer_epoch.into(),
                verification,
            };
            let append = if records.is_empty() {
                None
            } else {
                let written = self.append_part(&records, Some(part), now, outcome);
                Some(written.map_err(append_error)?)
            };
            Ok((append, response))
        });
        let (append, response) =
            decided.unwrap_or_else(|error| (None, txn_offset_commit_refusal(request, error)));
        self.answer_after(append, (asker, Response::TxnOffsetCommit(response)), now, outcome);
    }

    fn validate_txn_offset_commit(&self, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_ref(),
            epoch: request.generation_id,
            api_version: None,
        };
        if let Some(group) = self.consumer_group(&request.group_id) {
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|partition| (&topic.name, Uuid::ZERO, partition.partition_index))
            });
            return self.check_commit(group, &committer, partitions);
        }
        match self.groups.get(&request.group_id).and_then(Group::as_classic) {
            Some(group) => check_committer(group, &committer),
            None => self.check_without_group(&request.group_id, &committer),
        }
    }

    fn transactional_offsets(
        &self,
        request: &TxnOffsetCommitRequest,
        now: Now,
    ) -> (Vec<CoordinatorRecord>, TxnOffsetCommitResponse) {
        let group = request.group_id.detach();
        let mut records = Vec::new();
        let mut response = TxnOffsetCommitResponse::default();
        for topic in &request.topics {
            let to = CommitTo {
                group: &group,
                topic: &topic.name.detach(),
                topic_id: Uuid::ZERO,
                now: now.timestamp,
                expires: None,
            };
            let partitions = topic.partitions.iter().map(|partition| {
                let record = self.offset_record(&to, &partition.into());
                let error = record.map(|record| records.push(record)).err();
                TxnOffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: error.unwrap_or(ErrorCode::None).to_i16(),
                    ..Default::default()
                }
            });
            response.topics.push(TxnOffsetCommitResponseTopic {
                name: topic.name.clone(),
                partitions: partitions.collect(),
                ..Default::default()
            });
        }
        (records, response)
    }

    pub(super) fn end_transaction(
        &mut self,
        asker: Asker,
        end: EndOfTransaction,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let written = self.append_part(&[], Some(TransactionPart::End(end)), now, outcome);
        let (append, result) = match written {
            Ok(id) => (Some(id), Ok(())),
            Err(error) => (None, Err(append_error(error))),
        };
        self.answer_after(append, (asker, Response::EndTransaction(result)), now, outcome);
    }
}

/// Clients of old do not say who they are, and may commit whatever the group does: the transaction has its own fences.
fn check_committer(group: &ClassicGroup, committer: &Committer<'_>) -> Result<(), ErrorCode> {
    if group.state() == State::Dead {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    if committer.epoch < 0 && group.state() == State::Empty {
        return Ok(());
    }
    committer.check_membership(group).unwrap_or(Ok(()))
}
