//! Offsets and groups that nobody uses any more (Kafka's `cleanupGroupMetadata`; KIP-211): when an offset expires depends on its group.

use forebay_protocol::Utf8Bytes;
use forebay_records::Timestamp;

use super::GroupCoordinator;
use super::group::{Group, Kind};
use super::offset_delete::group_tombstones;
use crate::classic::{ClassicGroup, State};
use crate::offset::OffsetAndMetadata;
use crate::record::CoordinatorRecord;
use crate::timers::Timer;
use crate::{Event, Now, Outcome};

/// Since when an offset is kept for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptSince {
    /// Its commit: nobody ever joined the group, or its members no longer consume the topic.
    Commit,
    /// The moment when the group lost its last member, or the commit if that is not known.
    Empty(Option<Timestamp>),
    /// Members may be in the middle of a rebalance, or consume we know not what.
    InUse,
}

impl KeptSince {
    fn of(group: &Group) -> Self {
        match &group.kind {
            Kind::Classic(group) => Self::of_classic(group),
            Kind::Consumer(_) => Self::Commit,
        }
    }

    fn of_classic(group: &ClassicGroup) -> Self {
        if group.protocol_type().is_none() {
            Self::Commit
        } else if group.state() == State::Empty {
            Self::Empty(group.state_timestamp())
        } else if group.uses_consumer_protocol()
            && group.knows_subscribed_topics()
            && group.state() == State::Stable
        {
            Self::Commit
        } else {
            Self::InUse
        }
    }

    fn base(self, offset: &OffsetAndMetadata) -> Option<Timestamp> {
        match self {
            Self::Commit => Some(offset.commit_timestamp),
            Self::Empty(since) => Some(since.unwrap_or(offset.commit_timestamp)),
            Self::InUse => None,
        }
    }
}

impl GroupCoordinator {
    pub(super) fn schedule_expiration(&mut self, now: Now) {
        let deadline = now
            .elapsed
            .saturating_add(self.config.offsets_retention_check_interval);
        self.timers.schedule(Timer::Expiration, deadline);
    }

    /// Forgets what has expired, and empty groups that have nothing left.
    pub(super) fn expire(&mut self, now: Now, outcome: &mut Outcome) {
        let ids: Vec<Utf8Bytes> = self.groups.keys().cloned().collect();
        let (mut offsets, mut groups) = (0, 0);
        let mut tombstones = Vec::new();
        for id in ids {
            let before = tombstones.len();
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            let all_expired = self.find_expired(group, now, &mut tombstones);
            offsets += tombstones.len() - before;
            if all_expired && group.is_empty() {
                tombstones.extend(group_tombstones(group));
                groups += 1;
            }
        }
        self.append_in_parts(&tombstones, now, outcome);
        if offsets + groups > 0 {
            outcome.events.push(Event::Expired { offsets, groups });
        }
        self.schedule_expiration(now);
    }

    /// Collects tombstones for what has expired of a group; says whether nothing is left.
    fn find_expired(&self, group: &Group, now: Now, tombstones: &mut Vec<CoordinatorRecord>) -> bool {
        let kept_since = KeptSince::of(group);
        let mut all_expired = self
            .persisted
            .open_transactions_of_group(group.id())
            .next()
            .is_none();
        for (key, offset) in self.persisted.offsets_of(group.id()) {
            let is_expired = kept_since
                .base(offset)
                .is_some_and(|base| offset.is_expired(now.timestamp, base, self.config.offsets_retention))
                && !group.is_subscribed_to(&key.topic)
                && !self.persisted.has_open_transaction(key);
            if is_expired {
                tombstones.push(CoordinatorRecord::Offset(key.clone(), None));
            } else {
                all_expired = false;
            }
        }
        all_expired
    }
}
