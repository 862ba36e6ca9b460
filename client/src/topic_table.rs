//! A compacted topic as a table (Kafka's `KafkaBasedLog`): one task reads it from its beginning for ever and applies every
//! record; who writes can wait until that task has read what was written.
//!
//! All records go through one idempotent producer: a record that was given up (`delivery.timeout.ms`, a lost connection)
//! is in the topic before a later one, or can never come into it, as the later one then carries a newer epoch.

mod ensure;
#[cfg(test)]
mod tests;
mod transactional;

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::admin::OffsetSpec;
use crate::config::IsolationLevel;
use crate::consumer::ConsumerRecord;
use crate::producer::DeliveryFuture;
use crate::{Client, Consumer, Error as ClientError, Producer, ProducerRecord};

/// How long one poll of the reader waits for records.
const POLL_MAX: Duration = Duration::from_secs(5);

/// How often the reader is asked how far it has come while somebody waits for that: what is aborted, and what ends a transaction, is no
/// record that a poll would give.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long the reader rests after an error before it polls again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Which topic, and what it is like where it has to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name.
    pub topic: String,
    /// How many partitions it gets; `None` leaves it to the broker.
    pub partitions: Option<i32>,
    /// How many replicas it gets; `None` leaves it to the broker.
    pub replication_factor: Option<i16>,
    /// Whether the order of all records matters: a topic of several partitions is refused.
    pub single_partition: bool,
    /// Whether records of open transactions hold up the reader, and those of aborted ones are left out.
    pub isolation_level: IsolationLevel,
    /// How long it may take until the topic is there and has been read.
    pub timeout: Duration,
    /// How long a record that was written may be under way until it is given up; `None` as `delivery.timeout.ms` has it.
    pub delivery_timeout: Option<Duration>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster does not do what is asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Retention would delete what is stored.
    #[error("the topic has cleanup.policy={policy}, not compact")]
    NotCompacted {
        /// Its policy.
        policy: String,
    },
    /// The order of records would be lost.
    #[error("the topic has {partitions} partitions, not one")]
    NotOnePartition {
        /// How many it has.
        partitions: usize,
    },
    /// The topic could not be read, or what was written was not read back, in time.
    #[error("the topic could not be {what} in time")]
    TimedOut {
        /// What was to be done: `read`, `written`.
        what: &'static str,
    },
}

/// What the reader does with a record. It must not wait.
pub type Apply = Box<dyn FnMut(&ConsumerRecord) + Send>;

/// A key, and the value to be written under it; `None` is a tombstone.
pub type KeyValue = (Vec<u8>, Option<Vec<u8>>);

/// Where records were written.
#[derive(Debug)]
pub struct Written {
    /// By partition.
    last: Vec<(usize, Offset)>,
    /// Whether the broker said so of each: one that had a record already need not know where.
    is_known: bool,
}

impl Written {
    /// Whether the place of each record is known, so that [`TopicTable::read_past`] waits for all of them.
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

/// The way to the topic.
#[derive(Debug)]
pub struct TopicTable {
    client: Client,
    topic: String,
    partitions: Vec<TopicPartition>,
    isolation_level: IsolationLevel,
    producer: Producer,
    applied: watch::Receiver<Vec<Offset>>,
    /// Has the reader say how far it has come.
    look: Arc<Notify>,
    reader: JoinHandle<()>,
}

impl Drop for TopicTable {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl TopicTable {
    /// Makes sure of the topic, starts its reader, and waits until all that is in it now has been applied.
    ///
    /// # Errors
    /// If the topic cannot be made or read in time, or would lose what is put into it.
    pub async fn open(client: &Client, options: &Options, apply: Apply) -> Result<Self, Error> {
        let opened = tokio::time::timeout(options.timeout, Self::open_in_time(client, options, apply)).await;
        opened.unwrap_or(Err(Error::TimedOut { what: "read" }))
    }

    async fn open_in_time(client: &Client, options: &Options, apply: Apply) -> Result<Self, Error> {
        let count = ensure::ensure(client, options).await?;
        let partitions: Vec<TopicPartition> = (0..i32::try_from(count).unwrap_or(i32::MAX))
            .map(|partition| TopicPartition::new(options.topic.as_str(), partition))
            .collect();
        let mut consumer = client.consumer(&properties(&[
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", name(options.isolation_level)),
            ("max.poll.records", "10000"),
        ]))?;
        consumer.assign(partitions.iter().cloned())?;
        consumer.seek_to_beginning(&[])?;
        let (sender, applied) = watch::channel(vec![Offset(0); count]);
        let mut writing = properties(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
        ]);
        if let Some(timeout) = options.delivery_timeout {
            let milliseconds = timeout.as_millis().to_string();
            let keys = ["request.timeout.ms", "delivery.timeout.ms"];
            writing.extend(keys.map(|key| (key.to_owned(), milliseconds.clone())));
        }
        let producer = client.producer(&writing)?;
        let look = Arc::new(Notify::new());
        let asked = Arc::clone(&look);
        let table = Self {
            client: client.clone(),
            topic: options.topic.clone(),
            reader: tokio::spawn(read(consumer, partitions.clone(), apply, (sender, asked))),
            look,
            partitions,
            isolation_level: options.isolation_level,
            producer,
            applied,
        };
        table.read_to_end().await?;
        Ok(table)
    }

