//! What is written but not committed yet, and who waits for it. What a record says counts when it is committed; until then its
//! transactional id is pending. So an append that fails, and all later ones with it, leave the ids as they were.

use std::collections::VecDeque;
use std::time::Duration;

use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{HEADER_BYTES, Headers, record_bytes};

use super::{Asker, Deadline, Pending, Refusal, TransactionCoordinator, answer};
use crate::command::append_error;
use crate::transaction::metadata::TransactionMetadata;
use crate::transaction::{Event, Outcome, Response, State, record};
use crate::{Append, AppendId, Now, Record};

/// How long at least who waits for an append waits. Kafka waits as long as the transaction may take; but its append is done when the
/// record is in memory, and ours when it is on the disk.
const PATIENCE_MIN: Duration = Duration::from_secs(5);

/// Kept free in a record for what the later ones of its transaction have besides: ids of producers, how the client runs it.
const END_BYTES: usize = 64;

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
    write: Write,
    waiting: Option<Waiting>,
    /// When who waits has waited long enough.
    deadline: Option<Duration>,
}

/// What it says.
#[derive(Debug)]
enum Write {
    Step(Utf8Bytes, Box<TransactionMetadata>),
    Tombstones(Vec<Utf8Bytes>),
}

/// An answer that goes out when its append is committed.
#[derive(Debug)]
pub(super) struct Waiting {
    asker: Asker,
    response: Response,
}

impl Waiting {
    pub(super) fn new(asker: Asker, response: Response) -> Self {
        Self { asker, response }
    }

    fn fail(self, error: ErrorCode, outcome: &mut Outcome) {
        let response = self.response.failed(error, self.asker.api_version);
        answer(self.asker, response, outcome);
    }
}

