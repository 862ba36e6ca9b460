//! JoinGroup: who may come in, and what that does to the group (Kafka's `classicGroupJoin`; KIP-345, 394, 800, 814).

use std::collections::BTreeSet;

use bytes::Bytes;
use forebay_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::offset_delete::group_tombstones;
use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, Member, ParkedJoin, Protocol, State, milliseconds};
use crate::command::{append_error, joined};
use crate::rebalance::join_response;
use crate::record::CoordinatorRecord;
use crate::timers::Timer;
use crate::turn::{Replacement, Then, Turn};
use crate::{AppendId, Event, Now, Outcome, RequestContext, Response};

/// Since this version a new dynamic member has to come back with the id that it is given (KIP-394), so that clients that give up on a
/// long rebalance leave no member behind.
pub(super) const MEMBER_ID_REQUIRED_VERSION: i16 = 4;

/// The longest string that a record can hold.
const MEMBER_ID_BYTES_MAX: usize = i16::MAX as usize;

/// A JoinGroup as the group sees it.
struct Joining {
    parked: ParkedJoin,
    member_id: Utf8Bytes,
    /// The id that it gets if it is new.
    fresh_id: Utf8Bytes,
    instance_id: Option<Utf8Bytes>,
    client_id: Utf8Bytes,
    client_host: Utf8Bytes,
    protocol_type: Utf8Bytes,
    protocols: Vec<Protocol>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    reason: String,
}

/// What a JoinGroup comes to, if it is not parked.
enum Joined {
    Parked,
    Answered(JoinGroupResponse),
}

impl GroupCoordinator {
    pub(super) fn join(
        &mut self,
        asker: Asker,
        context: &RequestContext,
        (request, random): (JoinGroupRequest, u128),
        now: Now,
        outcome: &mut Outcome,
    ) {
        let joining = Joining::new(asker, context, request.clone(), random);
        let (response, append) = match self.find_or_create(&request.group_id, &joining, now, outcome) {
            Err((member_id, error)) => (refusal(&member_id, error), None),
            Ok(created) => {
                let size_max = self.config.group_size_max;
                let joined = self.decide(&request.group_id, now, outcome, |turn, group| {
                    if accepts(group, &joining.member_id, size_max) {
                        return turn.join(group, joining);
                    }
                    turn.remove_member(group, &joining.member_id);
                    turn.complete_join_if_all_joined(group);
                    Joined::Answered(refusal(&Utf8Bytes::default(), ErrorCode::GroupMaxSizeReached))
                });
                match joined {
                    Some(Joined::Answered(response)) => (response, created),
                    Some(Joined::Parked) | None => return,
                }
            }
        };
        let response = Response::JoinGroup(joined(response, asker.api_version));
        match append {
            Some(append) => self.answer_after(Some(append), (asker, response), now, outcome),
            None => super::answer(asker, response, outcome),
        }
    }

    /// Whether members of the classic protocol may ask for this session timeout.
    pub(super) fn allows_session_timeout(&self, timeout_ms: i32) -> bool {
        let allowed = self.config.session_timeout_min..=self.config.session_timeout_max;
        timeout_ms >= 0 && allowed.contains(&milliseconds(timeout_ms))
    }

    /// Sees to it that the group exists; says which append brings it into being if it did not. Kafka creates it even for those whom it
    /// then turns away; we do not.
    fn find_or_create(
        &mut self,
        id: &Utf8Bytes,
        joining: &Joining,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, (Utf8Bytes, ErrorCode)> {
        if !self.allows_session_timeout(joining.session_timeout_ms) {
            return Err((joining.member_id.clone(), ErrorCode::InvalidSessionTimeout));
        }
        if self.persisted.is_other_group(id) {
            return Err((Utf8Bytes::default(), ErrorCode::InconsistentGroupProtocol));
        }
        let known = self.groups.get(id);
        if known.is_some_and(|group| group.as_classic().is_some()) {
            return Ok(None);
        }
        if !joining.member_id.is_empty() {
            return Err((joining.member_id.clone(), ErrorCode::UnknownMemberId));
        }
        let group = ClassicGroup::new(id.detach(), now.timestamp);
        if !group.supports(&joining.protocol_type, &joining.protocols) {
            return Err((Utf8Bytes::default(), ErrorCode::InconsistentGroupProtocol));
        }
        // A consumer group without members gives way.
        let mut records = known.map(group_tombstones).unwrap_or_default();
        records.push(CoordinatorRecord::Group(
            group.id().clone(),
            Some(group.to_metadata(None)),
        ));
        self.append(&records, now, outcome)
            .map(Some)
            .map_err(|error| (Utf8Bytes::default(), append_error(error)))
    }
}

/// Whether there is room: counted are those who have joined the running rebalance, or the members of the generation.
fn accepts(group: &ClassicGroup, member: &Utf8Bytes, size_max: usize) -> bool {
    match group.state() {
        State::Empty | State::Dead => true,
        State::PreparingRebalance => {
            group
                .member(member)
                .is_some_and(|member| member.awaiting_join.is_some())
                || group.members_awaiting_join() < size_max
        }
        State::CompletingRebalance | State::Stable => {
            group.member(member).is_some() || group.members().len() < size_max
        }
    }
}

fn refusal(member_id: &Utf8Bytes, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        member_id: member_id.clone(),
        error_code: error.to_i16(),
        ..Default::default()
    }
}

