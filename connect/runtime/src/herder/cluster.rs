//! One decision at a time: a change of the config topic is decided on a state that no other change alters before it is
//! written and read back.

use std::sync::{Arc, RwLockReadGuard};

use forebay_config::Properties;
use tokio::sync::{Mutex, MutexGuard, watch};

use super::plan::must_publish;
use crate::store::Error;
use crate::store::config::{ClusterConfig, ConfigStore, TargetState};

/// The config topic and the right to change it.
#[derive(Debug)]
pub(crate) struct Cluster {
    configs: ConfigStore,
    writing: Mutex<()>,
}

impl Cluster {
    pub(crate) fn new(configs: ConfigStore) -> Self {
        Self {
            configs,
            writing: Mutex::new(()),
        }
    }

    /// What holds now.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, ClusterConfig> {
        self.configs.state()
    }

    /// Changes with every record.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.configs.version()
    }

    /// The right to change it. A request that has begun to write finishes even if nobody waits for its answer any more.
    pub(crate) async fn change(self: &Arc<Self>) -> Change<'_> {
        Change {
            _writing: self.writing.lock().await,
            configs: &self.configs,
        }
    }

    /// Writes the tasks that a connector has made of a configuration, unless they are there already, or the connector has
    /// another configuration by now, or is not to have tasks.
    pub(crate) async fn publish_tasks(
        self: &Arc<Self>,
        name: &str,
        made_of: &Arc<Properties>,
        tasks: &[Properties],
    ) -> Result<(), Error> {
        let change = self.change().await;
        let is_wanted = {
            let state = self.state();
            let is_current = state.get(name).is_some_and(|connector| {
                connector.config == *made_of && connector.target_state != TargetState::Stopped
            });
            is_current && must_publish(&state, name, tasks)
        };
        if is_wanted {
            change.configs.put_tasks(name, tasks).await?;
        }
        Ok(())
    }
}

/// While it is held, nobody else changes the config topic.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    _writing: MutexGuard<'a, ()>,
    /// The topic.
    pub(crate) configs: &'a ConfigStore,
}
