//! Decides what has to run, purely from what the config topic says. A worker alone runs all of it; in a group, the assignment
//! says which part.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_connect_api::TaskId;

use crate::group::Work;
use crate::store::config::{ClusterConfig, TargetState};

/// What a task is run with: the connector's configuration that the task was made of, and its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskSpec {
    /// Of the connector, as of the last commit record: converters, topics, `errors.*`.
    pub(crate) connector: Arc<Properties>,
    /// Of the task.
    pub(crate) task: Arc<Properties>,
    /// Which set of tasks it is of. All of a set begin anew with it: those before it are fenced, changed or not (KIP-618).
    pub(crate) generation: u64,
}

/// Everything that has to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Connectors with their configurations.
    pub(crate) connectors: BTreeMap<Arc<str>, (Arc<Properties>, TargetState)>,
    /// Tasks, of the last set that was complete; those of a stopped connector are not there.
    pub(crate) tasks: BTreeMap<TaskId, (TaskSpec, TargetState)>,
}

impl Plan {
    /// What of it this worker has to run.
    pub(crate) fn within(&self, work: &Work) -> Self {
        let connectors = work.connectors.iter();
        let tasks = work.tasks.iter();
        Self {
            connectors: connectors
                .filter_map(|name| Some((Arc::clone(name), self.connectors.get(name)?.clone())))
                .collect(),
            tasks: tasks
                .filter_map(|id| Some((id.clone(), self.tasks.get(id)?.clone())))
                .collect(),
        }
    }
}

/// What has to run.
pub(crate) fn plan(config: &ClusterConfig) -> Plan {
    let mut plan = Plan::default();
    for (name, connector) in config.connectors() {
        let state = connector.target_state;
        plan.connectors
            .insert(Arc::clone(name), (Arc::clone(&connector.config), state));
        let Some(applied) = connector
            .applied
            .as_ref()
            .filter(|_| state != TargetState::Stopped)
        else {
            continue;
        };
        let generation = config.task_generation(name);
        for (task, config) in (0..).zip(&connector.tasks) {
            let id = TaskId {
                connector: Arc::clone(name),
                task,
            };
            let spec = TaskSpec {
                connector: Arc::clone(applied),
                task: Arc::clone(config),
                generation,
            };
            plan.tasks.insert(id, (spec, state));
        }
    }
    plan
}

/// Whether the tasks that a connector made have to be written: they differ from those that hold, or these were made of another
/// configuration; or the topic has another set, too, that is not complete, and that compaction would keep in their place.
pub(crate) fn must_publish(config: &ClusterConfig, name: &str, tasks: &[Properties]) -> bool {
    let Some(connector) = config.get(name) else {
        return false;
    };
    let is_same = connector.tasks.len() == tasks.len()
        && connector
            .tasks
            .iter()
            .zip(tasks)
            .all(|(held, made)| **held == *made);
    !is_same
        || connector.applied.as_ref() != Some(&connector.config)
        || connector.unpublished.is_some()
        || config.is_half_written(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::config::Record;

    fn properties(value: &str) -> Properties {
        [("k".to_owned(), value.to_owned())].into()
    }

    fn config(records: impl IntoIterator<Item = Record>) -> ClusterConfig {
        let mut config = ClusterConfig::default();
        records.into_iter().for_each(|record| config.replay(record));
        config
    }

    fn connector(value: &str) -> Record {
        Record::Connector("c".to_owned(), Some(properties(value)))
    }

    fn task(value: &str) -> Record {
        let (connector, task) = ("c".into(), 0);
        Record::Task(TaskId { connector, task }, properties(value))
    }

    fn target_state(state: TargetState) -> Record {
        Record::TargetState("c".to_owned(), Some(state))
    }

    fn commit() -> Record {
        Record::Commit("c".to_owned(), 1)
    }

    #[test]
    fn tasks_run_with_the_configuration_that_they_were_made_of() {
        let made = [connector("1"), task("a"), commit()];
        let running = plan(&config(made.clone()));
        assert_eq!((running.connectors.len(), running.tasks.len()), (1, 1));
        // A new configuration restarts the connector; its tasks only once it has made them anew.
        let changed = plan(&config(made.clone().into_iter().chain([connector("2")])));
        assert_ne!(changed.connectors, running.connectors);
        assert_eq!(changed.tasks, running.tasks);
        let applied = [connector("2"), task("a"), commit()];
        let applied = plan(&config(made.clone().into_iter().chain(applied)));
        assert_ne!(applied.tasks, running.tasks);
        let paused = plan(&config(
            made.clone()
                .into_iter()
                .chain([target_state(TargetState::Paused)]),
        ));
        assert!(
            paused
                .tasks
                .values()
                .all(|(_, state)| *state == TargetState::Paused)
        );
        let stopped = plan(&config(
            made.into_iter().chain([target_state(TargetState::Stopped)]),
        ));
        assert_eq!((stopped.connectors.len(), stopped.tasks.len()), (1, 0));
    }

    #[test]
    fn tasks_are_written_where_something_is_new() {
        let made = [connector("1"), task("a"), commit()];
        let held = [properties("a")];
        assert!(!must_publish(&config(made.clone()), "c", &held));
        assert!(must_publish(&config(made.clone()), "c", &[properties("b")]));
        assert!(must_publish(&config(made.clone()), "c", &[]));
        let changed = config(made.clone().into_iter().chain([connector("2")]));
        assert!(must_publish(&changed, "c", &held));
        let half_written = config(made.clone().into_iter().chain([task("b")]));
        assert!(must_publish(&half_written, "c", &held));
        let two = Record::Commit("c".to_owned(), 2);
        let incomplete = config(made.clone().into_iter().chain([two]));
        assert!(must_publish(&incomplete, "c", &held));
        // What was good runs on meanwhile.
        assert_eq!(plan(&incomplete), plan(&config(made.clone())));
        let deleted = Record::Connector("c".to_owned(), None);
        assert!(!must_publish(
            &config(made.into_iter().chain([deleted])),
            "c",
            &held
        ));
    }
}
