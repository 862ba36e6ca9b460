//! A compacted topic as a table (Kafka's `KafkaBasedLog`): one task reads it from its beginning for ever and applies every
//! record; who writes can wait until that task has read what was written.

use std::time::Duration;

use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_client::producer::DeliveryFuture;
use forebay_client::{Client, Consumer, Error as ClientError, Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Error;
use super::topic::{Purpose, ensure};
use crate::config::StorageTopic;

/// How long one poll of the reader waits for records.
const POLL_MAX: Duration = Duration::from_secs(5);

/// How long the reader rests after an error before it polls again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// What the reader does with a record: its key and its value, `None` being a tombstone.
pub(crate) type Apply = Box<dyn FnMut(&[u8], Option<&[u8]>) + Send>;

/// A key, and the value to be written under it.
pub(crate) type KeyValue = (Vec<u8>, Option<Vec<u8>>);

/// The way to a storage topic.
#[derive(Debug)]
pub(crate) struct TopicLog {
    client: Client,
    topic: String,
    partitions: Vec<TopicPartition>,
    producer: Producer,
    applied: watch::Receiver<Vec<Offset>>,
    reader: JoinHandle<()>,
}

impl Drop for TopicLog {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl TopicLog {
    /// Makes sure of the topic, starts its reader, and waits until all that is in it now has been applied.
    pub(crate) async fn open(
        client: &Client,
        topic: &StorageTopic,
        purpose: Purpose,
        timeout: Duration,
        apply: Apply,
    ) -> Result<Self, Error> {
        let opened = tokio::time::timeout(timeout, Self::open_in_time(client, topic, purpose, apply)).await;
        opened.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                topic: topic.name.clone(),
                what: "read",
                timeout_ms: timeout.as_millis(),
            })
        })
    }

    async fn open_in_time(
        client: &Client,
        topic: &StorageTopic,
        purpose: Purpose,
        apply: Apply,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Client {
            topic: topic.name.clone(),
            source,
        };
        let count = ensure(client, topic, purpose).await?;
        let partitions: Vec<TopicPartition> = (0..i32::try_from(count).unwrap_or(i32::MAX))
            .map(|partition| TopicPartition::new(topic.name.as_str(), partition))
            .collect();
        let mut consumer = client
            .consumer(&properties(&[
                ("enable.auto.commit", "false"),
                ("auto.offset.reset", "earliest"),
                ("isolation.level", "read_committed"),
                ("max.poll.records", "10000"),
            ]))
            .map_err(failed)?;
        consumer.assign(partitions.iter().cloned()).map_err(failed)?;
        consumer.seek_to_beginning(&[]).map_err(failed)?;
        let (sender, applied) = watch::channel(vec![Offset(0); count]);
        let producer = client
            .producer(&properties(&[("acks", "all"), ("linger.ms", "0")]))
            .map_err(failed)?;
        let log = Self {
            client: client.clone(),
            topic: topic.name.clone(),
            reader: tokio::spawn(read(consumer, partitions.clone(), apply, sender)),
            partitions,
            producer,
            applied,
        };
        log.read_to_end().await?;
        Ok(log)
    }

    /// One without partitions.
    #[cfg(test)]
    pub(crate) fn detached(client: &Client) -> Self {
        let producer = client.producer(&Properties::new());
        Self {
            client: client.clone(),
            topic: "detached".to_owned(),
            partitions: Vec::new(),
            producer: producer.expect("no property is wrong"),
            applied: watch::channel(Vec::new()).1,
            reader: tokio::spawn(std::future::pending()),
        }
    }

    /// The topic's name.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits until everything that is in the topic now has been applied.
    pub(crate) async fn read_to_end(&self) -> Result<(), Error> {
        let failed = |source| self.failed(source);
        let admin = self.client.admin(&Properties::new()).map_err(failed)?;
        let asked = self
            .partitions
            .iter()
            .map(|one| (one.clone(), OffsetSpec::Latest));
        let listed = admin
            .list_offsets(&asked.collect(), IsolationLevel::ReadCommitted)
            .await
            .map_err(failed)?;
        let mut ends = vec![Offset(0); self.partitions.len()];
        for (partition, listed) in listed {
            let place = usize::try_from(partition.partition).unwrap_or(usize::MAX);
            if let (Some(end), Some(offset)) = (ends.get_mut(place), listed.map_err(failed)?.offset) {
                *end = offset;
            }
        }
        self.wait_for(|applied| applied.iter().zip(&ends).all(|(applied, end)| applied >= end))
            .await
    }

    /// Writes a record; the future tells when it is acknowledged.
    pub(crate) async fn send(&self, key: &[u8], value: Option<&[u8]>) -> Result<DeliveryFuture, Error> {
        let record = ProducerRecord::new(&self.topic, Some(key), value);
        self.producer
            .send(record)
            .await
            .map_err(|source| self.failed(source))
    }

    /// Writes records and waits until they are acknowledged.
    pub(crate) async fn write(&self, records: &[KeyValue]) -> Result<Vec<(usize, Offset)>, Error> {
        let mut deliveries = Vec::with_capacity(records.len());
        for (key, value) in records {
            deliveries.push(self.send(key, value.as_deref()).await?);
        }
        let mut written = Vec::with_capacity(records.len());
        for delivery in deliveries {
            let metadata = delivery.await.map_err(|source| self.failed(source))?;
            let partition = usize::try_from(metadata.topic_partition.partition).unwrap_or(usize::MAX);
            written.extend(metadata.offset.map(|offset| (partition, offset)));
        }
        Ok(written)
    }

    /// Writes records and waits until they are applied here: what is read afterwards has them.
    pub(crate) async fn write_and_read(&self, records: &[KeyValue], timeout: Duration) -> Result<(), Error> {
        let written = async {
            let written = self.write(records).await?;
            if written.len() < records.len() {
                // The broker knew a record already, and not where: then whatever is there.
                return self.read_to_end().await;
            }
            self.wait_for(|applied| {
                written
                    .iter()
                    .all(|(partition, offset)| applied.get(*partition).is_none_or(|applied| applied > offset))
            })
            .await
        };
        tokio::time::timeout(timeout, written).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                topic: self.topic.clone(),
                what: "written",
                timeout_ms: timeout.as_millis(),
            })
        })
    }

    async fn wait_for(&self, reached: impl Fn(&[Offset]) -> bool) -> Result<(), Error> {
        let mut applied = self.applied.clone();
        let outcome = applied.wait_for(|applied| reached(applied)).await;
        outcome.map_err(|_| self.failed(ClientError::Closed("reader of a storage topic")))?;
        Ok(())
    }

    fn failed(&self, source: ClientError) -> Error {
        Error::Client {
            topic: self.topic.clone(),
            source,
        }
    }
}

/// Properties of literals.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Reads for ever.
async fn read(
    mut consumer: Consumer,
    partitions: Vec<TopicPartition>,
    mut apply: Apply,
    applied: watch::Sender<Vec<Offset>>,
) {
    loop {
        match consumer.poll(POLL_MAX).await {
            Ok(records) => {
                for record in &records {
                    match &record.record.key {
                        Some(key) => apply(key, record.record.value.as_deref()),
                        None => tracing::warn!(
                            topic = %record.topic, partition = record.partition, offset = %record.record.offset,
                            "a record without key is left out"
                        ),
                    }
                }
            }
            Err(error) => {
                let topic = partitions.first().map(|partition| partition.topic.as_str());
                tracing::warn!(topic, %error, "a storage topic cannot be read; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
        let positions = consumer.positions();
        applied.send_modify(|applied| {
            for (partition, applied) in partitions.iter().zip(applied.iter_mut()) {
                if let Some(position) = positions.get(partition) {
                    *applied = position.offset;
                }
            }
        });
    }
}
