//! Consumer groups (KIP-848) among the groups of this coordinator: which there are, what their members have to do by when, and how a
//! decision about one is carried out. What the APIs decide is in the files below this one.

mod classic_members;
mod describe;
pub(super) mod expressions;
pub(super) mod fence;
pub(super) mod heartbeat;
mod leave;
mod migrate;
pub(super) mod offsets;
mod validate;

use std::collections::BTreeSet;
use std::time::Duration;

use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use super::GroupCoordinator;
use super::group::Group;
use crate::consumer::{ConsumerGroup, Member, MemberState};
use crate::record::CoordinatorRecord;
use crate::timers::{Expiry, ExpiryKind, Timer};
use crate::{AppendId, Now, Outcome};

/// How much later than it should a session may end.
const SESSION_GRAIN: Duration = Duration::from_millis(100);

/// Why a request is refused, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    error: ErrorCode,
    message: String,
}

/// Refuses.
fn refuse<T>(error: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        error,
        message: message.into(),
    })
}

fn unknown_member(member: &Utf8Bytes, group: &Utf8Bytes) -> Refusal {
    Refusal {
        error: ErrorCode::UnknownMemberId,
        message: format!("Member {member} is not a member of group {group}."),
    }
}

/// What a decision does to the deadlines of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deadline {
    Session(Utf8Bytes, Duration),
    Set(Utf8Bytes, Expiry, Duration),
    SetIfAbsent(Utf8Bytes, Expiry, Duration),
    Cancel(Utf8Bytes, ExpiryKind),
    /// It is no more.
    Forget(Utf8Bytes),
}

/// A new id for a member: Kafka's text of a random one.
fn fresh_member_id(random: u128) -> Utf8Bytes {
    let mut bytes = random.to_be_bytes();
    let id = Uuid::random_from(bytes).unwrap_or_else(|| {
        // Its text would begin with a dash.
        bytes[0] &= 0x7f;
        Uuid::random_from(bytes).unwrap_or_default()
    });
    id.to_string().into()
}

impl GroupCoordinator {
    pub(super) fn consumer_group(&self, id: &Utf8Bytes) -> Option<&ConsumerGroup> {
        self.groups.get(id).and_then(Group::as_consumer)
    }

    pub(super) fn is_consumer_group(&self, id: &Utf8Bytes) -> bool {
        self.consumer_group(id).is_some()
    }

    /// Whether members of the classic protocol that come are let into a consumer group. One without members gives way to a classic group.
    pub(super) fn has_modern_members(&self, id: &Utf8Bytes) -> bool {
        self.consumer_group(id).is_some_and(|group| !group.is_empty())
    }

    /// A consumer group as readers may see it.
    pub(super) fn committed_consumer_group(&self, id: &Utf8Bytes) -> Option<ConsumerGroup> {
        ConsumerGroup::of_records(id, self.persisted.committed_consumer_records(id))
    }

    /// The consumer groups that the log knows are there, and their members' sessions begin.
    pub(super) fn activate_consumer_groups(&mut self, now: Now) {
        let ids: BTreeSet<Utf8Bytes> = self
            .persisted
            .consumer
            .range(..)
            .map(|(key, _)| key.group.clone())
            .collect();
        for id in ids {
            if let Some(group) = ConsumerGroup::of_records(&id, self.persisted.consumer_records(&id)) {
                self.groups.insert(id.clone(), Group::consumer(group, None));
                self.rearm_members(&id, now);
            }
        }
    }

    /// Records of a group were taken back: it is again what the others amount to.
    pub(super) fn rebuild_consumer_group(&mut self, id: &Utf8Bytes, now: Now) {
        if self.is_consumer_group(id)
            && let Some(group) = ConsumerGroup::of_records(id, self.persisted.consumer_records(id))
            && let Some(known) = self.groups.get_mut(id)
        {
            *known = Group::consumer(group, known.created);
        }
        self.rearm_members(id, now);
    }

