//! Members that are out (Kafka's `consumerGroupFenceMembers`): they have left, or their time is over. What they owned is free, and a new epoch
//! begins. If only members of the classic protocol are left, the group may become theirs. Those whose time is over at once go at once: each
//! time the whole group is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_protocol::Utf8Bytes;

use super::migrate::downgrade;
use super::{Deadline, Refusal};
use crate::consumer::Work;
use crate::coordinator::GroupCoordinator;
use crate::timers::Expiry;
use crate::{AppendId, Event, Now, Outcome};

/// Members of groups whose time is over, each with why.
#[derive(Debug, Default)]
pub(in crate::coordinator) struct Expired(BTreeMap<Utf8Bytes, BTreeMap<Utf8Bytes, String>>);

impl GroupCoordinator {
    /// A member's time is over, unless it has gone on meanwhile.
    pub(in crate::coordinator) fn note_expired(
        &self,
        group: &Utf8Bytes,
        member: Utf8Bytes,
        expiry: Expiry,
        expired: &mut Expired,
    ) {
        let Some(state) = self.consumer_group(group).and_then(|group| group.member(&member)) else {
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
        expired.0.entry(group.clone()).or_default().insert(member, reason);
    }

    /// Lets go of all of them: of each group at once or, if that is more than an append can say, in parts.
    pub(in crate::coordinator) fn fence_expired(
        &mut self,
        Expired(groups): Expired,
        now: Now,
        outcome: &mut Outcome,
    ) {
        for (group, mut reasons) in groups {
            let mut parts = vec![reasons.keys().cloned().collect::<Vec<_>>()];
            while let Some(mut part) = parts.pop() {
                let members: BTreeSet<Utf8Bytes> = part.iter().cloned().collect();
                if self.let_go(&group, &members, now, outcome).is_ok() {
                    continue;
                }
                if part.len() > 1 {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                } else if let Some(member) = part.pop() {
                    // Not even tried: it has another session, and the next attempt may have fewer records to write.
                    reasons.remove(&member);
                    let timeout = self.config.consumer.session_timeout;
                    self.set_deadlines(&group, vec![Deadline::Session(member, timeout)], now);
                }
            }
            let mut removed: BTreeMap<String, Vec<Utf8Bytes>> = BTreeMap::new();
            for (member, reason) in reasons {
                removed.entry(reason).or_default().push(member);
            }
            let removed = removed
                .into_iter()
                .map(|(reason, members)| Event::MembersRemoved {
                    group: group.clone(),
                    members,
                    reason,
                });
            outcome.events.extend(removed);
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
        let append = self.let_go(id, members, now, outcome)?;
        outcome.events.push(Event::MembersRemoved {
            group: id.clone(),
            members: members.iter().cloned().collect(),
            reason: reason.to_owned(),
        });
        Ok(append)
    }

    fn let_go(
        &mut self,
        id: &Utf8Bytes,
        members: &BTreeSet<Utf8Bytes>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Option<AppendId>, Refusal> {
        let image = Arc::clone(&self.image);
        let group = self.existing_consumer_group(id)?;
        let deadlines: Vec<Deadline> = members.iter().cloned().map(Deadline::Forget).collect();
        let downgraded = self
            .may_downgrade_without(group, members)
            .then(|| downgrade(Work::on(group, &*image), members, now.timestamp).ok());
        if let Some(Some((classic, records))) = downgraded {
            let reason = format!("Downgrade group {id} from consumer to classic for member leaving.");
            // A classic group is one record, which can be too large to write: then those that are left stay what they are.
            if let Ok(append) = self.become_classic(classic, &records, Some(reason), now, outcome) {
                self.set_deadlines(id, deadlines, now);
                return Ok(append);
            }
        }
        let mut work = Work::on(self.existing_consumer_group(id)?, &*image);
        for member in members {
            work.remove_member(member);
        }
        work.forget_unused_regexes();
        let epoch = work.epoch().saturating_add(1);
        work.write_epoch(epoch);
        let records = work.into_records();
        self.carry_out(id, (&records, deadlines), now, outcome)
    }
}
