//! The config topic: connector and task configurations and target states, in one partition, so that their order holds.

mod leader;
mod record;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, RwLock, RwLockReadGuard};
use std::time::Duration;

use forebay_client::topic_table::KeyValue;
use forebay_client::{Client, Error as ClientError};
use forebay_config::Properties;
use forebay_connect_api::TaskId;
use forebay_records::Offset;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::{Config, ExactlyOnceSource};
use crate::group::Group;
use leader::LeaderWriter;

pub(crate) use record::{Record, RestartRequest, SessionKey};
pub(crate) use state::{ClusterConfig, ConnectorConfig, TargetState};

/// How long a write may take until it is read back (Kafka's `READ_WRITE_TOTAL_TIMEOUT_MS`).
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

const PURPOSE: Purpose = Purpose {
    key: "config.storage.topic",
    content: "connector configurations",
    single_partition: true,
    delivery_timeout: None,
};

/// Where records go.
enum Log {
    Topic(Arc<StorageTable>),
    /// Nowhere: they are applied, and that is all.
    Memory(Mutex<Apply>),
}

type Apply = Box<dyn FnMut(Offset, &[u8], Option<&[u8]>) + Send>;

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(table) => table.fmt(f),
            Self::Memory(_) => f.write_str("Memory"),
        }
    }
}

/// The config topic, and what it says.
#[derive(Debug)]
pub(crate) struct ConfigStore {
    log: Log,
    state: Arc<RwLock<ClusterConfig>>,
    version: watch::Receiver<u64>,
    /// Who may write again what was given up; said once.
    group: OnceLock<Group>,
    /// How what only the leader may write is written; `None`: as all else.
    leader: Option<Arc<LeaderWriter>>,
}