    /// Gives every member of a consumer group the deadlines that it relies on, and takes away those of members that are not there.
    fn rearm_members(&mut self, id: &Utf8Bytes, now: Now) {
        let members: Vec<(Utf8Bytes, Member)> = self
            .consumer_group(id)
            .map(|group| {
                group
                    .members()
                    .map(|(id, member)| (id.clone(), member.clone()))
                    .collect()
            })
            .unwrap_or_default();
        let sessions: BTreeSet<Utf8Bytes> = self.timers.sessions_of(id).into_iter().collect();
        let mut deadlines = Vec::new();
        for (member, state) in &members {
            if !sessions.contains(member) {
                deadlines.push(Deadline::Session(member.clone(), self.session_timeout(id, state)));
            }
            deadlines.push(rebalance_deadline(member, state));
        }
        let known: BTreeSet<&Utf8Bytes> = members.iter().map(|(id, _)| id).collect();
        let is_member = |member: &Utf8Bytes| known.contains(member);
        let gone = self
            .timers
            .of_members(id)
            .into_iter()
            .filter(|(member, _)| !is_member(member));
        deadlines.extend(gone.map(|(member, kind)| Deadline::Cancel(member, kind)));
        let classic = self.groups.get(id).and_then(Group::as_classic);
        let is_known = |member: &Utf8Bytes| {
            is_member(member)
                || classic.is_some_and(|group| {
                    group.member(member).is_some() || group.pending_members().contains(member)
                })
        };
        let strangers: Vec<Utf8Bytes> = sessions.into_iter().filter(|member| !is_known(member)).collect();
        deadlines.extend(strangers.into_iter().map(Deadline::Forget));
        self.set_deadlines(id, deadlines, now);
    }

    /// How long a member may be silent: members of the classic protocol have said so themselves.
    fn session_timeout(&self, group: &Utf8Bytes, member: &Member) -> Duration {
        member.classic_session_timeout().unwrap_or_else(|| {
            let configured = self.image.group_config(group).consumer_session_timeout;
            configured.unwrap_or(self.config.consumer.session_timeout)
        })
    }

    fn set_deadlines(&mut self, group: &Utf8Bytes, deadlines: Vec<Deadline>, now: Now) {
        let timer = |member, expiry| Timer::Member {
            group: group.clone(),
            member,
            expiry,
        };
        for deadline in deadlines {
            match deadline {
                Deadline::Session(member, after) => {
                    let timer = Timer::Session {
                        group: group.clone(),
                        member,
                    };
                    let at = now.elapsed.saturating_add(after);
                    self.timers.schedule(timer, end_of_session(at));
                }
                Deadline::Set(member, expiry, after) => {
                    self.timers
                        .schedule(timer(member, expiry), now.elapsed.saturating_add(after));
                }
                Deadline::SetIfAbsent(member, expiry, after) => {
                    self.timers
                        .schedule_if_absent(timer(member, expiry), now.elapsed.saturating_add(after));
                }
                Deadline::Cancel(member, kind) => self.timers.cancel_member(group, &member, kind),
                Deadline::Forget(member) => {
                    self.timers.cancel_session(group, &member);
                    for kind in ExpiryKind::ALL {
                        self.timers.cancel_member(group, &member, kind);
                    }
                }
            }
        }
    }

    /// Writes what was decided about a group, and sets its members' deadlines; nothing has happened on an error.
    fn carry_out(
        &mut self,
        group: &Utf8Bytes,
        (records, deadlines): (&[CoordinatorRecord], Vec<Deadline>),
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        let append = if records.is_empty() {
            None
        } else {
            let written = self.append(records, now, outcome).map_err(|error| Refusal {
                error: crate::command::append_error(error),
                message: format!(
                    "The records of group {group} cannot be written: {}.",
                    error.name()
                ),
            });
            Some(written?)
        };
        self.set_deadlines(group, deadlines, now);
        Ok(append)
    }
}

/// Sessions that end shortly after each other end together: each time members are out the whole group is looked at, and a fleet that falls
/// silent does so member by member.
fn end_of_session(at: Duration) -> Duration {
    let grains = at.as_nanos().div_ceil(SESSION_GRAIN.as_nanos());
    u32::try_from(grains).map_or(at, |grains| SESSION_GRAIN.saturating_mul(grains))
}

/// A member that has to let go of partitions has its rebalance timeout for that. One of the classic protocol has other deadlines.
fn rebalance_deadline(id: &Utf8Bytes, member: &Member) -> Deadline {
    if member.current.state == MemberState::UnrevokedPartitions && !member.uses_classic_protocol() {
        let member_epoch = member.epoch();
        Deadline::Set(
            id.clone(),
            Expiry::Rebalance { member_epoch },
            member.rebalance_timeout(),
        )
    } else {
        Deadline::Cancel(id.clone(), ExpiryKind::Rebalance)
    }
}
