//! AddPartitionsToTxn and AddOffsetsToTxn: a transaction begins with its first partition. And the question of whoever leads a partition,
//! whether it takes part (KIP-890).

use forebay_protocol::ErrorCode;

use super::appends::Waiting;
use super::{Asker, Refusal, TransactionCoordinator, answer};
use crate::Now;
use crate::transaction::command::AddPartitions;
use crate::transaction::{Outcome, Response, State};

impl TransactionCoordinator {
    pub(super) fn add_partitions(
        &mut self,
        asker: Asker,
        add: &AddPartitions,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        check_id(add)?;
        let Some(transaction) = self.transactions.get(&add.transactional_id) else {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        };
        let metadata = &transaction.metadata;
        if transaction.pending.is_some() {
            // First, so that who holds an id that is about to be valid is not told that it is not.
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        if metadata.producer_id != add.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        if metadata.producer_epoch != add.producer_epoch {
            return Err(ErrorCode::ProducerFenced.into());
        }
        let response = Response::AddPartitions(
            add.partitions
                .iter()
                .map(|one| (one.clone(), ErrorCode::None))
                .collect(),
        );
        let take_part = |partition| metadata.partitions.contains(partition);
        if metadata.state == State::Ongoing && add.partitions.iter().all(take_part) {
            answer(asker, response, outcome);
            return Ok(());
        }
        if metadata.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let next = metadata.add_partitions(&add.partitions, add.client_version, now.timestamp);
        let waiting = Waiting::new(asker, response);
        self.write(&add.transactional_id, next, Some(waiting), now, outcome)
    }

    /// Says which partitions take part. Those whose adding is on its way do not yet.
    pub(super) fn verify_partitions(
        &mut self,
        asker: Asker,
        add: &AddPartitions,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        check_id(add)?;
        let Some(transaction) = self.transactions.get(&add.transactional_id) else {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        };
        let metadata = &transaction.metadata;
        if metadata.producer_id != add.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        if metadata.producer_epoch != add.producer_epoch {
            return Err(ErrorCode::ProducerFenced.into());
        }
        if metadata.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let results = add.partitions.iter().map(|partition| {
            let error = if metadata.partitions.contains(partition) {
                ErrorCode::None
            } else {
                ErrorCode::TransactionAbortable
            };
            (partition.clone(), error)
        });
        answer(asker, Response::AddPartitions(results.collect()), outcome);
        Ok(())
    }
}

fn check_id(add: &AddPartitions) -> Result<(), ErrorCode> {
    if add.transactional_id.is_empty() {
        Err(ErrorCode::InvalidRequest)
    } else {
        Ok(())
    }
}
