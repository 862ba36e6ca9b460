//! The single writer of a partition: whatever waits in the queue when an I/O thread comes to it is appended with one write, and
//! synced once if anyone waits for that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_broker_log::{Append, Appended, Log, TransactionChecks, ValidatedBatch, VerificationGuard};
use forebay_broker_partition::{AwaitProduce, Command, ProduceWaiter, RequiredAcks};
use forebay_records::{AppendOrigin, LeaderEpoch, Timestamp};
use tokio::sync::oneshot;

use super::Replica;
use super::verifying::Lanes;
use crate::clock;
use crate::io_pool::Drain;
use crate::replicas::{self, Error};
use crate::verification::{Operation, Patience, Question};

/// Bytes that one round of the writer takes from the queue; the rest waits for its next turn.
const ROUND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that may wait in a partition's queue. Connections bound what they have in flight; this bounds all of them together.
pub(crate) const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes that may be set aside until their transactions' coordinators have answered. What a coordinator is waited for does not take
/// the queue from those who wait for nobody.
pub(crate) const SET_ASIDE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Batches to append to one partition.
#[derive(Debug, Clone)]
pub(crate) struct NewAppend {
    /// Validated; usually one.
    pub(crate) batches: Vec<ValidatedBatch>,
    /// Who appends.
    pub(crate) origin: AppendOrigin,
    /// Whose acknowledgement is waited for.
    pub(crate) acks: RequiredAcks,
    /// For transactional batches and markers.
    pub(super) transaction: TransactionChecks,
    /// Whom to ask when the log does not know of the transaction; none: then it is refused.
    pub(super) question: Option<Question>,
}

impl NewAppend {
    /// Batches outside of transactions.
    pub(crate) fn new(batches: Vec<ValidatedBatch>, origin: AppendOrigin, acks: RequiredAcks) -> Self {
        Self {
            batches,
            origin,
            acks,
            transaction: TransactionChecks::default(),
            question: None,
        }
    }

    /// The same, part of a transaction that was looked at, or its end.
    pub(crate) fn checked(self, transaction: TransactionChecks) -> Self {
        Self { transaction, ..self }
    }

    /// The same, part of a transaction whose coordinator is asked if need be.
    pub(crate) fn verified_by(self, question: Question) -> Self {
        let transaction = TransactionChecks {
            required: question.operation == Operation::Add,
            ..self.transaction
        };
        Self {
            transaction,
            question: Some(question),
            ..self
        }
    }

    /// The end of a transaction. Who waits for it may be what fills the queue.
    fn is_marker(&self) -> bool {
        self.batches.iter().all(|one| one.batch.header().is_control())
    }
}

/// Batches in the queue.
pub(super) struct Queued {
    pub(super) append: NewAppend,
    pub(super) bytes: usize,
    /// For how long its coordinator may be asked once more, if it has said yes.
    pub(super) patience: Option<Patience>,
    reply: Reply,
}

impl Queued {
    /// The same to be asked about, should the log not take it: because nobody has been asked yet; or, where it is the broker that adds the
    /// partition, because the end of the transaction before came in between and took the answer away.
    fn again(&self) -> Option<NewAppend> {
        let question = self.append.question.as_ref()?;
        let was_asked = self.append.transaction.guard != VerificationGuard::NONE;
        let may_be_asked = !was_asked
            || (question.operation == Operation::Add
                && self.patience.is_some_and(|patience| !patience.is_over()));
        may_be_asked.then(|| {
            let mut append = self.append.clone();
            append.transaction.guard = VerificationGuard::NONE;
            append
        })
    }
}

/// Batches that are being written, and who hears of it.
struct Wait {
    acks: RequiredAcks,
    bytes: usize,
    reply: Reply,
    /// The same once more, should the log not take them yet.
    again: Option<NewAppend>,
    patience: Option<Patience>,
}

/// Hears of an acknowledgement.
pub(super) type Reply = oneshot::Sender<Result<Appended, Error>>;

#[derive(Default)]
pub(super) struct Queue {
    appends: VecDeque<Queued>,
    bytes: usize,
    /// Of those that the writer has set aside.
    pub(super) bytes_set_aside: usize,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    scheduled: AtomicBool,
    pub(super) lanes: Mutex<Lanes>,
    /// The state machine has asked for a sync outside of the writer's round.
    sync_wanted: AtomicBool,
    /// The log is being filled ahead.
    filling: AtomicBool,
}

impl Replica {
    /// Leaves a sync to the writer.
    pub(super) fn want_sync(self: &Arc<Self>) {
        self.writer.sync_wanted.store(true, Ordering::Release);
        // False: the broker stops; closing the log syncs it.
        let _scheduled = self.shared.appends.schedule(self);
    }

