//! What a sink task knows of each partition that it has: how far records were delivered and committed, and whether they flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_connect_api::{Offset, Offsets, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;

/// Which of the times that a partition was taken over or moved: what was fetched for another one is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// Its name for the client.
    pub(super) client: ClientTopicPartition,
    /// Where it was when it was given to the task.
    pub(super) opened: Offset,
    /// The offset that the task gets next.
    pub(super) next: Offset,
    /// The end of what can be read, when something was fetched of it last.
    pub(super) end: Option<Offset>,
    /// Changes whenever `next` is set other than by a delivery.
    pub(super) generation: Generation,
    /// What the group has committed, as far as this task knows.
    pub(super) committed: Option<Offset>,
    /// Whether the task has been given anything, or moved, since the last commit.
    pub(super) has_moved: bool,
    /// Whether the task has paused it.
    paused: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    partitions: BTreeMap<TopicPartition, Partition>,
    /// How many generations of partitions there were.
    generations: u64,
    /// Whether the user has paused the connector.
    user_paused: bool,
    /// Whether a batch is being delivered again and nothing else may come.
    redelivering: bool,
}

/// The name of a partition for tasks.
pub(super) fn for_task(partition: &ClientTopicPartition) -> TopicPartition {
    TopicPartition::new(&*partition.topic, partition.partition)
}

/// The name of a partition for the client.
pub(super) fn for_client(partition: &TopicPartition) -> ClientTopicPartition {
    ClientTopicPartition::new(&*partition.topic, partition.partition)
}

impl Partitions {
    /// Takes a partition over.
    pub(super) fn add(&mut self, topic_partition: TopicPartition, next: Offset, committed: Option<Offset>) {
        let client = for_client(&topic_partition);
        let partition = Partition {
            client,
            opened: next,
            next,
            end: None,
            generation: self.new_generation(),
            committed,
            has_moved: false,
            paused: false,
        };
        self.partitions.insert(topic_partition, partition);
    }

    /// Goes on elsewhere in a partition; `None`: it is not there.
    pub(super) fn move_to(&mut self, topic_partition: &TopicPartition, next: Offset) -> Option<&Partition> {
        let generation = self.new_generation();
        let partition = self.partitions.get_mut(topic_partition)?;
        partition.next = next;
        partition.generation = generation;
        partition.has_moved = true;
        Some(partition)
    }

    fn new_generation(&mut self) -> Generation {
        self.generations += 1;
        Generation(self.generations)
    }

    /// Gives a partition up; whether it was there.
    pub(super) fn remove(&mut self, topic_partition: &TopicPartition) -> bool {
        self.partitions.remove(topic_partition).is_some()
    }

    pub(super) fn get(&self, topic_partition: &TopicPartition) -> Option<&Partition> {
        self.partitions.get(topic_partition)
    }

    /// The partition, if it was neither given up nor moved since it was of that generation.
    pub(super) fn current(
        &self,
        topic_partition: &TopicPartition,
        generation: Generation,
    ) -> Option<&Partition> {
        self.get(topic_partition)
            .filter(|partition| partition.generation == generation)
    }

    pub(super) fn get_mut(&mut self, topic_partition: &TopicPartition) -> Option<&mut Partition> {
        self.partitions.get_mut(topic_partition)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &Partition)> {
        self.partitions.iter()
    }

