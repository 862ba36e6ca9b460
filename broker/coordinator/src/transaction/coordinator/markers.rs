//! From a decided transaction to a complete one (Kafka's `TransactionMarkerChannelManager`): its end is written into every partition, over
//! and over until each has it, then the completion is recorded. After a load it goes on from the log.

use std::time::Duration;

use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};

use super::{Deadline, Pending, TransactionCoordinator};
use crate::Now;
use crate::transaction::{Action, Event, Markers, Outcome, State};

/// How long to wait before what could not be written is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

impl TransactionCoordinator {
    /// Transactions that the log's last coordinator had decided and not completed.
    pub(super) fn resume(&mut self, now: Now, outcome: &mut Outcome) {
        let prepared = self
            .transactions
            .iter()
            .filter(|(_, one)| one.metadata.state.is_prepared());
        let prepared: Vec<_> = prepared
            .map(|(id, one)| (id.clone(), one.metadata.state))
            .collect();
        for (id, state) in prepared {
            outcome.events.push(Event::Resumed {
                transactional_id: id.clone(),
                state,
            });
            self.begin_markers(&id, now, outcome);
        }
    }

    /// It is decided how a transaction ends: all its partitions are told.
    pub(super) fn begin_markers(&mut self, id: &Utf8Bytes, now: Now, outcome: &mut Outcome) {
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.pending = Some(Pending::Markers(transaction.metadata.partitions.clone()));
            self.carry_on(id, now, outcome);
        }
    }

    /// Tells the partitions that have not been told; if none is left, writes that down.
    pub(super) fn carry_on(&mut self, id: &Utf8Bytes, now: Now, outcome: &mut Outcome) {
        let Some(transaction) = self.transactions.get(id) else {
            return;
        };
        let Some(Pending::Markers(left)) = &transaction.pending else {
            return;
        };
        let metadata = &transaction.metadata;
        if left.is_empty() {
            let complete = metadata.complete(now.timestamp);
            if self.write(id, complete, None, now, outcome).is_err() {
                self.carry_on_later(id, now);
            }
            return;
        }
        outcome.actions.push(Action::WriteMarkers(Markers {
            transactional_id: id.clone(),
            producer_id: metadata.producer_id,
            producer_epoch: metadata.producer_epoch,
            commit: metadata.state == State::PrepareCommit,
            coordinator_epoch: self.epoch,
            transaction_version: metadata.client_version,
            partitions: left.iter().cloned().collect(),
        }));
    }

    pub(super) fn carry_on_later(&mut self, id: &Utf8Bytes, now: Now) {
        let deadline = now.elapsed.saturating_add(RETRY_PAUSE);
        self.deadlines.insert((deadline, Deadline::Markers(id.clone())));
    }

    pub(super) fn markers_written(
        &mut self,
        markers: &Markers,
        results: &[(TopicPartition, Result<(), ErrorCode>)],
        now: Now,
        outcome: &mut Outcome,
    ) {
        let id = &markers.transactional_id;
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let (metadata, pending) = (&transaction.metadata, &mut transaction.pending);
        let is_of_this = metadata.producer_id == markers.producer_id
            && metadata.producer_epoch == markers.producer_epoch
            && metadata.state.is_prepared();
        let Some(Pending::Markers(left)) = pending.as_mut().filter(|_| is_of_this) else {
            return;
        };
        for (partition, result) in results {
            let (transactional_id, partition) = (id.clone(), partition.clone());
            match result {
                Ok(()) => {
                    left.remove(&partition);
                }
                // Whoever has raised the epoch there has ended this transaction there.
                Err(ErrorCode::InvalidProducerEpoch) => {
                    left.remove(&partition);
                    outcome.events.push(Event::MarkerRefused {
                        transactional_id,
                        partition,
                    });
                }
                // It stays pending: what else happens to it is the later coordinator's to say.
                Err(ErrorCode::TransactionCoordinatorFenced) => {
                    outcome.events.push(Event::CoordinatorFenced {
                        transactional_id,
                        partition,
                    });
                    return;
                }
                Err(error) => {
                    outcome.events.push(Event::MarkerNotWritten {
                        transactional_id,
                        partition,
                        error: *error,
                    });
                }
            }
        }
        if left.is_empty() {
            self.carry_on(id, now, outcome);
        } else {
            self.carry_on_later(id, now);
        }
    }
}
