//! The status topic: the state of each connector and task, and the topics that each connector is active in. What this worker
//! says is seen here at once, also while the broker is away, and written as soon as that is possible.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use forebay_client::Client;
use forebay_client::topic_table::KeyValue;
use forebay_connect_api::TaskId;
use forebay_records::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::Config;
use crate::outage::Outage;

pub(crate) use record::Key;

/// How long the writer rests after an error before it tries again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

const PURPOSE: Purpose = Purpose {
    key: "status.storage.topic",
    content: "connector and task statuses",
    single_partition: false,
    delivery_timeout: None,
};

/// What a connector or task is doing (Kafka's `AbstractStatus.State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No worker runs it.
    Unassigned,
    /// It runs.
    Running,
    /// It stays and does nothing, as the user wants.
    Paused,
    /// It does not run until the user restarts it.
    Failed,
    /// It will run soon again.
    Restarting,
    /// A connector without tasks, as the user wants.
    Stopped,
}

impl State {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
            Self::Stopped => "STOPPED",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Unassigned,
            Self::Running,
            Self::Paused,
            Self::Failed,
            Self::Restarting,
            Self::Stopped,
        ];
        // DESTROYED, which is written before a tombstone, is as good as none.
        all.into_iter().find(|state| state.name() == name)
    }
}

/// The status of a connector or task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    /// What it is doing.
    pub(crate) state: State,
    /// Why it failed.
    pub(crate) trace: Option<String>,
    /// Who says so.
    pub(crate) worker_id: String,
    /// The generation of the workers' group; 0 for a worker alone.
    pub(crate) generation: i32,
}

impl Status {
    /// Whether it must not be said over another one (Kafka's `putSafe`): that something has ended or failed here says nothing of
    /// what another worker does with it since.
    fn yields_to(&self, known: &Self) -> bool {
        matches!(self.state, State::Unassigned | State::Failed) && self.is_obsolete_by(known)
    }

    /// Whether another worker says so in a later generation.
    fn is_obsolete_by(&self, other: &Self) -> bool {
        self.worker_id != other.worker_id && self.generation < other.generation
    }
}

/// A topic that a connector writes or reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicStatus {
    /// The topic.
    pub(crate) topic: String,
    /// The connector.
    pub(crate) connector: String,
    /// The task that was the first to use it.
    pub(crate) task: u32,
    /// When.
    pub(crate) discover_timestamp: Timestamp,
}

/// The status topic, and what it and this worker say.
#[derive(Debug)]
pub(crate) struct StatusStore {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// Something is to be written.
    pending: Notify,
    /// Everything has been written.
    written: Notify,
}

#[derive(Debug, Default)]
struct Table {
    /// As read, and above it what this worker has said since.
    statuses: BTreeMap<Key, Status>,
    topics: BTreeMap<String, BTreeSet<String>>,
    /// What this worker has said and not read back yet; `None`: that there is nothing. The newest of each key counts, so this
    /// is bounded by the number of keys.
    unread: BTreeMap<Key, Option<Vec<u8>>>,
    /// Keys of `unread` that have yet to be written.
    unwritten: BTreeSet<Key>,
}

impl Drop for StatusStore {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl StatusStore {
    /// Reads all states.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let table = Arc::clone(&shared);
        let apply = move |key: &[u8], value: Option<&[u8]>| table.table().read(key, value);
        let topic = &config.status_topic;
        let log = StorageTable::open(client, topic, PURPOSE, config.init_timeout, apply).await?;
        let writer = tokio::spawn(write(log, Arc::clone(&shared)));
        Ok(Self { shared, writer })
    }

    /// One without a topic: what is said is seen here only, for as long as the worker runs.
    pub(crate) fn in_memory() -> Self {
        let shared = Arc::new(Shared::default());
        let said = Arc::clone(&shared);
        let forget = async move {
            loop {
                said.table().forget_unread();
                said.written.notify_waiters();
                said.pending.notified().await;
            }
        };
        Self {
            shared,
            writer: tokio::spawn(forget),
        }
    }

    /// The status of a connector.
    pub(crate) fn connector(&self, name: &str) -> Option<Status> {
        self.shared
            .table()
            .statuses
            .get(&Key::Connector(name.to_owned()))
            .cloned()
    }

    /// The status of a task.
    pub(crate) fn task(&self, id: &TaskId) -> Option<Status> {
        self.shared.table().statuses.get(&Key::Task(id.clone())).cloned()
    }

    /// The topics that a connector is active in.
    pub(crate) fn topics(&self, connector: &str) -> Vec<String> {
        let table = self.shared.table();
        let topics = table.topics.get(connector);
        topics.into_iter().flatten().cloned().collect()
    }

