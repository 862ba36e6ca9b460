//! For tests: whether what a coordinator holds fits together, and what it has persisted.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{Utf8Bytes, Uuid};

use super::GroupCoordinator;
use crate::classic::{GroupMetadata, State};
use crate::consumer::{ConsumerGroup, ConsumerKey, ConsumerValue, MemberState, STATIC_LEAVE_EPOCH};
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::persisted::OpenTransactions;

/// Groups, offsets, and those of open transactions.
pub(crate) type Snapshot = (
    BTreeMap<Utf8Bytes, GroupMetadata>,
    BTreeMap<OffsetKey, OffsetAndMetadata>,
    OpenTransactions,
    BTreeMap<ConsumerKey, ConsumerValue>,
);

/// Epoch, previous epoch and partitions by member id.
pub(crate) type Owned = BTreeMap<String, (i32, i32, BTreeSet<(Uuid, i32)>)>;

impl GroupCoordinator {
    /// What is persisted when all that is written is committed.
    pub(crate) fn newest(&self) -> Snapshot {
        let groups = self
            .persisted
            .groups
            .range(..)
            .map(|(id, group)| (id.clone(), group.clone()))
            .collect();
        let offsets = self
            .persisted
            .offsets
            .range(..)
            .map(|(key, offset)| (key.clone(), offset.clone()))
            .collect();
        let consumer = self.persisted.consumer.range(..);
        let consumer = consumer.map(|(key, value)| (key.clone(), value.clone()));
        let open = self.persisted.open_transactions(false);
        (groups, offsets, open, consumer.collect())
    }

    /// What is persisted and committed.
    pub(crate) fn committed_snapshot(&self) -> Snapshot {
        let groups = self.persisted.groups.committed_range(..);
        let offsets = self.persisted.offsets.committed_range(..);
        (
            groups.map(|(id, group)| (id.clone(), group.clone())).collect(),
            offsets
                .map(|(key, offset)| (key.clone(), offset.clone()))
                .collect(),
            self.persisted.open_transactions(true),
            self.persisted
                .consumer
                .committed_range(..)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    }

    /// How often appends were written, those that were said once more included.
    pub(crate) fn parts_written(&self) -> usize {
        self.persisted.parts_written
    }

    /// Every group fits together, has the timers that its waiting members rely on and no others; groups exist if anything persisted says
    /// so. `settled`: nothing is written that is not committed, so a stable group is what was persisted.
    pub(crate) fn assert_consistent(&self, settled: bool) {
        let (groups, offsets, open, consumer) = self.newest();
        let persisted: BTreeSet<&Utf8Bytes> = groups
            .keys()
            .chain(consumer.keys().map(|key| &key.group))
            .chain(offsets.keys().map(|key| &key.group))
            .chain(open.keys().map(|(key, _)| &key.group))
            .collect();
        for id in persisted {
            let is_there = self.groups.contains_key(id) || self.persisted.is_other_group(id);
            assert!(is_there, "{id} is persisted and not there");
        }
        for id in self.timers.groups() {
            assert!(self.groups.contains_key(&id), "{id} has timers and is not there");
        }
        for (id, group) in &self.groups {
            if let Some(group) = group.as_consumer() {
                self.assert_consumer_group_consistent(group);
                continue;
            }
            let group = group.as_classic().expect("there are two kinds");
            group.assert_consistent();
            let (sessions, join, sync) = self.timers.of_group(id);
            for member in &sessions {
                let is_known = group.member(member).is_some() || group.pending_members().contains(member);
                assert!(is_known, "{member} has a session: {group:?}");
            }
            for member in group.members().filter(|member| !member.has_satisfied_heartbeat()) {
                assert!(
                    sessions.contains(&member.id),
                    "{} has no session: {group:?}",
                    member.id
                );
            }
            assert!(
                group
                    .pending_members()
                    .iter()
                    .all(|member| sessions.contains(member)),
                "{group:?}"
            );
            assert_eq!(join, group.state() == State::PreparingRebalance, "{group:?}");
            assert_eq!(sync, !group.pending_sync().is_empty(), "{group:?}");
            if settled {
                assert!(self.appends.is_empty());
                if group.state() == State::Stable {
                    let live = GroupMetadata {
                        state_timestamp: None,
                        ..group.to_metadata(None)
                    };
                    let written = groups.get(id).cloned().unwrap_or_default();
                    assert_eq!(
                        live,
                        GroupMetadata {
                            state_timestamp: None,
                            ..written
                        }
                    );
                }
            }
        }
    }

    /// What each member of a consumer group is known to own, with its epoch and the one before; `None` if there is no such group.
    pub(crate) fn owned_in_consumer_group(&self, id: &Utf8Bytes) -> Option<Owned> {
        let members = self.consumer_group(id)?.members().map(|(id, member)| {
            let current = &member.current;
            let owned = current.owned().collect();
            (
                id.to_string(),
                (current.member_epoch, current.previous_member_epoch, owned),
            )
        });
        Some(members.collect())
    }

    /// What holds of consumer groups whose records are all there.
    pub(crate) fn assert_sound(&self) {
        self.groups
            .values()
            .filter_map(|group| group.as_consumer())
            .for_each(ConsumerGroup::assert_sound);
    }

    /// A consumer group is what its records amount to; every member has a session, and a deadline for what it was told to let go of.
    fn assert_consumer_group_consistent(&self, group: &ConsumerGroup) {
        group.assert_consistent();
        let id = group.id();
        let rebuilt = ConsumerGroup::of_records(id, self.persisted.consumer_records(id));
        let mut rebuilt = rebuilt.expect("a group that is there has records");
        rebuilt.refreshed_at = group.refreshed_at;
        assert_eq!(rebuilt, *group);
        let members: BTreeSet<&Utf8Bytes> = group.members().map(|(id, _)| id).collect();
        let (sessions, join, sync) = self.timers.of_group(id);
        assert!(!join && !sync, "{group:?}");
        assert!(
            sessions.iter().collect::<BTreeSet<_>>() == members,
            "{sessions:?} {group:?}"
        );
        let deadlines = self.timers.of_members(id);
        assert!(
            deadlines.iter().all(|(member, _)| members.contains(member)),
            "{deadlines:?} {group:?}"
        );
        for (member, state) in group.members() {
            // One that is away for a while has its session alone.
            let lets_go = state.current.state == MemberState::UnrevokedPartitions
                && !state.uses_classic_protocol()
                && state.epoch() != STATIC_LEAVE_EPOCH;
            let has = deadlines.contains(&(member.clone(), crate::timers::ExpiryKind::Rebalance));
            assert!(!lets_go || has, "{member} lets go without a deadline: {group:?}");
        }
    }
}
