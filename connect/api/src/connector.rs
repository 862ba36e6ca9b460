//! What source and sink connectors have in common (Kafka's `Connector`, `ConnectorContext`, `ConnectorTaskId`).

use std::{fmt, sync::Arc};

use crate::{
    Access, BoxFuture, Error,
    config::{ConfigDef, ConfigValue, Properties},
};

/// A task of a connector; `Display` is `name-0`, as logs and status topics have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number, from 0.
    pub task: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.task)
    }
}

/// The half of a connector that does not move data: it says what may be configured and how the work is cut into tasks.
/// The worker makes one to validate a configuration, and one that it keeps while the connector runs.
pub trait Connector: Send + Sync {
    /// The keys of this connector, without those that every connector has (`name`, `tasks.max`, …).
    fn config(&self) -> ConfigDef;

    /// Looks at a configuration without starting anything (Kafka's `Connector.validate`). Override it to add what concerns
    /// several keys, as errors of the key that the user should change.
    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        self.config().validate(properties)
    }

    /// Starts with a configuration that [`Connector::validate`] has passed.
    ///
    /// # Errors
    /// The connector is FAILED then.
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The configuration of each task, at most `tasks_max` of them. Called after start, and again whenever the connector asks
    /// for it by [`ConnectorContext::request_task_reconfiguration`].
    ///
    /// # Errors
    /// The connector is FAILED then.
    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>>;

    /// Ends what start began.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}

/// What a running connector can ask of its worker.
pub trait ConnectorContext: fmt::Debug + Send + Sync {
    /// The connector's name.
    fn connector(&self) -> &str;

    /// What the worker allows connectors to reach.
    fn access(&self) -> &Access;

    /// Asks for [`Connector::task_configs`] to be called again, as the work has changed.
    fn request_task_reconfiguration(&self);

    /// Reports an error that comes from something the connector started: the connector becomes FAILED.
    fn raise_error(&self, error: Error);
}
