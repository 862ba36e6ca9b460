//! The `_schemas` topic: a table that is read for ever into the state, and written by requests that wait until what they
//! wrote has been read.

use std::sync::{Arc, RwLock};

use forebay_client::Client;
use forebay_client::config::IsolationLevel;
use forebay_client::topic_table::{self, KeyValue, Options, TopicTable};
use forebay_records::Offset;
use tokio::sync::watch;

use crate::config::Config;
use crate::error::Error;
use crate::record::Record;
use crate::service;
use crate::state::State;

/// The way to the topic, and the state that its reader keeps.
#[derive(Debug)]
pub(crate) struct Topic(TopicTable);

impl Topic {
    /// Makes sure of the topic and waits until all that is in it now is in `state`.
    pub(crate) async fn open(
        client: &Client,
        config: &Config,
        state: Arc<RwLock<State>>,
    ) -> Result<Self, service::Error> {
        let options = Options {
            topic: config.topic.clone(),
            partitions: Some(1),
            replication_factor: config.replication_factor,
            // Identifiers are given in the order of the records.
            single_partition: true,
            // As Confluent's: nobody's open transaction can hold schemas up.
            isolation_level: IsolationLevel::ReadUncommitted,
            timeout: config.init_timeout,
            delivery_timeout: None,
        };
        let opened = TopicTable::open(client, &options, apply_to(state)).await;
        opened.map(Self).map_err(|error| named(error, config))
    }

    /// How far the reader has come.
    pub(crate) fn applied(&self) -> watch::Receiver<Vec<Offset>> {
        self.0.applied()
    }

    /// Writes `records` and waits until they are applied.
    ///
    /// # Errors
    /// Any of them may be in the topic all the same, or come into it later: see [`Topic::mark`].
    pub(crate) async fn write(&self, records: &[Record]) -> Result<(), Error> {
        let records: Vec<KeyValue> = records.iter().map(key_value).collect();
        let written = self.0.write(&records).await.map_err(Error::Store)?;
        match written.is_known() {
            true => self.0.read_past(&written).await.map_err(Error::Store),
            // Written by an attempt so long ago that the broker no longer knows where.
            false => self.mark().await,
        }
    }

    /// Writes a mark (Confluent's NOOP) and waits until everything up to it is applied: nothing that was written, or given
    /// up, before this call can come into the topic afterwards.
    pub(crate) async fn mark(&self) -> Result<(), Error> {
        let mark = [key_value(&Record::noop())];
        loop {
            let written = self.0.write(&mark).await.map_err(Error::Store)?;
            if written.is_known() {
                return self.0.read_past(&written).await.map_err(Error::Store);
            }
        }
    }
}

fn key_value(record: &Record) -> KeyValue {
    (record.key.clone(), record.value.clone())
}

/// A record that cannot be applied is left out with a warning: one bad record must not take every schema away, and no
/// identifier is given to another schema because of it.
fn apply_to(state: Arc<RwLock<State>>) -> topic_table::Apply {
    Box::new(move |record| {
        let key = record.record.key.as_deref().unwrap_or_default();
        let value = record.record.value.as_deref();
        let mut state = state.write().expect("nobody panics with the state");
        if let Err(skipped) = state.replay(key, value) {
            let (topic, offset) = (&record.topic, record.record.offset);
            tracing::warn!(%topic, %offset, %skipped, "a record of the schema topic is left out");
        }
    })
}

fn named(error: topic_table::Error, config: &Config) -> service::Error {
    let topic = config.topic.clone();
    match error {
        topic_table::Error::Client(error) => error.into(),
        topic_table::Error::NotCompacted { policy } => service::Error::NotCompacted { topic, policy },
        topic_table::Error::NotOnePartition { partitions } => {
            service::Error::NotOnePartition { topic, partitions }
        }
        topic_table::Error::TimedOut { .. } => service::Error::NotRead {
            topic,
            timeout_ms: config.init_timeout.as_millis(),
        },
    }
}
