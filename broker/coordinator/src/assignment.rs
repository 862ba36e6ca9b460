//! Which partitions of which topics: what a member of a consumer group has, or is to have.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::Uuid;

/// Partitions by topic id; no topic is without partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assignment(BTreeMap<Uuid, BTreeSet<i32>>);

impl Assignment {
    /// Adds a partition; `false` if it is there already.
    pub(crate) fn insert(&mut self, topic: Uuid, partition: i32) -> bool {
        self.0.entry(topic).or_default().insert(partition)
    }

    /// Whether it has no partition.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many partitions it has.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Whether it has the partition.
    pub(crate) fn contains(&self, topic: Uuid, partition: i32) -> bool {
        self.0
            .get(&topic)
            .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// The topics, each with its partitions.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (Uuid, &BTreeSet<i32>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// The partitions one by one.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> {
        self.topics()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |partition| (topic, *partition)))
    }
}

impl FromIterator<(Uuid, i32)> for Assignment {
    fn from_iter<I: IntoIterator<Item = (Uuid, i32)>>(partitions: I) -> Self {
        let mut assignment = Self::default();
        for (topic, partition) in partitions {
            assignment.insert(topic, partition);
        }
        assignment
    }
}
