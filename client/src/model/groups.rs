//! What the model does with groups: the classic protocol, one coordinator (broker 1), everyone answered once all have come.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_protocol::{
    ErrorCode, NodeId, Request, Response,
    messages::{
        FindCoordinatorResponse, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse, find_coordinator_response::Coordinator,
        join_group_response::JoinGroupResponseMember, leave_group_response::MemberResponse,
    },
};
use tokio::time::{Duration, Instant};

use super::{State, described::new_groups, transport::Ticket};

/// A group.
#[derive(Debug, Default)]
pub(super) struct GroupState {
    generation: i32,
    pub(super) phase: Phase,
    pub(super) protocol_type: String,
    protocol: String,
    leader: String,
    /// When those who have not come are out.
    deadline: Option<Instant>,
    pub(super) members: BTreeMap<String, Member>,
    /// By topic and partition: offset, leader epoch, metadata.
    pub(super) offsets: BTreeMap<(String, i32), (i64, i32, String)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Empty,
    Joining,
    Syncing,
    Stable,
}

#[derive(Debug)]
pub(super) struct Member {
    instance_id: Option<String>,
    protocols: Vec<(String, Bytes)>,
    joined: bool,
    assignment: Option<Bytes>,
    rebalance_timeout: Duration,
    session_timeout: Duration,
    last_seen: Instant,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            instance_id: None,
            protocols: Vec::new(),
            joined: false,
            assignment: None,
            rebalance_timeout: Duration::ZERO,
            session_timeout: Duration::from_secs(3600),
            last_seen: Instant::now(),
        }
    }
}

impl GroupState {
    fn rebalance(&mut self) {
        // Who waits already need not come again.
        if self.phase == Phase::Joining {
            return;
        }
        self.phase = Phase::Joining;
        let latest = self.members.values().map(|member| member.rebalance_timeout).max();
        self.deadline = Some(Instant::now() + latest.unwrap_or(Duration::from_secs(60)));
        for member in self.members.values_mut() {
            member.joined = false;
            member.assignment = None;
        }
    }

    /// Ends the joining if all have come, or those who have not are late.
    fn complete_join(&mut self) {
        if self.phase != Phase::Joining {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.members.retain(|_, member| member.joined);
            if self.members.is_empty() {
                self.phase = Phase::Empty;
            }
        }
        if self.members.is_empty() || self.members.values().any(|member| !member.joined) {
            return;
        }
        self.generation += 1;
        self.phase = Phase::Syncing;
        self.members
            .values_mut()
            .for_each(|member| member.last_seen = Instant::now());
        let first = self.members.values().next().expect("there is one");
        let common = first.protocols.iter().find(|(name, _)| {
            self.members
                .values()
                .all(|member| member.protocols.iter().any(|(other, _)| other == name))
        });
        self.protocol = common.expect("the members have a protocol in common").0.clone();
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().expect("there is one").clone();
        }
    }

    /// Ends the sessions of those who have not been heard of.
    fn expire(&mut self) {
        if self.phase == Phase::Joining {
            return;
        }
        let before = self.members.len();
        self.members
            .retain(|_, member| member.last_seen.elapsed() <= member.session_timeout);
        if self.members.len() != before {
            self.rebalance();
        }
    }

    fn heard(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.last_seen = Instant::now();
        }
    }

    pub(super) fn check(&self, member_id: &str, instance_id: Option<&str>, generation: i32) -> ErrorCode {
        if let Some(instance_id) = instance_id {
            let owner = self
                .members
                .iter()
                .find(|(_, member)| member.instance_id.as_deref() == Some(instance_id));
            if owner.is_some_and(|(id, _)| id != member_id) {
                return ErrorCode::FencedInstanceId;
            }
        }
        if !self.members.contains_key(member_id) {
            ErrorCode::UnknownMemberId
        } else if generation != self.generation {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::None
        }
    }
}

impl State {
    /// Ends a member's session, as a coordinator does that hears no heartbeats.
    pub(crate) fn expire_member(&mut self, group: &str, member_id: &str) {
        let group = self.groups.get_mut(group).expect("the group exists");
        group.members.remove(member_id);
        group.rebalance();
    }

    /// Has the group begin a rebalance.
    pub(crate) fn rebalance(&mut self, group: &str) {
        self.groups.get_mut(group).expect("the group exists").rebalance();
    }

    pub(crate) fn member_ids(&self, group: &str) -> Vec<String> {
        self.groups
            .get(group)
            .map(|group| group.members.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.groups
            .get(group)?
            .offsets
            .get(&(topic.to_owned(), partition))
            .map(|(offset, _, _)| *offset)
    }

    pub(crate) fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64) {
        let offsets = &mut self.groups.entry(group.to_owned()).or_default().offsets;
        offsets.insert((topic.to_owned(), partition), (offset, -1, String::new()));
    }

