//! The deadlines of one coordinator (Kafka's `CoordinatorTimer`): one per key, the earliest first. Deadlines lie on the
//! monotonic clock, so that a step of the wall clock expires nobody's session.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_protocol::Utf8Bytes;

use crate::AppendId;

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A member's session, or the time that it may take to come back with the member id it was given.
    Session { group: Utf8Bytes, member: Utf8Bytes },
    /// What a member of a consumer group has to have done by now.
    Member {
        group: Utf8Bytes,
        member: Utf8Bytes,
        expiry: Expiry,
    },
    /// The end of a rebalance's join phase.
    Join {
        group: Utf8Bytes,
        initial: Option<InitialDelay>,
    },
    /// Members that have not sent SyncGroup by now are out.
    Sync { group: Utf8Bytes, generation: i32 },
    /// Requests that wait for this append have waited long enough.
    Append(AppendId),
    /// Look for expired offsets and groups.
    Expiration,
}

/// Why a member of a consumer group is out when its time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expiry {
    /// Nothing was heard of it.
    Session,
    /// It has not let go of partitions and left this epoch.
    Rebalance { member_epoch: i32 },
    /// It speaks the classic protocol and was told to join again.
    Join,
    /// It speaks the classic protocol, has joined, and has not asked for its assignment.
    Sync,
}

/// The same without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ExpiryKind {
    Session,
    Rebalance,
    Join,
    Sync,
}

impl ExpiryKind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Session, Self::Rebalance, Self::Join, Self::Sync];
}

impl Expiry {
    fn kind(self) -> ExpiryKind {
        match self {
            Self::Session => ExpiryKind::Session,
            Self::Rebalance { .. } => ExpiryKind::Rebalance,
            Self::Join => ExpiryKind::Join,
            Self::Sync => ExpiryKind::Sync,
        }
    }
}

/// How the first rebalance of a group may still be put off, for members that come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InitialDelay {
    /// The delay that is running.
    pub(crate) delay: Duration,
    /// What is left of the rebalance timeout after it.
    pub(crate) remaining: Duration,
}

/// What a timer is known by: scheduling it again replaces it, whatever else it carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Session(Utf8Bytes, Utf8Bytes),
    Member(Utf8Bytes, Utf8Bytes, ExpiryKind),
    Join(Utf8Bytes),
    Sync(Utf8Bytes),
    Append(AppendId),
    Expiration,
}

impl Timer {
    fn key(&self) -> Key {
        match self {
            Self::Session { group, member } => Key::Session(group.clone(), member.clone()),
            Self::Member {
                group,
                member,
                expiry,
            } => Key::Member(group.clone(), member.clone(), expiry.kind()),
            Self::Join { group, .. } => Key::Join(group.clone()),
            Self::Sync { group, .. } => Key::Sync(group.clone()),
            Self::Append(append) => Key::Append(*append),
            Self::Expiration => Key::Expiration,
        }
    }
}

/// All deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Duration, u64), Timer>,
    scheduled: BTreeMap<Key, (Duration, u64)>,
    /// Orders timers of the same deadline by when they were scheduled.
    next: u64,
}

impl Timers {
    /// Sets the deadline of a timer, instead of the one that it has.
    pub(crate) fn schedule(&mut self, timer: Timer, deadline: Duration) {
        let place = (deadline, self.next);
        self.next += 1;
        if let Some(old) = self.scheduled.insert(timer.key(), place) {
            self.due.remove(&old);
        }
        self.due.insert(place, timer);
    }

    fn cancel(&mut self, key: &Key) {
        if let Some(place) = self.scheduled.remove(key) {
            self.due.remove(&place);
        }
    }

    /// Forgets a member's session.
    pub(crate) fn cancel_session(&mut self, group: &Utf8Bytes, member: &Utf8Bytes) {
        self.cancel(&Key::Session(group.clone(), member.clone()));
    }

    /// Sets the deadline of a timer that has none.
    pub(crate) fn schedule_if_absent(&mut self, timer: Timer, deadline: Duration) {
        if !self.scheduled.contains_key(&timer.key()) {
            self.schedule(timer, deadline);
        }
    }

    /// Forgets what a member of a consumer group has to do.
    pub(crate) fn cancel_member(&mut self, group: &Utf8Bytes, member: &Utf8Bytes, kind: ExpiryKind) {
        self.cancel(&Key::Member(group.clone(), member.clone(), kind));
    }

    /// Which members of a consumer group have to do what.
    pub(crate) fn of_members(&self, group: &Utf8Bytes) -> Vec<(Utf8Bytes, ExpiryKind)> {
        let first = Key::Member(group.clone(), Utf8Bytes::default(), ExpiryKind::Session);
        let keys = self.scheduled.range(first..).map_while(|(key, _)| match key {
            Key::Member(of, member, kind) if of == group => Some((member.clone(), *kind)),
            _ => None,
        });
        keys.collect()
    }

