//! The assignors of the server (KIP-848): from what members subscribe to and were to have, to what each is to have. Their answer depends
//! on nothing but the question, so that every coordinator finds the same.

mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use forebay_protocol::{Utf8Bytes, Uuid};

use crate::assignment::Assignment;

/// An assignor of the server, by the names that `group.consumer.assignors` and members give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Partitions of all topics spread evenly, and as many as can be left where they are.
    Uniform,
    /// Each topic's partitions in ranges: topics with as many partitions and the same members are assigned alike.
    Range,
}

impl Assignor {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// The assignor of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each member is to have: all partitions of the topics that anybody subscribes to, each once.
    pub(crate) fn assign(self, group: &GroupSpec<'_>) -> BTreeMap<Utf8Bytes, Assignment> {
        match self {
            Self::Uniform => uniform::assign(group),
            Self::Range => range::assign(group),
        }
    }
}

impl fmt::Display for Assignor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A group as an assignor sees it.
#[derive(Debug, Default)]
pub(crate) struct GroupSpec<'a> {
    /// The members by id.
    pub(crate) members: BTreeMap<Utf8Bytes, MemberSpec<'a>>,
    /// How many partitions each topic has that anybody subscribes to.
    pub(crate) partition_counts: BTreeMap<Uuid, i32>,
}

/// A member as an assignor sees it.
#[derive(Debug)]
pub(crate) struct MemberSpec<'a> {
    /// `group.instance.id` of a static member.
    pub(crate) instance_id: Option<&'a Utf8Bytes>,
    /// The topics that it subscribes to and that exist. Members with equal ones may share them.
    pub(crate) topics: Arc<BTreeSet<Uuid>>,
    /// What it was to have until now.
    pub(crate) target: &'a Assignment,
}

impl GroupSpec<'_> {
    /// Whether all members subscribe to the same topics.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.values();
        members.next().is_none_or(|first| {
            members.all(|member| Arc::ptr_eq(&member.topics, &first.topics) || member.topics == first.topics)
        })
    }

    /// How many partitions a topic has; none if it is not known.
    fn partition_count(&self, topic: Uuid) -> i32 {
        self.partition_counts.get(&topic).copied().unwrap_or(0)
    }

    /// Whether a member may keep a partition: it still subscribes to the topic, which still has it.
    fn may_keep(&self, member: &MemberSpec<'_>, (topic, partition): (Uuid, i32)) -> bool {
        member.topics.contains(&topic) && (0..self.partition_count(topic)).contains(&partition)
    }
}