    pub(super) fn group_request(
        &mut self,
        _: NodeId,
        request: &Request,
        refuse: Option<ErrorCode>,
    ) -> Ticket {
        let answer = |response: Response| Ticket::Answer(Box::new(response));
        self.groups.values_mut().for_each(GroupState::expire);
        match request {
            Request::FindCoordinator(request) => {
                let keys = request.coordinator_keys.iter().map(|key| Coordinator {
                    key: key.clone(),
                    node_id: 1,
                    host: "broker1".into(),
                    port: 9092,
                    error_code: refuse.map_or(0, ErrorCode::to_i16),
                    ..Default::default()
                });
                let coordinators: Vec<_> = keys.collect();
                answer(if coordinators.is_empty() {
                    let (host, port) = ("broker1".into(), 9092);
                    FindCoordinatorResponse {
                        node_id: 1,
                        host,
                        port,
                        ..Default::default()
                    }
                    .into()
                } else {
                    FindCoordinatorResponse {
                        coordinators,
                        ..Default::default()
                    }
                    .into()
                })
            }
            Request::JoinGroup(request) => self.join(request, refuse),
            Request::SyncGroup(request) => self.sync(request, refuse),
            Request::Heartbeat(request) => {
                let instance_id = request.group_instance_id.as_deref();
                let group = self.groups.entry(request.group_id.to_string()).or_default();
                group.heard(&request.member_id);
                let mut code = group.check(&request.member_id, instance_id, request.generation_id);
                if code == ErrorCode::None && group.phase == Phase::Joining {
                    code = ErrorCode::RebalanceInProgress;
                }
                let error_code = refuse.unwrap_or(code).to_i16();
                answer(
                    HeartbeatResponse {
                        error_code,
                        ..Default::default()
                    }
                    .into(),
                )
            }
            Request::LeaveGroup(request) => answer(self.leave(request).into()),
            Request::OffsetCommit(request) => answer(self.offset_commit(request, refuse).into()),
            Request::OffsetFetch(request) => answer(self.offset_fetch(request, refuse).into()),
            Request::ConsumerGroupDescribe(request) => answer(new_groups(request).into()),
            Request::DescribeGroups(request) => answer(self.describe_groups(request).into()),
            other => panic!("the model does not know {}", other.api_key().name()),
        }
    }