impl ConfigStore {
    /// Reads all configurations.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, Error> {
        let (state, changes) = (Arc::default(), watch::channel(0));
        let (apply, version) = (applied(&state, changes.0), changes.1);
        let topic = &config.config_topic;
        let purpose = Purpose {
            // No record of a leader that was cut off comes into the topic behind those of its successor.
            delivery_timeout: Some(config.leading_margin()),
            ..PURPOSE
        };
        let log = StorageTable::open_with_offsets(client, topic, purpose, config.init_timeout, apply).await?;
        let log = Arc::new(log);
        // As in Kafka, also while the cluster's workers prepare for exactly-once sources.
        let is_fenced = config.exactly_once_source != ExactlyOnceSource::Disabled;
        let leader =
            is_fenced.then(|| LeaderWriter::new(client, &config.group_id, &log, config.leading_margin()));
        Ok(Self {
            log: Log::Topic(log),
            state,
            version,
            group: OnceLock::new(),
            leader,
        })
    }

    /// One that lasts as long as the worker, which runs alone.
    pub(crate) fn in_memory() -> Self {
        let (state, changes) = (Arc::default(), watch::channel(0));
        let (apply, version) = (applied(&state, changes.0), changes.1);
        Self {
            log: Log::Memory(Mutex::new(Box::new(apply))),
            state,
            version,
            group: OnceLock::new(),
            leader: None,
        }
    }

    /// What holds now.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, ClusterConfig> {
        self.state.read().expect("nobody panics with the state")
    }

    /// Changes with every record.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// Takes the leader's right to write over, if that is needed and not done yet in this generation of the group; reads to the
    /// end of the topic then. `confirmed` says, once it is taken over, whether this worker still leads.
    ///
    /// # Errors
    /// If the cluster does not give it, or that of `confirmed`.
    pub(crate) async fn claim<E: From<Error>>(
        &self,
        generation: i32,
        confirmed: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        match &self.leader {
            Some(leader) => leader.claim(generation, confirmed).await,
            None => Ok(()),
        }
    }

    /// The newest generation in which this worker led and is fenced: it has to join again before it writes as the leader. `None`: nobody is
    /// ever fenced.
    pub(crate) fn lost(&self) -> Option<watch::Receiver<i32>> {
        Some(self.leader.as_ref()?.lost())
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
        self.write_as_leader(records).await
    }

    /// Deletes a connector.
    pub(crate) async fn remove_connector(&self, name: &str) -> Result<(), Error> {
        let records = [record::connector(name, None), record::target_state(name, None)];
        self.write_as_leader(records.into()).await
    }

    /// Sets what the user wants of a connector.
    pub(crate) async fn put_target_state(&self, name: &str, state: TargetState) -> Result<(), Error> {
        self.write(&[record::target_state(name, Some(state))]).await
    }

    /// The group of workers; the one of them that leads may try a write again.
    pub(crate) fn join(&self, group: Group) {
        let is_first = self.group.set(group).is_ok();
        debug_assert!(is_first, "a worker has one place");
    }

    /// Writes the configurations of all tasks and the record that makes them valid: at once where the leader's writes are fenced; else that
    /// record comes last, and only if `still_leads` says so. Another may have written other ones meanwhile.
    ///
    /// # Errors
    /// Those of the topic and of `still_leads`. Then the tasks that there are stay.
    pub(crate) async fn put_tasks<E: From<Error>>(
        &self,
        name: &str,
        tasks: &[Properties],
        still_leads: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let mut records: Vec<KeyValue> = (0..)
            .zip(tasks)
            .map(|(task, config)| {
                let connector = name.into();
                record::task(&TaskId { connector, task }, config)
            })
            .collect();
        let commit = record::commit(name, tasks.len());
        if let Some(leader) = &self.leader {
            records.push(commit);
            return Ok(leader.write(records).await?);
        }
        if !records.is_empty() {
            self.write(&records).await?;
            still_leads.await?;
        }
        Ok(self.write(&[commit]).await?)
    }

    /// Asks the workers that have it to restart a connector and its tasks (KIP-745).
    pub(crate) async fn put_restart(&self, name: &str, request: RestartRequest) -> Result<(), Error> {
        self.write_as_leader(vec![record::restart(name, request)]).await
    }

    /// Notes that the tasks before the present ones are fenced, and that these, so many, may begin.
    pub(crate) async fn put_task_count(&self, name: &str, tasks: usize) -> Result<(), Error> {
        self.write_as_leader(vec![record::task_count(name, tasks)]).await
    }

    /// Asks all workers to set the level of a logger (KIP-976).
    pub(crate) async fn put_level(&self, logger: &str, level: &str) -> Result<(), Error> {
        self.write(&[record::level(logger, level)]).await
    }

    /// Gives all workers the key with which they sign requests to each other (KIP-507).
    pub(crate) async fn put_session_key(&self, key: &SessionKey) -> Result<(), Error> {
        self.write_as_leader(vec![record::session_key(key)]).await
    }

    /// Waits until everything that is in the topic now, and is committed, has been applied. What is in a transaction that is open now comes
    /// later; it may be of a leader that is gone, and whoever is elected ends it.
    pub(crate) async fn read(&self) -> Result<(), Error> {
        match &self.log {
            Log::Topic(table) => table.read_to_end().await,
            Log::Memory(_) => Ok(()),
        }
    }

    /// Waits until everything that is in the topic now has been applied, a transaction that is open now included.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        match &self.log {
            Log::Topic(table) => table.read_past_open_transactions().await,
            Log::Memory(_) => Ok(()),
        }
    }

    /// Writes what the leader alone may write.
    async fn write_as_leader(&self, records: Vec<KeyValue>) -> Result<(), Error> {
        match &self.leader {
            Some(leader) => leader.write(records).await,
            None => self.write(&records).await,
        }
    }

    async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        match &self.log {
            Log::Topic(table) => self.write_to(table, records).await,
            Log::Memory(apply) => {
                let mut apply = apply.lock().expect("nobody panics with it");
                for (key, value) in records {
                    let offset = Offset(self.state().offset().max(0));
                    apply(offset, key, value.as_deref());
                }
                Ok(())
            }
        }
    }

    /// Writes until the records are there, for as long as a write may take and this worker leads: what was given up is in the
    /// topic before what is written again, or never.
    async fn write_to(&self, table: &StorageTable, records: &[KeyValue]) -> Result<(), Error> {
        let end = Instant::now() + WRITE_TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match table.write_and_read(records, left).await {
                Err(Error::Client {
                    source: ClientError::Timeout { .. },
                    ..
                }) if self.group.get().is_some_and(Group::leads) && Instant::now() < end => {}
                written => return written,
            }
        }
    }
}

/// Applies records to a state, and counts them.
fn applied(
    state: &Arc<RwLock<ClusterConfig>>,
    changes: watch::Sender<u64>,
) -> impl FnMut(Offset, &[u8], Option<&[u8]>) + Send + 'static {
    let state = Arc::clone(state);
    move |offset: Offset, key: &[u8], value: Option<&[u8]>| {
        let record = record::parse(key, value).unwrap_or_else(|error| {
            let key = String::from_utf8_lossy(key);
            tracing::error!(%key, %error, "a record of the config topic is left out");
            Record::Other
        });
        let mut state = state.write().expect("nobody panics with the state");
        state.replay_at(offset, record);
        drop(state);
        changes.send_modify(|version| *version += 1);
    }
}

#[cfg(test)]
mod tests;
