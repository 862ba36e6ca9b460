//! LeaveGroup: members go, or an administrator removes static ones (Kafka's `classicGroupLeave`; KIP-345, 800).

use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::leave_group_response::MemberResponse;
use forebay_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, State};
use crate::command::left;
use crate::turn::Turn;
use crate::{Event, Now, Outcome, Response};

/// Since this version a request names several members (KIP-345).
const BATCH_VERSION: i16 = 3;

impl GroupCoordinator {
    pub(super) fn leave(
        &mut self,
        asker: Asker,
        request: &LeaveGroupRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let members = who_leaves(asker, request);
        let step = self.decide_and_write(&request.group_id, now, outcome, |turn, group| {
            turn.leave(group, &members)
        });
        let (responses, append) = step.unwrap_or_else(|| {
            (
                members
                    .iter()
                    .map(|member| response(member, ErrorCode::UnknownMemberId))
                    .collect(),
                None,
            )
        });
        let response = left(
            LeaveGroupResponse {
                members: responses,
                ..Default::default()
            },
            asker.api_version,
        );
        self.answer_after(append, (asker, Response::LeaveGroup(response)), now, outcome);
    }
}

/// The members that a request names.
pub(super) fn who_leaves(asker: Asker, request: &LeaveGroupRequest) -> Vec<MemberIdentity> {
    if asker.api_version >= BATCH_VERSION {
        request.members.clone()
    } else {
        vec![MemberIdentity {
            member_id: request.member_id.clone(),
            ..Default::default()
        }]
    }
}

pub(super) fn response(member: &MemberIdentity, error: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: error.to_i16(),
        ..Default::default()
    }
}

impl Turn<'_> {
    fn leave(&mut self, group: &mut ClassicGroup, leaving: &[MemberIdentity]) -> Vec<MemberResponse> {
        let mut gone = Vec::new();
        let responses = leaving.iter().map(|member| match self.leave_one(group, member) {
            Ok(()) => {
                gone.push(&*member.member_id);
                response(member, ErrorCode::None)
            }
            Err(error) => response(member, error),
        });
        let responses = responses.collect();
        if gone.is_empty() {
            return responses;
        }
        match group.state() {
            State::Stable | State::CompletingRebalance => {
                let reason = format!("explicit `LeaveGroup` request for ({}) members.", gone.join(", "));
                self.prepare_rebalance(group, reason);
            }
            State::PreparingRebalance => self.complete_join_if_all_joined(group),
            State::Empty | State::Dead => {}
        }
        responses
    }

    fn leave_one(&mut self, group: &mut ClassicGroup, leaving: &MemberIdentity) -> Result<(), ErrorCode> {
        let instance = leaving.group_instance_id.as_ref();
        let member = if leaving.member_id.is_empty() {
            // An administrator knows the instance, not the member id.
            let current = instance.and_then(|instance| group.member_of_instance(instance));
            current.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else if group.pending_members().contains(&leaving.member_id) {
            group.remove(&leaving.member_id);
            self.timers.cancel_session(group.id(), &leaving.member_id);
            return Ok(());
        } else {
            group.validate_member(&leaving.member_id, instance)?;
            leaving.member_id.clone()
        };
        self.remove_member(group, &member);
        let reason = leaving
            .reason
            .as_ref()
            .map_or("not provided", |reason: &Utf8Bytes| reason);
        let reason = format!("explicit `LeaveGroup` request; client reason: {reason}");
        self.events.push(Event::MembersRemoved {
            group: group.id().clone(),
            members: vec![member],
            reason,
        });
        Ok(())
    }
}