impl Joining {
    fn new(asker: Asker, context: &RequestContext, request: JoinGroupRequest, random: u128) -> Self {
        // Version 0 has but one timeout for both.
        let rebalance_timeout_ms = match asker.api_version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        };
        let reason = request.reason.filter(|reason| !reason.is_empty());
        let instance_id = request.group_instance_id.as_ref().map(Utf8Bytes::detach);
        let mut names = BTreeSet::new();
        let protocols = request
            .protocols
            .into_iter()
            .filter(|protocol| names.insert(protocol.name.clone()));
        Self {
            parked: ParkedJoin {
                request: asker.request,
                api_version: asker.api_version,
            },
            member_id: request.member_id.detach(),
            fresh_id: fresh_member_id(instance_id.as_ref().unwrap_or(&context.client_id), random),
            instance_id,
            client_id: context.client_id.detach(),
            client_host: context.client_host.detach(),
            protocol_type: request.protocol_type.detach(),
            protocols: protocols
                .map(|protocol| Protocol {
                    name: protocol.name.detach(),
                    metadata: Bytes::copy_from_slice(&protocol.metadata),
                })
                .collect(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms,
            reason: reason.map_or_else(|| "not provided".to_owned(), |reason| reason.to_string()),
        }
    }

    fn timeouts_ms(&self) -> (i32, i32) {
        (self.rebalance_timeout_ms, self.session_timeout_ms)
    }

    fn into_member(self, id: Utf8Bytes) -> Member {
        Member {
            id,
            instance_id: self.instance_id,
            client_id: self.client_id,
            client_host: self.client_host,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            protocols: self.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(self.parked),
            awaiting_sync: None,
            is_new: true,
        }
    }
}

/// The client's or the instance's id, a dash, and a version 4 uuid as Java prints it.
fn fresh_member_id(prefix: &str, random: u128) -> Utf8Bytes {
    let uuid = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hexadecimal = format!("{uuid:032x}");
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &hexadecimal[range]);
    let suffix = format!("-{a}-{b}-{c}-{d}-{e}");
    let room = MEMBER_ID_BYTES_MAX - suffix.len();
    let end = (0..=prefix.len().min(room))
        .rev()
        .find(|end| prefix.is_char_boundary(*end))
        .unwrap_or(0);
    Utf8Bytes::from(format!("{}{suffix}", &prefix[..end]))
}

