//! What is written but not committed yet, and who waits for it. The order that must hold: records are applied when they are decided,
//! answers go out when they are committed; an append that fails takes all later ones with it, newest first. One that is part of a
//! transaction goes alone (`refused`): its producer can have the log refuse it at any time, and that is nobody else's affair.

mod follow;
mod group_write;
mod refused;

use std::collections::{BTreeSet, VecDeque};

use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{HEADER_BYTES, record_bytes};

use super::group::{Group, Kind};
use super::{Asker, GroupCoordinator, answer};
use crate::command::append_error;
use crate::record::CoordinatorRecord;
use crate::timers::Timer;
use crate::turn::{Then, Turn};
use crate::{Append, AppendId, Now, Outcome, Response, TransactionPart};

/// The appends that are not committed, oldest first.
#[derive(Debug, Default)]
pub(super) struct Appends {
    next: u64,
    uncommitted: VecDeque<Uncommitted>,
}

/// One of them.
#[derive(Debug)]
struct Uncommitted {
    id: AppendId,
    /// It is, but one before it is not known to be.
    is_committed: bool,
    waiting: Vec<Waiting>,
    then: Option<(Utf8Bytes, Then)>,
    created: Vec<Utf8Bytes>,
    deleted: Vec<Group>,
    /// Consumer groups that its records are of.
    consumer_groups: BTreeSet<Utf8Bytes>,
    transaction: Option<TransactionPart>,
    /// What it says, for as long as one before it may yet be taken out from under it.
    records: Vec<CoordinatorRecord>,
    /// The last one up to here that is part of a transaction.
    last_part: Option<AppendId>,
}

/// An answer that goes out when its append is committed.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    response: Response,
    /// It says what became of this append; or it only was decided on what this one writes.
    of_append: bool,
}

impl Appends {
    /// Groups whose deletion is not committed: readers still see them.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &Group> {
        self.uncommitted.iter().flat_map(|append| &append.deleted)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.uncommitted.is_empty()
    }

    /// The last one that is part of a transaction, and may yet be taken out alone.
    fn last_part(&self) -> Option<AppendId> {
        let (oldest, last) = (self.uncommitted.front()?, self.uncommitted.back()?);
        last.last_part.filter(|part| *part >= oldest.id)
    }

    fn get_mut(&mut self, id: AppendId) -> Option<&mut Uncommitted> {
        let index = self
            .uncommitted
            .binary_search_by_key(&id, |append| append.id)
            .ok()?;
        self.uncommitted.get_mut(index)
    }
}

impl GroupCoordinator {
    /// `append` is committed: on enough replicas, on disk, whatever the driver promises. What waited for it is released as soon as every
    /// earlier append is committed too, whichever order the driver hears of them in.
    pub fn committed(&mut self, append: AppendId, now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(append) = self.appends.get_mut(append) {
            append.is_committed = true;
        }
        while let Some(append) = self
            .appends
            .uncommitted
            .pop_front_if(|append| append.is_committed)
        {
            self.release(append, now, &mut outcome);
        }
        outcome
    }

    fn release(&mut self, append: Uncommitted, now: Now, outcome: &mut Outcome) {
        self.persisted.commit(append.id);
        self.timers.cancel_append(append.id);
        for id in &append.created {
            // A group that is to be deleted by a later append has come into being, too: it may yet be restored.
            let deleted = self.appends.uncommitted.iter_mut();
            let deleted = deleted
                .flat_map(|append| &mut append.deleted)
                .filter(|group| group.id() == id);
            for group in self.groups.get_mut(id).into_iter().chain(deleted) {
                group.created = group.created.filter(|created| *created != append.id);
            }
        }
        if let Some((group, then)) = append.then {
            self.decide(&group, now, outcome, |turn, group| turn.written(group, then));
        }
        for Waiting { asker, response, .. } in append.waiting {
            answer(asker, response, outcome);
        }
    }