    /// One without partitions, for tests of what stands above.
    ///
    /// # Panics
    /// Never: it is given no property that could be wrong.
    #[cfg(any(test, feature = "model"))]
    pub fn detached(client: &Client) -> Self {
        let producer = client.producer(&Properties::new());
        Self {
            client: client.clone(),
            topic: "detached".to_owned(),
            partitions: Vec::new(),
            isolation_level: IsolationLevel::ReadCommitted,
            producer: producer.expect("no property is wrong"),
            applied: watch::channel(Vec::new()).1,
            look: Arc::default(),
            reader: tokio::spawn(std::future::pending()),
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How far the reader has come, by partition; changes with each of its polls.
    pub fn applied(&self) -> watch::Receiver<Vec<Offset>> {
        self.applied.clone()
    }

    /// Waits until everything that is in the topic now has been applied.
    ///
    /// # Errors
    /// If the cluster cannot say how much that is.
    pub async fn read_to_end(&self) -> Result<(), ClientError> {
        self.read_to(self.isolation_level).await
    }

    /// Waits until everything that is in the topic now has been applied, transactions that are open now included: until these
    /// have ended. What was committed behind one of them cannot be read before.
    ///
    /// # Errors
    /// If the cluster cannot say how much that is.
    pub async fn read_past_open_transactions(&self) -> Result<(), ClientError> {
        self.read_to(IsolationLevel::ReadUncommitted).await
    }

    async fn read_to(&self, isolation_level: IsolationLevel) -> Result<(), ClientError> {
        let admin = self.client.admin(&Properties::new())?;
        let asked = self
            .partitions
            .iter()
            .map(|one| (one.clone(), OffsetSpec::Latest));
        let listed = admin.list_offsets(&asked.collect(), isolation_level).await?;
        let mut ends = vec![Offset(0); self.partitions.len()];
        for (partition, listed) in listed {
            let place = usize::try_from(partition.partition).unwrap_or(usize::MAX);
            if let (Some(end), Some(offset)) = (ends.get_mut(place), listed?.offset) {
                *end = offset;
            }
        }
        self.wait_for(|applied| applied.iter().zip(&ends).all(|(applied, end)| applied >= end))
            .await
    }

    /// Writes records and waits until they are acknowledged.
    ///
    /// # Errors
    /// Any of the records may be in the topic all the same, or come into it later, though not behind one that is written
    /// after this.
    pub async fn write(&self, records: &[KeyValue]) -> Result<Written, ClientError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for (key, value) in records {
            deliveries.push(self.send(key, value.as_deref()).await?);
        }
        let mut written = Written {
            last: Vec::with_capacity(records.len()),
            is_known: true,
        };
        for delivery in deliveries {
            let metadata = delivery.await?;
            let partition = usize::try_from(metadata.topic_partition.partition).unwrap_or(usize::MAX);
            match metadata.offset {
                Some(offset) => written.last.push((partition, offset)),
                None => written.is_known = false,
            }
        }
        Ok(written)
    }

    async fn send(&self, key: &[u8], value: Option<&[u8]>) -> Result<DeliveryFuture, ClientError> {
        self.producer
            .send(ProducerRecord::new(&self.topic, Some(key), value))
            .await
    }

    /// Waits until what was written, as far as its place is known, has been applied here.
    ///
    /// # Errors
    /// If the reader has ended.
    pub async fn read_past(&self, written: &Written) -> Result<(), ClientError> {
        let is_applied = |applied: &[Offset], (partition, offset): &(usize, Offset)| {
            applied.get(*partition).is_none_or(|applied| applied > offset)
        };
        self.wait_for(|applied| written.last.iter().all(|one| is_applied(applied, one)))
            .await
    }

    /// Writes records and waits until they are applied here: what is read afterwards has them.
    ///
    /// # Errors
    /// As [`TopicTable::write`], or if it takes longer than `timeout`.
    pub async fn write_and_read(&self, records: &[KeyValue], timeout: Duration) -> Result<(), Error> {
        let written = async {
            let written = self.write(records).await?;
            match written.is_known() {
                true => self.read_past(&written).await?,
                // Then whatever is there.
                false => self.read_to_end().await?,
            }
            Ok(())
        };
        let in_time = tokio::time::timeout(timeout, written).await;
        in_time.unwrap_or(Err(Error::TimedOut { what: "written" }))
    }

    async fn wait_for(&self, reached: impl Fn(&[Offset]) -> bool) -> Result<(), ClientError> {
        let mut applied = self.applied.clone();
        loop {
            let waited = applied.wait_for(|applied| reached(applied));
            match tokio::time::timeout(LOOK_INTERVAL, waited).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(_)) => return Err(ClientError::Closed("reader of a compacted topic")),
                Err(_) => self.look.notify_one(),
            }
        }
    }
}

fn name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read_uncommitted",
        IsolationLevel::ReadCommitted => "read_committed",
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
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
    (applied, look): (watch::Sender<Vec<Offset>>, Arc<Notify>),
) {
    loop {
        let polled = tokio::select! {
            polled = consumer.poll(POLL_MAX) => polled,
            // Nothing is lost by that.
            () = look.notified() => Ok(Vec::new()),
        };
        match polled {
            Ok(records) => records.iter().for_each(&mut apply),
            Err(error) => {
                let topic = partitions.first().map(|partition| partition.topic.as_str());
                tracing::warn!(topic, %error, "a compacted topic cannot be read; trying again");
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