impl Turn<'_> {
    fn join(&mut self, group: &mut ClassicGroup, joining: Joining) -> Joined {
        let is_new = joining.member_id.is_empty();
        if !group.supports(&joining.protocol_type, &joining.protocols) {
            return Joined::Answered(refusal(&joining.member_id, ErrorCode::InconsistentGroupProtocol));
        }
        if is_new {
            self.join_new(group, joining)
        } else {
            self.join_again(group, joining)
        }
    }

    fn join_new(&mut self, group: &mut ClassicGroup, joining: Joining) -> Joined {
        match &joining.instance_id {
            Some(instance) => match group.member_of_instance(instance).cloned() {
                Some(current) => self.replace_static_member(group, &current, joining),
                None => self.add_member(group, joining.fresh_id.clone(), joining),
            },
            None if joining.parked.api_version >= MEMBER_ID_REQUIRED_VERSION => {
                let member = joining.fresh_id;
                group.add_pending_member(member.clone());
                let timer = Timer::Session {
                    group: group.id().clone(),
                    member: member.clone(),
                };
                let deadline = self
                    .now
                    .elapsed
                    .saturating_add(milliseconds(joining.session_timeout_ms));
                self.timers.schedule(timer, deadline);
                Joined::Answered(refusal(&member, ErrorCode::MemberIdRequired))
            }
            None => self.add_member(group, joining.fresh_id.clone(), joining),
        }
    }

    fn join_again(&mut self, group: &mut ClassicGroup, joining: Joining) -> Joined {
        let member_id = joining.member_id.clone();
        if group.pending_members().contains(&member_id) {
            if joining.instance_id.is_some() {
                // An id that was given to a dynamic member: no client does this. Kafka fails on it.
                return Joined::Answered(refusal(&Utf8Bytes::default(), ErrorCode::UnknownServerError));
            }
            return self.add_member(group, member_id, joining);
        }
        if let Err(error) = group.validate_member(&member_id, joining.instance_id.as_ref()) {
            return Joined::Answered(refusal(&member_id, error));
        }
        let is_unchanged = group
            .member(&member_id)
            .is_some_and(|member| member.protocols == joining.protocols);
        let state = group.state();
        let why = match state {
            State::PreparingRebalance => format!("Member {member_id} is joining group during {state}"),
            // It may not have heard our answer, which is still true.
            State::CompletingRebalance if is_unchanged => {
                return Joined::Answered(join_response(group, &member_id));
            }
            // The leader may know of other changes: of the topics, say.
            State::Stable if group.is_leader(&member_id) => {
                format!("Leader {member_id} re-joining group during {state}")
            }
            State::Stable if is_unchanged => return Joined::Answered(join_response(group, &member_id)),
            State::CompletingRebalance | State::Stable => {
                format!("Updating metadata for member {member_id} during {state}")
            }
            State::Empty | State::Dead => {
                return Joined::Answered(refusal(&member_id, ErrorCode::UnknownMemberId));
            }
        };
        let reason = format!("{why}; client reason: {}", joining.reason);
        self.park_join(group, &member_id, joining);
        self.prepare_rebalance_or_complete_join(group, reason);
        Joined::Parked
    }

    fn add_member(&mut self, group: &mut ClassicGroup, id: Utf8Bytes, joining: Joining) -> Joined {
        if group.state() == State::PreparingRebalance && group.previous_state() == State::Empty {
            group.new_member_added = true;
        }
        let instance = joining.instance_id.as_deref().unwrap_or("null");
        let reason = format!(
            "Adding new member {id} with group instance id {instance}; client reason: {}",
            joining.reason
        );
        // It does not know its id yet and cannot heartbeat, so it is the parked JoinGroup that expires; whoever is still there joins again.
        let timer = Timer::Session {
            group: group.id().clone(),
            member: id.clone(),
        };
        self.timers.schedule(
            timer,
            self.now
                .elapsed
                .saturating_add(self.config.new_member_join_timeout),
        );
        let protocol_type = joining.protocol_type.clone();
        group.admit(joining.into_member(id), &protocol_type);
        self.prepare_rebalance_or_complete_join(group, reason);
        Joined::Parked
    }

    /// Parks the JoinGroup of a member. A JoinGroup that it had parked before is sent back to join: it was given up, or its client
    /// is in error.
    fn park_join(&mut self, group: &mut ClassicGroup, member: &Utf8Bytes, joining: Joining) {
        let timeouts_ms = joining.timeouts_ms();
        let replaced = group.update_member(member, joining.protocols, timeouts_ms, Some(joining.parked));
        if let Some(replaced) = replaced {
            self.refuse_join(replaced, member, ErrorCode::RebalanceInProgress);
        }
    }

    /// A static member comes back without its id: it gets a new one, which fences the old. If the group is stable and would choose
    /// the same protocol again, nothing else changes (KIP-345).
    fn replace_static_member(
        &mut self,
        group: &mut ClassicGroup,
        old: &Utf8Bytes,
        joining: Joining,
    ) -> Joined {
        let new = joining.fresh_id.clone();
        let instance = joining.instance_id.clone().unwrap_or_default();
        let old_leader = group.leader().cloned().unwrap_or_default();
        let (old_protocols, old_timeouts_ms) = group
            .member(old)
            .map(|member| {
                (
                    member.protocols.clone(),
                    (member.rebalance_timeout_ms, member.session_timeout_ms),
                )
            })
            .unwrap_or_default();
        let (join, sync) = group.rename_static_member(old, &new);
        let old_was_waiting = join.is_some();
        if let Some(join) = join {
            self.refuse_join(join, old, ErrorCode::FencedInstanceId);
        }
        if let Some(sync) = sync {
            self.refuse_sync(sync, ErrorCode::FencedInstanceId);
        }
        self.timers.cancel_session(group.id(), old);
        self.extend_session(group, &new);
        self.events.push(Event::StaticMemberReplaced {
            group: group.id().clone(),
            instance: instance.clone(),
            old: old.clone(),
            new: new.clone(),
        });
        let (request, reason) = (joining.parked.request, joining.reason.clone());
        self.park_join(group, &new, joining);
        match group.state() {
            State::Stable if group.next_protocol().as_ref() == group.protocol() => {
                let replacement = Replacement {
                    instance,
                    old: old.clone(),
                    new,
                    old_protocols,
                    old_timeouts_ms,
                    old_leader,
                    request,
                    old_was_waiting,
                    given_up: false,
                };
                self.write_group(group, None, Then::Replace(replacement));
            }
            State::Stable => {
                let reason = format!(
                    "Group's selectedProtocol will change because static member {new} with instance id {instance} \
                     joined with change of protocol; client reason: {reason}"
                );
                self.prepare_rebalance(group, reason);
            }
            // The leader may have been told the old id and assign to it: the new one would get nothing.
            State::CompletingRebalance => {
                let reason = format!(
                    "Updating metadata for static member {new} with instance id {instance}; client reason: {reason}"
                );
                self.prepare_rebalance(group, reason);
            }
            _ => self.complete_join_if_all_joined(group),
        }
        Joined::Parked
    }
}
