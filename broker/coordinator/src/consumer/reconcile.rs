//! The next step of a member from what it has to what it is to have (Kafka's `CurrentAssignmentBuilder`). It lets go before it goes on to the
//! target's epoch, and gets only what nobody else has: so no partition is ever owned twice.

use std::collections::BTreeSet;

use forebay_protocol::{Utf8Bytes, Uuid};

use super::{ClusterImage, ConsumerGroup, CurrentAssignment, Member, MemberState, OwnedPartitions};
use crate::assignment::Assignment;

/// A member in a state of a later Kafka: it has to begin anew.
#[derive(Debug)]
pub(crate) struct Fenced;

/// What a step depends on.
#[derive(Debug)]
pub(crate) struct Reconciliation<'a> {
    pub(crate) group: &'a ConsumerGroup,
    pub(crate) id: &'a Utf8Bytes,
    pub(crate) member: &'a Member,
    pub(crate) image: &'a dyn ClusterImage,
    /// What the member says that it owns; `None` if it says nothing.
    pub(crate) owned: Option<&'a Assignment>,
    pub(crate) subscription_changed: bool,
}

impl Reconciliation<'_> {
    /// What the member has next, if that is anything else than what it has.
    pub(crate) fn next(&self) -> Result<Option<CurrentAssignment>, Fenced> {
        let current = &*self.member.current;
        let target_epoch = self.group.target_epoch().epoch;
        if !self.subscription_changed && self.member.is_reconciled_to(target_epoch) {
            return Ok(None);
        }
        let next = match current.state {
            MemberState::Stable if current.member_epoch != target_epoch => {
                self.towards_target(current.member_epoch)
            }
            MemberState::Stable => self.without_unsubscribed(),
            MemberState::UnrevokedPartitions if self.owns_any(&current.pending_revocation) => {
                if self.subscription_changed {
                    self.without_unsubscribed()
                } else {
                    None
                }
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.towards_target(current.member_epoch)
            }
            MemberState::Unknown if self.owned.is_none_or(|owned| !owned.is_empty()) => return Err(Fenced),
            MemberState::Unknown => self.towards_target(target_epoch),
        };
        Ok(next.filter(|next| next != current))
    }

    /// Whether the member may still own some of these: it says so, or says nothing.
    fn owns_any(&self, partitions: &OwnedPartitions) -> bool {
        self.owned.is_none_or(|owned| {
            partitions
                .iter()
                .any(|(topic, partition, _)| owned.contains(topic, partition))
        })
    }

    fn towards_target(&self, member_epoch: i32) -> Option<CurrentAssignment> {
        let current = &*self.member.current;
        let topics = self.subscribed_topic_ids();
        let target = self.group.target(self.id);
        let wanted = || {
            let partitions = target.into_iter().flat_map(|target| target.partitions());
            partitions.filter(|(topic, _)| topics.contains(topic))
        };
        let is_wanted = |topic: Uuid, partition: i32| {
            topics.contains(&topic) && target.is_some_and(|target| target.contains(topic, partition))
        };
        let keeps = |(topic, partition, _): &(Uuid, i32, i32)| is_wanted(*topic, *partition);
        let (mut assigned, pending_revocation): (Vec<_>, Vec<_>) = current.assigned.iter().partition(keeps);
        let pending_revocation: OwnedPartitions = pending_revocation.into_iter().collect();
        if !pending_revocation.is_empty() && self.owns_any(&pending_revocation) {
            return Some(CurrentAssignment {
                state: MemberState::UnrevokedPartitions,
                assigned: assigned.into_iter().collect(),
                pending_revocation,
                ..current.in_epoch(member_epoch)
            });
        }
        let epoch = self.group.target_epoch().epoch;
        let mut state = MemberState::Stable;
        for (topic, partition) in
            wanted().filter(|(topic, partition)| !current.assigned.contains(*topic, *partition))
        {
            // What it was to let go of itself it may have again.
            if self.group.is_owned(topic, partition) && !current.pending_revocation.contains(topic, partition)
            {
                state = MemberState::UnreleasedPartitions;
            } else {
                assigned.push((topic, partition, epoch));
            }
        }
        Some(CurrentAssignment {
            state,
            assigned: assigned.into_iter().collect(),
            pending_revocation: OwnedPartitions::default(),
            ..current.in_epoch(epoch)
        })
    }

    /// The subscription has changed and there is no newer target yet: what is not subscribed to any more is let go of at once.
    fn without_unsubscribed(&self) -> Option<CurrentAssignment> {
        let current = &*self.member.current;
        let topics = self.subscribed_topic_ids();
        let (assigned, dropped): (Vec<_>, Vec<_>) = current
            .assigned
            .iter()
            .partition(|(topic, ..)| topics.contains(topic));
        if dropped.is_empty() {
            return None;
        }
        let pending_revocation: OwnedPartitions = current.pending_revocation.iter().chain(dropped).collect();
        let assigned = assigned.into_iter().collect();
        let next = current.in_epoch(current.member_epoch);
        Some(if self.owns_any(&pending_revocation) {
            CurrentAssignment {
                state: MemberState::UnrevokedPartitions,
                assigned,
                pending_revocation,
                ..next
            }
        } else {
            CurrentAssignment { assigned, ..next }
        })
    }

    fn subscribed_topic_ids(&self) -> BTreeSet<Uuid> {
        let topics = self.group.topics_of(self.member);
        topics
            .filter_map(|name| self.image.topic(name))
            .map(|topic| topic.id)
            .collect()
    }
}
