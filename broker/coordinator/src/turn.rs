//! One step of a decision about one group: the clocks and timers it may use, and what it has decided so far.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::classic::{ClassicGroup, GroupMetadata, ParkedJoin, Protocol};
use crate::command::joined;
use crate::timers::{Timer, Timers};
use crate::{Completion, Config, Event, Now, RequestId, Response};

/// What a step works with and what comes of it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) config: &'a Config,
    pub(crate) timers: &'a mut Timers,
    pub(crate) now: Now,
    /// Answers that wait for nothing.
    pub(crate) completed: Vec<Completion>,
    pub(crate) events: Vec<Event>,
    /// The group's new metadata, if it is to be written: a step decides at most one.
    pub(crate) write: Option<GroupWrite>,
}

/// Metadata of a group to write, and what to do when that is done.
#[derive(Debug)]
pub(crate) struct GroupWrite {
    pub(crate) metadata: GroupMetadata,
    pub(crate) then: Then,
}

/// What follows when the metadata of a group is committed, or could not be written.
#[derive(Debug)]
pub(crate) enum Then {
    /// The group is new or empty: nobody waits for it.
    Nothing,
    /// The members get their assignments, or are asked to join again.
    Assign {
        generation: i32,
        assignments: BTreeMap<Utf8Bytes, Bytes>,
    },
    /// The successor of a static member gets its place, or has to give it back.
    Replace(Replacement),
}

/// A static member that came back under another member id, without a rebalance.
#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) instance: Utf8Bytes,
    pub(crate) old: Utf8Bytes,
    pub(crate) new: Utf8Bytes,
    pub(crate) old_protocols: Vec<Protocol>,
    pub(crate) old_timeouts_ms: (i32, i32),
    /// Who led before: clients before JoinGroup 9 are told so, that they do not take themselves for the leader.
    pub(crate) old_leader: Utf8Bytes,
    pub(crate) request: RequestId,
    /// Whether the old id was itself a successor that still waited, and was told that it is fenced.
    pub(crate) old_was_waiting: bool,
    /// Nobody has the new id: it was told that this takes too long, or that another has its place.
    pub(crate) given_up: bool,
}

impl<'a> Turn<'a> {
    /// Nothing is decided yet.
    pub(crate) fn new(config: &'a Config, timers: &'a mut Timers, now: Now) -> Self {
        Self {
            config,
            timers,
            now,
            completed: Vec::new(),
            events: Vec::new(),
            write: None,
        }
    }
}

impl Turn<'_> {
    /// Answers a JoinGroup.
    pub(crate) fn answer_join(&mut self, join: ParkedJoin, response: JoinGroupResponse) {
        let response = Response::JoinGroup(joined(response, join.api_version));
        self.completed.push(Completion {
            request: join.request,
            response,
        });
    }

    /// Answers a JoinGroup with an error.
    pub(crate) fn refuse_join(&mut self, join: ParkedJoin, member_id: &Utf8Bytes, error: ErrorCode) {
        let response = JoinGroupResponse {
            member_id: member_id.clone(),
            error_code: error.to_i16(),
            ..Default::default()
        };
        self.answer_join(join, response);
    }

    /// Answers a SyncGroup.
    pub(crate) fn answer_sync(&mut self, request: RequestId, response: SyncGroupResponse) {
        self.completed.push(Completion {
            request,
            response: Response::SyncGroup(response),
        });
    }

    /// Answers a SyncGroup with an error.
    pub(crate) fn refuse_sync(&mut self, request: RequestId, error: ErrorCode) {
        self.answer_sync(
            request,
            SyncGroupResponse {
                error_code: error.to_i16(),
                ..Default::default()
            },
        );
    }

    /// A member has been heard of: its session begins anew.
    pub(crate) fn extend_session(&mut self, group: &ClassicGroup, member: &Utf8Bytes) {
        if let Some(member) = group.member(member) {
            let timer = Timer::Session {
                group: group.id().clone(),
                member: member.id.clone(),
            };
            self.timers
                .schedule(timer, self.now.elapsed.saturating_add(member.session_timeout()));
        }
    }

    /// Lets go of a member, its session and whatever it has parked: JoinGroup gets UNKNOWN_MEMBER_ID, so that it may come anew.
    pub(crate) fn remove_member(&mut self, group: &mut ClassicGroup, member: &Utf8Bytes) {
        self.timers.cancel_session(group.id(), member);
        if let Some(join) = group.take_join(member) {
            self.refuse_join(join, &Utf8Bytes::default(), ErrorCode::UnknownMemberId);
        }
        if let Some(sync) = group.take_sync(member) {
            self.refuse_sync(sync, ErrorCode::UnknownMemberId);
        }
        group.remove(member);
    }

    /// Answers whatever the members of a group have parked, and forgets its timers: the group is going away.
    pub(crate) fn dissolve(&mut self, group: &mut ClassicGroup, error: ErrorCode) {
        for member in group.member_ids() {
            if let Some(join) = group.take_join(&member) {
                self.refuse_join(join, &member, error);
            }
            if let Some(sync) = group.take_sync(&member) {
                self.refuse_sync(sync, error);
            }
            self.timers.cancel_session(group.id(), &member);
        }
        let id = group.id().clone();
        group.forget_pending_members(|member| self.timers.cancel_session(&id, member));
        self.timers.cancel_join(group.id());
        self.timers.cancel_sync(group.id());
    }

    /// Decides to write the group as it is, or with other assignments.
    pub(crate) fn write_group(
        &mut self,
        group: &ClassicGroup,
        assignments: Option<&BTreeMap<Utf8Bytes, Bytes>>,
        then: Then,
    ) {
        debug_assert!(self.write.is_none(), "a step writes a group once");
        self.write = Some(GroupWrite {
            metadata: group.to_metadata(assignments),
            then,
        });
    }
}
