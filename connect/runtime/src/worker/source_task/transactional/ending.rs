//! How the transactions of an exactly-once source task end: committed, aborted, or given up when the task does.

use std::pin::pin;
use std::time::Duration;

use forebay_client::{Error as ClientError, ProducerRecord};
use forebay_connect_api::Error;
use forebay_protocol::ErrorCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Told, TransactionalRunner, poll};
use crate::metrics::Commit;
use crate::store::config::TargetState;
use crate::store::offset::ConnectorOffsets;
use crate::store::status::TopicStatus;
use crate::worker::source_task::boundary::End;
use crate::worker::supervisor::Command;

impl TransactionalRunner {
    /// Ends the transaction, if there is one, and commits the offsets that have moved.
    /// With `polling` the task may be asked for more meanwhile, as long as that says that it is to run.
    pub(super) async fn end(
        &mut self,
        end: End,
        offsets: &ConnectorOffsets,
        polling: Option<&watch::Receiver<Command>>,
    ) -> Result<(), Error> {
        self.ending = Some(end);
        if end == End::Abort && self.is_open {
            tracing::info!(task = %self.id, "aborting the transaction as the connector asks");
            let aborted = self.producer.abort_transaction().await;
            aborted.map_err(|error| self.failed("the task's transaction cannot be aborted", error))?;
            (self.is_open, self.records) = (false, 0);
            self.metrics.active(self.ahead.records() as u64);
            self.touched.clear();
        }
        self.commit(offsets, polling).await?;
        self.ending = None;
        self.boundary.ended();
        Ok(())
    }

    async fn commit(
        &mut self,
        offsets: &ConnectorOffsets,
        polling: Option<&watch::Receiver<Command>>,
    ) -> Result<(), Error> {
        if !self.is_open && self.moved.is_empty() {
            return Ok(());
        }
        let what = format!("Failed to flush offsets and/or records for task {}", self.id);
        self.begin()?;
        let moved = self.moved.pairs();
        let records = offsets.records(moved.map(|(partition, offset)| (&**partition, offset.as_ref())));
        if !self.is_committing {
            let forgotten = offsets.forget_copies(&records).await;
            forgotten.map_err(|error| Error::retriable(what.clone()).with_source(error))?;
            for (key, value) in &records {
                // Where the worker looks for it, whatever partitioner the connector has for its records.
                let partition = self.producer.partition_for_key(offsets.topic(), key).await;
                let partition = partition.map_err(|error| self.failed(&what, error))?;
                let record =
                    ProducerRecord::new(offsets.topic(), Some(key), value.as_deref()).partition(partition);
                let sent = self.producer.send(record).await;
                drop(sent.map_err(|error| self.failed(&what, error))?);
            }
            self.is_committing = true;
        }
        let began = Instant::now();
        let committed = match polling {
            None => self.producer.commit_transaction().await,
            Some(command) => self.commit_while_polling(command).await,
        };
        let outcome = if committed.is_ok() {
            Commit::Done
        } else {
            Commit::Failed
        };
        self.metrics.committed(began.elapsed(), outcome);
        committed.map_err(|error| self.failed(&what, error))?;
        (self.is_open, self.is_committing) = (false, false);
        let records_committed = std::mem::take(&mut self.records);
        self.metrics.gave(records_committed);
        self.metrics.active(self.ahead.records() as u64);
        self.metrics.transaction(records_committed);
        let moved = self.moved.take();
        let offsets_committed = moved
            .filter_map(|(partition, offset)| Some((partition, offset?)))
            .collect();
        self.untold = Some(Told {
            records,
            offsets: offsets_committed,
        });
        self.tell(offsets).await;
        Ok(())
    }

    /// Says what is committed, where that is not known yet.
    async fn tell(&mut self, offsets: &ConnectorOffsets) {
        self.say_active();
        if let Some(told) = &self.untold {
            offsets.copy(&told.records).await;
            if let Err(error) = self.task.commit(&told.offsets).await {
                tracing::warn!(task = %self.id, %error, "the task could not be told of committed offsets");
            }
            self.untold = None;
        }
    }

    /// The task may be asked for more while the cluster works; what it gives waits for the next transaction.
    async fn commit_while_polling(&mut self, command: &watch::Receiver<Command>) -> Result<(), ClientError> {
        let mut committing = pin!(self.producer.commit_transaction());
        loop {
            let goes_on = self.ahead.has_room() && *command.borrow() == Command::Be(TargetState::Started);
            tokio::select! {
                committed = &mut committing => return committed,
                polled = poll(&mut self.task, &self.metrics), if goes_on => self.ahead.push(polled),
            }
        }
    }

    fn say_active(&mut self) {
        for topic in std::mem::take(&mut self.touched) {
            if self.context.config.topic_tracking && !self.active_topics.contains(&topic) {
                self.context.statuses.put_topic(&TopicStatus {
                    topic: topic.to_string(),
                    connector: self.id.connector.to_string(),
                    task: self.id.task,
                    discover_timestamp: crate::worker::now(),
                });
                self.active_topics.insert(topic);
            }
        }
    }

    /// Commits what may be committed before the task stops; what may not is aborted, and comes again.
    pub(super) async fn finish(&mut self, offsets: &ConnectorOffsets) -> Result<(), Error> {
        let end = self.ending.or_else(|| self.boundary.at_end(self.is_cut));
        let patience = self.patience();
        let ended = async {
            if let Some(end) = end {
                self.end(end, offsets, None).await?;
            }
            self.tell(offsets).await;
            Ok(())
        };
        let Ok(ended) = tokio::time::timeout(patience, ended).await else {
            tracing::warn!(
                task = %self.id,
                "the last transaction was not committed in time; unless it still is, its records will be sent again by the next start"
            );
            return Ok(());
        };
        // What could not be committed, and what may not be.
        self.give_up().await;
        ended
    }

    /// Aborts what is open, so that readers need not wait for the time-out. If that cannot be, the next start does it.
    pub(super) async fn give_up(&mut self) {
        if !self.is_open {
            return;
        }
        let aborted = tokio::time::timeout(self.patience(), self.producer.abort_transaction()).await;
        match aborted {
            Ok(Ok(())) => self.is_open = false,
            Ok(Err(error)) => tracing::debug!(task = %self.id, %error, "the last transaction is not aborted"),
            Err(_) => tracing::debug!(task = %self.id, "the last transaction was not aborted in time"),
        }
    }

    /// The task has yet to stop before the supervisor loses its patience.
    pub(super) fn patience(&self) -> Duration {
        let config = &self.context.config;
        config
            .offset_flush_timeout
            .min(config.task_shutdown_graceful_timeout * 4 / 5)
    }

    /// A failure of the producer in Kafka's words.
    pub(super) fn failed(&self, what: &str, error: ClientError) -> Error {
        if error.code() == Some(ErrorCode::InvalidProducerEpoch) {
            return Error::fatal(format!(
                "The task {} was unable to finish writing records to Kafka before its producer transaction expired. It may be \
                 necessary to reconfigure this connector in order for it to run healthily with exactly-once support. Options for \
                 this include: tune the connector's producer configuration for higher throughput, increase the transaction timeout \
                 for the connector's producers, decrease the offset commit interval (if using interval-based transaction boundaries), \
                 or use the 'poll' transaction boundary (if the connector is not already configured to use it).",
                self.id
            ))
            .with_source(error);
        }
        Error::fatal(what).with_source(error)
    }
}
