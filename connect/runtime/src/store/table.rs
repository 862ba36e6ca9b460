//! A storage topic of the worker: a table of the client, with errors that name the worker's key for it.

use std::time::Duration;

use forebay_client::config::IsolationLevel;
use forebay_client::topic_table::{self, Apply, KeyValue, Options, TopicTable, Written};
use forebay_client::{Client, Error as ClientError, Producer};
use forebay_records::Offset;

use super::Error;
use crate::config::StorageTopic;

/// What a storage topic is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// The key that names the topic: `config.storage.topic`.
    pub(super) key: &'static str,
    /// `connector configurations`
    pub(super) content: &'static str,
    /// Whether the order of all records matters.
    pub(super) single_partition: bool,
    /// After how long a record is given up; `None` as the client has it.
    pub(super) delivery_timeout: Option<Duration>,
}

/// The way to a storage topic.
#[derive(Debug)]
pub(super) struct StorageTable {
    table: TopicTable,
    purpose: Purpose,
}

impl StorageTable {
    /// Makes sure of the topic and waits until all that is in it now has been applied.
    pub(super) async fn open(
        client: &Client,
        topic: &StorageTopic,
        purpose: Purpose,
        timeout: Duration,
        mut apply: impl FnMut(&[u8], Option<&[u8]>) + Send + 'static,
    ) -> Result<Self, Error> {
        let apply = move |_: Offset, key: &[u8], value: Option<&[u8]>| apply(key, value);
        Self::open_with_offsets(client, topic, purpose, timeout, apply).await
    }

    /// The same; `apply` is told the offset of each record, too.
    pub(super) async fn open_with_offsets(
        client: &Client,
        topic: &StorageTopic,
        purpose: Purpose,
        timeout: Duration,
        apply: impl FnMut(Offset, &[u8], Option<&[u8]>) + Send + 'static,
    ) -> Result<Self, Error> {
        let options = Options {
            topic: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            single_partition: purpose.single_partition,
            // Offsets may be part of a source's transaction.
            isolation_level: IsolationLevel::ReadCommitted,
            timeout,
            delivery_timeout: purpose.delivery_timeout,
        };
        let opened = TopicTable::open(client, &options, keyed(apply)).await;
        let table = opened.map_err(|error| named(error, &topic.name, purpose, timeout))?;
        Ok(Self { table, purpose })
    }

    /// One without partitions.
    #[cfg(test)]
    pub(super) fn detached(client: &Client, purpose: Purpose) -> Self {
        let table = TopicTable::detached(client);
        Self { table, purpose }
    }

    /// The topic's name.
    pub(super) fn topic(&self) -> &str {
        self.table.topic()
    }

    /// Waits until everything that is in the topic now and committed has been applied.
    pub(super) async fn read_to_end(&self) -> Result<(), Error> {
        self.table.read_to_end().await.map_err(|error| self.failed(error))
    }

    /// Waits until everything that is in the topic now has been applied, transactions that are open now included.
    pub(super) async fn read_past_open_transactions(&self) -> Result<(), Error> {
        let read = self.table.read_past_open_transactions().await;
        read.map_err(|error| self.failed(error))
    }

    /// Writes records and waits until they are acknowledged.
    pub(super) async fn write(&self, records: &[KeyValue]) -> Result<Written, Error> {
        self.table
            .write(records)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Writes records in one transaction of `producer`; see [`TopicTable::write_in_transaction`].
    pub(super) async fn write_in_transaction(
        &self,
        producer: &Producer,
        records: &[KeyValue],
    ) -> Result<(), ClientError> {
        self.table.write_in_transaction(producer, records).await
    }

    /// That something took longer than it may.
    pub(super) fn timed_out(&self, what: &'static str, timeout: Duration) -> Error {
        let error = topic_table::Error::TimedOut { what };
        named(error, self.topic(), self.purpose, timeout)
    }

    /// Writes records and waits until they are applied here: what is read afterwards has them.
    pub(super) async fn write_and_read(&self, records: &[KeyValue], timeout: Duration) -> Result<(), Error> {
        let written = self.table.write_and_read(records, timeout).await;
        written.map_err(|error| named(error, self.topic(), self.purpose, timeout))
    }

    fn failed(&self, source: ClientError) -> Error {
        Error::Client {
            topic: self.topic().to_owned(),
            source,
        }
    }
}

fn keyed(mut apply: impl FnMut(Offset, &[u8], Option<&[u8]>) + Send + 'static) -> Apply {
    Box::new(move |record| match &record.record.key {
        Some(key) => apply(record.record.offset, key, record.record.value.as_deref()),
        None => tracing::warn!(
            topic = %record.topic, partition = record.partition, offset = %record.record.offset,
            "a record without key is left out"
        ),
    })
}

fn named(error: topic_table::Error, topic: &str, purpose: Purpose, timeout: Duration) -> Error {
    let topic = topic.to_owned();
    let Purpose { key, content, .. } = purpose;
    match error {
        topic_table::Error::Client(source) => Error::Client { topic, source },
        topic_table::Error::NotCompacted { policy } => Error::NotCompacted {
            topic,
            key,
            content,
            policy,
        },
        topic_table::Error::NotOnePartition { partitions } => Error::NotOnePartition {
            topic,
            key,
            content,
            partitions,
        },
        topic_table::Error::TimedOut { what } => Error::TimedOut {
            topic,
            what,
            timeout_ms: timeout.as_millis(),
        },
    }
}
