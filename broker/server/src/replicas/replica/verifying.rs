//! Batches that wait until their transaction's coordinator has said that this partition takes part (KIP-890). They keep their place
//! among the batches of their producer: whatever else comes from it waits behind them, and nobody else's does. Only the
//! writer moves them, so that none can pass another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use forebay_broker_log::{VerificationGuard, VerificationRequest};
use forebay_protocol::ErrorCode;
use forebay_records::ProducerId;

use super::Replica;
use super::writer::{Queued, SET_ASIDE_BYTES_MAX, refuse};
use crate::clock;
use crate::error_code::HasErrorCode as _;
use crate::replicas::Error;
use crate::verification::{Operation, Patience};

/// What the writer has set aside, by producer.
pub(super) type Lanes = HashMap<ProducerId, Lane>;

/// The batches of one producer, in their order. The first is the one that is asked about.
pub(super) struct Lane {
    waiting: VecDeque<Queued>,
    guard: VerificationGuard,
    patience: Patience,
    outcome: Option<Outcome>,
}

/// What becomes of the first batch of a lane.
enum Outcome {
    /// It is tried with the guard.
    Try,
    /// It is refused.
    Refuse(ErrorCode),
    /// Its coordinator is asked once more.
    AskAgain,
}

impl Replica {
    /// What is to be appended next of producers whose coordinator has answered.
    pub(super) fn take_verified(self: &Arc<Self>) -> Vec<Queued> {
        let settled: Vec<(ProducerId, Lane)> = {
            let mut lanes = self.lanes();
            lanes.extract_if(|_, lane| lane.outcome.is_some()).collect()
        };
        let mut taken = Vec::new();
        for (producer_id, mut lane) in settled {
            match lane.outcome.take() {
                Some(Outcome::Try) => {
                    if let Some(first) = lane.waiting.front_mut() {
                        first.append.transaction.guard = lane.guard;
                        first.patience = Some(lane.patience);
                    }
                }
                Some(Outcome::Refuse(code)) => {
                    let first = lane.waiting.pop_front();
                    self.not_verified(producer_id, lane.guard, (code, first));
                }
                Some(Outcome::AskAgain) | None => {
                    self.ask(lane);
                    continue;
                }
            }
            taken.extend(lane.waiting);
        }
        let bytes = taken.iter().map(|queued| queued.bytes).sum::<usize>();
        self.queue().bytes_set_aside -= bytes;
        taken
    }

    fn not_verified(
        &self,
        producer_id: ProducerId,
        guard: VerificationGuard,
        (code, queued): (ErrorCode, Option<Queued>),
    ) {
        if is_final(code)
            && let Some(log) = &self.log
        {
            log.end_verification(producer_id, guard);
        }
        let Some(queued) = queued else { return };
        self.queue().bytes_set_aside -= queued.bytes;
        let operation = queued.append.question.as_ref().map(|asked| asked.operation);
        refuse(vec![queued], &told(code, operation));
    }

    /// Sets a batch aside if others of its producer wait already. One that there is no room for is refused.
    pub(super) fn stand_behind(&self, queued: Queued) -> Option<Queued> {
        let Some(question) = &queued.append.question else {
            return Some(queued);
        };
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(&question.producer_id) else {
            return Some(queued);
        };
        if let Some(queued) = self.make_room_for(queued) {
            lane.waiting.push_back(queued);
        }
        None
    }

    fn make_room_for(&self, queued: Queued) -> Option<Queued> {
        let mut queue = self.queue();
        let before = queue.bytes_set_aside;
        if before > 0 && before + queued.bytes > SET_ASIDE_BYTES_MAX {
            drop(queue);
            refuse(vec![queued], &Error::QueueFull);
            return None;
        }
        queue.bytes_set_aside += queued.bytes;
        Some(queued)
    }

