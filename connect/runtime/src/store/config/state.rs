//! The cluster's connectors as the config topic says (Kafka's `ClusterConfigState`). Pure: [`ClusterConfig::replay`] is the
//! only mutator, so that a restart finds what was there before it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_config::Properties;

use forebay_records::Offset;

use super::record::{Record, RestartRequest, SessionKey};

/// What the user wants of a connector (Kafka's `TargetState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// It runs.
    Started,
    /// Its tasks stay and do nothing.
    Paused,
    /// It has no tasks; its offsets may be changed (KIP-875).
    Stopped,
}

impl TargetState {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    /// As `initial_state` has it (KIP-980), in any case.
    pub(crate) fn from_initial(name: &str) -> Option<Self> {
        let states = [
            ("RUNNING", Self::Started),
            ("PAUSED", Self::Paused),
            ("STOPPED", Self::Stopped),
        ];
        let found = states
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, state)| state)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Started, Self::Paused, Self::Stopped]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectorConfig {
    /// Its configuration.
    pub(crate) config: Arc<Properties>,
    /// What the user wants of it.
    pub(crate) target_state: TargetState,
    /// The configuration of each task, as of the last commit record that lacked none.
    pub(crate) tasks: Vec<Arc<Properties>>,
    /// The connector's configuration at that commit record, which the tasks were made of; `None`: there was none.
    pub(crate) applied: Option<Arc<Properties>>,
    /// The connector has to be asked for its tasks: it is new, or the last commit record lacked one of them. Says how far the
    /// topic had been read before that, so that two such records differ.
    pub(crate) unpublished: Option<i64>,
}

/// How many loggers may have a level for all workers: anybody can make one up.
const LEVELS_MAX: usize = 1_000;

/// All connectors, and what else workers share.
#[derive(Debug, Clone)]
pub(crate) struct ClusterConfig {
    /// The offset behind the last record; -1 if there was none.
    offset: i64,
    session_key: Option<Arc<SessionKey>>,
    /// The last restart that was asked for of each connector, and the offset of its record.
    restarts: BTreeMap<Arc<str>, (i64, RestartRequest)>,
    /// The last level that was asked for of each logger, and the offset of its record.
    levels: BTreeMap<String, (i64, &'static str)>,
    connectors: BTreeMap<Arc<str>, ConnectorConfig>,
    /// By connector: task configurations that wait for their commit.
    uncommitted: BTreeMap<Arc<str>, BTreeMap<u32, Arc<Properties>>>,
    /// Target states of connectors that do not exist: a created connector's initial one is written before it.
    early_target_states: BTreeMap<Arc<str>, TargetState>,
    /// How many tasks each connector had when they were last allowed to begin transactions; kept when it is deleted, for one that
    /// is made anew.
    task_counts: BTreeMap<Arc<str>, u32>,
    /// How often each connector has got tasks; kept like that.
    task_generations: BTreeMap<Arc<str>, u64>,
    /// Connectors whose tasks are newer than that.
    pending_fencing: BTreeSet<Arc<str>>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            offset: -1,
            session_key: None,
            restarts: BTreeMap::new(),
            levels: BTreeMap::new(),
            connectors: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            early_target_states: BTreeMap::new(),
            task_counts: BTreeMap::new(),
            task_generations: BTreeMap::new(),
            pending_fencing: BTreeSet::new(),
        }
    }
}