    fn join(&mut self, request: &JoinGroupRequest, refuse: Option<ErrorCode>) -> Ticket {
        let refused = |code: ErrorCode, member_id: &str| {
            Ticket::Answer(Box::new(
                JoinGroupResponse {
                    error_code: code.to_i16(),
                    member_id: member_id.into(),
                    protocol_name: Some("".into()),
                    ..Default::default()
                }
                .into(),
            ))
        };
        if let Some(code) = refuse {
            return refused(code, &request.member_id);
        }
        self.next_member += 1;
        let fresh = format!("member-{}", self.next_member);
        let group = self.groups.entry(request.group_id.to_string()).or_default();
        let instance_id = request.group_instance_id.as_ref().map(ToString::to_string);
        let mut member_id = request.member_id.to_string();
        if member_id.is_empty() {
            match &instance_id {
                None => {
                    group.members.insert(
                        fresh.clone(),
                        Member {
                            joined: true,
                            ..Member::default()
                        },
                    );
                    group.members.remove(&fresh);
                    return refused(ErrorCode::MemberIdRequired, &fresh);
                }
                Some(instance_id) => {
                    // The place of the one who had the instance id before, who is fenced by this.
                    group
                        .members
                        .retain(|_, member| member.instance_id.as_ref() != Some(instance_id));
                    member_id = fresh;
                }
            }
        } else if !group.members.contains_key(&member_id) && !member_id.starts_with("member-") {
            return refused(ErrorCode::UnknownMemberId, &member_id);
        }
        if group.phase != Phase::Joining {
            group.rebalance();
        }
        group.protocol_type = request.protocol_type.to_string();
        let timeout = Duration::from_millis(request.rebalance_timeout_ms.try_into().unwrap_or(0));
        let member = group.members.entry(member_id.clone()).or_default();
        member.instance_id = instance_id;
        member.protocols = request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata.clone()))
            .collect();
        member.joined = true;
        member.rebalance_timeout = timeout;
        member.session_timeout = Duration::from_millis(request.session_timeout_ms.try_into().unwrap_or(0));
        let until = group.deadline.expect("a rebalance is under way");
        self.joining.insert(request.clone_key(), member_id);
        Ticket::Wait { until }
    }

    fn sync(&mut self, request: &SyncGroupRequest, refuse: Option<ErrorCode>) -> Ticket {
        let answer = |code: ErrorCode, assignment: Bytes| {
            let error_code = code.to_i16();
            Ticket::Answer(Box::new(
                SyncGroupResponse {
                    error_code,
                    assignment,
                    ..Default::default()
                }
                .into(),
            ))
        };
        let group = self.groups.entry(request.group_id.to_string()).or_default();
        let instance_id = request.group_instance_id.as_deref();
        let code =
            refuse.unwrap_or_else(|| group.check(&request.member_id, instance_id, request.generation_id));
        if code != ErrorCode::None {
            return answer(code, Bytes::new());
        }
        if group.phase == Phase::Joining {
            return answer(ErrorCode::RebalanceInProgress, Bytes::new());
        }
        if group.leader == *request.member_id {
            for member in group.members.values_mut() {
                member.assignment.get_or_insert_default();
            }
            for assigned in &request.assignments {
                if let Some(member) = group.members.get_mut(&*assigned.member_id) {
                    member.assignment = Some(assigned.assignment.clone());
                }
            }
            group.phase = Phase::Stable;
        }
        Ticket::Wait {
            until: Instant::now() + Duration::from_secs(3600),
        }
    }

    /// The answer to a request that waits, once there is one.
    pub(super) fn group_response(&mut self, request: &Request) -> Option<Response> {
        match request {
            Request::JoinGroup(request) => {
                let member_id = self.joining.get(&request.clone_key())?.clone();
                let group = self.groups.get_mut(&*request.group_id)?;
                group.complete_join();
                if group.phase == Phase::Joining {
                    return None;
                }
                Some(group.joined(&member_id).into())
            }
            Request::SyncGroup(request) => {
                let group = self.groups.get_mut(&*request.group_id)?;
                let instance_id = request.group_instance_id.as_deref();
                let code = match group.check(&request.member_id, instance_id, request.generation_id) {
                    ErrorCode::None if group.phase == Phase::Joining => ErrorCode::RebalanceInProgress,
                    code => code,
                };
                let assignment = group
                    .members
                    .get(&*request.member_id)
                    .and_then(|member| member.assignment.clone());
                if code == ErrorCode::None && assignment.is_none() {
                    return None;
                }
                let assignment = assignment.unwrap_or_default();
                Some(
                    SyncGroupResponse {
                        error_code: code.to_i16(),
                        assignment,
                        ..Default::default()
                    }
                    .into(),
                )
            }
            other => panic!("nobody waits for {}", other.api_key().name()),
        }
    }

    fn leave(&mut self, request: &LeaveGroupRequest) -> LeaveGroupResponse {
        let group = self.groups.entry(request.group_id.to_string()).or_default();
        let ids: Vec<String> = if request.members.is_empty() {
            vec![request.member_id.to_string()]
        } else {
            request
                .members
                .iter()
                .map(|member| member.member_id.to_string())
                .collect()
        };
        let mut members = Vec::new();
        for id in ids {
            let known = group.members.remove(&id).is_some();
            let error_code = if known {
                ErrorCode::None
            } else {
                ErrorCode::UnknownMemberId
            }
            .to_i16();
            members.push(MemberResponse {
                member_id: id.into(),
                error_code,
                ..Default::default()
            });
        }
        group.rebalance();
        if request.members.is_empty() {
            members.clear();
        }
        LeaveGroupResponse {
            members,
            ..Default::default()
        }
    }
}

impl GroupState {
    fn joined(&self, member_id: &str) -> JoinGroupResponse {
        let members = self.members.iter().map(|(id, member)| JoinGroupResponseMember {
            member_id: id.into(),
            group_instance_id: member.instance_id.as_ref().map(Into::into),
            metadata: member
                .protocols
                .iter()
                .find(|(name, _)| *name == self.protocol)
                .map(|(_, metadata)| metadata.clone())
                .unwrap_or_default(),
            ..Default::default()
        });
        let members = if member_id == self.leader {
            members.collect()
        } else {
            Vec::new()
        };
        let known = self.members.contains_key(member_id);
        JoinGroupResponse {
            error_code: if known {
                0
            } else {
                ErrorCode::UnknownMemberId.to_i16()
            },
            generation_id: self.generation,
            protocol_type: Some(self.protocol_type.as_str().into()),
            protocol_name: Some(self.protocol.as_str().into()),
            leader: self.leader.as_str().into(),
            member_id: member_id.into(),
            members,
            ..Default::default()
        }
    }
}

/// What tells a waiting join from another.
pub(super) trait JoinKey {
    fn clone_key(&self) -> (String, String, Option<String>);
}

impl JoinKey for JoinGroupRequest {
    fn clone_key(&self) -> (String, String, Option<String>) {
        let instance_id = self.group_instance_id.as_ref().map(ToString::to_string);
        (self.group_id.to_string(), self.member_id.to_string(), instance_id)
    }
}