    /// Asks the coordinator about a batch that the log does not take without.
    pub(super) fn verify(self: &Arc<Self>, queued: Queued) {
        let room = self
            .stand_behind(queued)
            .and_then(|queued| self.make_room_for(queued));
        let Some(mut queued) = room else {
            return;
        };
        let patience = queued.patience.take().unwrap_or_else(Patience::new);
        self.ask(Lane {
            waiting: VecDeque::from([queued]),
            guard: VerificationGuard::NONE,
            patience,
            outcome: None,
        });
    }

    /// Asks about the first batch of a lane.
    fn ask(self: &Arc<Self>, mut lane: Lane) {
        let first = lane.waiting.front().map(|queued| &queued.append);
        let question = first.and_then(|append| append.question.clone());
        let header = first.and_then(|append| Some(*append.batches.first()?.batch.header()));
        let (Some(question), Some(header), Some(log)) = (question, header, &self.log) else {
            // Nothing is set aside without a question, a batch and a log.
            return;
        };
        let producer_id = question.producer_id;
        let request = VerificationRequest {
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
            raises_epoch: question.operation == Operation::Add,
        };
        let guard = log.begin_verification(producer_id, request, clock::now());
        match &guard {
            Ok(Some(guard)) => lane.guard = *guard,
            // The transaction is open meanwhile.
            Ok(None) => lane.outcome = Some(Outcome::Try),
            Err(error) => lane.outcome = Some(Outcome::Refuse(error.error_code())),
        }
        let is_settled = lane.outcome.is_some();
        self.lanes().insert(producer_id, lane);
        if is_settled {
            return self.resume();
        }
        let replica = Arc::clone(self);
        let operation = question.operation;
        let partition = self.name().clone();
        self.shared.verifier.ask(question, partition, move |outcome| {
            replica.answered(producer_id, operation, outcome);
        });
    }

    fn answered(
        self: &Arc<Self>,
        producer_id: ProducerId,
        operation: Operation,
        outcome: Result<(), ErrorCode>,
    ) {
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(&producer_id) else {
            return;
        };
        let pause = lane.patience.pause_after(outcome, operation);
        if pause.is_none() {
            lane.outcome = Some(outcome.err().map_or(Outcome::Try, Outcome::Refuse));
        }
        drop(lanes);
        let Some(pause) = pause else {
            return self.resume();
        };
        let replica = Arc::clone(self);
        self.shared.verifier.after(pause, move || {
            if let Some(lane) = replica.lanes().get_mut(&producer_id) {
                lane.outcome = Some(Outcome::AskAgain);
            }
            replica.resume();
        });
    }

    fn resume(self: &Arc<Self>) {
        if !self.shared.appends.schedule(self) {
            let lanes = std::mem::take(&mut *self.lanes());
            for lane in lanes.into_values() {
                refuse(lane.waiting.into(), &Error::Lost);
            }
        }
    }

    /// Whether a coordinator has answered and the writer has not seen it.
    pub(super) fn has_answers(&self) -> bool {
        self.lanes().values().any(|lane| lane.outcome.is_some())
    }

    /// Maps of queues are good at any time. Taken before the queue's lock.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.writer.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether asking again would give the same answer.
fn is_final(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::TransactionAbortable
    )
}

/// The answer to a Produce, in Kafka's words: what a client of old would not try again is one that it does, and that does
/// not make it ask for metadata.
fn told(code: ErrorCode, operation: Option<Operation>) -> Error {
    let (code, message) = match code {
        ErrorCode::InvalidTxnState => (
            code,
            Some("Partition was not added to the transaction".to_owned()),
        ),
        ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => (ErrorCode::NotEnoughReplicas, Some(unable(code))),
        ErrorCode::ConcurrentTransactions if operation != Some(Operation::Add) => {
            (ErrorCode::NotEnoughReplicas, Some(unable(code)))
        }
        code => (code, None),
    };
    Error::Verification { code, message }
}

fn unable(code: ErrorCode) -> String {
    format!(
        "Unable to verify the partition has been added to the transaction. Underlying error: {}",
        code.name()
    )
}
