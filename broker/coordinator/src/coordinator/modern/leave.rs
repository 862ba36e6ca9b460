//! Leaving by heartbeat (Kafka's `consumerGroupLeave`): a member goes, or a static one goes for a while and keeps its partitions.

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::validate::{fenced, unknown_instance};
use super::{Refusal, refuse, unknown_member};
use crate::consumer::{ConsumerGroup, CurrentAssignment, OwnedPartitions, STATIC_LEAVE_EPOCH, Work};
use crate::coordinator::GroupCoordinator;
use crate::{AppendId, Now, Outcome};

impl GroupCoordinator {
    /// The consumer group of this id, or what Kafka says if there is none.
    pub(super) fn existing_consumer_group(&self, id: &Utf8Bytes) -> Result<&ConsumerGroup, Refusal> {
        match self.consumer_group(id) {
            Some(group) => Ok(group),
            None if self.groups.contains_key(id) || self.persisted.is_other_group(id) => refuse(
                ErrorCode::GroupIdNotFound,
                format!("Group {id} is not a consumer group."),
            ),
            None => refuse(ErrorCode::GroupIdNotFound, format!("Group {id} not found.")),
        }
    }

    pub(super) fn leave_by_heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(Option<AppendId>, ConsumerGroupHeartbeatResponse), Refusal> {
        let group = self.existing_consumer_group(&request.group_id)?;
        let member = leaving(group, &request.member_id, request.instance_id.as_ref())?;
        let id = group.id().clone();
        let append = if request.member_epoch == STATIC_LEAVE_EPOCH && request.instance_id.is_some() {
            self.leave_for_a_while(&id, &member, now, outcome)?
        } else {
            let reason = "it has left the consumer group";
            self.fence_members(&id, &BTreeSet::from([member]), reason, now, outcome)?
        };
        let response = ConsumerGroupHeartbeatResponse {
            member_id: Some(request.member_id.clone()),
            member_epoch: request.member_epoch,
            ..Default::default()
        };
        Ok((append, response))
    }

    /// Its session goes on: if it is not back by then, it is out.
    fn leave_for_a_while(
        &mut self,
        id: &Utf8Bytes,
        member: &Utf8Bytes,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        let image = Arc::clone(&self.image);
        let mut work = Work::on(self.existing_consumer_group(id)?, &*image);
        let current = work
            .member(member)
            .map(|member| Arc::clone(&member.current))
            .unwrap_or_default();
        let left = CurrentAssignment {
            member_epoch: STATIC_LEAVE_EPOCH,
            assigned: current.assigned.with_epochs_reset(),
            pending_revocation: OwnedPartitions::default(),
            ..(*current).clone()
        };
        work.write_current(member, left);
        let records = work.into_records();
        self.carry_out(id, (&records, Vec::new()), now, outcome)
    }
}

/// Who is to leave: a static member is known by its instance.
fn leaving(
    group: &ConsumerGroup,
    member: &Utf8Bytes,
    instance: Option<&Utf8Bytes>,
) -> Result<Utf8Bytes, Refusal> {
    let Some(instance) = instance else {
        return match group.member(member) {
            Some(_) => Ok(member.detach()),
            None => Err(unknown_member(member, group.id())),
        };
    };
    match group.member_of_instance(instance) {
        None => Err(unknown_instance(instance)),
        Some(current) if current != member => Err(fenced(member, instance, current)),
        Some(current) => Ok(current.clone()),
    }
}
