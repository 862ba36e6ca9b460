//! ConsumerGroupHeartbeat (Kafka's `consumerGroupHeartbeat`): a member joins, keeps its session, says what it subscribes to and owns, and
//! hears which epoch it is in and what it is assigned.

use std::sync::Arc;

use forebay_protocol::messages::consumer_group_heartbeat_response::{
    Assignment as AssignmentMessage, TopicPartitions,
};
use forebay_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::validate::{check_epoch, fenced, unknown_instance, unreleased, validate};
use super::{Deadline, Refusal, fresh_member_id, rebalance_deadline, refuse, unknown_member};
use crate::assignment::Assignment;
use crate::consumer::{
    CurrentAssignment, JudgedExpression, LEAVE_EPOCH, Member, MemberMetadata, OwnedPartitions,
    Reconciliation, STATIC_LEAVE_EPOCH, Work,
};
use crate::coordinator::{Asker, GroupCoordinator, answer};
use crate::timers::ExpiryKind;
use crate::{AppendId, ConsumerConfig, Now, Outcome, RequestContext, Response};

impl GroupCoordinator {
    pub(in crate::coordinator) fn consumer_group_heartbeat(
        &mut self,
        asker: Asker,
        heartbeat: Heartbeat<'_>,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let request = heartbeat.request;
        let decided =
            validate(request, asker.api_version, &self.config.consumer).and_then(|()| {
                match request.member_epoch {
                    LEAVE_EPOCH | STATIC_LEAVE_EPOCH => self.leave_by_heartbeat(request, now, outcome),
                    _ => self.heartbeat_of_member(heartbeat, now, outcome),
                }
            });
        match decided {
            Ok((append, response)) => {
                let response = Response::ConsumerGroupHeartbeat(response);
                self.answer_after(append, (asker, response), now, outcome);
            }
            Err(Refusal { error, message }) => {
                let response = ConsumerGroupHeartbeatResponse {
                    error_code: error.to_i16(),
                    error_message: Some(message.into()),
                    ..Default::default()
                };
                answer(asker, Response::ConsumerGroupHeartbeat(response), outcome);
            }
        }
    }

    fn heartbeat_of_member(
        &mut self,
        heard: Heartbeat<'_>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(Option<AppendId>, ConsumerGroupHeartbeatResponse), Refusal> {
        let image = Arc::clone(&self.image);
        let request = heard.request;
        let group_id = request.group_id.detach();
        let joins = request.member_epoch == 0;
        let (mut work, ground) = self.break_ground(&group_id, joins, &*image)?;
        let size_max = self.config.consumer.group_size_max;
        if work.members().len() >= size_max && work.member(&request.member_id).is_none() {
            return Err(full(size_max));
        }
        let id = if request.member_id.is_empty() {
            fresh_member_id(heard.random)
        } else {
            request.member_id.detach()
        };
        let heartbeat = OfMember { heard, id };
        let replaced = heartbeat.find_member(&mut work)?;
        let before = work.member(&heartbeat.id).cloned();
        let (after, mut deadlines) = heartbeat.step(&mut work, &self.config.consumer, now)?;
        let records = work.into_records();
        deadlines.extend(replaced.map(Deadline::Forget));
        if before.as_ref().is_some_and(Member::uses_classic_protocol) {
            // As one of the classic protocol it had others.
            let kinds = [ExpiryKind::Join, ExpiryKind::Sync];
            deadlines.extend(kinds.map(|kind| Deadline::Cancel(heartbeat.id.clone(), kind)));
        }
        let session = Deadline::Session(heartbeat.id.clone(), self.session_timeout(&group_id, &after));
        deadlines.push(session.clone());

        let append = self
            .carry_out_on(ground, &group_id, (&records, deadlines), now, outcome)
            .inspect_err(|_| {
                // It has been heard of all the same.
                let group = self.consumer_group(&group_id);
                if group.is_some_and(|group| group.member(&heartbeat.id).is_some()) {
                    self.set_deadlines(&group_id, vec![session], now);
                }
            })?;
        self.resolve_expressions(&group_id, now, outcome);
        if let Some(group) = self
            .groups
            .get_mut(&group_id)
            .and_then(super::Group::as_consumer_mut)
        {
            group.refreshed_at = Some(image.version());
        }
        let interval = image.group_config(&group_id).consumer_heartbeat_interval;
        let interval = interval.unwrap_or(self.config.consumer.heartbeat_interval);
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let is_reassigned = before.is_none_or(|before| before.current.assigned != after.current.assigned);
        let response = ConsumerGroupHeartbeatResponse {
            member_epoch: after.epoch(),
            heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
            assignment: (joins || is_full || is_reassigned)
                .then(|| assignment_message(&after.current.assigned)),
            member_id: Some(heartbeat.id),
            ..Default::default()
        };
        Ok((append, response))
    }
}

