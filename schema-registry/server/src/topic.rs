//! The `_schemas` topic: created and checked at the start, read for ever by one task, written by requests that wait until
//! that task has read what they wrote.
//!
//! All records go through one idempotent producer: a record that was given up (`delivery.timeout.ms`, a lost connection)
//! is in the topic before a later one, or can never come into it, as the later one then carries a newer epoch. So a mark
//! that was written and read back tells that nothing of ours comes from before it any more.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use forebay_client::admin::{ConfigResource, NewTopic, OffsetSpec};
use forebay_client::config::IsolationLevel;
use forebay_client::{Client, Consumer, Error as ClientError, Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::Offset;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::error::Error;
use crate::record::Record;
use crate::service;
use crate::state::State;

/// How long one poll of the reader waits for records.
const POLL_MAX: Duration = Duration::from_secs(1);

/// How long the reader rests after an error before it polls again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The way to the topic, and the state that its reader keeps.
#[derive(Debug)]
pub(crate) struct Topic {
    name: String,
    producer: Producer,
    applied: watch::Receiver<Offset>,
    reader: JoinHandle<()>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Topic {
    /// Makes sure of the topic, starts its reader, and waits until all that is in it now is in `state`.
    pub(crate) async fn open(
        client: &Client,
        config: &Config,
        state: Arc<RwLock<State>>,
    ) -> Result<Self, service::Error> {
        let partition = TopicPartition::new(config.topic.as_str(), 0);
        create_or_check(client, config).await?;
        let end = end_offset(client, &partition).await?;
        let mut consumer = client.consumer(&properties(&[
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
        ]))?;
        consumer.assign([partition.clone()])?;
        consumer.seek_to_beginning(&[])?;
        let (sender, mut applied) = watch::channel(Offset(0));
        let reader = tokio::spawn(read(consumer, partition, state, sender));
        let producer = client.producer(&properties(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("linger.ms", "0"),
        ]))?;
        let topic = Self {
            name: config.topic.clone(),
            producer,
            applied: applied.clone(),
            reader,
        };
        let caught_up = applied.wait_for(|applied| *applied >= end);
        match tokio::time::timeout(config.init_timeout, caught_up).await {
            Ok(Ok(_)) => Ok(topic),
            Ok(Err(_)) | Err(_) => Err(service::Error::NotRead {
                topic: config.topic.clone(),
                timeout_ms: config.init_timeout.as_millis(),
            }),
        }
    }

    /// How far the reader has come.
    pub(crate) fn applied(&self) -> watch::Receiver<Offset> {
        self.applied.clone()
    }

    /// Writes `records` and waits until they are applied.
    ///
    /// # Errors
    /// Any of them may be in the topic all the same, or come into it later: see [`Topic::mark`].
    pub(crate) async fn write(&self, records: &[Record]) -> Result<(), Error> {
        match self.append(records).await? {
            Some(last) => self.read_past(last).await,
            // Written by an attempt so long ago that the broker no longer knows where.
            None => self.mark().await,
        }
    }

    /// Writes a mark (Confluent's NOOP) and waits until everything up to it is applied: nothing that was written, or given
    /// up, before this call can come into the topic afterwards.
    pub(crate) async fn mark(&self) -> Result<(), Error> {
        loop {
            if let Some(last) = self.append(&[Record::noop()]).await? {
                return self.read_past(last).await;
            }
        }
    }

    /// Gives the last offset, if the broker knows it.
    async fn append(&self, records: &[Record]) -> Result<Option<Offset>, Error> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            let record =
                ProducerRecord::new(&self.name, Some(&record.key), record.value.as_deref()).partition(0);
            deliveries.push(self.producer.send(record).await.map_err(Error::Store)?);
        }
        let mut last = Some(Offset(-1));
        for delivery in deliveries {
            let written = delivery.await.map_err(Error::Store)?;
            last = last.zip(written.offset).map(|(last, offset)| last.max(offset));
        }
        Ok(last)
    }

    async fn read_past(&self, last: Offset) -> Result<(), Error> {
        let mut applied = self.applied.clone();
        let reader_ended = |_| Error::Store(ClientError::Closed("reader of the schema topic"));
        applied
            .wait_for(|applied| *applied > last)
            .await
            .map_err(reader_ended)?;
        Ok(())
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn create_or_check(client: &Client, config: &Config) -> Result<(), service::Error> {
    let admin = client.admin(&Properties::new())?;
    let mut topic = NewTopic::new(&config.topic)
        .partitions(1)
        .config("cleanup.policy", "compact");
    topic.replication_factor = config.replication_factor;
    let outcome = admin.create_topics(&[topic], false).await?;
    match outcome.into_values().next() {
        Some(Err(ClientError::Broker {
            code: ErrorCode::TopicAlreadyExists,
            ..
        })) => {}
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(_)) | None => return Ok(()),
    }
    let resource = ConfigResource::Topic(config.topic.clone());
    let Some(Ok(entries)) = admin.describe_configs(&[resource]).await?.into_values().next() else {
        return Ok(());
    };
    let policy = entries
        .into_iter()
        .find(|entry| entry.name == "cleanup.policy")
        .and_then(|entry| entry.value);
    match policy {
        Some(policy) if policy != "compact" => Err(service::Error::NotCompacted {
            topic: config.topic.clone(),
            policy,
        }),
        _ => Ok(()),
    }
}

async fn end_offset(client: &Client, partition: &TopicPartition) -> Result<Offset, service::Error> {
    let admin = client.admin(&Properties::new())?;
    let asked = [(partition.clone(), OffsetSpec::Latest)].into();
    let listed = admin
        .list_offsets(&asked, IsolationLevel::ReadUncommitted)
        .await?;
    let listed = listed.into_values().next().transpose()?;
    Ok(listed.and_then(|listed| listed.offset).unwrap_or(Offset(0)))
}

/// Reads for ever. A record that cannot be applied is left out with a warning: one bad record must not take every schema
/// away, and no identifier is given to another schema because of it.
async fn read(
    mut consumer: Consumer,
    partition: TopicPartition,
    state: Arc<RwLock<State>>,
    applied: watch::Sender<Offset>,
) {
    loop {
        match consumer.poll(POLL_MAX).await {
            Ok(records) => {
                let mut state = state.write().expect("nobody panics with the state");
                for record in records {
                    let (key, offset) = (record.record.key.unwrap_or_default(), record.record.offset);
                    if let Err(skipped) = state.replay(&key, record.record.value.as_deref()) {
                        tracing::warn!(topic = %partition.topic, %offset, %skipped, "a record of the schema topic is left out");
                    }
                }
            }
            Err(error) => {
                tracing::warn!(topic = %partition.topic, %error, "the schema topic cannot be read; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
        if let Some(position) = consumer.positions().get(&partition) {
            applied.send_replace(position.offset);
        }
    }
}
