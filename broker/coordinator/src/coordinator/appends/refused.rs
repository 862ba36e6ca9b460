//! Parts of transactions that the log has refused, for their producers' epochs or because nobody vouched for them. What was decided after
//! them stands and is written: it is said once more without what was taken out from under it, and that is what the log says.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Appends, GroupCoordinator, Uncommitted, Waiting, answer};
use crate::classic::{ClassicGroup, State};
use crate::coordinator::group::Group;
use crate::record::CoordinatorRecord;
use crate::{AppendId, Now, Outcome, Response, TransactionPart};

/// An append that is taken back.
struct Refused {
    append: Uncommitted,
    error: ErrorCode,
    /// Where it stood among those that stand.
    index: usize,
}

impl Appends {
    /// Whether `append` is part of a transaction.
    pub(super) fn is_of_transaction(&mut self, append: AppendId) -> bool {
        self.get_mut(append)
            .is_some_and(|append| append.transaction.is_some())
    }

    /// Takes out all of these that are there.
    fn take_out(&mut self, refused: &[(AppendId, ErrorCode)]) -> Vec<Refused> {
        let errors: BTreeMap<AppendId, ErrorCode> = refused.iter().copied().collect();
        let Some((first, _)) = errors.first_key_value() else {
            return Vec::new();
        };
        let first = self.uncommitted.partition_point(|append| append.id < *first);
        let mut taken = Vec::with_capacity(errors.len());
        for append in self.uncommitted.split_off(first) {
            match errors.get(&append.id) {
                Some(error) => taken.push(Refused {
                    append,
                    error: *error,
                    index: self.uncommitted.len(),
                }),
                None => self.uncommitted.push_back(append),
            }
        }
        taken
    }
}

/// The group that a record would bring into being if it were not there.
fn brought(record: &CoordinatorRecord) -> Option<&Utf8Bytes> {
    match record {
        CoordinatorRecord::Offset(key, Some(_)) => Some(&key.group),
        CoordinatorRecord::Group(id, Some(_)) => Some(id),
        _ => None,
    }
}

impl GroupCoordinator {
    /// The log has refused appends that are parts of transactions: they are taken back, and nothing else. All that is known to be refused
    /// should come in one call: whatever was decided later is said once more for each.
    pub fn appends_refused(&mut self, refused: &[(AppendId, ErrorCode)], now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        let mut taken = self.appends.take_out(refused);
        let Some(Refused { append, index, .. }) = taken.first() else {
            return outcome;
        };
        let first = *index;
        self.persisted.revert(append.id);
        for later in self.appends.uncommitted.range(first..) {
            self.persisted
                .write_part(later.id, &later.records, later.transaction);
        }
        self.created_by_nobody(&mut taken, first);
        for Refused { append, .. } in &taken {
            self.timers.cancel_append(append.id);
            if let Some(TransactionPart::End(end)) = append.transaction {
                // It is open again, also in groups that were deleted meanwhile.
                for group in self.persisted.groups_of_transaction(end.producer_id) {
                    if self.is_unknown(&group) {
                        let classic = ClassicGroup::new(group.clone(), now.timestamp);
                        self.groups.insert(group, Group::classic(classic, None));
                    }
                }
            }
        }
        self.answer_refused(taken, first, now, &mut outcome);
        outcome
    }

    /// Groups that these would have brought into being: another append does, or they stay for their members' sake, or they go.
    fn created_by_nobody(&mut self, taken: &mut [Refused], first: usize) {
        let mut created = Vec::new();
        for Refused { append, index, .. } in taken {
            let ids = std::mem::take(&mut append.created).into_iter();
            created.extend(ids.map(|id| (id, append.id, *index)));
        }
        if created.is_empty() {
            return;
        }
        let creators: BTreeSet<AppendId> = created.iter().map(|(_, append, _)| *append).collect();
        let mut heirs: BTreeMap<Utf8Bytes, Vec<usize>> = BTreeMap::new();
        heirs.extend(created.iter().map(|(id, ..)| (id.clone(), Vec::new())));
        for (index, later) in (first..).zip(self.appends.uncommitted.range_mut(first..)) {
            for group in &mut later.deleted {
                group.created = group.created.filter(|created| !creators.contains(created));
            }
            for id in later.records.iter().filter_map(brought) {
                if let Some(heirs) = heirs.get_mut(id) {
                    heirs.push(index);
                }
            }
        }
        for (id, append, index) in created {
            let heirs = &heirs[&id];
            let heir = heirs.get(heirs.partition_point(|heir| *heir < index));
            self.passes_on(&id, append, heir.copied());
        }
    }

    fn passes_on(&mut self, id: &Utf8Bytes, append: AppendId, heir: Option<usize>) {
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        if group.created != Some(append) {
            return;
        }
        if let Some(heir) = heir.and_then(|heir| self.appends.uncommitted.get_mut(heir)) {
            group.created = Some(heir.id);
            heir.created.push(id.clone());
        } else if group.as_classic().is_some_and(is_unused) {
            self.groups.remove(id);
            self.timers.cancel_members(id);
        } else {
            group.created = None;
        }
    }

    /// Only who asked for an append is told what is wrong with its producer. Who has read what it said reads again; others wait for what
    /// was before it.
    fn answer_refused(&mut self, taken: Vec<Refused>, first: usize, now: Now, outcome: &mut Outcome) {
        let mut readers = Vec::new();
        for Refused { append, error, index } in taken {
            for one in append.waiting {
                if one.of_append {
                    let response = one.response.failed(error, one.asker.api_version);
                    answer(one.asker, response, outcome);
                } else if is_reader(&one) {
                    readers.push(one);
                } else {
                    self.wait_before(one, index, now, outcome);
                }
            }
        }
        for later in self.appends.uncommitted.range_mut(first..) {
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

pub(super) fn is_unused(group: &ClassicGroup) -> bool {
    group.state() == State::Empty && group.pending_members().is_empty()
}

fn is_reader(one: &Waiting) -> bool {
    matches!(one.response, Response::OffsetFetch(_))
}
