//! The leader's way into the config topic (KIP-618): a transactional producer under an id that all workers of the group share.
//! Who leads takes the id over; from then on nothing comes into the topic any more of who led before, whatever it still sends.
//! What belongs together is one transaction: it is there as a whole, or not at all.
//!
//! The order that must hold: the id is taken over, then the coordinator of the group confirms that this worker's generation still
//! stands, then the topic is read to its end, then something is decided and written. Who leads next does so after that: of two
//! leaders the later one has the id, and knows what the earlier one has written.

use std::sync::Arc;
use std::time::Duration;

use forebay_client::topic_table::KeyValue;
use forebay_client::{Client, Error as ClientError, Producer};
use forebay_config::Properties;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::super::Error;
use super::super::table::StorageTable;
use super::WRITE_TIMEOUT;

/// After how long the coordinator ends a transaction whose leader is gone, unless its successor does so before.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// How long to rest before a transaction that was lost is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The transactional id of a group's leader (Kafka's `DistributedConfig.transactionalProducerId`).
fn transactional_id(group_id: &str) -> String {
    format!("connect-cluster-{group_id}")
}

/// The way.
#[derive(Debug)]
pub(super) struct LeaderWriter {
    client: Client,
    properties: Properties,
    table: Arc<StorageTable>,
    held: Mutex<Option<Held>>,
    /// The newest generation in which this worker had the right and has lost it.
    lost: watch::Sender<i32>,
}

/// The right to write.
#[derive(Debug)]
struct Held {
    /// Of the group, in which this worker leads.
    generation: i32,
    producer: Producer,
}

impl Drop for Held {
    /// What it has not sent yet is not to come any more.
    fn drop(&mut self) {
        self.producer.abort();
    }
}

impl LeaderWriter {
    /// `patience`: how long a record may be under way until it is given up.
    pub(super) fn new(
        client: &Client,
        group_id: &str,
        table: &Arc<StorageTable>,
        patience: Duration,
    ) -> Arc<Self> {
        let (id, patience) = (transactional_id(group_id), patience.as_millis().to_string());
        let block = WRITE_TIMEOUT.as_millis().to_string();
        let properties = [
            ("client.id", format!("{group_id}-configs-leader")),
            ("transactional.id", id),
            ("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_owned()),
            ("acks", "all".to_owned()),
            ("linger.ms", "0".to_owned()),
            ("request.timeout.ms", patience.clone()),
            ("delivery.timeout.ms", patience),
            ("max.block.ms", block),
        ];
        let properties = properties.map(|(key, value)| (key.to_owned(), value));
        Arc::new(Self {
            client: client.clone(),
            properties: properties.into(),
            table: Arc::clone(table),
            held: Mutex::new(None),
            lost: watch::channel(i32::MIN).0,
        })
    }

    /// The newest generation in which this worker had the right and has lost it: it has to join the group again to lead.
    pub(super) fn lost(&self) -> watch::Receiver<i32> {
        self.lost.subscribe()
    }

    /// Takes the right over as the leader of a generation, if it is not there already. `confirmed` looks, once the id is taken over, whether
    /// this worker still leads in it: it may have fenced its own successor.
    ///
    /// # Errors
    /// If the cluster does not give it, or that of `confirmed`, or that it was lost in this very generation.
    pub(super) async fn claim<E: From<Error>>(
        &self,
        generation: i32,
        confirmed: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.generation == generation) {
            return Ok(());
        }
        if *self.lost.borrow() >= generation {
            let reason = "this worker has to join its group again before it may write as its leader";
            return Err(self.not_written(ClientError::IllegalState(reason.into())).into());
        }
        *held = None;
        let producer = self.client.producer(&self.properties);
        let producer = producer.map_err(|error| self.not_written(error))?;
        let claimed = Held { generation, producer };
        let initialized = claimed.producer.init_transactions().await;
        initialized.map_err(|error| self.not_claimed(error))?;
        confirmed.await?;
        self.table.read_past_open_transactions().await?;
        *held = Some(claimed);
        Ok(())
    }

    /// Writes records in one transaction and waits until they are applied here. It goes on even if nobody waits for it any more, and the
    /// next [`LeaderWriter::claim`] waits for it.
    ///
    /// # Errors
    /// If it is not sure that they are there, or if they are and cannot be read back in time.
    pub(super) async fn write(self: &Arc<Self>, records: Vec<KeyValue>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let written = tokio::spawn(async move { this.write_now(&records).await });
        written.await.unwrap_or_else(|error| {
            let reason = format!("the write has failed: {error}");
            Err(self.not_written(ClientError::IllegalState(reason.into())))
        })
    }

    async fn write_now(&self, records: &[KeyValue]) -> Result<(), Error> {
        let end = Instant::now() + WRITE_TIMEOUT;
        let mut held = self.held.lock().await;
        loop {
            let Some(Held { producer, .. }) = &*held else {
                let reason = "Cannot produce to config topic without claiming write privileges first";
                return Err(self.not_written(ClientError::IllegalState(reason.into())));
            };
            let written = self.table.write_in_transaction(producer, records);
            let error = match tokio::time::timeout_at(end, written).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error,
                Err(_) => self.late(),
            };
            let aborted = tokio::time::timeout_at(end, producer.abort_transaction()).await;
            if !matches!(aborted, Ok(Ok(()))) {
                self.lose(held.take());
                return Err(self.not_written(error));
            }
            if !is_worth_another(&error) || Instant::now() + RETRY_DELAY >= end {
                return Err(self.not_written(error));
            }
            tracing::debug!(%error, "a transaction of the config topic is tried again");
            tokio::time::sleep(RETRY_DELAY).await;
        }
        let read = self.table.read_past_open_transactions();
        let read = tokio::time::timeout_at(end, read).await;
        read.unwrap_or_else(|_| Err(self.table.timed_out("written", WRITE_TIMEOUT)))
    }

    /// What became of it is not known, or somebody else has it: whoever leads takes it over anew.
    fn lose(&self, held: Option<Held>) {
        if let Some(held) = held {
            self.lost.send_replace(held.generation);
        }
    }

    fn late(&self) -> ClientError {
        ClientError::Timeout {
            action: "write to the config topic".into(),
            after: WRITE_TIMEOUT,
            last: None,
        }
    }

    fn not_claimed(&self, source: ClientError) -> Error {
        tracing::warn!(
            "if the cluster has no working transaction coordinator (transaction.state.log.replication.factor), set \
             exactly.once.source.support=disabled for all workers"
        );
        self.not_written(source)
    }

    fn not_written(&self, source: ClientError) -> Error {
        tracing::warn!(error = %source, topic = self.table.topic(), "the leader of the workers cannot write to the config topic");
        Error::NotWritten {
            topic: self.table.topic().to_owned(),
            source,
        }
    }
}

/// Whether a transaction that was aborted may be committed the next time.
fn is_worth_another(error: &ClientError) -> bool {
    match error {
        ClientError::TransactionAbortable(source) => source.is_retriable(),
        error => error.is_retriable(),
    }
}