    /// Puts batches in the queue of this partition's writer, in the order of the calls. The receiver hears of the
    /// acknowledgement asked for, with `acks=0` of the append.
    ///
    /// # Errors
    /// If this broker does not lead the partition, or too few replicas are in sync, or the queue is full.
    pub(crate) fn append(
        self: &Arc<Self>,
        append: NewAppend,
    ) -> Result<oneshot::Receiver<Result<Appended, Error>>, Error> {
        self.with_partition(|partition| partition.check_append(append.acks))?;
        let bytes = append.batches.iter().map(|one| one.batch.size_in_bytes()).sum();
        let (reply, receiver) = oneshot::channel();
        {
            let mut queue = self.queue();
            if queue.bytes > 0 && queue.bytes + bytes > QUEUE_BYTES_MAX && !append.is_marker() {
                return Err(Error::QueueFull);
            }
            queue.bytes += bytes;
            queue.appends.push_back(Queued {
                append,
                bytes,
                patience: None,
                reply,
            });
        }
        if !self.shared.appends.schedule(self) {
            refuse(self.take_round(), &Error::Lost);
        }
        Ok(receiver)
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.writer.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_round(&self) -> Vec<Queued> {
        let mut queue = self.queue();
        let mut bytes = 0;
        let mut round = Vec::new();
        while let Some(next) = queue.appends.front()
            && (round.is_empty() || bytes + next.bytes <= ROUND_BYTES_MAX)
        {
            bytes += next.bytes;
            round.extend(queue.appends.pop_front());
        }
        queue.bytes -= bytes;
        round
    }

    /// Appends a round with one write, and syncs once if anyone waits for that.
    fn write(self: &Arc<Self>, round: Vec<Queued>) {
        let now = clock::now();
        let Some((leader_epoch, accepted)) = self.check_round(round) else {
            return;
        };
        let Some(log) = &self.log else {
            return refuse(accepted, &Error::Lost);
        };
        let mut waits = Vec::with_capacity(accepted.len());
        let mut appends = Vec::with_capacity(accepted.len());
        for queued in accepted {
            let Some(queued) = self.stand_behind(queued) else {
                continue;
            };
            let again = queued.again();
            let Queued {
                append,
                bytes,
                patience,
                reply,
            } = queued;
            waits.push(Wait {
                acks: append.acks,
                bytes,
                reply,
                again,
                patience,
            });
            appends.push(Append {
                batches: append.batches,
                origin: append.origin,
                transaction: append.transaction,
            });
        }
        let results = log.append(leader_epoch, now, appends);
        self.flush(log);
        let (waits, results) = self.set_aside(waits, results);
        if self.after_append(log, waits, results) {
            self.sync(log);
        }
    }

    /// Those that the log does not take before their transaction's coordinator was asked have to wait for that.
    fn set_aside(
        self: &Arc<Self>,
        waits: Vec<Wait>,
        results: Vec<forebay_broker_log::Result<Appended>>,
    ) -> (Vec<Wait>, Vec<forebay_broker_log::Result<Appended>>) {
        let mut kept = (Vec::with_capacity(waits.len()), Vec::with_capacity(results.len()));
        for (mut wait, result) in waits.into_iter().zip(results) {
            match (wait.again.take(), &result) {
                (Some(append), Err(forebay_broker_log::Error::Unverified { .. })) => {
                    let Wait {
                        bytes,
                        reply,
                        patience,
                        ..
                    } = wait;
                    self.verify(Queued {
                        append,
                        bytes,
                        patience,
                        reply,
                    });
                }
                _ => {
                    kept.0.push(wait);
                    kept.1.push(result);
                }
            }
        }
        kept
    }

    /// Where a sync is demanded for so many records, and not for each: before the records that reached the number are
    /// acknowledged or seen, as in Kafka, whose append returns after the sync.
    fn flush(&self, log: &Log) {
        if self.config().flush_messages == 1 || !log.sync_required() {
            return;
        }
        if let Err(error) = log.sync(clock::now()) {
            replicas::report(&error.into());
            self.step(&mut self.state(), Command::Fail);
        }
    }

    /// What may still be appended now that its turn has come: the role may have changed since it was queued.
    fn check_round(&self, round: Vec<Queued>) -> Option<(LeaderEpoch, Vec<Queued>)> {
        let mut accepted = Vec::with_capacity(round.len());
        let mut epoch = None;
        for queued in round {
            match self.with_partition(|partition| partition.check_append(queued.append.acks)) {
                Ok(leader_epoch) => {
                    epoch = Some(leader_epoch);
                    accepted.push(queued);
                }
                Err(error) => refuse(vec![queued], &error.into()),
            }
        }
        epoch.map(|epoch| (epoch, accepted))
    }

    fn after_append(
        &self,
        log: &Log,
        waits: Vec<Wait>,
        results: Vec<forebay_broker_log::Result<Appended>>,
    ) -> bool {
        let mut state = self.state();
        let bytes = waits
            .iter()
            .zip(&results)
            .filter(|(_, result)| is_new(result))
            .map(|(wait, _)| wait.bytes)
            .sum::<usize>();
        let mut sync = bytes > 0 && self.step(&mut state, appended(log, bytes));
        for (
            Wait {
                acks, bytes, reply, ..
            },
            result,
        ) in waits.into_iter().zip(results)
        {
            match &result {
                Ok(appended) if !appended.duplicate => self.appended(bytes, appended),
                Ok(_) => {}
                Err(_) => self.append_failed(),
            }
            match result {
                Ok(appended) if acks != RequiredAcks::None => {
                    let waiter = ProduceWaiter(state.next_waiter);
                    state.next_waiter += 1;
                    state.produces.insert(waiter, (appended, reply));
                    // Its time limit is the handler's to watch: it answers, the wait here ends with the append's.
                    let wait = AwaitProduce {
                        waiter,
                        acks,
                        required_offset: appended.end_offset(),
                    };
                    sync |= self.step(&mut state, Command::AwaitProduce(wait));
                }
                result => {
                    let result = result.map_err(Error::from);
                    if let Err(error) = &result {
                        replicas::report(error);
                    }
                    // The producer may have gone.
                    let _gone = reply.send(result);
                }
            }
        }
        sync
    }

    /// Syncs until nobody waits for one any more. A failed sync is never tried again: the log directory is given up.
    fn sync(&self, log: &Log) {
        loop {
            let command = match log.sync(clock::now()) {
                Ok(offset) => Command::Synced { offset },
                Err(error) => {
                    replicas::report(&error.into());
                    Command::Fail
                }
            };
            let mut state = self.state();
            if !self.step(&mut state, command) {
                return;
            }
        }
    }

    /// Has the log filled ahead with zeros where that makes syncs shorter, on another thread than the writer's.
    fn fill_ahead(self: &Arc<Self>) {
        let wants = || self.log.as_ref().is_some_and(|log| log.wants_zeros());
        if self.writer.filling.load(Ordering::Acquire)
            || !wants()
            || self.writer.filling.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let replica = Arc::clone(self);
        let fill = move || {
            let filled = replica.log.as_ref().map(|log| log.fill_ahead(clock::now()));
            if let Some(Err(error)) = filled {
                replicas::report(&error.into());
                replica.handle(Command::Fail);
            }
            replica.writer.filling.store(false, Ordering::Release);
        };
        // False: the broker stops.
        let _submitted = self.shared.appends.submit(fill);
    }

    /// Syncs if `flush.ms` or a closed segment asks for it. On an I/O thread.
    pub(crate) fn sync_if_due(&self, now: Timestamp) {
        if let Some(log) = &self.log
            && log.sync_due(now)
        {
            self.sync(log);
        }
    }
}

impl Drain for Replica {
    fn scheduled(&self) -> &AtomicBool {
        &self.writer.scheduled
    }

    fn drain(self: Arc<Self>) {
        let mut round = self.take_verified();
        round.extend(self.take_round());
        if !round.is_empty() {
            self.write(round);
        }
        if self.writer.sync_wanted.swap(false, Ordering::AcqRel)
            && let Some(log) = &self.log
        {
            self.sync(log);
        }
        self.fill_ahead();
    }

    fn has_work(&self) -> bool {
        self.writer.sync_wanted.load(Ordering::Acquire)
            || !self.queue().appends.is_empty()
            || self.has_answers()
    }
}

fn is_new(result: &forebay_broker_log::Result<Appended>) -> bool {
    result.as_ref().is_ok_and(|appended| !appended.duplicate)
}

fn appended(log: &Log, bytes: usize) -> Command {
    Command::Appended {
        log_end_offset: log.log_end_offset(),
        bytes: bytes as u64,
        first_unstable_offset: log.first_unstable_offset(),
    }
}

pub(super) fn refuse(round: Vec<Queued>, error: &Error) {
    for queued in round {
        // The producer may have gone.
        let _gone = queued.reply.send(Err(error.clone()));
    }
}
