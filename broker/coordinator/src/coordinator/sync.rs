//! SyncGroup: members ask for their assignment, the leader brings it (Kafka's `classicGroupSync`).

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_protocol::messages::SyncGroupRequest;
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Asker, GroupCoordinator, answer};
use crate::classic::{ClassicGroup, State};
use crate::rebalance::sync_response;
use crate::turn::{Then, Turn};
use crate::{Now, Outcome, RequestId, Response};

/// Since this version members have to say which protocol they believe the group to have (KIP-559).
const PROTOCOL_REQUIRED_VERSION: i16 = 5;

/// Whether a request says as much about the protocol as its version asks for.
pub(super) fn names_protocol(asker: Asker, request: &SyncGroupRequest) -> bool {
    let names = request.protocol_type.is_some() && request.protocol_name.is_some();
    names || asker.api_version < PROTOCOL_REQUIRED_VERSION
}

impl GroupCoordinator {
    pub(super) fn sync(&mut self, asker: Asker, request: SyncGroupRequest, now: Now, outcome: &mut Outcome) {
        let error = if !names_protocol(asker, &request) {
            Some(ErrorCode::InconsistentGroupProtocol)
        } else {
            let group_id = request.group_id.clone();
            self.decide(&group_id, now, outcome, |turn, group| {
                turn.sync(group, asker.request, request)
            })
            .map_or(Some(ErrorCode::UnknownMemberId), Result::err)
        };
        if let Some(error) = error {
            let response = forebay_protocol::messages::SyncGroupResponse {
                error_code: error.to_i16(),
                ..Default::default()
            };
            answer(asker, Response::SyncGroup(response), outcome);
        }
    }
}

impl Turn<'_> {
    fn sync(
        &mut self,
        group: &mut ClassicGroup,
        id: RequestId,
        request: SyncGroupRequest,
    ) -> Result<(), ErrorCode> {
        if group.state() == State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        validate(group, &request)?;
        let member = request.member_id.detach();
        match group.state() {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                if let Some(replaced) = group.park_sync(&member, id) {
                    // Its client has given it up, or is in error.
                    self.refuse_sync(replaced, ErrorCode::RebalanceInProgress);
                }
                self.heard_sync_of(group, &member);
                // What a leader that has lost patience sends again is not written again: were it another assignment, the log and the
                // members would disagree.
                if group.is_leader(&member) && group.accept_assignment() {
                    self.assign(group, request);
                }
                Ok(())
            }
            State::Stable => {
                self.heard_sync_of(group, &member);
                let response = sync_response(group, &member);
                self.answer_sync(id, response);
                Ok(())
            }
            State::Empty | State::Dead => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    fn heard_sync_of(&mut self, group: &mut ClassicGroup, member: &Utf8Bytes) {
        if group.has_synced(member) {
            self.timers.cancel_sync(group.id());
        }
    }

    /// The leader's assignment is written; when it is committed the members get it.
    fn assign(&mut self, group: &ClassicGroup, request: SyncGroupRequest) {
        let mut assignments: BTreeMap<Utf8Bytes, Bytes> = BTreeMap::new();
        for assignment in request.assignments {
            if group.member(&assignment.member_id).is_some() {
                let bytes = Bytes::copy_from_slice(&assignment.assignment);
                assignments.insert(assignment.member_id.detach(), bytes);
            }
        }
        let then = Then::Assign {
            generation: group.generation(),
            assignments: assignments.clone(),
        };
        self.write_group(group, Some(&assignments), then);
    }
}

fn validate(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
    if request.generation_id != group.generation() {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs =
        |said: Option<&Utf8Bytes>, is: Option<&Utf8Bytes>| said.is_some() && is.is_some() && said != is;
    if differs(request.protocol_type.as_ref(), group.protocol_type())
        || differs(request.protocol_name.as_ref(), group.protocol())
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}
