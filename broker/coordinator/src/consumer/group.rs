//! The group itself: what its records amount to. Only records change it, and what it was last seen to subscribe to, which is nobody's but
//! this coordinator's to know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::Timestamp;

use super::metadata_hash::metadata_hash;
use super::tally::Tally;
use super::{
    ClusterImage, ConsumerKey, ConsumerValue, CurrentAssignment, GroupEpoch, LEAVE_EPOCH, Member, Part,
    ResolvedRegularExpression, TargetEpoch,
};
use crate::Assignor;
use crate::assignment::Assignment;
use crate::classic::CONSUMER_PROTOCOL_TYPE;

/// The lifecycle of a consumer group (Kafka's `ConsumerGroupState`). It follows from epochs and members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members.
    Empty,
    /// The target assignment is of an epoch before the group's.
    Assigning,
    /// Members are on their way to the target assignment.
    Reconciling,
    /// Every member has what the target gives it.
    Stable,
    /// The group does not exist.
    Dead,
}

impl State {
    /// Kafka's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The epoch of a group that has no record of it.
const FIRST_EPOCH: GroupEpoch = GroupEpoch {
    epoch: 1,
    metadata_hash: 0,
};
/// Nothing has been assigned yet.
const NO_TARGET: TargetEpoch = TargetEpoch {
    epoch: 0,
    timestamp: Timestamp(0),
};

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerGroup {
    id: Utf8Bytes,
    epoch: GroupEpoch,
    target_epoch: TargetEpoch,
    members: BTreeMap<Utf8Bytes, Member>,
    targets: BTreeMap<Utf8Bytes, Arc<Assignment>>,
    resolved: BTreeMap<Utf8Bytes, Arc<ResolvedRegularExpression>>,
    has_subscription_metadata: bool,
    tally: Tally,
    /// The version of the image that its topics were last looked up in.
    pub(crate) refreshed_at: Option<i64>,
}

impl ConsumerGroup {
    /// A group that has no records.
    pub(crate) fn new(id: Utf8Bytes) -> Self {
        Self {
            id,
            epoch: FIRST_EPOCH,
            target_epoch: NO_TARGET,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            resolved: BTreeMap::new(),
            has_subscription_metadata: false,
            tally: Tally::default(),
            refreshed_at: None,
        }
    }

    /// The group of these records; `None` without any.
    pub(crate) fn of_records<'a>(
        id: &Utf8Bytes,
        records: impl Iterator<Item = (&'a ConsumerKey, &'a ConsumerValue)>,
    ) -> Option<Self> {
        let mut group = None;
        for (key, value) in records {
            group
                .get_or_insert_with(|| Self::new(id.clone()))
                .apply(&key.part, Some(value));
        }
        group
    }

    /// Changes as a record says.
    pub(crate) fn apply(&mut self, part: &Part, value: Option<&ConsumerValue>) {
        match (part, value) {
            (Part::Epoch, Some(ConsumerValue::Epoch(epoch))) => self.epoch = *epoch,
            (Part::Epoch, _) => self.epoch = FIRST_EPOCH,
            (Part::SubscriptionMetadata, value) => self.has_subscription_metadata = value.is_some(),
            (Part::Member(id), Some(ConsumerValue::Member(metadata))) => {
                self.update(id, |member| member.metadata = Arc::clone(metadata));
            }
            (Part::Member(id), _) => {
                if let Some(member) = self.members.remove(id) {
                    self.tally.remove(id, &member);
                }
            }
            (Part::TargetEpoch, Some(ConsumerValue::TargetEpoch(epoch))) => self.target_epoch = *epoch,
            (Part::TargetEpoch, _) => self.target_epoch = NO_TARGET,
            (Part::Target(id), Some(ConsumerValue::Target(target))) => {
                self.targets.insert(id.clone(), Arc::clone(target));
            }
            (Part::Target(id), _) => {
                self.targets.remove(id);
            }
            (Part::Current(id), Some(ConsumerValue::Current(current))) => {
                self.update(id, |member| member.current = Arc::clone(current));
            }
            (Part::Current(id), _) if self.members.contains_key(id) => {
                self.update(id, |member| member.current = Arc::new(CurrentAssignment::left()));
            }
            (Part::Current(_), _) => {}
            (Part::RegularExpression(regex), Some(ConsumerValue::RegularExpression(resolved))) => {
                self.resolved.insert(regex.clone(), Arc::clone(resolved));
            }
            (Part::RegularExpression(regex), _) => {
                self.resolved.remove(regex);
            }
        }
    }

    fn update(&mut self, id: &Utf8Bytes, change: impl FnOnce(&mut Member)) {
        let member = self.members.entry(id.clone()).or_insert_with(|| {
            let member = Member::default();
            self.tally.add(id, &member);
            member
        });
        self.tally.remove(id, member);
        change(member);
        self.tally.add(id, member);
    }

    pub(crate) fn id(&self) -> &Utf8Bytes {
        &self.id
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch.epoch
    }

    pub(crate) fn metadata_hash(&self) -> i64 {
        self.epoch.metadata_hash
    }

    pub(crate) fn target_epoch(&self) -> TargetEpoch {
        self.target_epoch
    }

