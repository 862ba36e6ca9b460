//! Requests that change something. Each is decided on the state that holds and written before it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_connect_api::TaskId;

use super::{ConnectorInfo, ConnectorStateInfo, Error, Herder, Order};
use crate::group::{Leader, View};
use crate::store::config::{RestartRequest, TargetState};
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

/// Why a request belongs to the leader.
const CONFIGS: &str = "Only the leader can set connector configs.";

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
            validate::validate(&context.plugins, &context.config, &context.providers, &config)
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
        let infos = self.validate(config.clone()).await?;
        if infos.error_count > 0 {
            return Err(Error::BadRequest(infos.message()));
        }
        let change = self.cluster.change(CONFIGS).await?;
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
        let change = self
            .cluster
            .change("Only the leader can delete connector configs.")
            .await?;
        self.connector(name)?;
        change.configs.remove_connector(name).await?;
        tracing::info!(connector = name, "the connector is deleted");
        Ok(())
    }

    /// Pauses, resumes or stops a connector.
    pub(crate) async fn set_target_state(&self, name: &str, state: TargetState) -> Result<(), Error> {
        let change = match state {
            TargetState::Stopped => {
                let why = "Only the leader can transition connectors to the STOPPED state.";
                self.cluster.change(why).await?
            }
            // Any worker may.
            TargetState::Started | TargetState::Paused => self.cluster.change_of_any().await,
        };
        let unknown = || Error::NotFound(format!("Unknown connector {name}"));
        let connector = self.cluster.state().get(name).cloned().ok_or_else(unknown)?;
        if connector.target_state == state {
            return Ok(());
        }
        if state == TargetState::Stopped {
            // First, so that no worker ever sees a stopped connector with tasks.
            change.put_tasks(name, &[]).await?;
        }
        change.configs.put_target_state(name, state).await?;
        Ok(())
    }

    /// Restarts a connector, failed or not, and none of its tasks.
    pub(crate) async fn restart_connector(&self, name: &str) -> Result<(), Error> {
        let view = self.settled_view().await?;
        if self.cluster.state().get(name).is_none() {
            return Err(Error::NotFound(format!("Unknown connector: {name}")));
        }
        if let Some(view) = view.filter(|view| !view.owned.connectors.contains(name)) {
            return Err(match view.leader {
                Leader::Me(owners) => Error::NotLeader {
                    why: "Cannot restart connector since it is not assigned to this member",
                    url: owners.of_connector(name).cloned(),
                },
                other => other_leader("Only the leader can process restart requests.", other),
            });
        }
        self.context.connector_is(name, State::Restarting, None);
        self.order(Order::RestartConnector(name.into())).await
    }

    /// Restarts a connector and its tasks as asked, wherever they run, and says what is going to happen.
    pub(crate) async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Result<ConnectorStateInfo, Error> {
        let change = self
            .cluster
            .change("Only the leader can process restart requests.")
            .await?;
        if self.cluster.state().get(name).is_none() {
            return Err(Error::NotFound(format!("Unknown connector: {name}")));
        }
        let mut status = self.connector_status(name)?;
        if request.restarts(status.connector.state) {
            status.connector.state = State::Restarting.name();
        }
        for state in &mut status.tasks {
            if request.include_tasks && request.restarts(state.state) {
                state.state = State::Restarting.name();
            }
        }
        change.configs.put_restart(name, request).await?;
        Ok(status)
    }

    /// Sets the level of a logger, and of those below it, in all workers that run now (KIP-976).
    pub(crate) async fn set_cluster_level(&self, logger: &str, level: &'static str) -> Result<(), Error> {
        let change = self.cluster.change_of_any().await;
        Ok(change.configs.put_level(logger, level).await?)
    }

    /// Restarts a task.
    pub(crate) async fn restart_task(&self, id: TaskId) -> Result<(), Error> {
        let view = self.settled_view().await?;
        let state = self.cluster.state().get(&id.connector).cloned();
        let connector =
            state.ok_or_else(|| Error::NotFound(format!("Unknown connector: {}", id.connector)))?;
        if id.task as usize >= connector.tasks.len() {
            return Err(Error::NotFound(format!("Unknown task: {id}")));
        }
        if let Some(view) = view.filter(|view| !view.owned.tasks.contains(&id)) {
            let why = "Cannot restart task since it is not assigned to this member";
            return Err(match view.leader {
                Leader::Me(owners) => Error::NotLeader {
                    why,
                    url: owners.of_task(&id).cloned(),
                },
                other => other_leader(why, other),
            });
        }
        self.context.task_is(&id, State::Restarting, None);
        self.order(Order::RestartTask(id)).await
    }

    /// The group once no rebalance is under way; `None`: the worker is alone.
    async fn settled_view(&self) -> Result<Option<View>, Error> {
        let view = self.cluster.group().settled().await;
        if view.as_ref().is_some_and(|view| view.is_rebalancing) {
            let message = "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config \
                           change)";
            return Err(Error::Conflict(message.to_owned()));
        }
        Ok(view)
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        let sent = self.orders.send(order).await;
        sent.map_err(|_| {
            Error::Conflict("Cannot complete request because the worker is stopping.".to_owned())
        })
    }
}

fn other_leader(why: &'static str, leader: Leader) -> Error {
    let url = match leader {
        Leader::At(url) => Some(url),
        Leader::Unknown | Leader::Me(_) => None,
    };
    Error::NotLeader { why, url }
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
