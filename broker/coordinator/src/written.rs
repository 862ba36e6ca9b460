//! What becomes of a group when its metadata is committed, and when it could not be written: the callbacks of Kafka's append futures.

use forebay_protocol::messages::JoinGroupResponse;
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::classic::{ClassicGroup, ParkedJoin, State};
use crate::command::append_error;
use crate::rebalance::join_response;
use crate::turn::{Replacement, Then, Turn};

/// Since this version of JoinGroup a leader can be told not to assign anything (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

impl Turn<'_> {
    /// The metadata of `group` is committed.
    pub(crate) fn written(&mut self, group: &mut ClassicGroup, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Assign {
                generation,
                assignments,
            } => {
                // Meanwhile someone may have joined: then these assignments are of the past.
                if group.state() == State::CompletingRebalance && group.generation() == generation {
                    group.assign(&assignments);
                    self.propagate_assignments(group);
                    group.transition_to(State::Stable, self.now.timestamp);
                }
            }
            Then::Replace(replacement) => self.replaced(group, &replacement),
        }
    }

    /// The metadata of `group` was not written.
    pub(crate) fn not_written(&mut self, group: &mut ClassicGroup, then: Then, error: ErrorCode) {
        match then {
            // If the broker fails now, the generation before this empty one comes back, with members that are gone: their sessions will expire.
            Then::Nothing => {}
            Then::Assign { generation, .. } => {
                if group.state() == State::CompletingRebalance && group.generation() == generation {
                    let error = append_error(error);
                    self.reset_assignments(group, error);
                    let leader = group.leader().cloned().unwrap_or_default();
                    let reason = format!(
                        "Error {} when storing group assignment during SyncGroup (member: {leader}).",
                        error.name()
                    );
                    self.prepare_rebalance_or_complete_join(group, reason);
                }
            }
            Then::Replace(replacement) => self.not_replaced(group, &replacement, error),
        }
    }

    /// Whoever waits to take a static member's place waits in vain.
    pub(crate) fn give_up_waiting(&mut self, group: &mut ClassicGroup, replacement: &Replacement) {
        if let Some(join) = parked(group, replacement) {
            group.take_join(&replacement.new);
            self.extend_session(group, &replacement.new);
            self.refuse_replacement(group, replacement, join, ErrorCode::RequestTimedOut);
        }
    }

    /// A static member has come back: it is told its id and, unless a rebalance began meanwhile, that nothing else has changed.
    fn replaced(&mut self, group: &mut ClassicGroup, replacement: &Replacement) {
        if group.state() != State::Stable {
            return;
        }
        if let Some(join) = parked(group, replacement) {
            group.take_join(&replacement.new);
            // While it waited its session may have passed unnoticed.
            self.extend_session(group, &replacement.new);
            let mut response = join_response(group, &replacement.new);
            if join.api_version >= SKIP_ASSIGNMENT_VERSION {
                response.skip_assignment = group.is_leader(&replacement.new);
            } else {
                // Were it told that it leads, it would assign, and nobody would listen: the group is stable.
                response.leader = replacement.old_leader.clone();
                response.members = Vec::new();
            }
            self.answer_join(join, response);
        }
    }

    /// The successor of a static member is known to nobody: the place is the old id's again. If a rebalance has told it its new id
    /// meanwhile, it is a member like any other and stays.
    fn not_replaced(&mut self, group: &mut ClassicGroup, replacement: &Replacement, error: ErrorCode) {
        let join = parked(group, replacement);
        let is_current = group.member_of_instance(&replacement.instance) == Some(&replacement.new);
        if is_current && (join.is_some() || replacement.given_up) {
            group.take_join(&replacement.new);
            let Replacement {
                old,
                new,
                old_protocols,
                old_timeouts_ms,
                ..
            } = &replacement;
            group.update_member(new, old_protocols.clone(), *old_timeouts_ms, None);
            group.rename_static_member(new, old);
            self.timers.cancel_session(group.id(), new);
            self.extend_session(group, old);
        }
        if let Some(join) = join {
            self.refuse_replacement(group, replacement, join, error);
        }
    }

    fn refuse_replacement(
        &mut self,
        group: &ClassicGroup,
        replacement: &Replacement,
        join: ParkedJoin,
        error: ErrorCode,
    ) {
        let response = JoinGroupResponse {
            error_code: append_error(error).to_i16(),
            generation_id: group.generation(),
            protocol_type: group.protocol_type().cloned(),
            protocol_name: group.protocol().cloned(),
            leader: replacement.old_leader.clone(),
            member_id: Utf8Bytes::default(),
            ..Default::default()
        };
        self.answer_join(join, response);
    }
}

/// The JoinGroup of the successor, if it still waits for this replacement.
fn parked(group: &ClassicGroup, replacement: &Replacement) -> Option<ParkedJoin> {
    group
        .member(&replacement.new)?
        .awaiting_join
        .filter(|join| join.request == replacement.request)
}
