//! What records of ours do to the groups at the moment they are decided; replayed, they build the same groups.

use forebay_protocol::Utf8Bytes;

use super::Uncommitted;
use crate::Now;
use crate::classic::ClassicGroup;
use crate::consumer::{ConsumerGroup, ConsumerKey, ConsumerValue, Part};
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::Group;
use crate::offset::OffsetKey;
use crate::record::CoordinatorRecord;

impl GroupCoordinator {
    /// Does to the groups what a record of ours implies: an offset brings its group into being, a tombstone removes it.
    pub(super) fn follow(&mut self, record: &CoordinatorRecord, append: &mut Uncommitted, now: Now) {
        match record {
            CoordinatorRecord::Offset(OffsetKey { group: id, .. }, Some(_))
            | CoordinatorRecord::Group(id, Some(_))
                if self.is_unknown(id) =>
            {
                let group = Group::classic(ClassicGroup::new(id.clone(), now.timestamp), Some(append.id));
                self.groups.insert(id.clone(), group);
                append.created.push(id.clone());
            }
            CoordinatorRecord::Group(id, None) => {
                if let Some(mut group) = self.groups.remove(id) {
                    if let Some(classic) = group.as_classic_mut() {
                        classic.forget_pending_members(|member| self.timers.cancel_session(id, member));
                    }
                    append.deleted.push(group);
                }
            }
            CoordinatorRecord::Consumer(key, value) => {
                append.consumer_groups.insert(key.group.clone());
                self.follow_consumer(key, value.as_ref(), append);
            }
            _ => {}
        }
    }

    /// A consumer group is its records; with the one of its epoch it goes.
    fn follow_consumer(
        &mut self,
        key: &ConsumerKey,
        value: Option<&ConsumerValue>,
        append: &mut Uncommitted,
    ) {
        let id = &key.group;
        if key.part == Part::Epoch && value.is_none() {
            append.deleted.extend(self.groups.remove(id));
            self.timers.cancel_members(id);
            self.expressions.remove(id);
            return;
        }
        if value.is_some() && !self.groups.contains_key(id) {
            let group = Group::consumer(ConsumerGroup::new(id.clone()), Some(append.id));
            self.groups.insert(id.clone(), group);
            append.created.push(id.clone());
        }
        if let Some(group) = self.groups.get_mut(id).and_then(Group::as_consumer_mut) {
            group.apply(&key.part, value);
        }
    }

    pub(super) fn is_unknown(&self, group: &Utf8Bytes) -> bool {
        !self.groups.contains_key(group) && !self.persisted.is_other_group(group)
    }
}
