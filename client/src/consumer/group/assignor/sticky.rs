//! `sticky` and `cooperative-sticky`: as balanced as the subscriptions allow, and otherwise everyone keeps what he had.
//!
//! Everyone starts with what he had; what nobody has goes to whoever has least; then partitions move from those who have
//! most to those who have least, as long as that makes the difference smaller. Each move lowers the sum of the squares of
//! the loads, so it ends; with equal subscriptions it ends with loads that differ by one at most.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::TopicPartition;

use super::{Assignment, Member, PartitionCounts, partitions};

pub(super) fn assign(counts: &PartitionCounts, members: &[Member]) -> Assignment {
    let mut shares = Shares::new(counts, members);
    shares.hand_out(counts);
    shares.balance();
    shares.into_assignment()
}

/// What has to change its owner is given to nobody yet: first whoever has it gives it up, then the members join again.
pub(super) fn assign_cooperatively(counts: &PartitionCounts, members: &[Member]) -> Assignment {
    let mut assignment = assign(counts, members);
    let mut owners: BTreeMap<&TopicPartition, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            owners.entry(partition).or_default().insert(&member.member_id);
        }
    }
    for (member_id, assigned) in &mut assignment {
        assigned.retain(|partition| {
            owners
                .get(partition)
                .is_none_or(|owners| owners.iter().all(|owner| *owner == member_id.as_str()))
        });
    }
    assignment
}

/// The state of sharing out; members by their index.
struct Shares<'a> {
    members: &'a [Member],
    owned: Vec<BTreeSet<TopicPartition>>,
    /// Members by load, then by index.
    by_load: BTreeSet<(usize, usize)>,
}

impl<'a> Shares<'a> {
    /// Everyone with what he had and may still have. Of two who claim the same, the one of the later generation has it;
    /// of two of the same, neither.
    fn new(counts: &PartitionCounts, members: &'a [Member]) -> Self {
        let mut claims: BTreeMap<&TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            for partition in &member.owned {
                let generation = member.generation_id;
                let claim = claims.entry(partition).or_insert((generation, Some(index)));
                match claim {
                    (other, _) if *other < generation => *claim = (generation, Some(index)),
                    (other, Some(owner)) if *other == generation && *owner != index => {
                        *claim = (generation, None);
                    }
                    _ => {}
                }
            }
        }
        let mut owned = vec![BTreeSet::new(); members.len()];
        for (partition, (_, owner)) in claims {
            let exists = counts.get(&*partition.topic).is_some_and(|count| {
                usize::try_from(partition.partition).is_ok_and(|number| number < *count)
            });
            if let Some(owner) =
                owner.filter(|owner| exists && members[*owner].topics.contains(&*partition.topic))
            {
                owned[owner].insert(partition.clone());
            }
        }
        let by_load = owned
            .iter()
            .enumerate()
            .map(|(index, owned)| (owned.len(), index))
            .collect();
        Self {
            members,
            owned,
            by_load,
        }
    }

    fn give(&mut self, member: usize, partition: TopicPartition) {
        self.by_load.remove(&(self.owned[member].len(), member));
        self.owned[member].insert(partition);
        self.by_load.insert((self.owned[member].len(), member));
    }

    fn take(&mut self, member: usize, partition: &TopicPartition) {
        self.by_load.remove(&(self.owned[member].len(), member));
        self.owned[member].remove(partition);
        self.by_load.insert((self.owned[member].len(), member));
    }

    /// Whoever has least of those who want the topic.
    fn least(&self, topic: &str) -> Option<(usize, usize)> {
        self.by_load
            .iter()
            .find(|(_, index)| self.members[*index].topics.contains(topic))
            .copied()
    }

    fn hand_out(&mut self, counts: &PartitionCounts) {
        let taken: BTreeSet<TopicPartition> = self.owned.iter().flatten().cloned().collect();
        let all = counts.iter().flat_map(|(topic, count)| partitions(topic, *count));
        let mut free: Vec<TopicPartition> = all.filter(|partition| !taken.contains(partition)).collect();
        // What few want comes first: the others can still be evened out afterwards.
        let wanting = |topic: &str| {
            self.members
                .iter()
                .filter(|member| member.topics.contains(topic))
                .count()
        };
        let by_topic: BTreeMap<String, usize> = counts
            .keys()
            .map(|topic| (topic.clone(), wanting(topic)))
            .collect();
        free.sort_by_key(|partition| by_topic.get(&*partition.topic).copied());
        for partition in free {
            if let Some((_, member)) = self.least(&partition.topic) {
                self.give(member, partition);
            }
        }
    }

    fn balance(&mut self) {
        while let Some((from, to, partition)) = self.improvement() {
            self.take(from, &partition);
            self.give(to, partition);
        }
    }

    /// A move from someone who has more to someone who has at least two fewer.
    fn improvement(&self) -> Option<(usize, usize, TopicPartition)> {
        let (fewest, _) = *self.by_load.first()?;
        for (load, from) in self.by_load.iter().rev().copied() {
            if load < fewest + 2 {
                return None;
            }
            // What somebody else than the giver had goes first: then that one gets it back, or the giver keeps his own.
            let had = |partition: &&TopicPartition| self.members[from].owned.contains(partition);
            let (own, other): (Vec<_>, Vec<_>) = self.owned[from].iter().partition(had);
            for partition in other.into_iter().chain(own.into_iter().rev()) {
                if let Some((least, to)) = self.least(&partition.topic)
                    && least + 2 <= load
                {
                    return Some((from, to, partition.clone()));
                }
            }
        }
        None
    }

    fn into_assignment(self) -> Assignment {
        let ids = self.members.iter().map(|member| member.member_id.clone());
        ids.zip(self.owned)
            .map(|(id, owned)| (id, owned.into_iter().collect()))
            .collect()
    }
}
