//! The calls of a transactional producer (`transactional.id`; KIP-98): records and offsets of a transaction become visible to
//! `read_committed` consumers together, or never. The sender does the work; a call waits for it at most `max.block.ms`, and one
//! that did not see the end may be made again.

use std::collections::BTreeMap;

use forebay_protocol::TopicPartition;
use tokio::time::{Instant, timeout_at};

use super::{
    DeliveryFuture, Producer,
    transaction::{Operation, Outcome, Transactions, Version},
};
use crate::{
    consumer::{GroupMetadata, OffsetAndMetadata},
    error::Error,
};

impl Producer {
    /// Takes the transactional id over: ends what a producer before this one has left open, and fences it. To be called once,
    /// before the first transaction.
    ///
    /// # Errors
    /// Of the coordinator. After [`Error::Timeout`] call it again.
    pub async fn init_transactions(&self) -> Result<(), Error> {
        self.carry_out(Operation::Init, Transactions::init).await
    }

    /// Begins a transaction: what is sent from here on is a part of it.
    ///
    /// # Errors
    /// If there is one already, or none can be.
    pub fn begin_transaction(&self) -> Result<(), Error> {
        let version = Version::of_feature(self.shared.cluster.transaction_version());
        self.with_transactions(|transactions| transactions.begin(version))
    }

    /// Commits a consumer's offsets as a part of the transaction (KIP-447): they hold if and when it is committed. `group` says
    /// for whom; a member that its group has lost is refused.
    ///
    /// # Errors
    /// An abortable one (see [`Error::is_abortable`]) if the group refuses.
    pub async fn send_offsets_to_transaction(
        &self,
        offsets: &BTreeMap<TopicPartition, OffsetAndMetadata>,
        group: &GroupMetadata,
    ) -> Result<(), Error> {
        let outcome =
            self.with_transactions(|transactions| transactions.send_offsets(offsets.clone(), group.clone()))?;
        self.wait(outcome, "send offsets to the transaction").await
    }

    /// Sends what is there, and commits the transaction once all of it is acknowledged. Where no answer comes it is asked for
    /// again, until the outcome is known.
    ///
    /// # Errors
    /// [`Error::TransactionAbortable`] if a record or an offset is lost: then abort. After [`Error::Timeout`] call it again: only
    /// then the outcome is known. [`Error::UnknownOutcome`] if it never will be.
    pub async fn commit_transaction(&self) -> Result<(), Error> {
        self.carry_out(Operation::Commit, Transactions::commit).await
    }

    /// Aborts the transaction; what is not sent yet fails with [`Error::TransactionAborted`].
    ///
    /// # Errors
    /// If the producer is fenced. After [`Error::Timeout`] call it again.
    pub async fn abort_transaction(&self) -> Result<(), Error> {
        self.carry_out(Operation::Abort, Transactions::abort).await
    }

    fn with_transactions<T>(
        &self,
        call: impl FnOnce(&mut Transactions) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let accumulator = &self.shared.accumulator;
        let Some(mut transactions) = accumulator.transactions() else {
            let message = "Cannot use transactional methods without enabling transactions by setting the transactional.id configuration property";
            return Err(Error::IllegalState(message.into()));
        };
        let result = call(&mut transactions);
        drop(transactions);
        accumulator.wake.notify_one();
        result
    }

    async fn carry_out(
        &self,
        operation: Operation,
        begin: impl FnOnce(&mut Transactions) -> Result<Outcome, Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.config().max_block;
        let outcome = self.with_transactions(begin)?;
        let action = match operation {
            Operation::Init => "initialize transactions",
            Operation::Commit => "commit the transaction",
            Operation::Abort => "abort the transaction",
        };
        if operation == Operation::Commit {
            // Batches do not linger while this waits.
            let _ = timeout_at(deadline, self.flush()).await;
        }
        let result = self.wait_until(outcome, action, deadline).await;
        if let Some(mut transactions) = self.shared.accumulator.transactions() {
            transactions.taken(operation);
        }
        result
    }

    async fn wait(&self, outcome: Outcome, action: &str) -> Result<(), Error> {
        let deadline = Instant::now() + self.config().max_block;
        self.wait_until(outcome, action, deadline).await
    }

    async fn wait_until(&self, mut outcome: Outcome, action: &str, deadline: Instant) -> Result<(), Error> {
        let mut ended = self.shared.ended.clone();
        let told = async {
            tokio::select! {
                biased;
                told = outcome.wait_for(Option::is_some) => match told {
                    Ok(told) => told.clone().expect("it was waited for"),
                    Err(_) => Err(Error::Closed("producer")),
                },
                // Nothing is ever sent on it: it only closes, with the sender.
                _ = ended.changed() => Err(Error::Closed("producer")),
            }
        };
        timeout_at(deadline, told).await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                action: format!("{action} (max.block.ms)").into(),
                after: self.config().max_block,
                last: None,
            })
        })
    }

    /// What could not even be accepted is missing in the transaction.
    pub(super) fn accept(&self, sent: Result<DeliveryFuture, Error>) -> Result<DeliveryFuture, Error> {
        if let Err(error) = &sent
            && !matches!(error, Error::IllegalState(_) | Error::Closed(_))
            && !error.is_abortable()
            && !error.is_fatal_for_producer()
        {
            self.shared.accumulator.batch_failed(error);
        }
        sent
    }

    /// Begins to abort what is open, for a producer that is about to be closed.
    pub(super) fn abort_open_transaction(&self) {
        let Some(mut transactions) = self.shared.accumulator.transactions() else {
            return;
        };
        if transactions.is_open() && !transactions.is_busy() {
            tracing::info!(id = %transactions.id(), "Aborting incomplete transaction due to shutdown");
            // It can fail for the state only, and that was looked at.
            let _ = transactions.abort();
        }
    }
}
