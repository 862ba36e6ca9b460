//! How the leader of a group shares partitions out (Kafka's `ConsumerPartitionAssignor`s). Pure: topics, members and what
//! they had go in, what each gets comes out; equal input gives equal output, whatever the order of the members.

mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::TopicPartition;

/// How many partitions each topic has.
pub(super) type PartitionCounts = BTreeMap<String, usize>;

/// What each member gets, by member id.
pub(super) type Assignment = BTreeMap<String, Vec<TopicPartition>>;

/// A member as the leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) member_id: String,
    pub(super) group_instance_id: Option<String>,
    pub(super) topics: BTreeSet<String>,
    /// What it had, and in which generation; -1 if unknown.
    pub(super) owned: Vec<TopicPartition>,
    pub(super) generation_id: i32,
}

/// A way to share out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::consumer) enum Assignor {
    Range,
    RoundRobin,
    Sticky,
    CooperativeSticky,
}

impl Assignor {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        match name {
            "range" => Some(Self::Range),
            "roundrobin" => Some(Self::RoundRobin),
            "sticky" => Some(Self::Sticky),
            "cooperative-sticky" => Some(Self::CooperativeSticky),
            _ => None,
        }
    }

    /// As the coordinator knows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep their partitions while they join again.
    pub(in crate::consumer) fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }

    /// Shares out. Members get nothing of topics that are not in `counts`.
    pub(super) fn assign(self, counts: &PartitionCounts, members: &[Member]) -> Assignment {
        let mut members = members.to_vec();
        members.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut assignment = match self {
            Self::Range => range::assign(counts, &members),
            Self::RoundRobin => round_robin::assign(counts, &members),
            Self::Sticky => sticky::assign(counts, &members),
            Self::CooperativeSticky => sticky::assign_cooperatively(counts, &members),
        };
        for member in &members {
            assignment
                .entry(member.member_id.clone())
                .or_default()
                .sort_unstable();
        }
        assignment
    }
}

impl Member {
    /// Kafka's order of members: static ones first, by their instance ids, so that a restart changes nothing.
    fn order(&self) -> (bool, &str) {
        match &self.group_instance_id {
            Some(instance_id) => (false, instance_id),
            None => (true, &self.member_id),
        }
    }
}

fn partitions(topic: &str, count: usize) -> impl Iterator<Item = TopicPartition> {
    let name = forebay_protocol::Utf8Bytes::from(topic);
    (0..).take(count).map(move |partition| TopicPartition {
        topic: name.clone(),
        partition,
    })
}

#[cfg(test)]
mod tests;
