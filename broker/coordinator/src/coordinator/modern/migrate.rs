//! Groups that go from one protocol to the other (KIP-848): an empty one always may; one with members of the consumer embedded protocol if
//! `group.consumer.migration.policy` allows it. Either way the group that gives way and the one that takes its place are one append.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::Timestamp;

use super::{Deadline, Refusal, refuse};
use crate::classic::{self, ClassicGroup};
use crate::consumer::{
    ClassicMetadata, ClusterImage, ConsumerAssignment, ConsumerGroup, ConsumerSubscription, ConsumerValue,
    CurrentAssignment, MemberMetadata, OwnedPartitions, Part, Work,
};
use crate::coordinator::GroupCoordinator;
use crate::coordinator::group::Kind;
use crate::coordinator::offset_delete::group_tombstones;
use crate::record::CoordinatorRecord;
use crate::turn::Turn;
use crate::{AppendId, Event, Now, Outcome};

/// Where a decision about a consumer group begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ground {
    /// The group is there, or nothing is.
    Free,
    /// A classic group with members becomes it; these are their sessions.
    Classic(Vec<Deadline>),
}

impl GroupCoordinator {
    /// The group that a heartbeat is of. A member that joins brings it into being, in the place of a classic group if need be.
    pub(super) fn break_ground<'a>(
        &'a self,
        id: &Utf8Bytes,
        joins: bool,
        image: &'a dyn ClusterImage,
    ) -> Result<(Work<'a>, Ground), Refusal> {
        let not_found = |message| refuse(ErrorCode::GroupIdNotFound, message);
        let Some(group) = self.groups.get(id) else {
            return if self.persisted.is_other_group(id) {
                not_found(format!("Group {id} is not a consumer group."))
            } else if joins {
                Ok((Work::on_new(id.clone(), Vec::new(), image), Ground::Free))
            } else {
                not_found(format!("Consumer group {id} not found."))
            };
        };
        match &group.kind {
            Kind::Consumer(group) => Ok((Work::on(group, image), Ground::Free)),
            Kind::Classic(_) if !joins => not_found(format!("Group {id} is not a consumer group.")),
            Kind::Classic(_) if group.is_empty() => Ok((
                Work::on_new(id.clone(), group_tombstones(group), image),
                Ground::Free,
            )),
            Kind::Classic(classic) => {
                self.check_upgrade(classic)?;
                let mut work = Work::on_new(id.clone(), group_tombstones(group), image);
                let sessions = upgrade(&mut work, classic)?;
                Ok((work, Ground::Classic(sessions)))
            }
        }
    }

    fn check_upgrade(&self, group: &ClassicGroup) -> Result<(), Refusal> {
        let because = if !self.config.consumer.migration_policy.allows_upgrade() {
            "online upgrade is disabled"
        } else if !group.uses_consumer_protocol() {
            "the group does not use the consumer embedded protocol"
        } else if group.members().len() > self.config.consumer.group_size_max {
            "the group size exceeds the consumer group maximum size"
        } else {
            return Ok(());
        };
        Err(cannot_upgrade(group.id(), because))
    }

    /// Carries out what was decided where `ground` says. Members of a classic group that gives way are sent back to join.
    pub(super) fn carry_out_on(
        &mut self,
        ground: Ground,
        id: &Utf8Bytes,
        (records, mut deadlines): (&[CoordinatorRecord], Vec<Deadline>),
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        let Ground::Classic(mut sessions) = ground else {
            return self.carry_out(id, (records, deadlines), now, outcome);
        };
        let append = self.carry_out(id, (records, Vec::new()), now, outcome)?;
        if let Some(append) = append {
            self.dissolve_deleted(append, id, ErrorCode::RebalanceInProgress, now, outcome);
        }
        sessions.append(&mut deadlines);
        self.set_deadlines(id, sessions, now);
        outcome.events.push(converted(id, "classic", "consumer"));
        Ok(append)
    }

    /// Whether the group becomes a classic one when these members are gone: all others speak the classic protocol.
    pub(super) fn may_downgrade_without(&self, group: &ConsumerGroup, leaving: &BTreeSet<Utf8Bytes>) -> bool {
        let left = group.members().len() - leaving.len();
        let speaks_classic = |id: &&Utf8Bytes| {
            group
                .member(id)
                .is_some_and(|member| member.uses_classic_protocol())
        };
        let classic = group.classic_members() - leaving.iter().filter(speaks_classic).count();
        left > 0
            && classic == left
            && self.config.consumer.migration_policy.allows_downgrade()
            && left <= self.config.group_size_max
    }

    /// Writes `records`, by which a consumer group gives way to `classic`; its members rebalance if there is a reason to.
    pub(super) fn become_classic(
        &mut self,
        classic: ClassicGroup,
        records: &[CoordinatorRecord],
        rebalance: Option<String>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        let id = classic.id().clone();
        let append = self.carry_out(&id, (records, Vec::new()), now, outcome)?;
        if let Some(group) = self.groups.get_mut(&id) {
            // The record has made an empty one.
            group.kind = Kind::Classic(Box::new(classic));
        }
        self.decide(&id, now, outcome, |turn: &mut Turn<'_>, group| {
            for member in group.member_ids() {
                turn.extend_session(group, &member);
            }
            if let Some(reason) = rebalance {
                turn.prepare_rebalance(group, reason);
            }
        });
        outcome.events.push(converted(&id, "consumer", "classic"));
        Ok(append)
    }
}

