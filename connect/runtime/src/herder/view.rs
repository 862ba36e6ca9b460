//! What is there: connectors, tasks, states, topics, as the REST API shows them (Kafka's `rest/entities`).

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_connect_api::TaskId;
use serde::Serialize;

use super::{Error, Herder};
use crate::store::config::ConnectorConfig;
use crate::store::status::{State, Status};

/// A task's name in answers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TaskName {
    connector: Arc<str>,
    task: u32,
}

/// A task and its configuration.
#[derive(Debug, Serialize)]
pub(crate) struct TaskInfo {
    id: TaskName,
    config: Arc<Properties>,
}

/// A connector.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectorInfo {
    name: Arc<str>,
    config: Arc<Properties>,
    tasks: Vec<TaskName>,
    #[serde(rename = "type")]
    connector_type: &'static str,
}

/// What one connector or task is doing.
#[derive(Debug, Serialize)]
pub(crate) struct StateInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u32>,
    pub(super) state: &'static str,
    worker_id: String,
    /// Of the connector's class (KIP-891).
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<String>,
}

/// What a connector and its tasks are doing.
#[derive(Debug, Serialize)]
pub(crate) struct ConnectorStateInfo {
    name: String,
    pub(super) connector: StateInfo,
    pub(super) tasks: Vec<StateInfo>,
    #[serde(rename = "type")]
    connector_type: &'static str,
}

impl StateInfo {
    fn new(id: Option<u32>, status: Status, version: Option<&'static str>) -> Self {
        Self {
            id,
            state: status.state.name(),
            worker_id: status.worker_id,
            version: version.filter(|_| status.state != State::Unassigned),
            trace: status.trace,
        }
    }
}

/// The type of the connectors that a configuration names: `source`, `sink`, or `unknown`.
pub(crate) fn type_name(plugins: &forebay_connect_api::Plugins, config: &Properties) -> &'static str {
    let class = config.get("connector.class").map_or("", String::as_str);
    let plugin = plugins.find(class);
    plugin.map_or("unknown", |plugin| plugin.plugin_type().name())
}

impl Herder {
    /// The names of all connectors.
    pub(crate) fn connectors(&self) -> Vec<Arc<str>> {
        self.cluster.state().connectors().keys().cloned().collect()
    }

    /// The connector of that name as the config topic has it.
    pub(super) fn connector(&self, name: &str) -> Result<ConnectorConfig, Error> {
        let connector = self.cluster.state().get(name).cloned();
        connector.ok_or_else(|| Error::NotFound(format!("Connector {name} not found")))
    }

    /// A connector with its configuration and tasks.
    pub(crate) fn connector_info(&self, name: &str) -> Result<ConnectorInfo, Error> {
        let connector = self.connector(name)?;
        Ok(ConnectorInfo {
            name: name.into(),
            tasks: task_names(name, &connector).collect(),
            connector_type: type_name(&self.context.plugins, &connector.config),
            config: connector.config,
        })
    }

    /// A connector's configuration.
    pub(crate) fn connector_config(&self, name: &str) -> Result<Arc<Properties>, Error> {
        Ok(self.connector(name)?.config)
    }

    /// The tasks of a connector with their configurations.
    pub(crate) fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, Error> {
        let connector = self.connector(name)?;
        let tasks = task_names(name, &connector).zip(&connector.tasks);
        Ok(tasks
            .map(|(id, config)| TaskInfo {
                id,
                config: Arc::clone(config),
            })
            .collect())
    }

    /// The same by the tasks' names, as old clients ask for it.
    pub(crate) fn tasks_config(&self, name: &str) -> Result<BTreeMap<String, Arc<Properties>>, Error> {
        let tasks = self.tasks(name)?.into_iter();
        Ok(tasks
            .map(|task| (format!("{}-{}", task.id.connector, task.id.task), task.config))
            .collect())
    }

    /// What a connector and its tasks are doing.
    pub(crate) fn connector_status(&self, name: &str) -> Result<ConnectorStateInfo, Error> {
        let no_status = || Error::NotFound(format!("No status found for connector {name}"));
        let connector = self.cluster.state().get(name).cloned().ok_or_else(no_status)?;
        let (statuses, version) = (&self.context.statuses, self.version(&connector.config));
        let tasks = task_names(name, &connector).filter_map(|task| {
            let id = TaskId {
                connector: task.connector,
                task: task.task,
            };
            Some(StateInfo::new(Some(id.task), statuses.task(&id)?, version))
        });
        Ok(ConnectorStateInfo {
            name: name.to_owned(),
            tasks: tasks.collect(),
            connector: StateInfo::new(None, statuses.connector(name).ok_or_else(no_status)?, version),
            connector_type: type_name(&self.context.plugins, &connector.config),
        })
    }

    /// What a task is doing.
    pub(crate) fn task_status(&self, id: &TaskId) -> Result<StateInfo, Error> {
        let status = self.context.statuses.task(id);
        let status = status.ok_or_else(|| Error::NotFound(format!("No status found for task {id}")))?;
        let connector = self.cluster.state().get(&id.connector).cloned();
        let version = connector.and_then(|connector| self.version(&connector.config));
        Ok(StateInfo::new(Some(id.task), status, version))
    }

    /// The version of a connector's class.
    fn version(&self, config: &Properties) -> Option<&'static str> {
        let class = config.get("connector.class")?;
        self.context.plugins.find(class).ok().map(|plugin| plugin.version)
    }

    /// The topics that a connector is active in.
    pub(crate) fn active_topics(&self, name: &str) -> Result<Vec<String>, Error> {
        if !self.context.config.topic_tracking {
            return Err(Error::Forbidden("Topic tracking is disabled.".to_owned()));
        }
        Ok(self.context.statuses.topics(name))
    }

    /// Forgets the topics that a connector is active in.
    pub(crate) fn reset_active_topics(&self, name: &str) -> Result<(), Error> {
        if !self.context.config.topic_tracking {
            return Err(Error::Forbidden("Topic tracking is disabled.".to_owned()));
        }
        if !self.context.config.topic_tracking_allow_reset {
            return Err(Error::Forbidden("Topic tracking reset is disabled.".to_owned()));
        }
        self.context.statuses.remove_topics(name);
        Ok(())
    }
}

fn task_names(name: &str, connector: &ConnectorConfig) -> impl Iterator<Item = TaskName> + use<> {
    let (connector_name, count) = (Arc::<str>::from(name), connector.tasks.len());
    (0..).take(count).map(move |task| TaskName {
        connector: Arc::clone(&connector_name),
        task,
    })
}