    /// The names, for closing all of them.
    pub(super) fn names(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// The same name, shared: a record's topic is one.
    pub(super) fn shared_topic(&self, topic_partition: &TopicPartition) -> Arc<str> {
        let known = self.partitions.get_key_value(topic_partition);
        Arc::clone(&known.map_or(topic_partition, |(known, _)| known).topic)
    }

    /// How far each partition was delivered, of those given or of all.
    pub(super) fn delivered(&self, of: Option<&[TopicPartition]>) -> Offsets {
        let wanted = |name: &TopicPartition| of.is_none_or(|of| of.contains(name));
        let delivered = self.partitions.iter().filter(|(name, _)| wanted(name));
        delivered
            .map(|(name, partition)| (name.clone(), partition.next))
            .collect()
    }

    /// Notes where partitions end, as far as that is known.
    pub(super) fn set_ends(&mut self, end: impl Fn(&ClientTopicPartition) -> Option<Offset>) {
        for partition in self.partitions.values_mut() {
            partition.end = end(&partition.client).or(partition.end);
        }
    }

    /// The most offsets that the task is behind the end of a partition; `None`: nothing was fetched yet.
    pub(super) fn lag_max(&self) -> Option<u64> {
        let lags = self.partitions.values();
        lags.filter_map(|partition| Some(behind(partition.next, partition.end?)))
            .max()
    }

    /// Offsets that the task was given and that are not committed.
    pub(super) fn uncommitted(&self) -> u64 {
        let uncommitted = self.partitions.values();
        uncommitted
            .filter_map(|partition| Some(behind(partition.committed?, partition.next)))
            .sum()
    }

    /// Whether the task may have something to commit.
    pub(super) fn has_uncommitted(&self) -> bool {
        self.partitions.values().any(|partition| partition.has_moved)
    }

    /// Whether something that was delivered is not committed: the task holds it back, and may not do so any more.
    pub(super) fn are_behind(&self) -> bool {
        let mut partitions = self.partitions.values();
        partitions.any(|partition| partition.has_moved || partition.committed != Some(partition.next))
    }

    /// Of what the task returned, what is to be committed: partitions that it has, no offset that it was not given, and
    /// nothing twice.
    pub(super) fn to_commit(&self, returned: &Offsets) -> Offsets {
        let mut to_commit = Offsets::new();
        for (name, offset) in returned {
            let Some(partition) = self.partitions.get(name) else {
                tracing::warn!(partition = %name, %offset, "the task wants to commit a partition that it does not have");
                continue;
            };
            if *offset > partition.next {
                let next = partition.next;
                tracing::warn!(partition = %name, %offset, %next, "the task wants to commit what it was not given");
            } else if partition.committed != Some(*offset) {
                to_commit.insert(name.clone(), *offset);
            }
        }
        to_commit
    }

    /// The user pauses or resumes the connector.
    pub(super) fn set_user_paused(&mut self, paused: bool) {
        self.user_paused = paused;
    }

    /// A batch is delivered again, or no more.
    pub(super) fn set_redelivering(&mut self, redelivering: bool) {
        self.redelivering = redelivering;
    }

    /// The task pauses or resumes a partition.
    pub(super) fn set_paused(&mut self, topic_partition: &TopicPartition, paused: bool) {
        if let Some(partition) = self.partitions.get_mut(topic_partition) {
            partition.paused = paused;
        }
    }

    /// Whether the task is to be given anything of this partition.
    pub(super) fn flows(&self, partition: &Partition) -> bool {
        !(self.user_paused || self.redelivering || partition.paused)
    }

    /// Which partitions must not be fetched, and which must.
    pub(super) fn pauses(&self) -> (Vec<ClientTopicPartition>, Vec<ClientTopicPartition>) {
        let (flowing, paused): (Vec<&Partition>, Vec<&Partition>) = self
            .partitions
            .values()
            .partition(|partition| self.flows(partition));
        let names = |partitions: Vec<&Partition>| {
            let names = partitions.into_iter().map(|partition| partition.client.clone());
            names.collect()
        };
        (names(paused), names(flowing))
    }
}

fn behind(offset: Offset, end: Offset) -> u64 {
    u64::try_from(end.0 - offset.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_delivered_is_committed_and_once() {
        let (a, b) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let mut partitions = Partitions::default();
        partitions.add(a.clone(), Offset(10), Some(Offset(5)));
        let commit = |partitions: &Partitions, offsets: &[(&TopicPartition, i64)]| {
            let returned = offsets
                .iter()
                .map(|(name, offset)| ((*name).clone(), Offset(*offset)));
            partitions.to_commit(&returned.collect())
        };
        let one = |offset| Offsets::from([(a.clone(), Offset(offset))]);
        assert_eq!(commit(&partitions, &[(&a, 10)]), one(10));
        assert_eq!(commit(&partitions, &[(&a, 4)]), one(4), "a task may go back");
        assert_eq!(
            commit(&partitions, &[(&a, 5)]),
            Offsets::new(),
            "it is committed already"
        );
        assert_eq!(
            commit(&partitions, &[(&a, 11)]),
            Offsets::new(),
            "it was not given"
        );
        assert_eq!(commit(&partitions, &[(&a, 9), (&b, 1)]), one(9));
        assert!(partitions.remove(&a) && !partitions.remove(&a));
    }

    #[test]
    fn a_partition_that_comes_back_or_moves_is_of_another_generation() {
        let a = TopicPartition::new("t", 0);
        let mut partitions = Partitions::default();
        let mut seen = Vec::new();
        let mut look = |partitions: &Partitions| {
            let now = partitions.get(&a).expect("it is there").generation;
            assert!(seen.iter().all(|old| partitions.current(&a, *old).is_none()));
            assert!(partitions.current(&a, now).is_some());
            seen.push(now);
        };
        partitions.add(a.clone(), Offset(10), None);
        look(&partitions);
        assert!(partitions.move_to(&a, Offset(10)).is_some());
        look(&partitions);
        partitions.remove(&a);
        assert!(partitions.move_to(&a, Offset(0)).is_none());
        partitions.add(a.clone(), Offset(10), None);
        look(&partitions);
    }

    #[test]
    fn a_partition_flows_when_nobody_has_paused_it() {
        let (a, b) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let mut partitions = Partitions::default();
        partitions.add(a.clone(), Offset(0), None);
        partitions.add(b, Offset(0), None);
        let counts = |partitions: &Partitions| {
            let (paused, flowing) = partitions.pauses();
            (paused.len(), flowing.len())
        };
        assert_eq!(counts(&partitions), (0, 2));
        partitions.set_paused(&a, true);
        assert_eq!(counts(&partitions), (1, 1));
        partitions.set_user_paused(true);
        assert_eq!(counts(&partitions), (2, 0));
        partitions.set_user_paused(false);
        partitions.set_redelivering(true);
        assert_eq!(counts(&partitions), (2, 0));
        partitions.set_redelivering(false);
        assert_eq!(counts(&partitions), (1, 1), "the task's own pause is still there");
    }
}
