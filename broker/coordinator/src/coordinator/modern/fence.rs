//! Members that are out (Kafka's `consumerGroupFenceMembers`): they have left, or their time is over. What they owned is free, and a new epoch
//! begins. If only members of the classic protocol are left, the group may become theirs.

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_protocol::Utf8Bytes;

use super::migrate::downgrade;
use super::{Deadline, Refusal};
use crate::consumer::Work;
use crate::coordinator::GroupCoordinator;
use crate::timers::Expiry;
use crate::{AppendId, Event, Now, Outcome};

impl GroupCoordinator {
    /// A member's time is over.
    pub(in crate::coordinator) fn member_expired(
        &mut self,
        group: &Utf8Bytes,
        member: &Utf8Bytes,
        expiry: Expiry,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let Some(state) = self.consumer_group(group).and_then(|group| group.member(member)) else {
            return;
        };
        let reason = match expiry {
            Expiry::Session => "the member session expired".to_owned(),
            Expiry::Rebalance { member_epoch } if state.epoch() != member_epoch => return,
            Expiry::Rebalance { member_epoch } => {
                let timeout = state.rebalance_timeout().as_millis();
                format!("it failed to transition from epoch {member_epoch} within {timeout}ms")
            }
            Expiry::Join => "the classic member failed to join within the rebalance timeout".to_owned(),
            Expiry::Sync => "the member failed to sync within timeout".to_owned(),
        };
        let members = BTreeSet::from([member.clone()]);
        if self
            .fence_members(group, &members, &reason, now, outcome)
            .is_err()
        {
            // Not even tried: it has another session, and the next attempt may have fewer records to write.
            let timeout = self.config.consumer.session_timeout;
            self.set_deadlines(group, vec![Deadline::Session(member.clone(), timeout)], now);
        }
    }

    /// Lets go of members that are there.
    pub(super) fn fence_members(
        &mut self,
        id: &Utf8Bytes,
        members: &BTreeSet<Utf8Bytes>,
        reason: &str,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        if members.is_empty() {
            return Ok(None);
        }
        let image = Arc::clone(&self.image);
        let group = self.existing_consumer_group(id)?;
        let downgraded = self
            .may_downgrade_without(group, members)
            .then(|| downgrade(Work::on(group, &*image), members, now.timestamp).ok());
        let append = if let Some(Some((classic, records))) = downgraded {
            let reason = format!("Downgrade group {id} from consumer to classic for member leaving.");
            let append = self.become_classic(classic, &records, Some(reason), now, outcome)?;
            self.set_deadlines(id, members.iter().cloned().map(Deadline::Forget).collect(), now);
            append
        } else {
            let mut work = Work::on(group, &*image);
            for member in members {
                work.remove_member(member);
            }
            work.forget_unused_regexes();
            let epoch = work.epoch().saturating_add(1);
            work.write_epoch(epoch);
            let records = work.into_records();
            let deadlines = members.iter().cloned().map(Deadline::Forget).collect();
            self.carry_out(id, (&records, deadlines), now, outcome)?
        };
        outcome.events.push(Event::MembersRemoved {
            group: id.clone(),
            members: members.iter().cloned().collect(),
            reason: reason.to_owned(),
        });
        Ok(append)
    }
}
