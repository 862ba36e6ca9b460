//! What all connectors and tasks of a worker share.

use std::sync::Arc;

use forebay_client::Client;
use forebay_config::Properties;
use forebay_connect_api::{Access, Error, Plugin, Plugins, TaskId};

use super::blocked::Blocked;
use crate::config::Config;
use crate::group::Session;
use crate::metrics::Registry;
use crate::provider::{Providers, Resolved, redact};
use crate::store::intent::IntentStore;
use crate::store::offset::OffsetStore;
use crate::store::status::{State, Status, StatusStore};

/// What a connector or task may use.
#[derive(Debug)]
pub(crate) struct Context {
    /// The cluster.
    pub(crate) client: Client,
    /// The worker's configuration.
    pub(crate) config: Config,
    /// What references in configurations stand for.
    pub(crate) providers: Providers,
    /// What connectors may reach.
    pub(crate) access: Access,
    /// The connectors that there are.
    pub(crate) plugins: Plugins,
    /// What states name as the worker.
    pub(crate) worker_id: String,
    /// Where states are said.
    pub(crate) statuses: StatusStore,
    /// Where source offsets are.
    pub(crate) offsets: OffsetStore,
    /// What the tasks that run here count.
    pub(crate) metrics: Registry,
    /// Where sink tasks say what they intend.
    pub(crate) intents: IntentStore,
    /// How long all of it may run.
    pub(crate) session: Session,
    /// What of it runs although it was aborted.
    pub(crate) blocked: Blocked,
}

impl Context {
    /// The plugin that `connector.class` names.
    pub(crate) fn plugin(&self, properties: &Properties) -> Result<&Plugin, Error> {
        let class = properties.get("connector.class").map_or("", String::as_str);
        let found = self.plugins.find(class);
        found.map_err(|error| Error::fatal(error.to_string()))
    }

    /// A configuration with what its references stand for.
    pub(crate) async fn resolve(&self, raw: &Arc<Properties>) -> Result<Resolved, Error> {
        self.providers.resolve_later(raw).await.map_err(Error::Config)
    }

    /// Says what a connector is doing.
    pub(crate) fn connector_is(&self, name: &str, state: State, trace: Option<String>) {
        self.metrics.starts.connector_is(name, state);
        if self.may_say(state) {
            self.statuses.put_connector(name, self.status(state, trace));
        }
    }

    /// Says what a task is doing.
    pub(crate) fn task_is(&self, id: &TaskId, state: State, trace: Option<String>) {
        self.metrics.starts.task_is(id, state);
        if self.may_say(state) {
            self.statuses.put_task(id, self.status(state, trace));
        }
    }

    /// Says why a task that runs makes no progress, or that it makes some again.
    pub(crate) fn task_waits(&self, id: &TaskId, why: Option<String>) {
        let why = why.map(|why| redact(&why).into_owned());
        self.statuses.annotate_task(id, &self.worker_id, why);
    }

    /// A worker that is out of its group does not say that something has ended here: whoever has it now may have said more.
    fn may_say(&self, state: State) -> bool {
        !(matches!(state, State::Unassigned | State::Failed) && self.session.is_ending())
    }

    fn status(&self, state: State, trace: Option<String>) -> Status {
        Status {
            state,
            // Errors may have what config providers gave.
            trace: trace.map(|trace| redact(&trace).into_owned()),
            worker_id: self.worker_id.clone(),
            generation: self.session.generation(),
        }
    }
}

/// The group of a sink connector's consumers.
pub(crate) fn sink_group(connector: &Arc<Properties>, name: &str) -> String {
    connector
        .get("consumer.override.group.id")
        .cloned()
        .unwrap_or_else(|| format!("connect-{name}"))
}
