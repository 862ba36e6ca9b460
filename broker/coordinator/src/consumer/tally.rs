//! What follows from the members of a group, kept as they change: who subscribes to what, who is which instance, who owns which partition.

use std::collections::BTreeMap;

use forebay_protocol::{Utf8Bytes, Uuid};

use super::Member;

/// How many members there are of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<Utf8Bytes, usize>);

impl Counts {
    fn add(&mut self, name: &Utf8Bytes) {
        *self.0.entry(name.clone()).or_default() += 1;
    }

    fn remove(&mut self, name: &Utf8Bytes) {
        if let Some(count) = self.0.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(name);
            }
        }
    }

    pub(super) fn of(&self, name: &Utf8Bytes) -> usize {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Utf8Bytes> {
        self.0.keys()
    }
}

/// What follows from the members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Topics that members name, each with how many do.
    pub(super) topics: Counts,
    /// Regular expressions that members subscribe to.
    pub(super) regexes: Counts,
    /// Assignors that members ask for.
    pub(super) assignors: Counts,
    /// Protocols that members of the classic protocol support.
    pub(super) protocols: Counts,
    /// How many members speak the classic protocol.
    pub(super) classic: usize,
    /// `group.instance.id` to member id.
    pub(super) instances: BTreeMap<Utf8Bytes, Utf8Bytes>,
    /// Who owns each partition, or has not let go of it yet.
    owners: BTreeMap<(Uuid, i32), Utf8Bytes>,
}

impl Tally {
    /// A member counts.
    pub(super) fn add(&mut self, id: &Utf8Bytes, member: &Member) {
        let metadata = &member.metadata;
        metadata
            .subscribed_topics
            .iter()
            .for_each(|topic| self.topics.add(topic));
        metadata
            .regex()
            .into_iter()
            .for_each(|regex| self.regexes.add(regex));
        metadata
            .server_assignor
            .iter()
            .for_each(|name| self.assignors.add(name));
        if let Some(classic) = &metadata.classic {
            self.classic += 1;
            classic
                .protocols
                .iter()
                .for_each(|protocol| self.protocols.add(&protocol.name));
        }
        if let Some(instance) = &metadata.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.owners
            .extend(member.current.owned().map(|partition| (partition, id.clone())));
    }

    /// A member counts no longer.
    pub(super) fn remove(&mut self, id: &Utf8Bytes, member: &Member) {
        let metadata = &member.metadata;
        metadata
            .subscribed_topics
            .iter()
            .for_each(|topic| self.topics.remove(topic));
        metadata
            .regex()
            .into_iter()
            .for_each(|regex| self.regexes.remove(regex));
        metadata
            .server_assignor
            .iter()
            .for_each(|name| self.assignors.remove(name));
        if let Some(classic) = &metadata.classic {
            self.classic -= 1;
            classic
                .protocols
                .iter()
                .for_each(|protocol| self.protocols.remove(&protocol.name));
        }
        if let Some(instance) = &metadata.instance_id
            && self.instances.get(instance) == Some(id)
        {
            self.instances.remove(instance);
        }
        for partition in member.current.owned() {
            if self.owners.get(&partition) == Some(id) {
                self.owners.remove(&partition);
            }
        }
    }

    /// Whether somebody owns the partition.
    pub(super) fn is_owned(&self, topic: Uuid, partition: i32) -> bool {
        self.owners.contains_key(&(topic, partition))
    }
}
