//! Heartbeat: a member is still there, and hears whether to join again (Kafka's `classicGroupHeartbeat`).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Asker, GroupCoordinator};
use crate::classic::{ClassicGroup, State};
use crate::turn::Turn;
use crate::{Now, Outcome, Response};

impl GroupCoordinator {
    pub(super) fn heartbeat(
        &mut self,
        asker: Asker,
        request: &HeartbeatRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let error = self
            .decide(&request.group_id, now, outcome, |turn, group| {
                turn.heartbeat(group, request)
            })
            .unwrap_or(ErrorCode::UnknownMemberId);
        let response = HeartbeatResponse {
            error_code: error.to_i16(),
            ..Default::default()
        };
        self.answer_after(None, (asker, Response::Heartbeat(response)), now, outcome);
    }
}

impl Turn<'_> {
    fn heartbeat(&mut self, group: &ClassicGroup, request: &HeartbeatRequest) -> ErrorCode {
        if let Err(error) = group.validate_member(&request.member_id, request.group_instance_id.as_ref()) {
            return error;
        }
        if request.generation_id != group.generation() {
            return ErrorCode::IllegalGeneration;
        }
        match group.state() {
            State::PreparingRebalance => {
                self.extend_session(group, &request.member_id);
                ErrorCode::RebalanceInProgress
            }
            // Members may heartbeat between JoinGroup and SyncGroup.
            State::CompletingRebalance | State::Stable => {
                self.extend_session(group, &request.member_id);
                ErrorCode::None
            }
            State::Empty | State::Dead => ErrorCode::UnknownMemberId,
        }
    }
}