    /// The log refused `from` with `error`. If that is part of a transaction, it alone is taken back. Otherwise so is every later append, even
    /// one that is committed, whose answers have not gone out; see the crate's documentation for what the driver does with such a log.
    pub fn append_failed(&mut self, from: AppendId, error: ErrorCode, now: Now) -> Outcome {
        if self.appends.is_of_transaction(from) {
            return self.appends_refused(&[(from, error)], now);
        }
        let mut outcome = Outcome::default();
        self.persisted.revert(from);
        let kept = self
            .appends
            .uncommitted
            .partition_point(|append| append.id < from);
        let mut failed = self.appends.uncommitted.split_off(kept);
        let mut reverted = BTreeSet::new();
        for append in failed.iter_mut().rev() {
            self.timers.cancel_append(append.id);
            for id in std::mem::take(&mut append.created) {
                self.drop_created(&id, append.id, error, now, &mut outcome);
            }
            for group in std::mem::take(&mut append.deleted) {
                self.restore(group, now);
            }
            reverted.append(&mut append.consumer_groups);
        }
        for group in &reverted {
            self.expressions.taken_back(group);
            self.rebuild_consumer_group(group, now);
        }
        for append in failed.into_iter().rev() {
            if let Some((group, then)) = append.then {
                self.not_written(&group, then, error, now, &mut outcome);
            }
            for Waiting { asker, response, .. } in append.waiting {
                answer(asker, response.failed(error, asker.api_version), &mut outcome);
            }
        }
        outcome
    }

    /// A group that never came into being: who has joined it is told.
    fn drop_created(
        &mut self,
        id: &Utf8Bytes,
        append: AppendId,
        error: ErrorCode,
        now: Now,
        outcome: &mut Outcome,
    ) {
        if self
            .groups
            .get(id)
            .is_some_and(|group| group.created == Some(append))
        {
            self.decide(id, now, outcome, |turn, group| {
                turn.dissolve(group, append_error(error));
            });
            self.groups.remove(id);
            self.timers.cancel_members(id);
            self.expressions.remove(id);
        }
    }

    /// A group whose deletion failed is there again, with what its members rely on.
    fn restore(&mut self, group: Group, now: Now) {
        let id = group.id().clone();
        let present = self.groups.get(&id).and_then(Group::as_classic);
        if present.is_some_and(refused::is_unused) {
            // It stood in for this one, as the end of a transaction was refused meanwhile.
            self.groups.remove(&id);
        }
        if let Kind::Classic(_) = &group.kind {
            // Consumer groups are built anew from their records.
            let mut outcome = Outcome::default();
            self.groups.entry(id.clone()).or_insert(group);
            self.decide(&id, now, &mut outcome, |turn, group| turn.rearm(group));
            debug_assert!(outcome == Outcome::default(), "timers only");
        } else {
            self.groups.entry(id).or_insert(group);
        }
    }

    /// Those who wait for `append` have waited for as long as `offsets.commit.timeout.ms` lets them. The append itself stays: its
    /// records may well be committed yet.
    pub(super) fn append_timed_out(&mut self, append: AppendId, now: Now, outcome: &mut Outcome) {
        let error = ErrorCode::RequestTimedOut;
        let Some(append) = self.appends.get_mut(append) else {
            return;
        };
        for Waiting { asker, response, .. } in std::mem::take(&mut append.waiting) {
            answer(asker, response.failed(error, asker.api_version), outcome);
        }
        match append.then.take() {
            Some((group, then @ Then::Assign { .. })) => self.not_written(&group, then, error, now, outcome),
            Some((group, Then::Replace(mut replacement))) => {
                let id = append.id;
                self.decide(&group, now, outcome, |turn, group| {
                    turn.give_up_waiting(group, &replacement);
                });
                replacement.given_up = true;
                if let Some(append) = self.appends.get_mut(id) {
                    append.then = Some((group, Then::Replace(replacement)));
                }
            }
            other => append.then = other,
        }
    }

    /// Nobody waits any longer: all get `error`.
    pub(super) fn fail_all_waiting(&mut self, error: ErrorCode, outcome: &mut Outcome) {
        for Waiting { asker, response, .. } in self
            .appends
            .uncommitted
            .drain(..)
            .flat_map(|append| append.waiting)
        {
            answer(asker, response.failed(error, asker.api_version), outcome);
        }
    }

    /// Answers when `append` is committed. An answer that needs no append of its own waits for the last one that there is: it was decided on
    /// what that one writes.
    pub(super) fn answer_after(
        &mut self,
        append: Option<AppendId>,
        (asker, response): (Asker, Response),
        now: Now,
        outcome: &mut Outcome,
    ) {
        let of_append = append.is_some();
        let append = match append {
            Some(append) => self.appends.get_mut(append),
            None => self.appends.uncommitted.back_mut(),
        };
        match append {
            Some(append) => {
                append.waiting.push(Waiting {
                    asker,
                    response,
                    of_append,
                });
                let id = append.id;
                self.be_patient_with(id, now);
            }
            None => answer(asker, response, outcome),
        }
    }