    pub(crate) fn state(&self) -> State {
        let target = self.target_epoch.epoch;
        if self.members.is_empty() {
            State::Empty
        } else if self.epoch.epoch > target {
            State::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(target))
        {
            State::Stable
        } else {
            State::Reconciling
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = (&Utf8Bytes, &Member)> {
        self.members.iter()
    }

    pub(crate) fn member(&self, id: &Utf8Bytes) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn member_of_instance(&self, instance: &Utf8Bytes) -> Option<&Utf8Bytes> {
        self.tally.instances.get(instance)
    }

    /// What a member is to have.
    pub(crate) fn target(&self, id: &Utf8Bytes) -> Option<&Arc<Assignment>> {
        self.targets.get(id)
    }

    /// Whether a member has, or has not let go of, the partition.
    pub(crate) fn is_owned(&self, topic: Uuid, partition: i32) -> bool {
        self.tally.is_owned(topic, partition)
    }

    pub(crate) fn has_subscription_metadata(&self) -> bool {
        self.has_subscription_metadata
    }

    /// The regular expressions that members subscribe to.
    pub(crate) fn regexes(&self) -> impl Iterator<Item = &Utf8Bytes> {
        self.tally.regexes.names()
    }

    /// How many members subscribe to a regular expression.
    pub(crate) fn subscribers_of_regex(&self, regex: &Utf8Bytes) -> usize {
        self.tally.regexes.of(regex)
    }

    pub(crate) fn resolved(&self) -> &BTreeMap<Utf8Bytes, Arc<ResolvedRegularExpression>> {
        &self.resolved
    }

    /// How many members speak the classic protocol.
    pub(crate) fn classic_members(&self) -> usize {
        self.tally.classic
    }

    /// Whether a member of the classic protocol can be let in: one protocol at least is common to all such.
    pub(crate) fn supports_classic(
        &self,
        protocol_type: &str,
        mut protocols: impl Iterator<Item = Utf8Bytes>,
    ) -> bool {
        protocol_type == CONSUMER_PROTOCOL_TYPE
            && protocols
                .any(|protocol| self.is_empty() || self.tally.protocols.of(&protocol) == self.tally.classic)
    }

    /// The assignor that most members ask for, of those that there are; the first one if none is asked for.
    pub(crate) fn assignor(&self, available: &[Assignor]) -> Assignor {
        let votes = |assignor: &Assignor| self.tally.assignors.of(&Utf8Bytes::from_static(assignor.name()));
        let default = available.first().copied().unwrap_or(Assignor::Uniform);
        // Of several with as many votes the last would be taken: the first is to be.
        available
            .iter()
            .rev()
            .max_by_key(|assignor| votes(assignor))
            .copied()
            .unwrap_or(default)
    }

    /// The topics that members name or whose names match what they subscribe to, whether they exist or not.
    pub(crate) fn subscribed_topics(&self) -> BTreeSet<&Utf8Bytes> {
        let matching = self.resolved.values().flat_map(|resolved| &resolved.topics);
        self.tally.topics.names().chain(matching).collect()
    }

    pub(crate) fn is_subscribed_to(&self, topic: &Utf8Bytes) -> bool {
        self.tally.topics.of(topic) > 0
            || self
                .resolved
                .values()
                .any(|resolved| resolved.topics.contains(topic))
    }

    /// The topics that a member subscribes to, by name or by regular expression.
    pub(crate) fn topics_of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Utf8Bytes> {
        let resolved = member.metadata.regex().and_then(|regex| self.resolved.get(regex));
        let matching = resolved.into_iter().flat_map(|resolved| &resolved.topics);
        member.metadata.subscribed_topics.iter().chain(matching)
    }

    /// What the hash of its topics is now.
    pub(crate) fn current_metadata_hash(&self, image: &dyn ClusterImage) -> i64 {
        metadata_hash(self.subscribed_topics().into_iter(), image)
    }

    /// Whether others have not let go of what this member is to have.
    pub(crate) fn waits_for_partitions(&self, id: &Utf8Bytes) -> bool {
        let Some((member, target)) = self.members.get(id).zip(self.targets.get(id)) else {
            return false;
        };
        target.partitions().any(|(topic, partition)| {
            !member.current.assigned.contains(topic, partition) && self.is_owned(topic, partition)
        })
    }

    /// The keys of all records that make up the group, those last that say that it is there.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let members = || self.members.keys().cloned();
        let mut targets: BTreeSet<Utf8Bytes> = members().collect();
        targets.extend(self.targets.keys().cloned());
        members()
            .map(Part::Current)
            .chain(targets.into_iter().map(Part::Target))
            .chain([Part::TargetEpoch])
            .chain(members().map(Part::Member))
            .chain(self.resolved.keys().cloned().map(Part::RegularExpression))
            .chain([Part::SubscriptionMetadata, Part::Epoch])
            .collect()
    }

    /// For tests: whether what is kept beside the members is what follows from them.
    #[cfg(test)]
    pub(crate) fn assert_consistent(&self) {
        let mut tally = Tally::default();
        self.members.iter().for_each(|(id, member)| tally.add(id, member));
        assert_eq!(tally, self.tally);
    }

    /// For tests: what holds of every group whose records are all there. No partition is owned twice.
    #[cfg(test)]
    pub(crate) fn assert_sound(&self) {
        let mut owned = BTreeSet::new();
        for partition in self.members.values().flat_map(|member| member.current.owned()) {
            assert!(owned.insert(partition), "{partition:?} has two owners: {self:?}");
        }
        assert!(
            self.targets.keys().all(|id| self.members.contains_key(id)),
            "{self:?}"
        );
        assert!(self.target_epoch.epoch <= self.epoch.epoch, "{self:?}");
    }
}

impl CurrentAssignment {
    /// Of a member that is gone.
    fn left() -> Self {
        Self {
            member_epoch: LEAVE_EPOCH,
            previous_member_epoch: LEAVE_EPOCH,
            ..Self::default()
        }
    }
}
