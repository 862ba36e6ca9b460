//! Runs connectors and tasks (Kafka's `Worker`): one supervisor for each, made and retired as the plan says. Owned by the
//! herder's loop; nothing here waits for a connector or a task.

pub(crate) mod blocked;
pub(crate) mod clients;
mod connector;
mod context;
mod converters;
mod dead_letters;
pub(crate) mod fencing;
mod patience;
mod progress;
mod sink_task;
mod source_task;
mod stage;
mod supervisor;
mod task;
mod transformations;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_config::Properties;
use forebay_connect_api::TaskId;
use forebay_records::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::herder::cluster::Cluster;
use crate::herder::plan::{Plan, TaskSpec};
use crate::store::config::{RestartRequest, TargetState};
use crate::store::status::{State, Status};
pub(crate) use connector::AnyConnector;
use connector::ConnectorUnit;
pub(crate) use context::{Context, sink_group};
use supervisor::{Desired, Supervisor};
use task::TaskUnit;

/// What runs.
#[derive(Debug)]
pub(crate) struct Worker {
    context: Arc<Context>,
    cluster: Arc<Cluster>,
    connectors: Running<Arc<str>, Arc<Properties>>,
    tasks: Running<TaskId, TaskSpec>,
    /// How many units were told to end and may still run.
    ending: watch::Sender<usize>,
}

/// Counts a unit as ending for as long as it is there.
struct Ending(watch::Sender<usize>);

impl Ending {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Units of one kind by name.
#[derive(Debug)]
struct Running<K, S> {
    supervisors: HashMap<K, (Supervisor<S>, Desired<S>)>,
    /// Units that were retired and may still run; the next one of that name waits for them.
    retiring: HashMap<K, JoinHandle<()>>,
    restarts: HashMap<K, u64>,
}

impl<K: Eq + Hash + Clone, S> Running<K, S> {
    fn new() -> Self {
        Self {
            supervisors: HashMap::new(),
            retiring: HashMap::new(),
            restarts: HashMap::new(),
        }
    }

    /// What is wanted of a unit, restarts included.
    fn desired(&self, key: &K, spec: S, target_state: TargetState) -> Desired<S> {
        Desired {
            spec,
            target_state,
            restarts: self.restarts.get(key).copied().unwrap_or(0),
        }
    }
}

impl Worker {
    /// A worker that runs nothing yet.
    pub(crate) fn new(context: Arc<Context>, cluster: Arc<Cluster>) -> Self {
        Self {
            context,
            cluster,
            connectors: Running::new(),
            tasks: Running::new(),
            ending: watch::channel(0).0,
        }
    }

    /// How many units were told to end and may still run.
    pub(crate) fn ending(&self) -> watch::Receiver<usize> {
        self.ending.subscribe()
    }

    /// Starts, changes and stops what has to be. What is in `all` and not in `plan` is another worker's now, or has to wait.
    pub(crate) fn apply(&mut self, plan: Plan, all: &Plan) {
        self.retire_tasks(&plan, all);
        self.retire_connectors(&plan, all);
        for (name, (config, state)) in plan.connectors {
            self.want_connector(name, config, state);
        }
        for (id, (spec, state)) in plan.tasks {
            self.want_task(id, spec, state);
        }
        self.connectors.retiring.retain(|_, ended| !ended.is_finished());
        self.tasks.retiring.retain(|_, ended| !ended.is_finished());
    }

    /// Starts a connector anew.
    pub(crate) fn restart_connector(&mut self, name: &Arc<str>) {
        *self.connectors.restarts.entry(Arc::clone(name)).or_default() += 1;
        let known = self.connectors.supervisors.get(name);
        if let Some(desired) = known.map(|(_, desired)| desired.clone()) {
            self.context.connector_is(name, State::Restarting, None);
            self.want_connector(Arc::clone(name), desired.spec, desired.target_state);
        }
    }

    /// Starts a task anew.
    pub(crate) fn restart_task(&mut self, id: &TaskId) {
        *self.tasks.restarts.entry(id.clone()).or_default() += 1;
        let known = self.tasks.supervisors.get(id);
        if let Some(desired) = known.map(|(_, desired)| desired.clone()) {
            self.context.task_is(id, State::Restarting, None);
            self.want_task(id.clone(), desired.spec, desired.target_state);
        }
    }

    /// Starts a connector and its tasks anew, as far as they run here and are asked for (KIP-745).
    pub(crate) fn restart(&mut self, name: &Arc<str>, request: RestartRequest) {
        let statuses = &self.context.statuses;
        let is_meant = |status: Option<Status>| {
            let state = status.map_or(State::Unassigned, |status| status.state);
            !request.only_failed || state == State::Failed
        };
        let connector = self.connectors.supervisors.contains_key(name) && is_meant(statuses.connector(name));
        let tasks: Vec<TaskId> = self
            .tasks
            .supervisors
            .keys()
            .filter(|id| request.include_tasks && id.connector == *name && is_meant(statuses.task(id)))
            .cloned()
            .collect();
        if connector {
            self.restart_connector(name);
        }
        for id in tasks {
            self.restart_task(&id);
        }
    }

