//! Which protocols all members of a group have in common, and the vote on one of them.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::Utf8Bytes;

use super::Member;

/// How many members support each protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SupportedProtocols(BTreeMap<Utf8Bytes, usize>);

impl SupportedProtocols {
    /// A member's protocols count.
    pub(crate) fn add(&mut self, member: &Member) {
        for protocol in &member.protocols {
            *self.0.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    /// A member's protocols count no longer.
    pub(crate) fn remove(&mut self, member: &Member) {
        for protocol in &member.protocols {
            if let Some(count) = self.0.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether `members` members, all of them, support `name`.
    pub(crate) fn is_common(&self, name: &Utf8Bytes, members: usize) -> bool {
        self.0.get(name).copied().unwrap_or(0) == members
    }

    /// The protocol with the most votes, each member voting for the one it likes best among those that all support. Of two with as
    /// many votes it is the one whose name sorts first: Kafka leaves that open, we want the same on every broker.
    pub(crate) fn select<'a>(&self, members: impl ExactSizeIterator<Item = &'a Member>) -> Option<Utf8Bytes> {
        let count = members.len();
        let candidates: BTreeSet<&Utf8Bytes> = self
            .0
            .iter()
            .filter(|(_, supporters)| **supporters == count)
            .map(|(name, _)| name)
            .collect();
        let mut votes: BTreeMap<&Utf8Bytes, usize> = BTreeMap::new();
        for member in members {
            *votes.entry(member.vote(&candidates)?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name.clone())
    }
}