    /// Says what a connector is doing.
    pub(crate) fn put_connector(&self, name: &str, status: Status) {
        self.put(Key::Connector(name.to_owned()), Some(status));
    }

    /// Says what a task is doing.
    pub(crate) fn put_task(&self, id: &TaskId, status: Status) {
        self.put(Key::Task(id.clone()), Some(status));
    }

    /// Says more of a task that runs and of which this worker has said so.
    pub(crate) fn annotate_task(&self, id: &TaskId, worker_id: &str, trace: Option<String>) {
        let key = Key::Task(id.clone());
        let mut table = self.shared.table();
        let Some(status) = table.statuses.get_mut(&key) else {
            return;
        };
        if status.state != State::Running || status.worker_id != worker_id || status.trace == trace {
            return;
        }
        status.trace = trace;
        let bytes = status.to_bytes();
        table.say(key, Some(bytes));
        drop(table);
        self.shared.pending.notify_one();
    }

    /// Forgets a task.
    pub(crate) fn remove_task(&self, id: &TaskId) {
        self.put(Key::Task(id.clone()), None);
    }

    /// Forgets a connector and all of its tasks and topics.
    pub(crate) fn remove_connector(&self, name: &str) {
        for id in self.tasks(name) {
            self.remove_task(&id);
        }
        self.remove_topics(name);
        self.put(Key::Connector(name.to_owned()), None);
    }

    /// Connectors that have a status.
    pub(crate) fn connectors(&self) -> Vec<String> {
        let table = self.shared.table();
        let names = table.statuses.keys().filter_map(|key| match key {
            Key::Connector(name) => Some(name.clone()),
            _ => None,
        });
        names.collect()
    }

