//! Requests that change something. Each is decided on the state that holds and written before it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_connect_api::TaskId;

use super::{ConnectorInfo, ConnectorStateInfo, Error, Herder, Order};
use crate::store::config::TargetState;
use crate::store::status::State;
use crate::validate::{self, ConfigInfos};

/// A configuration as a request has it: null says something only to PATCH.
pub(crate) type RawConfig = BTreeMap<String, Option<String>>;

/// What became of a PUT.
#[derive(Debug)]
pub(crate) struct Created {
    /// Whether the connector is new.
    pub(crate) created: bool,
    /// The connector.
    pub(crate) info: ConnectorInfo,
}

/// What to restart (KIP-745).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RestartRequest {
    /// The tasks, too.
    pub(crate) include_tasks: bool,
    /// Only what is FAILED.
    pub(crate) only_failed: bool,
}

impl RestartRequest {
    fn restarts(self, state: &str) -> bool {
        !self.only_failed || state == State::Failed.name()
    }
}

impl Herder {
    /// Judges a configuration without storing it. A connector may take its time or panic: neither reaches anybody else.
    pub(crate) async fn validate(&self, config: RawConfig) -> Result<ConfigInfos, Error> {
        let context = Arc::clone(&self.context);
        let validated = tokio::task::spawn_blocking(move || {
            let policy = context.config.override_policy;
            validate::validate(&context.plugins, policy, &context.providers, &config)
        });
        validated
            .await
            .map_err(|error| Error::Internal(format!("the connector's validation has failed: {error}")))?
    }

    /// Creates a connector, or changes it, which `replace` must allow.
    pub(crate) async fn put_connector(
        &self,
        name: &str,
        config: RawConfig,
        initial_state: Option<TargetState>,
        replace: bool,
    ) -> Result<Created, Error> {
        let config = with_name(name, config)?;
        // A connector that exists is said to before its configuration is judged.
        if !replace && self.cluster.state().get(name).is_some() {
            return Err(Error::AlreadyExists(name.to_owned()));
        }
        let infos = self.validate(config.clone()).await?;
        if infos.error_count > 0 {
            return Err(Error::BadRequest(infos.message()));
        }
        let change = self.cluster.change().await;
        let exists = self.cluster.state().get(name).is_some();
        if exists && !replace {
            return Err(Error::AlreadyExists(name.to_owned()));
        }
        let config: Properties = config
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        change.configs.put_connector(name, &config, initial_state).await?;
        drop(change);
        tracing::info!(
            connector = name,
            created = !exists,
            "the connector's configuration is stored"
        );
        Ok(Created {
            created: !exists,
            info: self.connector_info(name)?,
        })
    }

    /// Changes some keys of a connector and removes those that are null (KIP-477).
    pub(crate) async fn patch_connector(&self, name: &str, patch: RawConfig) -> Result<ConnectorInfo, Error> {
        if let Some(Some(other)) = patch.get("name").filter(|other| other.as_deref() != Some(name)) {
            return Err(name_mismatch(name, other));
        }
        let mut config: RawConfig = self
            .connector_config(name)?
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        for (key, value) in patch {
            match value {
                Some(value) => config.insert(key, Some(value)),
                None => config.remove(&key),
            };
        }
        Ok(self.put_connector(name, config, None, true).await?.info)
    }

    /// Deletes a connector.
    pub(crate) async fn delete_connector(&self, name: &str) -> Result<(), Error> {
        let change = self.cluster.change().await;
        self.connector(name)?;
        change.configs.remove_connector(name).await?;
        tracing::info!(connector = name, "the connector is deleted");
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    pub(crate) async fn set_target_state(&self, name: &str, state: TargetState) -> Result<(), Error> {
        let change = self.cluster.change().await;
        let unknown = || match state {
            TargetState::Stopped => Error::NotFound(format!("Connector {name} not found")),
            _ => Error::NotFound(format!("Unknown connector {name}")),
        };
        let connector = self.cluster.state().get(name).cloned().ok_or_else(unknown)?;
        if connector.target_state == state {
            return Ok(());
        }
        if state == TargetState::Stopped {
            // First, so that no worker ever sees a stopped connector with tasks.
            change.configs.put_tasks(name, &[]).await?;
        }
        change.configs.put_target_state(name, state).await?;
        Ok(())
    }

    /// Restarts a connector, failed or not, and none of its tasks.
    pub(crate) async fn restart_connector(&self, name: &str) -> Result<(), Error> {
        if self.cluster.state().get(name).is_none() {
            return Err(Error::NotFound(format!("Unknown connector: {name}")));
        }
        self.begin_restart(Order::RestartConnector(name.into())).await
    }

    /// Restarts a connector and its tasks as asked, and says what is going to happen.
    pub(crate) async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Result<ConnectorStateInfo, Error> {
        if self.cluster.state().get(name).is_none() {
            return Err(Error::NotFound(format!("Unknown connector: {name}")));
        }
        let mut status = self.connector_status(name)?;
        if request.restarts(status.connector.state) {
            status.connector.state = State::Restarting.name();
            status.connector.trace = None;
            self.begin_restart(Order::RestartConnector(name.into())).await?;
        }
        for state in &mut status.tasks {
            let Some(task) = state
                .id
                .filter(|_| request.include_tasks && request.restarts(state.state))
            else {
                continue;
            };
            state.state = State::Restarting.name();
            state.trace = None;
            let connector = name.into();
            self.begin_restart(Order::RestartTask(TaskId { connector, task }))
                .await?;
        }
        Ok(status)
    }

    /// Restarts a task.
    pub(crate) async fn restart_task(&self, id: TaskId) -> Result<(), Error> {
        let state = self.cluster.state().get(&id.connector).cloned();
        let connector =
            state.ok_or_else(|| Error::NotFound(format!("Unknown connector: {}", id.connector)))?;
        if id.task as usize >= connector.tasks.len() {
            return Err(Error::NotFound(format!("Unknown task: {id}")));
        }
        self.begin_restart(Order::RestartTask(id)).await
    }

    /// Orders a restart. From the answer on nobody sees the state from before: who waits for RUNNING waits for the restart.
    async fn begin_restart(&self, order: Order) -> Result<(), Error> {
        match &order {
            Order::RestartConnector(name) => self.context.connector_is(name, State::Restarting, None),
            Order::RestartTask(id) => self.context.task_is(id, State::Restarting, None),
            Order::Stop(_) => {}
        }
        self.order(order).await
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        let sent = self.orders.send(order).await;
        sent.map_err(|_| {
            Error::Conflict("Cannot complete request because the worker is stopping.".to_owned())
        })
    }
}

/// The configuration with its name, which must be the one that the request names, if it has one.
fn with_name(name: &str, mut config: RawConfig) -> Result<RawConfig, Error> {
    match config.get("name") {
        Some(Some(other)) if other != name => Err(name_mismatch(name, other)),
        Some(Some(_)) => Ok(config),
        _ => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(config)
        }
    }
}

fn name_mismatch(name: &str, other: &str) -> Error {
    Error::BadRequest(format!(
        "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
    ))
}