impl ClusterConfig {
    /// How far the topic has been read: the offset behind the last record, -1 if there was none. Workers of Kafka compare it.
    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }

    /// The key with which workers sign requests to each other.
    pub(crate) fn session_key(&self) -> Option<&Arc<SessionKey>> {
        self.session_key.as_ref()
    }

    /// The restarts that were asked for at this offset or behind it.
    pub(crate) fn restarts_since(&self, offset: i64) -> Vec<(Arc<str>, RestartRequest)> {
        let restarts = self.restarts.iter().filter(|(_, (at, _))| *at >= offset);
        restarts
            .map(|(name, (_, request))| (Arc::clone(name), *request))
            .collect()
    }

    /// The levels of loggers that were asked for at this offset or behind it.
    pub(crate) fn levels_since(&self, offset: i64) -> Vec<(String, &'static str)> {
        let levels = self.levels.iter().filter(|(_, (at, _))| *at >= offset);
        levels.map(|(name, (_, level))| (name.clone(), *level)).collect()
    }

    /// Applies the record of an offset.
    pub(crate) fn replay_at(&mut self, offset: Offset, record: Record) {
        if let Record::Restart(name, request) = &record {
            self.restarts.insert(name.as_str().into(), (offset.0, *request));
        }
        if let Record::Level(name, level) = &record
            && (self.levels.len() < LEVELS_MAX || self.levels.contains_key(name))
        {
            self.levels.insert(name.clone(), (offset.0, level));
        }
        self.replay(record);
        self.offset = offset.0 + 1;
    }

    /// The connectors by name.
    pub(crate) fn connectors(&self) -> &BTreeMap<Arc<str>, ConnectorConfig> {
        &self.connectors
    }

    /// The connector of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&ConnectorConfig> {
        self.connectors.get(name)
    }

    /// How many tasks of the connector may have transactions that nobody has ended.
    pub(crate) fn task_count(&self, name: &str) -> Option<u32> {
        self.task_counts.get(name).copied()
    }

    /// Which tasks the connector has: more with each set (Kafka's `taskConfigGeneration`). Means nothing beyond this process.
    pub(crate) fn task_generation(&self, name: &str) -> u64 {
        self.task_generations.get(name).copied().unwrap_or(0)
    }

    /// Whether the tasks before the present ones have to be fenced before these begin (Kafka's `pendingFencing`).
    pub(crate) fn is_fencing_pending(&self, name: &str) -> bool {
        self.pending_fencing.contains(name)
    }

    /// Whether there are task configurations behind the connector's last commit record: somebody writes them now, or was cut off
    /// while it did. Compaction keeps them and removes the ones of the same number that hold.
    pub(crate) fn is_half_written(&self, name: &str) -> bool {
        self.uncommitted.contains_key(name)
    }

    /// Applies a record.
    pub(crate) fn replay(&mut self, record: Record) {
        match record {
            Record::Connector(name, Some(config)) => self.put(name.into(), Arc::new(config)),
            Record::Connector(name, None) => self.remove(&name),
            Record::Task(id, config) => {
                let tasks = self.uncommitted.entry(id.connector).or_default();
                tasks.insert(id.task, Arc::new(config));
            }
            Record::Commit(name, count) => self.commit(&name, count),
            Record::TargetState(name, state) => self.set_target_state(name.into(), state),
            Record::SessionKey(key) => self.session_key = Some(Arc::new(key)),
            Record::TaskCount(name, count) => {
                self.pending_fencing.remove(&*name);
                self.task_counts.insert(name.into(), count);
            }
            Record::Restart(..) | Record::Level(..) | Record::Other => {}
        }
    }

    fn put(&mut self, name: Arc<str>, config: Arc<Properties>) {
        let early = self.early_target_states.remove(&name);
        if let Some(connector) = self.connectors.get_mut(&name) {
            connector.config = config;
            return;
        }
        let connector = ConnectorConfig {
            config,
            target_state: early.unwrap_or(TargetState::Started),
            tasks: Vec::new(),
            applied: None,
            unpublished: Some(self.offset),
        };
        self.connectors.insert(name, connector);
    }

    fn remove(&mut self, name: &str) {
        self.connectors.remove(name);
        self.uncommitted.remove(name);
        self.restarts.remove(name);
    }

    /// Takes those task configurations before the commit that it counts, as a whole. There may be more: of an earlier set that
    /// had more tasks, of which compaction has kept these but not the commit, or of one that was cut off (Kafka's
    /// `completeTaskIdSet`). If one is missing, the last good set stays: compaction has removed it, as a worker died while it
    /// wrote the next ones.
    fn commit(&mut self, name: &str, count: u32) {
        let mut uncommitted = self.uncommitted.remove(name).unwrap_or_default();
        let Some(connector) = self.connectors.get_mut(name) else {
            return; // Deleted before its tasks were written, and the tombstone compacted away.
        };
        drop(uncommitted.split_off(&count));
        if uncommitted.len() == count as usize {
            connector.tasks = uncommitted.into_values().collect();
            connector.applied = Some(Arc::clone(&connector.config));
            connector.unpublished = None;
            self.pending_fencing.insert(name.into());
            *self.task_generations.entry(name.into()).or_default() += 1;
        } else {
            connector.unpublished = Some(self.offset);
        }
    }

    fn set_target_state(&mut self, name: Arc<str>, state: Option<TargetState>) {
        match (self.connectors.get_mut(&name), state) {
            (Some(connector), state) => connector.target_state = state.unwrap_or(TargetState::Started),
            (None, Some(state)) => {
                self.early_target_states.insert(name, state);
            }
            (None, None) => {
                self.early_target_states.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::TaskId;

    use super::*;

    fn config(value: &str) -> Properties {
        [("k".to_owned(), value.to_owned())].into()
    }

    fn connector(value: &str) -> Record {
        Record::Connector("c".to_owned(), Some(config(value)))
    }

    fn task(task: u32, value: &str) -> Record {
        let connector = "c".into();
        Record::Task(TaskId { connector, task }, config(value))
    }

    fn commit(tasks: u32) -> Record {
        Record::Commit("c".to_owned(), tasks)
    }

    /// What is known of the connector after these records: its tasks, and the configuration that they were made of.
    fn after(records: impl IntoIterator<Item = Record>) -> Option<(Vec<String>, Option<String>)> {
        let mut state = ClusterConfig::default();
        records.into_iter().for_each(|record| state.replay(record));
        let connector = state.get("c")?;
        let tasks = connector.tasks.iter().map(|task| task["k"].clone()).collect();
        Some((
            tasks,
            connector.applied.as_ref().map(|config| config["k"].clone()),
        ))
    }

    fn of(tasks: &[&str], applied: Option<&str>) -> Option<(Vec<String>, Option<String>)> {
        let tasks = tasks.iter().map(|task| (*task).to_owned()).collect();
        Some((tasks, applied.map(str::to_owned)))
    }

    #[test]
    fn tasks_hold_from_their_commit_on_and_as_a_whole() {
        let first = || vec![connector("1"), task(0, "a"), task(1, "b"), commit(2)];
        let then = |more: Vec<Record>| after(first().into_iter().chain(more));
        assert_eq!(then(vec![]), of(&["a", "b"], Some("1")));
        // A worker died while it wrote the next ones.
        assert_eq!(
            then(vec![connector("2"), task(0, "x")]),
            of(&["a", "b"], Some("1"))
        );
        assert_eq!(then(vec![task(0, "x"), commit(1)]), of(&["x"], Some("1")));
        assert_eq!(then(vec![commit(0)]), of(&[], Some("1")));
        // Half a set: the last good one stays.
        for half in [
            vec![task(1, "x"), commit(2)],
            vec![task(0, "x"), task(2, "y"), commit(2)],
            vec![commit(1)],
            vec![commit(u32::MAX)],
        ] {
            assert_eq!(then(half), of(&["a", "b"], Some("1")));
        }
        // More than the commit counts: of a set that was cut off, or, once the topic is compacted, of an earlier one.
        let cut_off = vec![task(0, "x"), task(1, "y"), task(2, "z")];
        let behind = |more: Vec<Record>| then(cut_off.clone().into_iter().chain(more).collect());
        let next = vec![task(0, "n"), task(1, "m"), commit(2)];
        assert_eq!(behind(next), of(&["n", "m"], Some("1")));
        assert_eq!(behind(vec![commit(0)]), of(&[], Some("1")));
        let compacted = [task(2, "old"), task(3, "old"), connector("2")];
        let compacted = compacted
            .into_iter()
            .chain([task(0, "n"), task(1, "m"), commit(2)]);
        assert_eq!(after(compacted), of(&["n", "m"], Some("2")));
        assert_eq!(then(vec![Record::Connector("c".to_owned(), None)]), None);
        // Made anew under the same name: nothing of the old one is left.
        let anew = vec![Record::Connector("c".to_owned(), None), connector("3")];
        assert_eq!(then(anew), of(&[], None));
        let cut_off = [connector("1"), task(0, "x")];
        let anew = [Record::Connector("c".to_owned(), None), connector("3"), commit(1)];
        assert_eq!(after(cut_off.into_iter().chain(anew)), of(&[], None));
        // The connector's own record was compacted to behind its commit.
        assert_eq!(after([task(0, "a"), commit(1), connector("2")]), of(&[], None));
    }

    #[test]
    fn a_connector_is_asked_for_its_tasks_until_a_commit_lacks_none() {
        let mut state = ClusterConfig::default();
        let records = [
            (connector("1"), Some(-1)),
            (commit(1), Some(1)),
            (commit(1), Some(2)),
            (task(0, "a"), Some(2)),
            (commit(1), None),
            (connector("2"), None),
            (task(1, "b"), None),
            (commit(2), Some(7)),
            (task(0, "a"), Some(7)),
            (commit(1), None),
            (Record::Connector("c".to_owned(), None), None),
            (connector("2"), Some(11)),
        ];
        for (offset, (record, expected)) in (0..).zip(records) {
            state.replay_at(Offset(offset), record);
            let unpublished = state.get("c").and_then(|connector| connector.unpublished);
            assert_eq!(unpublished, expected, "{offset}");
            assert_eq!(
                state.is_half_written("c"),
                [3, 6, 8].contains(&offset),
                "{offset}"
            );
        }
    }

    #[test]
    fn new_tasks_wait_until_those_before_them_are_fenced() {
        let mut state = ClusterConfig::default();
        let of = |state: &ClusterConfig| (state.is_fencing_pending("c"), state.task_count("c"));
        for record in [connector("1"), task(0, "a"), commit(1)] {
            state.replay(record);
        }
        assert_eq!(of(&state), (true, None));
        state.replay(Record::TaskCount("c".to_owned(), 1));
        assert_eq!(of(&state), (false, Some(1)));
        state.replay(task(0, "b"));
        assert_eq!(of(&state), (false, Some(1)), "they do not hold yet");
        state.replay(commit(1));
        assert_eq!(of(&state), (true, Some(1)));
        // Made anew under the same name: the tasks of the old one are known.
        state.replay(Record::Connector("c".to_owned(), None));
        assert_eq!(state.task_count("c"), Some(1));
    }

    #[test]
    fn target_states_hold_also_before_their_connector() {
        let mut state = ClusterConfig::default();
        let paused = || Record::TargetState("c".to_owned(), Some(TargetState::Paused));
        state.replay(paused());
        assert!(state.connectors().is_empty());
        state.replay(connector("1"));
        let of = |state: &ClusterConfig| state.get("c").map(|connector| connector.target_state);
        assert_eq!(of(&state), Some(TargetState::Paused));
        state.replay(connector("2"));
        assert_eq!(of(&state), Some(TargetState::Paused));
        state.replay(Record::TargetState("c".to_owned(), None));
        assert_eq!(of(&state), Some(TargetState::Started));
        // Deletion writes both tombstones, in this order.
        state.replay(paused());
        state.replay(Record::Connector("c".to_owned(), None));
        state.replay(Record::TargetState("c".to_owned(), None));
        state.replay(connector("3"));
        assert_eq!(of(&state), Some(TargetState::Started));
    }
}
