//! A part of a transaction that the log has refused, for its producer's epoch or because nobody vouched for it. What was decided after
//! it stands and is written: it is said once more without what was taken out from under it, and that is what the log says.

use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Appends, GroupCoordinator, Uncommitted, Waiting, answer};
use crate::classic::{ClassicGroup, State};
use crate::coordinator::group::Group;
use crate::record::CoordinatorRecord;
use crate::{AppendId, Now, Outcome, Response, TransactionPart};

impl Appends {
    /// Whether `append` is part of a transaction.
    pub(super) fn is_of_transaction(&mut self, append: AppendId) -> bool {
        self.get_mut(append)
            .is_some_and(|append| append.transaction.is_some())
    }
}

impl Uncommitted {
    /// Whether it would bring a classic group into being.
    fn brings(&self, group: &Utf8Bytes) -> bool {
        self.records.iter().any(|record| match record {
            CoordinatorRecord::Offset(key, Some(_)) => key.group == *group,
            CoordinatorRecord::Group(id, Some(_)) => id == group,
            _ => false,
        })
    }
}

impl GroupCoordinator {
    /// Takes back an append that is part of a transaction, and nothing else.
    pub(super) fn refused(&mut self, id: AppendId, error: ErrorCode, now: Now, outcome: &mut Outcome) {
        let uncommitted = &mut self.appends.uncommitted;
        let Ok(index) = uncommitted.binary_search_by_key(&id, |append| append.id) else {
            return;
        };
        let Some(refused) = uncommitted.remove(index) else {
            return;
        };
        self.timers.cancel_append(id);
        self.persisted.revert(id);
        for later in self.appends.uncommitted.range(index..) {
            self.persisted
                .write_part(later.id, &later.records, later.transaction);
        }
        for group in refused.created {
            self.created_by_nobody(&group, id, index);
        }
        if let Some(TransactionPart::End(end)) = refused.transaction {
            // It is open again, also in groups that were deleted meanwhile.
            for group in self.persisted.groups_of_transaction(end.producer_id) {
                if self.is_unknown(&group) {
                    let classic = ClassicGroup::new(group.clone(), now.timestamp);
                    self.groups.insert(group, Group::classic(classic, None));
                }
            }
        }
        self.answer_refused(refused.waiting, index, error, now, outcome);
    }

    /// A group that `append` would have brought into being: another append does, or it stays for its members' sake, or it goes.
    fn created_by_nobody(&mut self, id: &Utf8Bytes, append: AppendId, index: usize) {
        for later in self.appends.uncommitted.range_mut(index..) {
            let deleted = later.deleted.iter_mut();
            deleted
                .filter(|group| group.created == Some(append))
                .for_each(|group| group.created = None);
        }
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        if group.created != Some(append) {
            return;
        }
        let mut later = self.appends.uncommitted.range_mut(index..);
        if let Some(heir) = later.find(|later| later.brings(id)) {
            group.created = Some(heir.id);
            heir.created.push(id.clone());
        } else if group.as_classic().is_some_and(is_unused) {
            self.groups.remove(id);
            self.timers.cancel_members(id);
        } else {
            group.created = None;
        }
    }

    /// Only who asked for the append is told what is wrong with its producer. Who has read what it said reads again; others
    /// wait for what was before it.
    fn answer_refused(
        &mut self,
        waiting: Vec<Waiting>,
        index: usize,
        error: ErrorCode,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let mut readers = Vec::new();
        for one in waiting {
            if one.of_append {
                let response = one.response.failed(error, one.asker.api_version);
                answer(one.asker, response, outcome);
            } else if is_reader(&one) {
                readers.push(one);
            } else {
                self.wait_before(one, index, now, outcome);
            }
        }
        for later in self.appends.uncommitted.range_mut(index..) {
            readers.extend(later.waiting.extract_if(.., |one| is_reader(one)));
        }
        for Waiting { asker, response, .. } in readers {
            let response = response.failed(ErrorCode::NotLeaderOrFollower, asker.api_version);
            answer(asker, response, outcome);
        }
    }

    fn wait_before(&mut self, one: Waiting, index: usize, now: Now, outcome: &mut Outcome) {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.appends.uncommitted.get_mut(before));
        match before {
            Some(before) => {
                before.waiting.push(one);
                let id = before.id;
                self.be_patient_with(id, now);
            }
            None => answer(one.asker, one.response, outcome),
        }
    }
}

fn is_unused(group: &ClassicGroup) -> bool {
    group.state() == State::Empty && group.pending_members().is_empty()
}

fn is_reader(one: &Waiting) -> bool {
    matches!(one.response, Response::OffsetFetch(_))
}