impl TransactionCoordinator {
    /// Decides to bring an id that is not pending into its next state; `waiting` is answered when that is committed.
    pub(super) fn write(
        &mut self,
        id: &Utf8Bytes,
        next: TransactionMetadata,
        waiting: Option<Waiting>,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        let Ok(record) = record::encode(id, &next, self.version) else {
            return self.cannot_be_written(id, ErrorCode::UnknownServerError);
        };
        // What has begun must be able to end, whatever that takes and whatever the bound is by then.
        let is_end = !matches!(next.state, State::Empty | State::Ongoing);
        if !is_end && HEADER_BYTES + bytes_of(&record) + END_BYTES > self.config.append_bytes_max {
            return self.cannot_be_written(id, ErrorCode::MessageTooLarge);
        }
        let patience = Duration::from_millis(next.timeout_ms.unsigned_abs().into()).max(PATIENCE_MIN);
        let deadline = waiting.is_some().then(|| now.elapsed.saturating_add(patience));
        let state = next.state;
        let append = self.push(vec![record], Write::Step(id.clone(), Box::new(next)), outcome);
        if let Some(last) = self.appends.uncommitted.back_mut() {
            last.waiting = waiting;
            last.deadline = deadline;
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, Deadline::Append(append)));
        }
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.pending = Some(Pending::Append { append, state });
        }
        Ok(())
    }

    fn cannot_be_written(&mut self, id: &Utf8Bytes, error: ErrorCode) -> Result<(), Refusal> {
        self.forget_if_new(id);
        Err(append_error(error).into())
    }

    /// Decides to forget ids that are not pending, in as many appends as that takes.
    pub(super) fn write_tombstones(&mut self, ids: Vec<Utf8Bytes>, outcome: &mut Outcome) {
        let mut records = Vec::new();
        let mut written = Vec::new();
        let mut bytes = HEADER_BYTES;
        for id in ids {
            // It was written once, so it can be.
            let Ok(record) = record::tombstone(&id) else {
                continue;
            };
            let size = bytes_of(&record);
            if !records.is_empty() && bytes + size > self.config.append_bytes_max {
                self.push_tombstones(
                    std::mem::take(&mut records),
                    std::mem::take(&mut written),
                    outcome,
                );
                bytes = HEADER_BYTES;
            }
            bytes += size;
            records.push(record);
            written.push(id);
        }
        if !records.is_empty() {
            self.push_tombstones(records, written, outcome);
        }
    }

    fn push_tombstones(&mut self, records: Vec<Record>, ids: Vec<Utf8Bytes>, outcome: &mut Outcome) {
        let append = AppendId(self.appends.next);
        for id in &ids {
            if let Some(transaction) = self.transactions.get_mut(id) {
                let state = State::Dead;
                transaction.pending = Some(Pending::Append { append, state });
            }
        }
        self.push(records, Write::Tombstones(ids), outcome);
    }

    fn push(&mut self, records: Vec<Record>, write: Write, outcome: &mut Outcome) -> AppendId {
        let id = AppendId(self.appends.next);
        self.appends.next += 1;
        self.appends.uncommitted.push_back(Uncommitted {
            id,
            is_committed: false,
            write,
            waiting: None,
            deadline: None,
        });
        outcome.appends.push(Append {
            id,
            records,
            transaction: None,
        });
        id
    }

    /// `append` is committed: on enough replicas, on disk, whatever the driver promises. What it says counts as soon as every earlier
    /// append is committed too, whichever order the driver hears of them in.
    pub fn committed(&mut self, append: AppendId, now: Now) -> Outcome {
        self.version = self.features.transaction_version();
        let mut outcome = Outcome::default();
        let uncommitted = &mut self.appends.uncommitted;
        if let Ok(index) = uncommitted.binary_search_by_key(&append, |one| one.id) {
            uncommitted[index].is_committed = true;
        }
        while let Some(append) = self.appends.uncommitted.pop_front_if(|one| one.is_committed) {
            self.release(append, now, &mut outcome);
        }
        outcome
    }

    fn release(&mut self, append: Uncommitted, now: Now, outcome: &mut Outcome) {
        self.stop_clock(&append);
        if let Some(Waiting { asker, response }) = append.waiting {
            answer(asker, response, outcome);
        }
        match append.write {
            Write::Step(id, next) => {
                let Some(transaction) = self.transactions.get_mut(&id) else {
                    return;
                };
                transaction.metadata = *next;
                transaction.pending = None;
                if transaction.metadata.state.is_prepared() {
                    self.begin_markers(&id, now, outcome);
                }
            }
            Write::Tombstones(ids) => {
                outcome.events.push(Event::Expired { ids: ids.len() });
                for id in ids {
                    self.transactions.remove(&id);
                }
            }
        }
    }

    /// The log refused `from` with `error`: it and every later append are taken back, even one that is committed, whose answers have
    /// not gone out. See the crate's documentation for what the driver does with such a log.
    pub fn append_failed(&mut self, from: AppendId, error: ErrorCode, now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        let kept = self.appends.uncommitted.partition_point(|one| one.id < from);
        for append in self.appends.uncommitted.split_off(kept).into_iter().rev() {
            self.stop_clock(&append);
            match append.write {
                Write::Step(id, next) => {
                    outcome.events.push(Event::NotWritten {
                        transactional_id: id.clone(),
                        state: next.state,
                        error,
                    });
                    self.not_written(&id, now);
                }
                Write::Tombstones(ids) => {
                    for id in ids {
                        self.not_written(&id, now);
                    }
                }
            }
            if let Some(waiting) = append.waiting {
                waiting.fail(append_error(error), &mut outcome);
            }
        }
        outcome
    }

    fn not_written(&mut self, id: &Utf8Bytes, now: Now) {
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.pending = None;
            if transaction.metadata.state.is_prepared() {
                // All partitions have been told; that has to be written some time.
                transaction.pending = Some(Pending::Markers(std::collections::BTreeSet::new()));
                self.carry_on_later(id, now);
            }
        }
        self.forget_if_new(id);
    }

    /// An id of which nothing was ever written was not there.
    fn forget_if_new(&mut self, id: &Utf8Bytes) {
        let is_new =
            |one: &super::Transaction| one.pending.is_none() && one.metadata.producer_epoch.is_none();
        if self.transactions.get(id).is_some_and(is_new) {
            self.transactions.remove(id);
        }
    }

    fn stop_clock(&mut self, append: &Uncommitted) {
        if let Some(deadline) = append.deadline {
            self.deadlines.remove(&(deadline, Deadline::Append(append.id)));
        }
    }

    /// Who waits for `append` has waited as long as its transactions may take. The append itself stays: its record may well be committed yet.
    pub(super) fn append_timed_out(&mut self, append: AppendId, outcome: &mut Outcome) {
        let uncommitted = &mut self.appends.uncommitted;
        let Ok(index) = uncommitted.binary_search_by_key(&append, |one| one.id) else {
            return;
        };
        uncommitted[index].deadline = None;
        if let Some(waiting) = uncommitted[index].waiting.take() {
            waiting.fail(append_error(ErrorCode::RequestTimedOut), outcome);
        }
    }

    /// Answers everyone who waits for an append. Nothing is decided any more.
    pub(super) fn refuse_all_waiting(&mut self, error: ErrorCode, outcome: &mut Outcome) {
        for waiting in self
            .appends
            .uncommitted
            .drain(..)
            .filter_map(|append| append.waiting)
        {
            waiting.fail(error, outcome);
        }
    }
}

fn bytes_of(record: &Record) -> usize {
    record_bytes(Some(&record.key), record.value.as_deref(), &Headers::default())
}