    /// Members of a group, or who are about to be, that have a session.
    pub(crate) fn sessions_of(&self, group: &Utf8Bytes) -> Vec<Utf8Bytes> {
        let first = Key::Session(group.clone(), Utf8Bytes::default());
        let keys = self.scheduled.range(first..).map_while(|(key, _)| match key {
            Key::Session(of, member) if of == group => Some(member.clone()),
            _ => None,
        });
        keys.collect()
    }

    /// Forgets all that members of a group have to do, their sessions apart.
    pub(crate) fn cancel_members(&mut self, group: &Utf8Bytes) {
        for (member, kind) in self.of_members(group) {
            self.cancel_member(group, &member, kind);
        }
    }

    /// Forgets the end of a join phase.
    pub(crate) fn cancel_join(&mut self, group: &Utf8Bytes) {
        self.cancel(&Key::Join(group.clone()));
    }

    /// Forgets the end of a sync phase.
    pub(crate) fn cancel_sync(&mut self, group: &Utf8Bytes) {
        self.cancel(&Key::Sync(group.clone()));
    }

    /// Forgets the patience of those who wait for an append.
    pub(crate) fn cancel_append(&mut self, append: AppendId) {
        self.cancel(&Key::Append(append));
    }

    /// Whether somebody's patience with an append is being measured.
    pub(crate) fn is_append_scheduled(&self, append: AppendId) -> bool {
        self.scheduled.contains_key(&Key::Append(append))
    }

    /// Which groups have timers of which kind: sessions by member, join, sync.
    #[cfg(test)]
    pub(crate) fn of_group(&self, group: &Utf8Bytes) -> (Vec<Utf8Bytes>, bool, bool) {
        let has = |key| self.scheduled.contains_key(&key);
        (
            self.sessions_of(group),
            has(Key::Join(group.clone())),
            has(Key::Sync(group.clone())),
        )
    }

    /// All groups that have any timer.
    #[cfg(test)]
    pub(crate) fn groups(&self) -> std::collections::BTreeSet<Utf8Bytes> {
        let group = |key: &Key| match key {
            Key::Session(group, _) | Key::Member(group, ..) | Key::Join(group) | Key::Sync(group) => {
                Some(group.clone())
            }
            Key::Append(_) | Key::Expiration => None,
        };
        self.scheduled.keys().filter_map(group).collect()
    }

    /// When the next one is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.due.keys().next().map(|(deadline, _)| *deadline)
    }

    /// A mark before which all timers were scheduled that exist now.
    pub(crate) fn mark(&self) -> u64 {
        self.next
    }

    /// Takes the first timer that is due and was scheduled before `mark`.
    pub(crate) fn pop_due(&mut self, now: Duration, mark: u64) -> Option<Timer> {
        let place = *self
            .due
            .keys()
            .take_while(|(deadline, _)| *deadline <= now)
            .find(|(_, order)| *order < mark)?;
        let timer = self.due.remove(&place)?;
        self.scheduled.remove(&timer.key());
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(member: &str) -> Timer {
        Timer::Session {
            group: "g".into(),
            member: member.into(),
        }
    }

    #[test]
    fn timers_fire_in_order_once_and_may_be_put_off_or_cancelled() {
        let seconds = Duration::from_secs;
        let mut timers = Timers::default();
        timers.schedule(session("late"), seconds(9));
        timers.schedule(session("early"), seconds(3));
        timers.schedule(session("gone"), seconds(1));
        timers.schedule(session("put off"), seconds(2));
        timers.schedule(
            Timer::Join {
                group: "g".into(),
                initial: None,
            },
            seconds(3),
        );
        timers.schedule(session("put off"), seconds(5));
        timers.cancel_session(&"g".into(), &"gone".into());
        assert_eq!(timers.next_deadline(), Some(seconds(3)));

        let mark = timers.mark();
        assert_eq!(timers.pop_due(Duration::from_millis(2_999), mark), None);
        assert_eq!(timers.pop_due(seconds(5), mark), Some(session("early")));
        assert_eq!(
            timers.pop_due(seconds(5), mark),
            Some(Timer::Join {
                group: "g".into(),
                initial: None
            })
        );
        timers.schedule(session("new"), seconds(4));
        assert_eq!(
            timers.pop_due(seconds(5), mark),
            Some(session("put off")),
            "what is newer than the mark waits"
        );
        assert_eq!(timers.pop_due(seconds(5), mark), None);
        assert_eq!(timers.pop_due(seconds(5), timers.mark()), Some(session("new")));
        assert_eq!(timers.next_deadline(), Some(seconds(9)));
        timers.cancel_session(&"g".into(), &"late".into());
        assert_eq!(timers.next_deadline(), None);
        assert!(timers.scheduled.is_empty() && timers.due.is_empty());
    }
}
