//! Sending records (Kafka's `KafkaProducer`): batched by partition, compressed, each acknowledged as `acks` says, and with
//! `enable.idempotence`, the default, written once and in order whatever is sent again.
//! `send` copies a record into the accumulator; one task, the sender, does everything else.

mod accumulator;
mod batch;
mod delivery;
mod partitioner;
mod record;
mod sender;
mod sequences;
mod transaction;
mod transactions;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use forebay_protocol::ErrorCode;
use forebay_records::{RecordBatch, Timestamp, record_bytes};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

pub use delivery::DeliveryFuture;
pub use record::{ProducerRecord, RecordMetadata};

use crate::{
    ClientConfig, Error, LocalNode, ProducerConfig,
    cluster::{Cluster, Creates},
};
use accumulator::{Accumulator, PartitionQueue, TopicQueues};
use partitioner::Choice;
use sender::Sender;

/// A producer. Cheap to clone; all clones share its buffer and its connections. When the last one is dropped, what was
/// accepted is still sent; only [`Producer::close`] waits for it. That of a transaction is not: its coordinator aborts it after
/// `transaction.timeout.ms`.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    accumulator: Arc<Accumulator>,
    cluster: Cluster,
    /// Closed when the sender has ended.
    ended: watch::Receiver<()>,
}

impl Producer {
    /// A producer; must be called inside a tokio runtime.
    pub fn new(config: ProducerConfig, local: Option<LocalNode>) -> Self {
        let cluster = Cluster::new(Self::client_config(&config), local, Creates::Awaited);
        Self::with_cluster(config, cluster)
    }

    /// What its connections are made from.
    pub(crate) fn client_config(config: &ProducerConfig) -> ClientConfig {
        config.client.clone().named("producer")
    }

    pub(crate) fn with_cluster(config: ProducerConfig, cluster: Cluster) -> Self {
        let accumulator = Arc::new(Accumulator::new(config));
        let (ending, ended) = watch::channel(());
        let sender = Sender::new(accumulator.clone(), cluster.clone());
        tokio::spawn(async move {
            let _ending = ending;
            sender.run().await;
        });
        Self {
            shared: Arc::new(Shared {
                accumulator,
                cluster,
                ended,
            }),
        }
    }

    /// Puts a record into the batch of its partition; waits at most `max.block.ms` for the topic's metadata and for space
    /// in the buffer. What is sent by one task to one partition keeps its order.
    ///
    /// # Errors
    /// If the record is too large, the topic or partition does not exist, there is no space in time, or the producer is
    /// closed. What happens later, the future tells.
    pub async fn send(&self, record: ProducerRecord<'_>) -> Result<DeliveryFuture, Error> {
        self.accept(self.send_record(record).await)
    }

    async fn send_record(&self, record: ProducerRecord<'_>) -> Result<DeliveryFuture, Error> {
        self.shared.accumulator.check_open()?;
        let now = Instant::now();
        let deadline = now + self.config().max_block;
        let timestamp = record.timestamp.unwrap_or_else(wall_clock);
        let queue = match self.known_partition(&record, now) {
            Some(queue) => queue,
            None => self.find_partition(&record, deadline).await?,
        };
        self.shared
            .accumulator
            .append(&queue, &record, timestamp, deadline)
            .await
    }

    /// Whether a record is small enough to be sent, as [`Producer::send`] looks (`max.request.size`): for who would lose a transaction by
    /// finding out there.
    ///
    /// # Errors
    /// [`Error::RecordTooLarge`].
    pub fn check_size(&self, record: &ProducerRecord<'_>) -> Result<(), Error> {
        self.shared.accumulator.check_record_size(record)
    }

    /// Sends a batch as it is, in line with the records of its partition; it gets the producer's id and sequence. The
    /// future tells the offset of its first record.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_batch(
        &self,
        topic: &str,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<DeliveryFuture, Error> {
        self.accept(self.send_whole(topic, partition, batch).await)
    }

