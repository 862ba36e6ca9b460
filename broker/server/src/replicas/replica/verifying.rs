//! Batches that wait until their transaction's coordinator has said that this partition takes part (KIP-890). They keep their place
//! among the batches of their producer: whatever else comes from it waits behind them, and nobody else's does. Only the
//! writer moves them, so that none can pass another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use forebay_broker_log::{Log, VerificationGuard, VerificationRequest};
use forebay_protocol::ErrorCode;
use forebay_records::ProducerId;

use super::Replica;
use super::writer::{Queued, refuse};
use crate::clock;
use crate::replicas::Error;
use crate::verification::Operation;

/// What the writer has set aside, by producer.
pub(super) type Lanes = HashMap<ProducerId, Lane>;

/// The batches of one producer, in their order. The first is the one that is asked about.
pub(super) struct Lane {
    waiting: VecDeque<Queued>,
    guard: VerificationGuard,
    outcome: Option<Result<(), ErrorCode>>,
}

impl Replica {
    /// What is to be appended next of producers whose coordinator has answered.
    pub(super) fn take_verified(&self) -> Vec<Queued> {
        let settled: Vec<(ProducerId, Lane)> = {
            let mut lanes = self.lanes();
            lanes.extract_if(|_, lane| lane.outcome.is_some()).collect()
        };
        let mut taken = Vec::new();
        for (producer_id, lane) in settled {
            let (mut waiting, guard) = (lane.waiting, lane.guard);
            match lane.outcome {
                Some(Ok(())) => {
                    if let Some(first) = waiting.front_mut() {
                        first.append.transaction.guard = guard;
                    }
                }
                Some(Err(code)) => {
                    let first = waiting.pop_front();
                    self.not_verified(producer_id, guard, (code, first));
                }
                None => {}
            }
            taken.extend(waiting);
        }
        let bytes = taken.iter().map(|queued| queued.bytes).sum::<usize>();
        self.queue().bytes -= bytes;
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
        self.queue().bytes -= queued.bytes;
        let operation = queued.append.question.as_ref().map(|asked| asked.operation);
        refuse(vec![queued], &told(code, operation));
    }

    /// Sets a batch aside if others of its producer wait already.
    pub(super) fn stand_behind(&self, queued: Queued) -> Option<Queued> {
        let Some(question) = &queued.append.question else {
            return Some(queued);
        };
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(&question.producer_id) else {
            return Some(queued);
        };
        self.queue().bytes += queued.bytes;
        lane.waiting.push_back(queued);
        None
    }

    /// Asks the coordinator about a batch that the log does not take without.
    pub(super) fn verify(self: &Arc<Self>, log: &Log, queued: Queued) {
        let Some(queued) = self.stand_behind(queued) else {
            return;
        };
        let question = queued.append.question.clone();
        let header = queued.append.batches.first().map(|one| *one.batch.header());
        let (Some(question), Some(header)) = (question, header) else {
            return refuse(vec![queued], &Error::Lost);
        };
        let producer_id = question.producer_id;
        let request = VerificationRequest {
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
            raises_epoch: question.operation == Operation::Add,
        };
        let guard = match log.begin_verification(producer_id, request, clock::now()) {
            Ok(guard) => guard,
            Err(error) => return refuse(vec![queued], &error.into()),
        };
        self.queue().bytes += queued.bytes;
        let lane = Lane {
            waiting: VecDeque::from([queued]),
            guard: guard.unwrap_or_default(),
            outcome: guard.is_none().then_some(Ok(())),
        };
        self.lanes().insert(producer_id, lane);
        let replica = Arc::clone(self);
        if guard.is_some() {
            let partition = self.name().clone();
            self.shared.verifier.ask(question, partition, move |outcome| {
                replica.answered(producer_id, outcome);
            });
        } else {
            self.resume();
        }
    }

    fn answered(self: &Arc<Self>, producer_id: ProducerId, outcome: Result<(), ErrorCode>) {
        if let Some(lane) = self.lanes().get_mut(&producer_id) {
            lane.outcome = Some(outcome);
        }
        self.resume();
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
