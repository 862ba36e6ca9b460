//! For tests: whether what a coordinator holds fits together, and what it has persisted.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::Utf8Bytes;

use super::GroupCoordinator;
use crate::classic::{GroupMetadata, State};
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::persisted::OpenTransactions;

/// Groups, offsets, and those of open transactions.
pub(crate) type Snapshot = (
    BTreeMap<Utf8Bytes, GroupMetadata>,
    BTreeMap<OffsetKey, OffsetAndMetadata>,
    OpenTransactions,
);

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
        (groups, offsets, self.persisted.open_transactions(false))
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
        )
    }

    /// Every group fits together, has the timers that its waiting members rely on and no others; groups exist if anything persisted says
    /// so. `settled`: nothing is written that is not committed, so a stable group is what was persisted.
    pub(crate) fn assert_consistent(&self, settled: bool) {
        let (groups, offsets, open) = self.newest();
        let persisted: BTreeSet<&Utf8Bytes> = groups
            .keys()
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
            let group = &group.classic;
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
}
