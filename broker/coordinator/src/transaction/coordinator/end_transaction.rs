//! EndTxn. A client's version of the API says how it runs its transactions: from version 5 on each end raises the producer's epoch
//! (KIP-890, part 2), by which a request that is sent again is told from one that ends the next transaction.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{EndTxnRequest, EndTxnResponse};
use forebay_records::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerEpoch, ProducerId};

use super::appends::Waiting;
use super::{Asker, Refusal, TransactionCoordinator, answer};
use crate::Now;
use crate::transaction::metadata::{End, TransactionMetadata};
use crate::transaction::{Outcome, Response, State, TransactionVersion};

/// The first version whose clients expect a new epoch with each end.
const RAISES_EPOCH: i16 = 5;

/// What a request comes to.
enum Decision {
    /// The transaction ends.
    End,
    /// It has ended so already, and the client has not heard of it.
    Already,
}

impl TransactionCoordinator {
    pub(super) fn end_transaction(
        &mut self,
        asker: Asker,
        request: &EndTxnRequest,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        let id = &request.transactional_id;
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest.into());
        }
        let Some(transaction) = self.transactions.get(id) else {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        };
        let metadata = transaction.metadata.clone();
        let is_pending = transaction.pending.is_some();
        let raises_epoch = asker.api_version >= RAISES_EPOCH;
        let decision = if raises_epoch {
            decide_with_raised_epochs(&metadata, is_pending, request)?
        } else {
            decide(&metadata, is_pending, request)?
        };
        match decision {
            Decision::Already if raises_epoch => {
                let response = ended(metadata.producer_id, metadata.producer_epoch);
                answer(asker, response, outcome);
                Ok(())
            }
            Decision::Already => {
                answer(asker, ended(NO_PRODUCER_ID, NO_PRODUCER_EPOCH), outcome);
                Ok(())
            }
            Decision::End => {
                let is_exhausted = raises_epoch && metadata.is_epoch_exhausted();
                let client_version = if raises_epoch {
                    TransactionVersion::V2
                } else {
                    TransactionVersion::V0
                };
                let end = End {
                    commit: request.committed,
                    client_version,
                    next_producer_id: self.next_producer_id(is_exhausted)?,
                };
                let next = metadata.prepare(end, now.timestamp);
                let response = if raises_epoch {
                    // What the client has when the transaction is complete.
                    let complete = next.complete(now.timestamp);
                    ended(complete.producer_id, complete.producer_epoch)
                } else {
                    ended(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
                };
                self.write(id, next, Some(Waiting::new(asker, response)), now, outcome)
            }
        }
    }
}

/// A client whose epoch stays: the epoch must be the current one, and the state says whether this has been asked before.
fn decide(
    metadata: &TransactionMetadata,
    is_pending: bool,
    request: &EndTxnRequest,
) -> Result<Decision, ErrorCode> {
    if metadata.producer_id.0 != request.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if metadata.producer_epoch.0 != request.producer_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    if is_pending {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    match (metadata.state, request.committed) {
        (State::Ongoing, _) => Ok(Decision::End),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(Decision::Already),
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ErrorCode::ConcurrentTransactions),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

/// A client that is given a new epoch with each end: the epoch says whether this has been asked before.
fn decide_with_raised_epochs(
    metadata: &TransactionMetadata,
    is_pending: bool,
    request: &EndTxnRequest,
) -> Result<Decision, ErrorCode> {
    if is_pending {
        // First, as the client may have a producer id that is valid only when what is on its way has arrived.
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let (current, asked) = (metadata.producer_epoch.0, request.producer_epoch);
    // An end decided in the old way has raised the epoch only to fence.
    let was_raised = metadata.client_version.raises_epoch();
    let is_previous_producer = was_raised
        && metadata.previous_producer_id.0 == request.producer_id
        && asked == i16::MAX - 1
        && current == 0;
    let is_previous_epoch = was_raised && asked.checked_add(1) == Some(current);
    if metadata.producer_id.0 != request.producer_id && !is_previous_producer {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let is_again = is_previous_epoch || is_previous_producer;
    let is_valid = match metadata.state {
        State::PrepareCommit | State::PrepareAbort => is_previous_epoch,
        State::CompleteCommit | State::CompleteAbort => is_again || asked == current,
        _ => asked == current,
    };
    if !is_valid {
        return Err(ErrorCode::ProducerFenced);
    }
    match (metadata.state, request.committed) {
        (State::Ongoing, _) => Ok(Decision::End),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) if is_again => Ok(Decision::Already),
        // A producer may abort what it has added nothing to: it cannot always know.
        (State::Empty, false) => Ok(Decision::End),
        (State::CompleteCommit | State::CompleteAbort, false) if !is_again => Ok(Decision::End),
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ErrorCode::ConcurrentTransactions),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

fn ended(producer_id: ProducerId, producer_epoch: ProducerEpoch) -> Response {
    Response::EndTransaction(EndTxnResponse {
        producer_id: producer_id.0,
        producer_epoch: producer_epoch.0,
        ..Default::default()
    })
}
