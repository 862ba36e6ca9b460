//! How a classic group goes from one generation to the next (the rebalance part of Kafka's `GroupMetadataManager`): prepare, wait for
//! members, begin the generation, wait for their SyncGroups; and what a timer that fires in between does.

use std::time::Duration;

use forebay_protocol::messages::join_group_response::JoinGroupResponseMember;
use forebay_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::Event;
use crate::classic::{ClassicGroup, State};
use crate::timers::{InitialDelay, Timer};
use crate::turn::{Then, Turn};

/// How long to wait at least before looking again whether anybody has joined at all. Kafka waits the rebalance timeout, which members
/// may set to nothing: then it spins.
const JOIN_RETRY_MIN: Duration = Duration::from_millis(100);

impl Turn<'_> {
    /// Begins a rebalance if the state allows it, otherwise ends the running one if nobody is missing any more.
    pub(crate) fn prepare_rebalance_or_complete_join(&mut self, group: &mut ClassicGroup, reason: String) {
        if State::PreparingRebalance.may_follow(group.state()) {
            self.prepare_rebalance(group, reason);
        } else {
            self.complete_join_if_all_joined(group);
        }
    }

    /// Begins a rebalance: members that wait for an assignment are sent back to join.
    pub(crate) fn prepare_rebalance(&mut self, group: &mut ClassicGroup, reason: String) {
        if group.state() == State::CompletingRebalance {
            self.reset_assignments(group, ErrorCode::RebalanceInProgress);
        }
        group.clear_pending_sync();
        self.timers.cancel_sync(group.id());

        let is_first = group.state() == State::Empty;
        group.transition_to(State::PreparingRebalance, self.now.timestamp);
        self.events.push(Event::PreparingRebalance {
            group: group.id().clone(),
            generation: group.generation(),
            reason,
        });
        if is_first {
            let delay = self.config.initial_rebalance_delay;
            let remaining = group.rebalance_timeout().saturating_sub(delay);
            self.schedule_join(group, delay, Some(InitialDelay { delay, remaining }));
        } else if group.has_all_members_joined() {
            self.complete_join(group);
        } else {
            self.schedule_join(group, group.rebalance_timeout(), None);
        }
    }

    /// Ends the join phase if everyone has joined. The first rebalance of a group waits for its delay even then.
    pub(crate) fn complete_join_if_all_joined(&mut self, group: &mut ClassicGroup) {
        if group.state() == State::PreparingRebalance
            && group.previous_state() != State::Empty
            && group.has_all_members_joined()
        {
            self.complete_join(group);
        }
    }

    /// The initial delay is over: if members came meanwhile it begins again, as far as the rebalance timeout goes.
    pub(crate) fn initial_delay_over(&mut self, group: &mut ClassicGroup, initial: InitialDelay) {
        if !group.new_member_added || initial.remaining.is_zero() {
            self.complete_join(group);
            return;
        }
        group.new_member_added = false;
        let delay = self.config.initial_rebalance_delay.min(initial.remaining);
        let remaining = initial.remaining.saturating_sub(initial.delay);
        self.schedule_join(group, delay, Some(InitialDelay { delay, remaining }));
    }

    /// Ends the join phase: dynamic members that have not joined are out, and the next generation begins with those that are left.
    pub(crate) fn complete_join(&mut self, group: &mut ClassicGroup) {
        self.timers.cancel_join(group.id());
        let late: Vec<Utf8Bytes> = group
            .members()
            .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for member in &late {
            self.remove_member(group, member);
        }
        if !late.is_empty() {
            let reason = "they have not joined in time".to_owned();
            self.events.push(Event::MembersRemoved {
                group: group.id().clone(),
                members: late,
                reason,
            });
        }
        if !group.elect_joined_leader() && group.members().len() > 0 {
            // Only static members are left and none has joined: until one does, or their sessions expire.
            self.schedule_join(group, group.rebalance_timeout().max(JOIN_RETRY_MIN), None);
            return;
        }
        group.begin_next_generation(self.now.timestamp);
        if group.state() == State::Empty {
            self.events.push(Event::Empty {
                group: group.id().clone(),
                generation: group.generation(),
            });
            self.write_group(group, None, Then::Nothing);
        } else {
            self.begin_sync_phase(group);
        }
    }

    fn begin_sync_phase(&mut self, group: &mut ClassicGroup) {
        self.events.push(Event::Stabilized {
            group: group.id().clone(),
            generation: group.generation(),
            members: group.members().len(),
        });
        for member in group.member_ids() {
            if let Some(join) = group.take_join(&member) {
                let response = join_response(group, &member);
                self.answer_join(join, response);
            }
            group.expect_sync_of(&member);
            self.extend_session(group, &member);
        }
        self.schedule_sync(group);
    }

    /// The sync phase is over: who has not sent SyncGroup is out.
    pub(crate) fn sync_phase_over(&mut self, group: &mut ClassicGroup, generation: i32) {
        let in_sync_phase = matches!(group.state(), State::CompletingRebalance | State::Stable);
        if generation != group.generation() || !in_sync_phase || group.pending_sync().is_empty() {
            return;
        }
        let late: Vec<Utf8Bytes> = group.pending_sync().iter().cloned().collect();
        for member in &late {
            self.remove_member(group, member);
        }
        let names = late.iter().map(|member| &**member).collect::<Vec<_>>().join(", ");
        let reason = "they have not sent SyncGroup in time".to_owned();
        self.events.push(Event::MembersRemoved {
            group: group.id().clone(),
            members: late,
            reason,
        });
        self.prepare_rebalance(
            group,
            format!("Removing [{names}] on pending sync request expiration"),
        );
    }

    /// A session is over: the member is out, unless it is we who let it wait; so is an id that nobody has come back with.
    pub(crate) fn session_over(&mut self, group: &mut ClassicGroup, member: &Utf8Bytes) {
        if group.pending_members().contains(member) {
            group.remove(member);
            if group.state() == State::PreparingRebalance && group.has_all_members_joined() {
                self.complete_join(group);
            }
            return;
        }
        if group
            .member(member)
            .is_none_or(crate::classic::Member::has_satisfied_heartbeat)
        {
            return;
        }
        self.remove_member(group, member);
        let reason = "its session has expired".to_owned();
        self.events.push(Event::MembersRemoved {
            group: group.id().clone(),
            members: vec![member.clone()],
            reason,
        });
        match group.state() {
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance(
                    group,
                    format!("removing member {member} on heartbeat expiration."),
                );
            }
            State::PreparingRebalance if group.has_all_members_joined() => self.complete_join(group),
            _ => {}
        }
    }

    /// Nobody has an assignment; those that wait for one get `error`.
    pub(crate) fn reset_assignments(&mut self, group: &mut ClassicGroup, error: ErrorCode) {
        group.assign(&std::collections::BTreeMap::new());
        for member in group.member_ids() {
            if let Some(sync) = group.take_sync(&member) {
                self.refuse_sync(sync, error);
                self.extend_session(group, &member);
            }
        }
    }

    /// Those that wait for an assignment get it. Their sessions begin anew: while they waited nobody counted.
    pub(crate) fn propagate_assignments(&mut self, group: &mut ClassicGroup) {
        for member in group.member_ids() {
            if let Some(sync) = group.take_sync(&member) {
                let response = sync_response(group, &member);
                self.answer_sync(sync, response);
                self.extend_session(group, &member);
            }
        }
    }

    /// A group that was about to go stays: its members have sessions again, and what it waits for has an end.
    pub(crate) fn rearm(&mut self, group: &mut ClassicGroup) {
        for member in group.member_ids() {
            self.extend_session(group, &member);
        }
        if group.state() == State::PreparingRebalance {
            self.schedule_join(group, group.rebalance_timeout().max(JOIN_RETRY_MIN), None);
        }
        if !group.pending_sync().is_empty() {
            self.schedule_sync(group);
        }
    }

    fn schedule_sync(&mut self, group: &ClassicGroup) {
        let timer = Timer::Sync {
            group: group.id().clone(),
            generation: group.generation(),
        };
        self.timers
            .schedule(timer, self.now.elapsed.saturating_add(group.rebalance_timeout()));
    }

    fn schedule_join(&mut self, group: &ClassicGroup, delay: Duration, initial: Option<InitialDelay>) {
        let timer = Timer::Join {
            group: group.id().clone(),
            initial,
        };
        self.timers
            .schedule(timer, self.now.elapsed.saturating_add(delay));
    }
}

/// What a member of the current generation is told; the leader is told who the members are.
pub(crate) fn join_response(group: &ClassicGroup, member: &Utf8Bytes) -> JoinGroupResponse {
    let members = if group.is_leader(member) {
        members_for_leader(group)
    } else {
        Vec::new()
    };
    JoinGroupResponse {
        generation_id: group.generation(),
        protocol_type: group.protocol_type().cloned(),
        protocol_name: group.protocol().cloned(),
        leader: group.leader().cloned().unwrap_or_default(),
        member_id: member.clone(),
        members,
        ..Default::default()
    }
}

fn members_for_leader(group: &ClassicGroup) -> Vec<JoinGroupResponseMember> {
    let members = group.members().map(|member| JoinGroupResponseMember {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        metadata: group.subscription(member),
        ..Default::default()
    });
    members.collect()
}

/// What a member is told when it asks for its assignment.
pub(crate) fn sync_response(group: &ClassicGroup, member: &Utf8Bytes) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: group.protocol_type().cloned(),
        protocol_name: group.protocol().cloned(),
        assignment: group
            .member(member)
            .map(|member| member.assignment.clone())
            .unwrap_or_default(),
        ..Default::default()
    }
}