    /// Whoever begins to wait for an append sets its timer; whoever comes later waits no longer than that.
    fn be_patient_with(&mut self, append: AppendId, now: Now) {
        if !self.timers.is_append_scheduled(append) {
            let deadline = now.elapsed.saturating_add(self.config.offset_commit_timeout);
            self.timers.schedule(Timer::Append(append), deadline);
        }
    }

    /// Decides to write `records` as one, and applies them. Nothing has happened on an error: they are too many for a batch, or one
    /// of them has a string that is too long to write.
    pub(super) fn append(
        &mut self,
        records: &[CoordinatorRecord],
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<AppendId, ErrorCode> {
        self.append_part(records, None, now, outcome)
    }

    /// As `append`, of records that are part of a transaction, or of its end.
    pub(super) fn append_part(
        &mut self,
        records: &[CoordinatorRecord],
        transaction: Option<TransactionPart>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<AppendId, ErrorCode> {
        let encoded: Result<Vec<_>, _> = records.iter().map(CoordinatorRecord::encode).collect();
        let encoded = encoded.map_err(|_| ErrorCode::UnknownServerError)?;
        let bytes = encoded.iter().map(bytes_of).sum::<usize>();
        if HEADER_BYTES + bytes > self.config.append_bytes_max {
            return Err(ErrorCode::MessageTooLarge);
        }
        let id = AppendId(self.appends.next);
        self.appends.next += 1;
        let last_part = self.appends.last_part();
        let mut append = Uncommitted {
            id,
            is_committed: false,
            waiting: Vec::new(),
            then: None,
            created: Vec::new(),
            deleted: Vec::new(),
            consumer_groups: BTreeSet::new(),
            transaction,
            records: if last_part.is_some() {
                records.to_vec()
            } else {
                Vec::new()
            },
            last_part: transaction.map(|_| id).or(last_part),
        };
        self.persisted.write_part(id, records, transaction);
        for record in records {
            self.follow(record, &mut append, now);
        }
        self.appends.uncommitted.push_back(append);
        outcome.appends.push(Append {
            id,
            records: encoded,
            transaction,
        });
        Ok(id)
    }

    /// Decides to write `records`, in as many appends as they need; says which is the last. One that does not fit into any is left out.
    pub(super) fn append_in_parts(
        &mut self,
        records: &[CoordinatorRecord],
        now: Now,
        outcome: &mut Outcome,
    ) -> Option<AppendId> {
        let mut last = None;
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = HEADER_BYTES;
            let fits = |record: &CoordinatorRecord| {
                bytes += record.encode().map_or(0, |record| bytes_of(&record));
                bytes <= self.config.append_bytes_max
            };
            let count = rest.iter().map(fits).take_while(|fits| *fits).count().max(1);
            let (part, after) = rest.split_at(count);
            last = self.append(part, now, outcome).ok().or(last);
            rest = after;
        }
        last
    }

    /// Whether a record can be written at all.
    pub(super) fn fits_into_an_append(&self, record: &CoordinatorRecord) -> bool {
        let bytes = record.encode().map(|record| HEADER_BYTES + bytes_of(&record));
        bytes.is_ok_and(|bytes| bytes <= self.config.append_bytes_max)
    }

    /// Whoever waits in a classic group that `append` deletes is told `error`: another group takes its place.
    pub(super) fn dissolve_deleted(
        &mut self,
        append: AppendId,
        id: &Utf8Bytes,
        error: ErrorCode,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let deleted = self.appends.get_mut(append).map(|append| &mut append.deleted);
        let group = deleted.and_then(|deleted| deleted.iter_mut().find(|group| group.id() == id));
        if let Some(group) = group.and_then(Group::as_classic_mut) {
            let mut turn = Turn::new(&self.config, &mut self.timers, now);
            turn.dissolve(group, error);
            outcome.completed.append(&mut turn.completed);
        }
    }
}

fn bytes_of(record: &crate::Record) -> usize {
    record_bytes(
        Some(&record.key),
        record.value.as_deref(),
        &forebay_records::Headers::default(),
    )
}