    async fn send_whole(
        &self,
        topic: &str,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<DeliveryFuture, Error> {
        self.shared.accumulator.check_open()?;
        let now = Instant::now();
        let deadline = now + self.config().max_block;
        let record = ProducerRecord::new(topic, None, None).partition(partition);
        let queue = match self.known_partition(&record, now) {
            Some(queue) => queue,
            None => self.find_partition(&record, deadline).await?,
        };
        self.shared
            .accumulator
            .append_batch(&queue, batch, deadline)
            .await
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// If that cannot be found out within `max.block.ms`.
    pub async fn partition_count(&self, topic: &str) -> Result<i32, Error> {
        let deadline = Instant::now() + self.config().max_block;
        let queues = self.find_topic(topic, 1, deadline).await?;
        Ok(i32::try_from(queues.partition_count()).unwrap_or(i32::MAX))
    }

    /// The partition of a key by its murmur2 hash, as every Kafka client has it, whatever `partitioner.class` says.
    ///
    /// # Errors
    /// If the topic's partitions cannot be found out within `max.block.ms`.
    pub async fn partition_for_key(&self, topic: &str, key: &[u8]) -> Result<i32, Error> {
        let partitions = self.partition_count(topic).await?;
        let partition = partitioner::for_key(key, partitions.unsigned_abs() as usize);
        Ok(i32::try_from(partition).unwrap_or(i32::MAX))
    }

    /// Sends everything at once and waits until all of it is acknowledged or has failed.
    pub async fn flush(&self) {
        self.shared.accumulator.flush().await;
    }

    /// Sends what is there, waits until all of it is acknowledged or has failed, and stops; whatever is sent afterwards,
    /// by a clone too, fails. A transaction that is open is aborted first.
    pub async fn close(self) {
        self.abort_open_transaction();
        self.shared.accumulator.close();
        // Nothing is ever sent on it: it only closes.
        let _ = self.shared.ended.clone().changed().await;
    }

    /// Stops at once, as the Java producer does when the time of its `close(timeout)` is over: whatever is not acknowledged
    /// fails with [`Error::Closed`], and none of it is sent any more. What a broker has been sent already it may yet write.
    /// Whatever is sent afterwards, by a clone too, fails.
    pub fn abort(&self) {
        self.shared.accumulator.abort();
    }

    /// Why what was sent is not acknowledged yet, as far as that is known: what has failed last and is tried again. Nothing once
    /// something is acknowledged. For who has to say what he waits for.
    pub fn trouble(&self) -> Option<Error> {
        self.shared.accumulator.trouble()
    }

    /// What it was made from.
    pub fn config(&self) -> &ProducerConfig {
        &self.shared.accumulator.config
    }

    /// The queue of the record's partition, if the topic is known.
    fn known_partition(&self, record: &ProducerRecord<'_>, now: Instant) -> Option<Arc<PartitionQueue>> {
        let queues = self.shared.accumulator.topic_in_use(record.topic, now)?;
        let partition = match record.partition {
            Some(partition) => usize::try_from(partition).ok()?,
            None => self.choose(&queues, record),
        };
        queues.partition(partition)
    }

    fn choose(&self, queues: &TopicQueues, record: &ProducerRecord<'_>) -> usize {
        let config = self.config();
        let choice = || {
            let snapshot = self.shared.cluster.snapshot();
            let topic = snapshot.topics.get(&queues.name);
            let partitions = topic.map_or(&[][..], |topic| &topic.partitions);
            let available = (0..)
                .zip(partitions)
                .filter(|(_, partition)| partition.leader.is_some());
            Choice {
                partitions: queues.partition_count(),
                available: available.map(|(index, _)| index).collect(),
            }
        };
        match record.key {
            _ if config.round_robin => queues.round_robin.partition(&choice()),
            Some(key) if !config.partitioner_ignore_keys => {
                partitioner::for_key(key, queues.partition_count())
            }
            _ => {
                let bytes = record_bytes(record.key, record.value, record.headers);
                queues.sticky.partition(bytes, config.batch_bytes.max(1), choice)
            }
        }
    }

    /// Finds out about the topic first.
    async fn find_partition(
        &self,
        record: &ProducerRecord<'_>,
        deadline: Instant,
    ) -> Result<Arc<PartitionQueue>, Error> {
        let least = match record.partition {
            Some(partition) => usize::try_from(partition).map_err(|_| {
                Error::IllegalState(
                    format!(
                        "partition {partition} of {}: there are no negative ones",
                        record.topic
                    )
                    .into(),
                )
            })?,
            None => 0,
        };
        let queues = self.find_topic(record.topic, least + 1, deadline).await?;
        self.known_partition(record, Instant::now())
            .or_else(|| queues.partition(least))
            .ok_or(Error::Closed("producer"))
    }

    /// Waits until the topic is known with at least so many partitions.
    async fn find_topic(
        &self,
        name: &str,
        partitions: usize,
        deadline: Instant,
    ) -> Result<Arc<TopicQueues>, Error> {
        let Shared {
            accumulator, cluster, ..
        } = &*self.shared;
        // Until it is known; what is not there is not asked for any longer than somebody waits for it.
        let _awaited = cluster.await_topics(vec![name.into()]);
        let (mut failures, mut last) = (0, None);
        loop {
            let snapshot = cluster.snapshot();
            match snapshot.topics.get(name) {
                Some(topic) if topic.error == ErrorCode::None && topic.partitions.len() >= partitions => {
                    let queues = accumulator.ensure_partitions(&topic.name, topic.partitions.len());
                    cluster.want([name]);
                    return Ok(queues);
                }
                Some(topic) if topic.error == ErrorCode::None => {
                    last = Some(missing(name, topic.partitions.len()));
                }
                Some(topic) if topic.error.is_retriable() => {
                    last = Some(Error::broker(format!("send to topic {name}"), topic.error));
                }
                Some(topic) => return Err(Error::broker(format!("send to topic {name}"), topic.error)),
                None => {}
            }
            let pause = Instant::now() + cluster.backoff().delay(failures);
            sleep_until(pause.min(deadline)).await;
            match timeout_at(deadline, cluster.refresh(snapshot.version)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.is_retriable() => last = Some(error),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.too_late(name, last)),
            }
            failures += 1;
        }
    }

    fn too_late(&self, topic: &str, last: Option<Error>) -> Error {
        let action = format!("find topic {topic} (max.block.ms)").into();
        Error::Timeout {
            action,
            after: self.config().max_block,
            last: last.map(Box::new),
        }
    }
}

fn missing(topic: &str, partitions: usize) -> Error {
    Error::Broker {
        action: format!("send to topic {topic}").into(),
        code: ErrorCode::UnknownTopicOrPartition,
        message: Some(format!("it has {partitions} partitions").into()),
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        match self.accumulator.config.transactional_id {
            // Nobody will end the transaction but its coordinator.
            Some(_) => self.accumulator.abort(),
            None => self.accumulator.close(),
        }
    }
}

#[cfg(test)]
mod tests;