fn converted(group: &Utf8Bytes, from: &'static str, to: &'static str) -> Event {
    let group = group.clone();
    Event::Converted { group, from, to }
}

fn cannot_upgrade(group: &Utf8Bytes, because: &str) -> Refusal {
    Refusal {
        error: ErrorCode::GroupIdNotFound,
        message: format!("Cannot upgrade classic group {group} to consumer group because {because}."),
    }
}

/// The members of a classic group in a consumer group, each with what it is assigned, in the epoch of the last generation. Gives their sessions.
fn upgrade(work: &mut Work<'_>, group: &ClassicGroup) -> Result<Vec<Deadline>, Refusal> {
    let malformed = |_| cannot_upgrade(group.id(), "the embedded consumer protocol is malformed");
    let protocol = group
        .protocol()
        .cloned()
        .or_else(|| group.next_protocol())
        .unwrap_or_default();
    let epoch = group.generation();
    let mut members = Vec::new();
    for member in group.members() {
        let metadata = member.metadata(&protocol).cloned().unwrap_or_default();
        let subscription = ConsumerSubscription::decode(&metadata).map_err(malformed)?;
        let assigned = ConsumerAssignment::decode(&member.assignment).map_err(malformed)?;
        if assigned.has_user_data {
            let because = "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default \
                           assignor before re-attempting the upgrade";
            return Err(cannot_upgrade(group.id(), because));
        }
        members.push((member, subscription, Arc::new(assigned.assignment(work.image))));
    }
    for (member, subscription, _) in &members {
        let metadata = MemberMetadata {
            instance_id: member.instance_id.clone(),
            rack_id: subscription.rack_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topics: subscription.topics.iter().cloned().collect(),
            subscribed_regex: Some(Utf8Bytes::default()),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            server_assignor: None,
            classic: Some(ClassicMetadata {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
        };
        work.write_member(&member.id, metadata);
    }
    work.write_epoch(epoch);
    for (member, _, assignment) in &members {
        let target = ConsumerValue::Target(Arc::clone(assignment));
        work.write(Part::Target(member.id.clone()), Some(target));
    }
    // Nobody knows when it was computed: the next one need not wait.
    work.write_target(epoch, Timestamp(0));
    for (member, _, assignment) in &members {
        let current = CurrentAssignment {
            member_epoch: epoch,
            previous_member_epoch: epoch,
            assigned: OwnedPartitions::assigned_in(epoch, assignment),
            ..CurrentAssignment::default()
        };
        work.write_current(&member.id, current);
    }
    let session = |(member, ..): &(&classic::Member, _, _)| {
        Deadline::Session(member.id.clone(), member.session_timeout())
    };
    Ok(members.iter().map(session).collect())
}

/// The classic group of the members that are not `leaving`, all of which speak the classic protocol; and the records by which the consumer group
/// gives way to it.
pub(super) fn downgrade(
    mut work: Work<'_>,
    leaving: &BTreeSet<Utf8Bytes>,
    now: Timestamp,
) -> Result<(ClassicGroup, Vec<CoordinatorRecord>), Refusal> {
    let staying = work
        .members()
        .filter(|(id, _)| !leaving.contains(*id))
        .filter_map(|(id, member)| {
            let (metadata, classic) = (&member.metadata, member.metadata.classic.as_ref()?);
            Some(classic::Member {
                id: id.clone(),
                instance_id: metadata.instance_id.clone(),
                client_id: metadata.client_id.clone(),
                client_host: metadata.client_host.clone(),
                rebalance_timeout_ms: metadata.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols.clone(),
                assignment: Bytes::new(),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            })
        });
    let assign = |member: &classic::Member, protocol: &Utf8Bytes| {
        let subscription = member
            .metadata(protocol)
            .and_then(|metadata| ConsumerSubscription::decode(metadata).ok());
        let version = subscription.map_or(0, |subscription| subscription.version);
        let target = work.target(&member.id).cloned().unwrap_or_default();
        ConsumerAssignment::encode(version, &target, work.image)
    };
    let classic = ClassicGroup::of_consumers(work.id().clone(), work.epoch(), staying, now, assign);
    let Some(classic) = classic else {
        let message = format!(
            "Cannot downgrade the classic group {}: its members have no protocol in common.",
            work.id()
        );
        return refuse(ErrorCode::GroupIdNotFound, message);
    };
    for part in work.parts() {
        work.write(part, None);
    }
    work.write_other(CoordinatorRecord::Group(
        classic.id().clone(),
        Some(classic.to_metadata(None)),
    ));
    Ok((classic, work.into_records()))
}
