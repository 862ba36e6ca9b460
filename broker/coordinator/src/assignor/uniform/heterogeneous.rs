//! Members subscribe to different topics: first everyone keeps what it may, then what is free goes to the least loaded subscribers, topics
//! with most partitions for each subscriber first, then partitions move from the most to the least loaded subscriber of their topic while
//! that evens the load (Kafka's `UniformHeterogeneousAssignmentBuilder`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{Utf8Bytes, Uuid};

use super::super::GroupSpec;
use crate::assignment::Assignment;

/// How often all topics are gone through. A pass that moves nothing ends it; few groups need more than three.
const PASSES_MAX: usize = 16;

/// A member by its place in the order of ids.
type Index = usize;

/// A topic that somebody subscribes to.
struct Topic {
    id: Uuid,
    subscribers: Vec<Index>,
    /// Who has each partition.
    owners: Vec<Option<Index>>,
}

/// The assignment while it is made.
struct Builder {
    topics: Vec<Topic>,
    /// How many partitions each member has, of all topics.
    loads: Vec<usize>,
}

pub(super) fn assign(group: &GroupSpec<'_>) -> BTreeMap<Utf8Bytes, Assignment> {
    let mut builder = Builder::new(group);
    for topic in 0..builder.topics.len() {
        builder.assign_free(topic);
    }
    builder.balance();
    let mut assignments = vec![Assignment::default(); group.members.len()];
    for topic in &builder.topics {
        for (partition, owner) in (0..).zip(&topic.owners) {
            if let Some(owner) = owner {
                assignments[*owner].insert(topic.id, partition);
            }
        }
    }
    group.members.keys().cloned().zip(assignments).collect()
}

impl Builder {
    fn new(group: &GroupSpec<'_>) -> Self {
        let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
        let mut loads = vec![0; group.members.len()];
        for (index, member) in group.members.values().enumerate() {
            for id in member.topics.iter() {
                let topic = topics.entry(*id).or_insert_with(|| Topic {
                    id: *id,
                    subscribers: Vec::new(),
                    owners: (0..group.partition_count(*id)).map(|_| None).collect(),
                });
                topic.subscribers.push(index);
            }
        }
        for (index, member) in group.members.values().enumerate() {
            let kept = member
                .target
                .partitions()
                .filter(|partition| group.may_keep(member, *partition));
            for (id, partition) in kept {
                let owner = topics
                    .get_mut(&id)
                    .zip(usize::try_from(partition).ok())
                    .and_then(|(topic, partition)| topic.owners.get_mut(partition));
                if let Some(owner @ None) = owner {
                    *owner = Some(index);
                    loads[index] += 1;
                }
            }
        }
        let mut topics: Vec<Topic> = topics.into_values().collect();
        topics.sort_by(|a, b| {
            // Partitions for each subscriber, compared without dividing.
            let (left, right) = (
                a.owners.len() * b.subscribers.len(),
                b.owners.len() * a.subscribers.len(),
            );
            (Reverse(left), a.subscribers.len(), a.id).cmp(&(Reverse(right), b.subscribers.len(), b.id))
        });
        Self { topics, loads }
    }

    /// The subscribers of a topic, least loaded first.
    fn by_load(&self, topic: &Topic) -> BTreeSet<(usize, Index)> {
        let loads = topic.subscribers.iter().map(|index| (self.loads[*index], *index));
        loads.collect()
    }

    fn assign_free(&mut self, topic: usize) {
        let mut subscribers = self.by_load(&self.topics[topic]);
        let Self { topics, loads } = self;
        for owner in topics[topic].owners.iter_mut().filter(|owner| owner.is_none()) {
            if let Some((load, index)) = subscribers.pop_first() {
                *owner = Some(index);
                loads[index] += 1;
                subscribers.insert((load + 1, index));
            }
        }
    }

    fn balance(&mut self) {
        for _ in 0..PASSES_MAX {
            let mut moved = 0;
            for topic in 0..self.topics.len() {
                moved += self.balance_topic(topic);
            }
            if moved == 0 {
                return;
            }
        }
    }

    /// Evens the load of a topic's subscribers by moving its partitions; says how many moved. Each move makes the sum of the squares of
    /// all loads smaller, so this ends.
    fn balance_topic(&mut self, topic: usize) -> usize {
        let mut subscribers = self.by_load(&self.topics[topic]);
        let Self { topics, loads } = self;
        let owners = &mut topics[topic].owners;
        let spread = subscribers.first().zip(subscribers.last());
        if spread.is_none_or(|(least, most)| most.0 - least.0 <= 1) {
            return 0;
        }
        let mut owned: BTreeMap<Index, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in owners.iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let mut givers: BTreeSet<(usize, Index)> =
            owned.keys().map(|index| (loads[*index], *index)).collect();
        let mut moved = 0;
        while let (Some(least), Some(most)) = (subscribers.first().copied(), givers.pop_last()) {
            if most.0 - least.0.min(most.0) <= 1 {
                break;
            }
            let Some(partition) = owned.get_mut(&most.1).and_then(Vec::pop) else {
                // It has nothing left to give of this topic.
                continue;
            };
            owners[partition] = Some(least.1);
            owned.entry(least.1).or_default().push(partition);
            for set in [&mut subscribers, &mut givers] {
                set.remove(&most);
                set.remove(&least);
                set.insert((most.0 - 1, most.1));
                set.insert((least.0 + 1, least.1));
            }
            loads[most.1] -= 1;
            loads[least.1] += 1;
            moved += 1;
        }
        moved
    }
}
