//! The config topic: connector and task configurations and target states, in one partition, so that their order holds.

mod record;
mod state;

use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;

use forebay_client::Client;
use forebay_client::topic_table::KeyValue;
use forebay_config::Properties;
use forebay_connect_api::TaskId;
use tokio::sync::watch;

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::Config;

#[cfg(test)]
pub(crate) use record::Record;
pub(crate) use state::{ClusterConfig, ConnectorConfig, TargetState};

/// How long a write may take until it is read back (Kafka's `READ_WRITE_TOTAL_TIMEOUT_MS`).
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

const PURPOSE: Purpose = Purpose {
    key: "config.storage.topic",
    content: "connector configurations",
    single_partition: true,
};

/// The config topic, and what it says.
#[derive(Debug)]
pub(crate) struct ConfigStore {
    log: StorageTable,
    state: Arc<RwLock<ClusterConfig>>,
    version: watch::Receiver<u64>,
}

impl ConfigStore {
    /// Reads all configurations.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, Error> {
        let state = Arc::new(RwLock::new(ClusterConfig::default()));
        let (sender, version) = watch::channel(0);
        let applied = Arc::clone(&state);
        let apply = move |key: &[u8], value: Option<&[u8]>| match record::parse(key, value) {
            Ok(record) => {
                let mut state = applied.write().expect("nobody panics with the state");
                state.replay(record);
                drop(state);
                sender.send_modify(|version| *version += 1);
            }
            Err(error) => {
                let key = String::from_utf8_lossy(key);
                tracing::error!(%key, %error, "a record of the config topic is left out");
            }
        };
        let topic = &config.config_topic;
        let log = StorageTable::open(client, topic, PURPOSE, config.init_timeout, apply).await?;
        Ok(Self { log, state, version })
    }

    /// What holds now.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, ClusterConfig> {
        self.state.read().expect("nobody panics with the state")
    }

    /// Changes with every record.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// Creates or changes a connector; the state it begins with is written first, so that it never runs in another.
    pub(crate) async fn put_connector(
        &self,
        name: &str,
        config: &Properties,
        initial_state: Option<TargetState>,
    ) -> Result<(), Error> {
        let state = initial_state.map(|state| record::target_state(name, Some(state)));
        let records: Vec<KeyValue> = state
            .into_iter()
            .chain([record::connector(name, Some(config))])
            .collect();
        self.write(&records).await
    }

    /// Deletes a connector.
    pub(crate) async fn remove_connector(&self, name: &str) -> Result<(), Error> {
        let records = [record::connector(name, None), record::target_state(name, None)];
        self.write(&records).await
    }

    /// Sets what the user wants of a connector.
    pub(crate) async fn put_target_state(&self, name: &str, state: TargetState) -> Result<(), Error> {
        self.write(&[record::target_state(name, Some(state))]).await
    }

    /// Writes the configurations of all tasks and, once they are acknowledged, the record that makes them valid.
    pub(crate) async fn put_tasks(&self, name: &str, tasks: &[Properties]) -> Result<(), Error> {
        let records: Vec<KeyValue> = (0..)
            .zip(tasks)
            .map(|(task, config)| {
                let connector = name.into();
                record::task(&TaskId { connector, task }, config)
            })
            .collect();
        self.write(&records).await?;
        self.write(&[record::commit(name, tasks.len())]).await
    }

    async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        self.log.write_and_read(records, WRITE_TIMEOUT).await
    }
}