fn full(size_max: usize) -> Refusal {
    Refusal {
        error: ErrorCode::GroupMaxSizeReached,
        message: format!("The consumer group has reached its maximum capacity of {size_max} members."),
    }
}

fn assignment_message(assigned: &OwnedPartitions) -> AssignmentMessage {
    let topics = assigned.topics().map(|(topic_id, partitions)| TopicPartitions {
        topic_id,
        partitions: partitions.keys().copied().collect(),
        ..Default::default()
    });
    AssignmentMessage {
        topic_partitions: topics.collect(),
        ..Default::default()
    }
}

/// A heartbeat, with what came with it.
#[derive(Debug, Clone, Copy)]
pub(in crate::coordinator) struct Heartbeat<'a> {
    /// What it says.
    pub(in crate::coordinator) request: &'a ConsumerGroupHeartbeatRequest,
    /// Who says it.
    pub(in crate::coordinator) context: &'a RequestContext,
    /// For the id of a member that has none.
    pub(in crate::coordinator) random: u128,
    /// Whether what it subscribes to is a regular expression.
    pub(in crate::coordinator) expression: &'a JudgedExpression,
}

/// A heartbeat of a member that joins or stays.
struct OfMember<'a> {
    heard: Heartbeat<'a>,
    id: Utf8Bytes,
}

impl OfMember<'_> {
    /// Whether the member may be who it says; a static one that comes back gets its place, and whose that was is told.
    fn find_member(&self, work: &mut Work<'_>) -> Result<Option<Utf8Bytes>, Refusal> {
        let (request, id) = (self.heard.request, &self.id);
        let joins = request.member_epoch == 0;
        let owned = self.owned();
        let Some(instance) = &request.instance_id else {
            return match work.member(id) {
                Some(member) => check_epoch(member, request.member_epoch, owned.as_ref()).map(|()| None),
                None if joins => Ok(None),
                None => Err(unknown_member(id, work.id())),
            };
        };
        let current = work.member_of_instance(instance).cloned();
        let member = current.as_ref().and_then(|id| Some((id, work.member(id)?)));
        match (member, joins) {
            (None, true) => Ok(None),
            (None, false) => Err(unknown_instance(instance)),
            (Some((current, member)), true) => {
                if !member.uses_classic_protocol() && member.epoch() != STATIC_LEAVE_EPOCH {
                    return Err(unreleased(id, instance, current));
                }
                let replaced = current.clone();
                work.replace_member(&replaced, id);
                Ok(Some(replaced).filter(|replaced| replaced != id))
            }
            (Some((current, _)), false) if current != id => Err(fenced(id, instance, current)),
            (Some((_, member)), false) => {
                check_epoch(member, request.member_epoch, owned.as_ref()).map(|()| None)
            }
        }
    }

    /// What the member says that it owns.
    fn owned(&self) -> Option<Assignment> {
        let topics = self.heard.request.topic_partitions.as_ref()?.iter();
        Some(
            topics
                .flat_map(|topic| {
                    topic
                        .partitions
                        .iter()
                        .map(|partition| (topic.topic_id, *partition))
                })
                .collect(),
        )
    }

    /// What the member says of itself, and what it has said before of what it does not repeat.
    fn metadata(&self, before: &MemberMetadata) -> MemberMetadata {
        let request = self.heard.request;
        let text = |new: &Option<Utf8Bytes>, old: &Option<Utf8Bytes>| {
            new.as_ref().map(Utf8Bytes::detach).or_else(|| old.clone())
        };
        MemberMetadata {
            instance_id: text(&request.instance_id, &before.instance_id),
            rack_id: text(&request.rack_id, &before.rack_id),
            client_id: self.heard.context.client_id.detach(),
            client_host: self.heard.context.client_host.detach(),
            subscribed_topics: match &request.subscribed_topic_names {
                Some(names) => names.iter().map(Utf8Bytes::detach).collect(),
                None => before.subscribed_topics.clone(),
            },
            subscribed_regex: text(&request.subscribed_topic_regex, &before.subscribed_regex),
            rebalance_timeout_ms: match request.rebalance_timeout_ms {
                -1 => before.rebalance_timeout_ms,
                timeout => timeout,
            },
            server_assignor: text(&request.server_assignor, &before.server_assignor),
            classic: None,
        }
    }

    /// What it says of itself is taken down, a new epoch begins and partitions are assigned if that calls for it, and it gets what is next
    /// on its way to its target.
    fn step(
        &self,
        work: &mut Work<'_>,
        config: &ConsumerConfig,
        now: Now,
    ) -> Result<(Member, Vec<Deadline>), Refusal> {
        let before = work.member(&self.id).map(|member| Arc::clone(&member.metadata));
        let before = before.unwrap_or_default();
        let metadata = self.metadata(&before);
        let changed =
            update_subscription(work, &self.id, (&before, metadata), self.heard.expression.error())?;
        work.assign(config, now);
        match reconcile(work, &self.id, self.owned().as_ref(), changed)? {
            Some(current) => {
                let after = work.write_last(&self.id, current);
                let deadline = rebalance_deadline(&self.id, &after);
                Ok((after, vec![deadline]))
            }
            None => Ok((work.member(&self.id).cloned().unwrap_or_default(), Vec::new())),
        }
    }
}

