//! For tests: whether a group's counts and indexes say what its members say.

use super::ClassicGroup;
use crate::classic::{State, SupportedProtocols};

impl ClassicGroup {
    /// Whether its counts and indexes say what its members say.
    pub(crate) fn assert_consistent(&self) {
        let mut supported = SupportedProtocols::default();
        self.members.values().for_each(|member| supported.add(member));
        assert_eq!(self.supported, supported, "{self:?}");
        let awaiting_join = self
            .members
            .values()
            .filter(|member| member.awaiting_join.is_some())
            .count();
        assert_eq!(self.awaiting_join, awaiting_join, "{self:?}");
        let instances = self
            .members
            .values()
            .filter_map(|member| Some((member.instance_id.clone()?, member.id.clone())));
        assert_eq!(self.static_members, instances.collect(), "{self:?}");
        match &self.leader {
            Some(leader) => assert!(self.members.contains_key(leader), "{self:?}"),
            None => assert!(self.members.is_empty(), "{self:?}"),
        }
        assert!(
            self.pending_sync
                .iter()
                .all(|member| self.members.contains_key(member)),
            "{self:?}"
        );
        assert!(
            self.pending_members
                .iter()
                .all(|member| !self.members.contains_key(member)),
            "{self:?}"
        );
        match self.state {
            State::Empty => assert!(self.members.is_empty(), "{self:?}"),
            State::PreparingRebalance => assert!(
                self.members().all(|member| member.awaiting_sync.is_none()),
                "{self:?}"
            ),
            State::CompletingRebalance => {
                assert!(!self.members.is_empty() && self.awaiting_join == 0, "{self:?}");
            }
            State::Stable => assert!(
                self.members().all(|member| member.awaiting_sync.is_none()),
                "{self:?}"
            ),
            State::Dead => panic!("a dead group is no group: {self:?}"),
        }
    }
}
