//! InitProducerId with a transactional id: the producer gets its id and the next epoch, which fences whoever had the one before. A
//! transaction that is still open is aborted first, and the producer asked to come again.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use forebay_records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerEpoch, ProducerId};

use super::appends::Waiting;
use super::{Asker, Refusal, Transaction, TransactionCoordinator};
use crate::Now;
use crate::transaction::metadata::{Producer, TransactionMetadata};
use crate::transaction::{Event, Outcome, Response, State};

impl TransactionCoordinator {
    pub(super) fn init_producer_id(
        &mut self,
        asker: Asker,
        request: &InitProducerIdRequest,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        let id = request.transactional_id.clone().unwrap_or_default();
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest.into());
        }
        let timeout_ms = request.transaction_timeout_ms;
        if timeout_ms <= 0 || timeout_ms > self.config.timeout_ms_max {
            return Err(ErrorCode::InvalidTransactionTimeout.into());
        }
        let expected = expected(request);
        let next = match self.transactions.get(&id) {
            None => {
                let producer_id = self.take_producer_id()?;
                let metadata = TransactionMetadata::new(producer_id, timeout_ms, now.timestamp);
                let next =
                    metadata.next_epoch(timeout_ms, expected.map(|producer| producer.epoch), now.timestamp);
                let pending = None;
                self.transactions
                    .insert(id.clone(), Transaction { metadata, pending });
                next?
            }
            Some(transaction) => {
                let metadata = &transaction.metadata;
                if transaction.pending.is_some() {
                    return Err(ErrorCode::ConcurrentTransactions.into());
                }
                if expected.is_some_and(|producer| !metadata.may_continue(producer)) {
                    return Err(ErrorCode::ProducerFenced.into());
                }
                match metadata.state {
                    State::Ongoing => {
                        let metadata = metadata.clone();
                        let next = self.fenced(&metadata, now)?;
                        outcome.events.push(Event::Fenced {
                            transactional_id: id.clone(),
                            producer_id: metadata.producer_id,
                        });
                        let again = initialized(NO_PRODUCER_ID, NO_PRODUCER_EPOCH);
                        let again = again.failed(ErrorCode::ConcurrentTransactions, asker.api_version);
                        let waiting = Waiting::new(asker, again);
                        return self.write(&id, next, Some(waiting), now, outcome);
                    }
                    State::Empty | State::CompleteCommit | State::CompleteAbort => {
                        let metadata = metadata.clone();
                        self.begin_anew(&metadata, timeout_ms, expected, now)?
                    }
                    _ => return Err(ErrorCode::ConcurrentTransactions.into()),
                }
            }
        };
        let waiting = Waiting::new(asker, initialized(next.producer_id, next.producer_epoch));
        self.write(&id, next, Some(waiting), now, outcome)
    }

    fn begin_anew(
        &mut self,
        metadata: &TransactionMetadata,
        timeout_ms: i32,
        expected: Option<Producer>,
        now: Now,
    ) -> Result<TransactionMetadata, Refusal> {
        let is_current = expected.is_none_or(|producer| producer.epoch == metadata.producer_epoch);
        if metadata.is_epoch_exhausted() && is_current {
            let producer_id = self.take_producer_id()?;
            let keeps_last = expected.is_some();
            return Ok(metadata.next_producer(producer_id, timeout_ms, keeps_last, now.timestamp));
        }
        let expected = expected.map(|producer| producer.epoch);
        Ok(metadata.next_epoch(timeout_ms, expected, now.timestamp)?)
    }

    /// What becomes of an open transaction whose producer is to be fenced.
    pub(super) fn fenced(
        &mut self,
        metadata: &TransactionMetadata,
        now: Now,
    ) -> Result<TransactionMetadata, Refusal> {
        let is_exhausted = self.version.raises_epoch() && metadata.is_epoch_exhausted();
        let next_producer_id = self.next_producer_id(is_exhausted)?;
        Ok(metadata.fence(self.version, next_producer_id, now.timestamp))
    }
}

/// What the client believes to have, if it names it.
fn expected(request: &InitProducerIdRequest) -> Option<Producer> {
    let producer = Producer {
        id: ProducerId(request.producer_id),
        epoch: ProducerEpoch(request.producer_epoch),
    };
    (producer.id != NO_PRODUCER_ID).then_some(producer)
}

fn initialized(producer_id: ProducerId, producer_epoch: ProducerEpoch) -> Response {
    Response::InitProducerId(InitProducerIdResponse {
        producer_id: producer_id.0,
        producer_epoch: producer_epoch.0,
        ..Default::default()
    })
}
