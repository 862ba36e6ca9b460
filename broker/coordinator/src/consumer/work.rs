//! A decision about a group in the making: the group as the records decided so far leave it, and these records. Nothing of it has happened
//! until the records are written, applied to the group itself, in one append.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use forebay_protocol::Utf8Bytes;

use super::{
    ClusterImage, ConsumerGroup, ConsumerKey, ConsumerValue, CurrentAssignment, GroupEpoch, Member,
    MemberMetadata, Part, TargetEpoch, next_target,
};
use crate::record::CoordinatorRecord;
use crate::{ConsumerConfig, Now};

/// A decision in the making.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    group: Cow<'a, ConsumerGroup>,
    records: Vec<CoordinatorRecord>,
    pub(crate) image: &'a dyn ClusterImage,
}

impl Deref for Work<'_> {
    type Target = ConsumerGroup;

    fn deref(&self) -> &ConsumerGroup {
        &self.group
    }
}

impl<'a> Work<'a> {
    /// A decision about a group that is there.
    pub(crate) fn on(group: &'a ConsumerGroup, image: &'a dyn ClusterImage) -> Self {
        Self {
            group: Cow::Borrowed(group),
            records: Vec::new(),
            image,
        }
    }

    /// A decision about a group that is not there yet, or not as a consumer group: `first` are the records that make room for it.
    pub(crate) fn on_new(id: Utf8Bytes, first: Vec<CoordinatorRecord>, image: &'a dyn ClusterImage) -> Self {
        Self {
            group: Cow::Owned(ConsumerGroup::new(id)),
            records: first,
            image,
        }
    }

    /// What is to be written.
    pub(crate) fn into_records(self) -> Vec<CoordinatorRecord> {
        self.records
    }

    /// Decides a record.
    pub(crate) fn write(&mut self, part: Part, value: Option<ConsumerValue>) {
        self.group.to_mut().apply(&part, value.as_ref());
        let key = ConsumerKey {
            group: self.group.id().clone(),
            part,
        };
        self.records.push(CoordinatorRecord::Consumer(key, value));
    }

    /// Decides a record that is not of this group: of the one that takes its place.
    pub(crate) fn write_other(&mut self, record: CoordinatorRecord) {
        self.records.push(record);
    }

    pub(crate) fn write_member(&mut self, id: &Utf8Bytes, metadata: MemberMetadata) {
        self.write(
            Part::Member(id.clone()),
            Some(ConsumerValue::Member(Arc::new(metadata))),
        );
    }

    pub(crate) fn write_current(&mut self, id: &Utf8Bytes, current: CurrentAssignment) {
        self.write(
            Part::Current(id.clone()),
            Some(ConsumerValue::Current(Arc::new(current))),
        );
    }

    /// Decides what a member has, as the last of all decisions: nobody looks at the group again, which need not be copied for it. Gives the
    /// member as it then is.
    pub(crate) fn write_last(&mut self, id: &Utf8Bytes, current: CurrentAssignment) -> Member {
        let metadata = self.member(id).map(|member| Arc::clone(&member.metadata));
        let current = Arc::new(current);
        let key = ConsumerKey {
            group: self.group.id().clone(),
            part: Part::Current(id.clone()),
        };
        let value = ConsumerValue::Current(Arc::clone(&current));
        self.records.push(CoordinatorRecord::Consumer(key, Some(value)));
        Member {
            metadata: metadata.unwrap_or_default(),
            current,
        }
    }

    pub(crate) fn write_target(&mut self, epoch: i32, timestamp: forebay_records::Timestamp) {
        self.write(
            Part::TargetEpoch,
            Some(ConsumerValue::TargetEpoch(TargetEpoch { epoch, timestamp })),
        );
    }

    /// Begins an epoch with the topics that there are now.
    pub(crate) fn write_epoch(&mut self, epoch: i32) {
        self.write_epoch_of(epoch, self.group.current_metadata_hash(self.image));
    }

    fn write_epoch_of(&mut self, epoch: i32, metadata_hash: i64) {
        let epoch = GroupEpoch { epoch, metadata_hash };
        self.write(Part::Epoch, Some(ConsumerValue::Epoch(epoch)));
    }

    /// A member is no more.
    pub(crate) fn remove_member(&mut self, id: &Utf8Bytes) {
        self.write(Part::Current(id.clone()), None);
        self.write(Part::Target(id.clone()), None);
        self.write(Part::Member(id.clone()), None);
    }

    /// Regular expressions that nobody subscribes to any more are forgotten.
    pub(crate) fn forget_unused_regexes(&mut self) {
        let unused: Vec<Utf8Bytes> = self
            .resolved()
            .keys()
            .filter(|regex| self.subscribers_of_regex(regex) == 0)
            .cloned()
            .collect();
        for regex in unused {
            self.write(Part::RegularExpression(regex), None);
        }
    }

    /// A static member comes under another member id: it has what it had, but begins in epoch 0.
    pub(crate) fn replace_member(&mut self, old: &Utf8Bytes, new: &Utf8Bytes) {
        let Some(member) = self.member(old).cloned() else {
            return;
        };
        let target = self.target(old).cloned().unwrap_or_default();
        self.remove_member(old);
        self.write(
            Part::Member(new.clone()),
            Some(ConsumerValue::Member(member.metadata)),
        );
        self.write(Part::Target(new.clone()), Some(ConsumerValue::Target(target)));
        let current = CurrentAssignment {
            member_epoch: 0,
            previous_member_epoch: 0,
            ..(*member.current).clone()
        };
        self.write_current(new, current);
    }

    /// Looks at the topics of the group; begins a new epoch if they are others than before, or `bump` asks for it.
    pub(crate) fn refresh_topics(&mut self, bump: bool) {
        let metadata_hash = self.current_metadata_hash(self.image);
        if bump || metadata_hash != self.metadata_hash() {
            self.write_epoch_of(self.epoch().saturating_add(1), metadata_hash);
        }
        if self.has_subscription_metadata() {
            self.write(Part::SubscriptionMetadata, None);
        }
    }

    /// Assigns anew if the group has a newer epoch than its target, and the last time is not too near.
    pub(crate) fn assign(&mut self, config: &ConsumerConfig, now: Now) {
        let before = self.target_epoch();
        if before.epoch >= self.epoch() {
            return;
        }
        let interval = self
            .image
            .group_config(self.id())
            .consumer_assignment_interval
            .unwrap_or(config.assignment_interval);
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let next = before.timestamp.0.saturating_add(interval);
        // A clock that was ahead, here or where the log was written, must not hold it up.
        if (before.timestamp.0..next).contains(&now.timestamp.0) && before.timestamp.0 != 0 {
            return;
        }
        let assignor = self.assignor(&config.assignors);
        for (id, target) in next_target(&self.group, self.image, assignor) {
            self.write(Part::Target(id), Some(ConsumerValue::Target(target)));
        }
        self.write_target(self.epoch(), now.timestamp);
    }
}