/// Takes down what a member says of itself; a new epoch begins if it subscribes to other topics that are known, or these have changed. Topics
/// that match a regular expression which nobody subscribed to before are known later, if it is one, as far as `error` says. Says whether the
/// subscription is another than before.
pub(super) fn update_subscription(
    work: &mut Work<'_>,
    id: &Utf8Bytes,
    (before, metadata): (&MemberMetadata, MemberMetadata),
    error: Option<&str>,
) -> Result<bool, Refusal> {
    let names_changed = metadata.subscribed_topics != before.subscribed_topics;
    let regex_changed = metadata.subscribed_regex != before.subscribed_regex;
    let regexes_matter = before.regex() != metadata.regex();
    let regex = metadata.regex().filter(|_| regexes_matter);
    let is_new = |regex: &&Utf8Bytes| work.subscribers_of_regex(regex) == 0;
    if let Some((regex, error)) = regex.filter(is_new).zip(error) {
        return refuse(
            ErrorCode::InvalidRegularExpression,
            format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {error}."),
        );
    }
    let is_known = regexes_matter && regex.is_none_or(|regex| work.resolved().contains_key(regex));
    // What it lets go of is others', whether the new one turns out to mean anything or not.
    let lets_go = regexes_matter
        && before
            .regex()
            .and_then(|regex| work.resolved().get(regex))
            .is_some_and(|resolved| !resolved.topics.is_empty());
    if work.member(id).is_none() || metadata != *before {
        work.write_member(id, metadata);
    }
    if regexes_matter {
        work.forget_unused_regexes();
    }
    let bump = names_changed || is_known || lets_go;
    if bump || work.refreshed_at != Some(work.image.version()) {
        work.refresh_topics(bump);
    }
    Ok(names_changed || regex_changed)
}

/// What the member has next on the way to its target, if that is anything else than what it has.
pub(super) fn reconcile(
    work: &Work<'_>,
    id: &Utf8Bytes,
    owned: Option<&Assignment>,
    subscription_changed: bool,
) -> Result<Option<CurrentAssignment>, Refusal> {
    let Some(member) = work.member(id) else {
        return Ok(None);
    };
    let reconciliation = Reconciliation {
        group: work,
        id,
        member,
        image: work.image,
        owned,
        subscription_changed,
    };
    reconciliation.next().or_else(|_fenced| {
        refuse(
            ErrorCode::FencedMemberEpoch,
            "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
        )
    })
}