    /// Tasks of a connector that have a status.
    pub(crate) fn tasks(&self, connector: &str) -> Vec<TaskId> {
        let table = self.shared.table();
        let ids = table.statuses.keys().filter_map(|key| match key {
            Key::Task(id) if &*id.connector == connector => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }

    /// Says that a connector is active in a topic, unless that is known.
    pub(crate) fn put_topic(&self, status: &TopicStatus) {
        let mut table = self.shared.table();
        let topics = table.topics.entry(status.connector.clone()).or_default();
        if topics.insert(status.topic.clone()) {
            let key = Key::Topic {
                topic: status.topic.clone(),
                connector: status.connector.clone(),
            };
            table.say(key, Some(status.to_bytes()));
            drop(table);
            self.shared.pending.notify_one();
        }
    }

    /// Forgets the topics of a connector.
    pub(crate) fn remove_topics(&self, connector: &str) {
        let mut table = self.shared.table();
        for topic in table.topics.remove(connector).unwrap_or_default() {
            let connector = connector.to_owned();
            table.say(Key::Topic { topic, connector }, None);
        }
        drop(table);
        self.shared.pending.notify_one();
    }

    /// Waits until all that was said is written, at most so long.
    pub(crate) async fn flush(&self, timeout: Duration) {
        let all_written = async {
            loop {
                let written = self.shared.written.notified();
                if self.shared.table().unwritten.is_empty() {
                    return;
                }
                written.await;
            }
        };
        // What is not written then is what the next worker finds out for itself.
        let _ = tokio::time::timeout(timeout, all_written).await;
    }

    fn put(&self, key: Key, status: Option<Status>) {
        let mut table = self.shared.table();
        let known = table.statuses.get(&key);
        if let (Some(known), Some(status)) = (known, &status)
            && status.yields_to(known)
        {
            return;
        }
        let bytes = status.as_ref().map(Status::to_bytes);
        match status {
            Some(status) => table.statuses.insert(key.clone(), status),
            None => table.statuses.remove(&key),
        };
        table.say(key, bytes);
        drop(table);
        self.shared.pending.notify_one();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nobody panics with the table")
    }
}

impl Table {
    fn say(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.unwritten.insert(key.clone());
        self.unread.insert(key, value);
    }

    /// Applies a record, unless this worker has said something newer that is still on its way.
    fn read(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(key) = Key::parse(key) else {
            let key = String::from_utf8_lossy(key);
            tracing::warn!(%key, "a record of the status topic is left out");
            return;
        };
        if let Some(said) = self.unread.get(&key) {
            if said.as_deref() == value && !self.unwritten.contains(&key) {
                self.unread.remove(&key);
            }
            let said = said_status(self.unread.get(&key));
            if !said
                .zip(value.and_then(Status::parse))
                .is_some_and(|(said, read)| said.is_obsolete_by(&read))
            {
                return;
            }
            // This worker was out of the group when it said so.
            self.unread.remove(&key);
            self.unwritten.remove(&key);
        }
        match (key, value) {
            (Key::Topic { topic, connector }, Some(_)) => {
                self.topics.entry(connector).or_default().insert(topic);
            }
            (Key::Topic { topic, connector }, None) => {
                if let Some(topics) = self.topics.get_mut(&connector) {
                    topics.remove(&topic);
                }
            }
            (key, value) => {
                match value.and_then(Status::parse) {
                    Some(status) => self.statuses.insert(key, status),
                    None => self.statuses.remove(&key),
                };
            }
        }
    }

    /// Nothing is ever written nor read back.
    fn forget_unread(&mut self) {
        self.unread.clear();
        self.unwritten.clear();
    }

    /// What is to be written now.
    fn take_unwritten(&mut self) -> Vec<(Key, KeyValue)> {
        let keys = std::mem::take(&mut self.unwritten);
        let records = keys.into_iter().filter_map(|key| {
            let value = self.unread.get(&key)?.clone();
            let record = (key.to_bytes(), value);
            Some((key, record))
        });
        records.collect()
    }
}

fn said_status(said: Option<&Option<Vec<u8>>>) -> Option<Status> {
    Status::parse(said?.as_deref()?)
}

/// Writes for ever what is said; of what is said twice in the meantime, the last.
async fn write(log: StorageTable, shared: Arc<Shared>) {
    let mut outage = Outage::default();
    loop {
        let records = shared.table().take_unwritten();
        if records.is_empty() {
            shared.written.notify_waiters();
            shared.pending.notified().await;
            continue;
        }
        let (keys, records): (Vec<Key>, Vec<KeyValue>) = records.into_iter().unzip();
        match log.write(&records).await {
            Ok(_) => {
                if let Some(lasted) = outage.ends() {
                    tracing::info!(?lasted, "states are written again");
                }
            }
            Err(error) => {
                if outage.begins() {
                    tracing::warn!(%error, "states cannot be written; trying again");
                }
                shared.table().unwritten.extend(keys);
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State) -> Status {
        Status {
            state,
            trace: None,
            worker_id: "w".to_owned(),
            generation: 0,
        }
    }

    #[test]
    fn what_was_said_last_holds_while_older_records_are_read_back() {
        let mut table = Table::default();
        let key = Key::Connector("c".to_owned());
        let bytes = key.to_bytes();
        let state = |table: &Table| table.statuses.get(&key).map(|status| status.state);
        table.read(&bytes, Some(&status(State::Unassigned).to_bytes()));
        assert_eq!(state(&table), Some(State::Unassigned));
        // As `put` does.
        for said in [State::Running, State::Failed] {
            table.statuses.insert(key.clone(), status(said));
            table.say(key.clone(), Some(status(said).to_bytes()));
            assert_eq!(table.take_unwritten().len(), 1);
        }
        table.read(&bytes, Some(&status(State::Running).to_bytes()));
        assert_eq!(state(&table), Some(State::Failed), "the older one is read back");
        table.read(&bytes, Some(&status(State::Failed).to_bytes()));
        assert!(table.unread.is_empty());
        // From now on it is another worker that says so.
        table.read(&bytes, Some(&status(State::Paused).to_bytes()));
        assert_eq!(state(&table), Some(State::Paused));
        table.read(&bytes, None);
        assert_eq!(state(&table), None);
    }

    #[tokio::test]
    async fn what_ended_here_is_not_said_over_what_another_worker_has_begun_since() {
        let store = StatusStore::in_memory();
        let of = |worker: &str, generation, state| Status {
            worker_id: worker.to_owned(),
            generation,
            ..status(state)
        };
        let known = || {
            store
                .connector("c")
                .map(|status| (status.worker_id, status.state))
        };
        let b_runs = Some(("b".to_owned(), State::Running));
        store.put_connector("c", of("b", 5, State::Running));
        store.put_connector("c", of("a", 4, State::Unassigned));
        store.put_connector("c", of("a", 4, State::Failed));
        assert_eq!(known(), b_runs);
        store.put_connector("c", of("a", 5, State::Unassigned));
        assert_eq!(known(), Some(("a".to_owned(), State::Unassigned)));
        // The generations of a group that was forgotten begin anew.
        store.put_connector("c", of("b", 1, State::Running));
        assert_eq!(known(), b_runs);
        // What is on its way here is not written over what has been read.
        let key = Key::Connector("c".to_owned());
        let mut table = Table::default();
        table.say(key.clone(), Some(of("a", 4, State::Running).to_bytes()));
        table.read(&key.to_bytes(), Some(&of("b", 4, State::Running).to_bytes()));
        assert_eq!(table.unwritten.len(), 1);
        table.read(&key.to_bytes(), Some(&of("b", 5, State::Running).to_bytes()));
        assert!(table.unwritten.is_empty() && table.unread.is_empty());
        assert_eq!(table.statuses[&key].worker_id, "b");
    }
}