    /// Stops everything, and waits at most as long as tasks may take. The tasks first: their offsets are what counts.
    pub(crate) async fn stop(mut self) {
        let context = &self.context;
        let mut ending: Vec<JoinHandle<()>> = self.tasks.retiring.drain().map(|(_, ended)| ended).collect();
        for (id, (supervisor, _)) in self.tasks.supervisors.drain() {
            let context = Arc::clone(context);
            ending.push(supervisor.retire(async move {
                context.task_is(&id, State::Unassigned, None);
            }));
        }
        for (name, (supervisor, _)) in self.connectors.supervisors.drain() {
            let context = Arc::clone(context);
            ending.push(supervisor.retire(async move {
                context.connector_is(&name, State::Unassigned, None);
            }));
        }
        ending.extend(self.connectors.retiring.drain().map(|(_, ended)| ended));
        let all = async {
            for ended in ending {
                // How it ended is its own business.
                let _ = ended.await;
            }
        };
        // Each may take so long to stop, and some time more to be aborted.
        let timeout = context.config.task_shutdown_graceful_timeout + Duration::from_secs(1);
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!("not all connectors and tasks have stopped in time");
        }
    }

    /// Counts a unit as ending, until it has ended, which drops what this gives, or blocks.
    fn ending_of(&self, title: String) -> oneshot::Sender<()> {
        let (ended, waits) = oneshot::channel();
        let (ending, context) = (Ending::new(&self.ending), Arc::clone(&self.context));
        tokio::spawn(async move {
            tokio::select! {
                // Dropped: nothing is ever sent on it.
                _ = waits => {}
                () = context.blocked.until(&title) => tracing::error!("the worker goes on without {title}"),
            }
            drop(ending);
        });
        ended
    }

    fn want_connector(&mut self, name: Arc<str>, config: Arc<Properties>, state: TargetState) {
        let desired = self.connectors.desired(&name, config, state);
        if let Some((supervisor, current)) = self.connectors.supervisors.get_mut(&name) {
            if *current != desired {
                *current = desired.clone();
                supervisor.want(desired);
            }
            return;
        }
        let unit = ConnectorUnit {
            context: Arc::clone(&self.context),
            cluster: Arc::clone(&self.cluster),
            name: Arc::clone(&name),
        };
        let predecessor = self.connectors.retiring.remove(&name);
        if self.context.blocked.has(&connector_title(&name)) {
            self.context
                .connector_is(&name, State::Failed, Some(WAITS.to_owned()));
        }
        let supervisor = Supervisor::start(Arc::new(unit), desired.clone(), predecessor);
        self.connectors.supervisors.insert(name, (supervisor, desired));
    }

    fn want_task(&mut self, id: TaskId, spec: TaskSpec, state: TargetState) {
        let desired = self.tasks.desired(&id, spec, state);
        if let Some((supervisor, current)) = self.tasks.supervisors.get_mut(&id) {
            if *current != desired {
                *current = desired.clone();
                supervisor.want(desired);
            }
            return;
        }
        let unit = TaskUnit {
            context: Arc::clone(&self.context),
            cluster: Arc::clone(&self.cluster),
            id: id.clone(),
        };
        let predecessor = self.tasks.retiring.remove(&id);
        if self.context.blocked.has(&task_title(&id)) {
            self.context.task_is(&id, State::Failed, Some(WAITS.to_owned()));
        }
        let supervisor = Supervisor::start(Arc::new(unit), desired.clone(), predecessor);
        self.tasks.supervisors.insert(id, (supervisor, desired));
    }

    /// Stops the tasks that are not this worker's, and forgets the states of those that are nobody's.
    fn retire_tasks(&mut self, plan: &Plan, all: &Plan) {
        let gone: Vec<TaskId> = self
            .tasks
            .supervisors
            .keys()
            .filter(|id| !plan.tasks.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            let Some((supervisor, desired)) = self.tasks.supervisors.remove(&id) else {
                continue;
            };
            let (context, task) = (Arc::clone(&self.context), id.clone());
            let (is_deleted, ending) = (!all.tasks.contains_key(&id), self.ending_of(task_title(&id)));
            let ended = supervisor.retire(async move {
                if is_deleted {
                    TaskUnit::leave(&context, &desired.spec, &task).await;
                    context.statuses.remove_task(&task);
                } else {
                    // Whoever has it next takes its place in the group of consumers.
                    context.task_is(&task, State::Unassigned, None);
                }
                drop(ending);
            });
            self.tasks.restarts.remove(&id);
            self.tasks.retiring.insert(id, ended);
        }
    }

    /// Stops the connectors that are not this worker's, and forgets the states of those that are deleted.
    fn retire_connectors(&mut self, plan: &Plan, all: &Plan) {
        let gone: Vec<Arc<str>> = self
            .connectors
            .supervisors
            .keys()
            .filter(|name| !plan.connectors.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            let Some((supervisor, _)) = self.connectors.supervisors.remove(&name) else {
                continue;
            };
            let (context, connector) = (Arc::clone(&self.context), Arc::clone(&name));
            let is_deleted = !all.connectors.contains_key(&name);
            let ending = self.ending_of(connector_title(&name));
            let ended = supervisor.retire(async move {
                if is_deleted {
                    context.statuses.remove_connector(&connector);
                } else {
                    context.connector_is(&connector, State::Unassigned, None);
                }
                drop(ending);
            });
            self.connectors.restarts.remove(&name);
            self.connectors.retiring.insert(name, ended);
        }
    }
}

/// What a connector is called in logs.
fn connector_title(name: &str) -> String {
    format!("connector {name}")
}

/// What a task is called in logs.
fn task_title(id: &TaskId) -> String {
    format!("task {id}")
}

/// What the status of one says that cannot start on this worker yet.
const WAITS: &str = "It starts once what ran under its name before on this worker has ended, which was aborted and blocks its thread; \
                     start the worker again if that lasts.";

/// The time for states and keys.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
