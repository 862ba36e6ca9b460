//! Members of the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup say in their words what heartbeats of
//! the consumer protocol say in theirs (Kafka's `classicGroupJoinToConsumerGroup` and its siblings). A generation is a member's epoch.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::heartbeat::{reconcile, update_subscription};
use super::migrate::downgrade;
use super::{Deadline, fresh_member_id};
use crate::classic::{CONSUMER_PROTOCOL_TYPE, Protocol, milliseconds};
use crate::command::{joined, left};
use crate::config::MigrationPolicy;
use crate::consumer::{
    ClassicMetadata, ConsumerAssignment, ConsumerGroup, ConsumerSubscription, Member, MemberMetadata,
    MemberState, Work,
};
use crate::coordinator::join::MEMBER_ID_REQUIRED_VERSION;
use crate::coordinator::leave::{response, who_leaves};
use crate::coordinator::sync::names_protocol;
use crate::coordinator::{Asker, GroupCoordinator, answer};
use crate::timers::{Expiry, ExpiryKind};
use crate::{AppendId, Now, Outcome, RequestContext, Response};

impl GroupCoordinator {
    pub(in crate::coordinator) fn join_consumer_group(
        &mut self,
        asker: Asker,
        context: &RequestContext,
        (request, random): (&JoinGroupRequest, u128),
        now: Now,
        outcome: &mut Outcome,
    ) {
        let id = if request.member_id.is_empty() {
            fresh_member_id(random)
        } else {
            request.member_id.detach()
        };
        let joining = Joining { request, context, id };
        let decided = self
            .may_join(asker, &joining)
            .and_then(|()| self.join_as_classic_member(&joining, now, outcome));
        match decided {
            Ok((append, response)) => {
                let response = Response::JoinGroup(joined(response, asker.api_version));
                self.answer_after(append, (asker, response), now, outcome);
            }
            Err(error) => {
                let member_id = match error {
                    ErrorCode::MemberIdRequired => joining.id,
                    ErrorCode::GroupMaxSizeReached => Utf8Bytes::default(),
                    _ => request.member_id.clone(),
                };
                let response = JoinGroupResponse {
                    member_id,
                    error_code: error.to_i16(),
                    ..Default::default()
                };
                answer(
                    asker,
                    Response::JoinGroup(joined(response, asker.api_version)),
                    outcome,
                );
            }
        }
    }

