//! What is forgotten on demand: offsets of a group, whole groups, offsets of topics that are no more (Kafka's `deleteOffsets`,
//! `deleteGroups`, `onTopicsDeleted`; KIP-229, 496).

use std::collections::BTreeSet;

use forebay_protocol::messages::delete_groups_response::DeletableGroupResult;
use forebay_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use forebay_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use super::group::{Group, Kind};
use super::{Asker, GroupCoordinator};
use crate::classic::State;
use crate::command::append_error;
use crate::consumer::ConsumerKey;
use crate::offset::OffsetKey;
use crate::record::CoordinatorRecord;
use crate::{AppendId, Now, Outcome, Response};

/// What removes a group itself, its offsets apart.
pub(super) fn group_tombstones(group: &Group) -> Vec<CoordinatorRecord> {
    match &group.kind {
        Kind::Classic(group) => vec![CoordinatorRecord::Group(group.id().clone(), None)],
        Kind::Consumer(group) => {
            let tombstone = |part| {
                let group = group.id().clone();
                CoordinatorRecord::Consumer(ConsumerKey { group, part }, None)
            };
            group.parts().into_iter().map(tombstone).collect()
        }
    }
}

impl GroupCoordinator {
    pub(super) fn offset_delete(
        &mut self,
        asker: Asker,
        request: &OffsetDeleteRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let decided = self
            .offsets_to_delete(request)
            .and_then(|(tombstones, response)| {
                let append = if tombstones.is_empty() {
                    None
                } else {
                    Some(self.append(&tombstones, now, outcome)?)
                };
                Ok((append, response))
            });
        let (append, response) = decided.unwrap_or_else(|error| {
            let error_code = append_error(error).to_i16();
            (
                None,
                OffsetDeleteResponse {
                    error_code,
                    ..Default::default()
                },
            )
        });
        self.answer_after(append, (asker, Response::OffsetDelete(response)), now, outcome);
    }

    fn offsets_to_delete(
        &self,
        request: &OffsetDeleteRequest,
    ) -> Result<(Vec<CoordinatorRecord>, OffsetDeleteResponse), ErrorCode> {
        let group = self
            .groups
            .get(&request.group_id)
            .ok_or(ErrorCode::GroupIdNotFound)?;
        match group.as_classic() {
            Some(classic) if classic.state() == State::Dead => return Err(ErrorCode::GroupIdNotFound),
            // Of consumers we know what they consume; of others, not whether they need an offset.
            Some(classic) if classic.state() != State::Empty && !classic.uses_consumer_protocol() => {
                return Err(ErrorCode::NonEmptyGroup);
            }
            _ => {}
        }
        let mut tombstones = Vec::new();
        let mut response = OffsetDeleteResponse::default();
        for topic in &request.topics {
            let is_subscribed = group.is_subscribed_to(&topic.name);
            let error = if is_subscribed {
                ErrorCode::GroupSubscribedToTopic
            } else {
                ErrorCode::None
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let partition_index = partition.partition_index;
                let key = OffsetKey {
                    group: group.id().clone(),
                    topic: topic.name.detach(),
                    partition: partition_index,
                };
                if !is_subscribed && self.is_kept(&key) {
                    tombstones.push(CoordinatorRecord::Offset(key, None));
                }
                partitions.push(OffsetDeleteResponsePartition {
                    partition_index,
                    error_code: error.to_i16(),
                });
            }
            response.topics.push(OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions,
            });
        }
        Ok((tombstones, response))
    }

    fn is_kept(&self, key: &OffsetKey) -> bool {
        self.persisted.offsets.get(key).is_some() || self.persisted.has_open_transaction(key)
    }

    pub(super) fn delete_groups(
        &mut self,
        asker: Asker,
        groups: Vec<Utf8Bytes>,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let mut append = None;
        let mut results = Vec::with_capacity(groups.len());
        let mut seen = BTreeSet::new();
        for group_id in groups.into_iter().filter(|group| seen.insert(group.clone())) {
            let error = match self.delete_group(&group_id, now, outcome) {
                Ok(written) => {
                    append = written.or(append);
                    ErrorCode::None
                }
                Err(error) => error,
            };
            results.push(DeletableGroupResult {
                group_id,
                error_code: error.to_i16(),
                ..Default::default()
            });
        }
        self.answer_after(append, (asker, Response::DeleteGroups(results)), now, outcome);
    }

    /// The group's own tombstone comes last: should an append before it fail, the group is still there to be deleted. Kafka writes all groups
    /// of a request as one batch, which many offsets do not fit into.
    fn delete_group(
        &mut self,
        id: &Utf8Bytes,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, ErrorCode> {
        let group = self.groups.get(id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group
            .as_classic()
            .is_some_and(|group| group.state() == State::Dead)
        {
            return Err(ErrorCode::GroupIdNotFound);
        }
        if !group.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let mut tombstones = self.tombstones_of_group(id);
        tombstones.extend(group_tombstones(group));
        Ok(self.append_in_parts(&tombstones, now, outcome))
    }

    /// Tombstones for all offsets of a group, those of open transactions included.
    fn tombstones_of_group(&self, id: &Utf8Bytes) -> Vec<CoordinatorRecord> {
        let committed = self.persisted.offsets_of(id).map(|(key, _)| key);
        let open = self
            .persisted
            .open_transactions_of_group(id)
            .filter(|key| self.persisted.offsets.get(key).is_none());
        let mut keys: Vec<OffsetKey> = committed.chain(open).cloned().collect();
        keys.dedup();
        keys.into_iter()
            .map(|key| CoordinatorRecord::Offset(key, None))
            .collect()
    }

    pub(super) fn topics_deleted(
        &mut self,
        asker: Asker,
        topics: &[(Utf8Bytes, Uuid)],
        now: Now,
        outcome: &mut Outcome,
    ) {
        let is_gone = |key: &OffsetKey, id: Uuid| {
            topics
                .iter()
                .any(|(name, deleted)| *name == key.topic && (id.is_zero() || id == *deleted))
        };
        let gone = self.persisted.offsets_where(is_gone);
        let tombstones: Vec<_> = gone
            .into_iter()
            .map(|key| CoordinatorRecord::Offset(key, None))
            .collect();
        let append = self.append_in_parts(&tombstones, now, outcome);
        self.answer_after(append, (asker, Response::TopicsDeleted(Ok(()))), now, outcome);
    }
}