    fn may_join(&self, asker: Asker, joining: &Joining<'_>) -> Result<(), ErrorCode> {
        let Joining { request, id, .. } = joining;
        let group = self
            .consumer_group(&request.group_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        if !self.allows_session_timeout(request.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if self.config.consumer.migration_policy == MigrationPolicy::Disabled {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if group.members().len() >= self.config.consumer.group_size_max && group.member(id).is_none() {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let protocols = request.protocols.iter().map(|protocol| protocol.name.clone());
        if !group.supports_classic(&request.protocol_type, protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let is_new_dynamic = request.member_id.is_empty() && request.group_instance_id.is_none();
        if is_new_dynamic && asker.api_version >= MEMBER_ID_REQUIRED_VERSION {
            return Err(ErrorCode::MemberIdRequired);
        }
        Ok(())
    }

    fn join_as_classic_member(
        &mut self,
        joining: &Joining<'_>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(Option<AppendId>, JoinGroupResponse), ErrorCode> {
        let Joining { request, id, .. } = joining;
        let image = Arc::clone(&self.image);
        let group = self
            .consumer_group(&request.group_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        let group_id = group.id().clone();
        let replaced = joining.find_member(group)?;
        let downgrades = replaced
            .as_ref()
            .is_some_and(|replaced| self.may_downgrade_by_replacing(group, replaced));
        let mut work = Work::on(group, &*image);
        if let Some(replaced) = &replaced {
            work.replace_member(replaced, id);
        }
        let protocol = request
            .protocols
            .first()
            .map(|protocol| protocol.name.detach())
            .unwrap_or_default();
        let metadata = request.protocols.first().map(|protocol| &protocol.metadata);
        let subscription = metadata.and_then(|metadata| ConsumerSubscription::decode(metadata).ok());
        let subscription = subscription.ok_or(ErrorCode::UnknownServerError)?;
        let before = work
            .member(id)
            .map(|member| Arc::clone(&member.metadata))
            .unwrap_or_default();
        let metadata = joining.metadata(&before, &subscription);
        let owned = subscription.owned(&*image);
        let config = &self.config.consumer;
        let changed =
            update_subscription(&mut work, id, (&before, metadata), None).map_err(|refusal| refusal.error)?;
        let is_stale = work.target_epoch().epoch < work.epoch();
        if !downgrades {
            work.assign(config, now);
        }
        if !downgrades || !is_stale {
            let next = reconcile(&work, id, Some(&owned), changed).map_err(|refusal| refusal.error)?;
            if let Some(current) = next {
                work.write_current(id, current);
            }
        }
        // Members that have not let go of what another is to have must do so before anybody has the targets.
        let target = work.target_epoch().epoch;
        let rebalances = is_stale || !work.members().all(|(_, member)| member.is_reconciled_to(target));
        let response = JoinGroupResponse {
            member_id: id.clone(),
            generation_id: work.member(id).map_or(0, Member::epoch),
            protocol_type: Some(Utf8Bytes::from_static(CONSUMER_PROTOCOL_TYPE)),
            protocol_name: Some(protocol),
            ..Default::default()
        };
        let append = if downgrades {
            let (classic, records) =
                downgrade(work, &BTreeSet::new(), now.timestamp).map_err(|refusal| refusal.error)?;
            let reason =
                format!("Downgrade group {group_id} from consumer to classic with stale assignment.");
            let append = self.become_classic(classic, &records, rebalances.then_some(reason), now, outcome);
            self.set_deadlines(
                &group_id,
                replaced.into_iter().map(Deadline::Forget).collect(),
                now,
            );
            append
        } else {
            let records = work.into_records();
            let deadlines = joining.deadlines(replaced);
            self.carry_out(&group_id, (&records, deadlines), now, outcome)
        };
        self.resolve_expressions(&group_id, now, outcome);
        Ok((append.map_err(|refusal| refusal.error)?, response))
    }

    /// Whether the group becomes a classic one when the last member of the consumer protocol comes back as one of the classic.
    fn may_downgrade_by_replacing(&self, group: &ConsumerGroup, replaced: &Utf8Bytes) -> bool {
        let speaks_classic = group.member(replaced).is_some_and(Member::uses_classic_protocol);
        let size = group.members().len();
        !speaks_classic
            && group.classic_members() == size - 1
            && self.config.consumer.migration_policy.allows_downgrade()
            && size <= self.config.group_size_max
    }

    pub(in crate::coordinator) fn sync_consumer_group(
        &mut self,
        asker: Asker,
        request: &SyncGroupRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let decided = if names_protocol(asker, request) {
            self.assignment_of_classic_member(request, now)
        } else {
            Err(ErrorCode::InconsistentGroupProtocol)
        };
        match decided {
            Ok(assignment) => {
                let response = SyncGroupResponse {
                    protocol_type: request.protocol_type.clone(),
                    protocol_name: request.protocol_name.clone(),
                    assignment,
                    ..Default::default()
                };
                self.answer_after(None, (asker, Response::SyncGroup(response)), now, outcome);
            }
            Err(error) => {
                let response = SyncGroupResponse {
                    error_code: error.to_i16(),
                    ..Default::default()
                };
                answer(asker, Response::SyncGroup(response), outcome);
            }
        }
    }

    fn assignment_of_classic_member(
        &mut self,
        request: &SyncGroupRequest,
        now: Now,
    ) -> Result<Bytes, ErrorCode> {
        let (id, member) = self.classic_member(
            &request.group_id,
            &request.member_id,
            request.group_instance_id.as_ref(),
        )?;
        if member.epoch() != request.generation_id {
            return Err(ErrorCode::IllegalGeneration);
        }
        let protocol = member
            .metadata
            .classic
            .as_ref()
            .and_then(|classic| classic.protocols.first());
        let says_otherwise =
            |said: Option<&Utf8Bytes>, is: Option<&str>| said.is_some_and(|said| Some(&**said) != is);
        if says_otherwise(request.protocol_type.as_ref(), Some(CONSUMER_PROTOCOL_TYPE))
            || says_otherwise(
                request.protocol_name.as_ref(),
                protocol.map(|protocol| &*protocol.name),
            )
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let target_epoch = self
            .consumer_group(&request.group_id)
            .map_or(0, |group| group.target_epoch().epoch);
        if target_epoch > member.epoch() && member.current.state != MemberState::UnrevokedPartitions {
            self.expect_rejoin(&request.group_id, &id, &member, now);
            return Err(ErrorCode::RebalanceInProgress);
        }
        let subscription =
            protocol.and_then(|protocol| ConsumerSubscription::decode(&protocol.metadata).ok());
        let version = subscription.ok_or(ErrorCode::UnknownServerError)?.version;
        let session = self.session_timeout(&request.group_id, &member);
        let deadlines = vec![
            Deadline::Cancel(id.clone(), ExpiryKind::Sync),
            Deadline::Session(id, session),
        ];
        self.set_deadlines(&request.group_id, deadlines, now);
        Ok(ConsumerAssignment::encode(
            version,
            &member.current.assigned.to_assignment(),
            &*self.image,
        ))
    }

    pub(in crate::coordinator) fn heartbeat_consumer_group(
        &mut self,
        asker: Asker,
        request: &HeartbeatRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let error = self
            .heartbeat_of_classic_member(request, now)
            .err()
            .unwrap_or(ErrorCode::None);
        let response = HeartbeatResponse {
            error_code: error.to_i16(),
            ..Default::default()
        };
        self.answer_after(None, (asker, Response::Heartbeat(response)), now, outcome);
    }

    /// It is to join again if there is a newer target, if it has to let go of partitions, or if it can get more of them.
    fn heartbeat_of_classic_member(&mut self, request: &HeartbeatRequest, now: Now) -> Result<(), ErrorCode> {
        let group_id = &request.group_id;
        let (id, member) =
            self.classic_member(group_id, &request.member_id, request.group_instance_id.as_ref())?;
        if member.epoch() != request.generation_id {
            return Err(ErrorCode::IllegalGeneration);
        }
        let session = self.session_timeout(group_id, &member);
        self.set_deadlines(group_id, vec![Deadline::Session(id.clone(), session)], now);
        let group = self.consumer_group(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let is_behind = member.epoch() < group.target_epoch().epoch;
        let has_news = match member.current.state {
            MemberState::UnrevokedPartitions => true,
            MemberState::UnreleasedPartitions => !group.waits_for_partitions(&id),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if is_behind || has_news {
            self.expect_rejoin(group_id, &id, &member, now);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    pub(in crate::coordinator) fn leave_consumer_group(
        &mut self,
        asker: Asker,
        request: &LeaveGroupRequest,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let Some(group) = self.consumer_group(&request.group_id) else {
            return;
        };
        let group_id = group.id().clone();
        let mut leaving = BTreeSet::new();
        let members = who_leaves(asker, request)
            .into_iter()
            .map(|member| match who_is(group, &member) {
                Ok(id) => {
                    leaving.insert(id);
                    response(&member, ErrorCode::None)
                }
                Err(error) => response(&member, error),
            });
        let mut answered = LeaveGroupResponse {
            members: members.collect(),
            ..Default::default()
        };
        let reason = "explicit `LeaveGroup` request";
        let append = self
            .fence_members(&group_id, &leaving, reason, now, outcome)
            .unwrap_or_else(|refusal| {
                answered.error_code = refusal.error.to_i16();
                answered.members.clear();
                None
            });
        let answered = left(answered, asker.api_version);
        self.answer_after(append, (asker, Response::LeaveGroup(answered)), now, outcome);
    }

    /// The member that a request of the classic protocol is of.
    fn classic_member(
        &self,
        group: &Utf8Bytes,
        member: &Utf8Bytes,
        instance: Option<&Utf8Bytes>,
    ) -> Result<(Utf8Bytes, Member), ErrorCode> {
        let group = self.consumer_group(group).ok_or(ErrorCode::UnknownMemberId)?;
        if let Some(instance) = instance {
            let current = group
                .member_of_instance(instance)
                .ok_or(ErrorCode::UnknownMemberId)?;
            if current != member {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let found = group.member(member).ok_or(ErrorCode::UnknownMemberId)?;
        if found.uses_classic_protocol() {
            Ok((member.detach(), found.clone()))
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// From the first time that a member is told to join again it has its rebalance timeout for that.
    fn expect_rejoin(&mut self, group: &Utf8Bytes, id: &Utf8Bytes, member: &Member, now: Now) {
        let deadline = Deadline::SetIfAbsent(id.clone(), Expiry::Join, member.rebalance_timeout());
        self.set_deadlines(group, vec![deadline], now);
    }
}

/// Who leaves: an administrator knows the instance, not the member id.
fn who_is(group: &ConsumerGroup, leaving: &MemberIdentity) -> Result<Utf8Bytes, ErrorCode> {
    let Some(instance) = &leaving.group_instance_id else {
        let known = group.member(&leaving.member_id);
        return known
            .map(|_| leaving.member_id.detach())
            .ok_or(ErrorCode::UnknownMemberId);
    };
    match group.member_of_instance(instance) {
        None => Err(ErrorCode::UnknownMemberId),
        Some(current) if !leaving.member_id.is_empty() && *current != leaving.member_id => {
            Err(ErrorCode::FencedInstanceId)
        }
        Some(current) => Ok(current.clone()),
    }
}

/// A JoinGroup to a consumer group.
struct Joining<'a> {
    request: &'a JoinGroupRequest,
    context: &'a RequestContext,
    id: Utf8Bytes,
}

impl Joining<'_> {
    /// Whether the member may be who it says; gives the id of the static member whose place it takes.
    fn find_member(&self, group: &ConsumerGroup) -> Result<Option<Utf8Bytes>, ErrorCode> {
        let Some(instance) = &self.request.group_instance_id else {
            return Ok(None);
        };
        match group.member_of_instance(instance) {
            current if self.request.member_id.is_empty() => Ok(current.cloned()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(current) if *current != self.id => Err(ErrorCode::FencedInstanceId),
            Some(_) => Ok(None),
        }
    }

    fn metadata(&self, before: &MemberMetadata, subscription: &ConsumerSubscription) -> MemberMetadata {
        let request = self.request;
        let mut names = BTreeSet::new();
        let protocols = request
            .protocols
            .iter()
            .filter(|protocol| names.insert(&protocol.name));
        let instance_id = request.group_instance_id.as_ref().map(Utf8Bytes::detach);
        MemberMetadata {
            instance_id: instance_id.or_else(|| before.instance_id.clone()),
            rack_id: subscription.rack_id.clone().or_else(|| before.rack_id.clone()),
            client_id: self.context.client_id.detach(),
            client_host: self.context.client_host.detach(),
            subscribed_topics: subscription.topics.iter().cloned().collect(),
            subscribed_regex: Some(Utf8Bytes::default()),
            rebalance_timeout_ms: match request.rebalance_timeout_ms {
                -1 => before.rebalance_timeout_ms,
                timeout => timeout,
            },
            server_assignor: before.server_assignor.clone(),
            classic: Some(ClassicMetadata {
                session_timeout_ms: request.session_timeout_ms,
                protocols: protocols
                    .map(|protocol| Protocol {
                        name: protocol.name.detach(),
                        metadata: Bytes::copy_from_slice(&protocol.metadata),
                    })
                    .collect(),
            }),
        }
    }

    /// It has joined: it has to sync, and then to heartbeat.
    fn deadlines(&self, replaced: Option<Utf8Bytes>) -> Vec<Deadline> {
        let session = milliseconds(self.request.session_timeout_ms);
        let sync = milliseconds(self.request.rebalance_timeout_ms);
        let mut deadlines: Vec<Deadline> = replaced.into_iter().map(Deadline::Forget).collect();
        deadlines.extend([
            Deadline::Cancel(self.id.clone(), ExpiryKind::Join),
            Deadline::Cancel(self.id.clone(), ExpiryKind::Rebalance),
            Deadline::Session(self.id.clone(), session),
            Deadline::Set(self.id.clone(), Expiry::Sync, sync),
        ]);
        deadlines
    }
}
