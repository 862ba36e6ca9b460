//! Runs one connector: starts and stops it as its target state says, and publishes the tasks that it makes (Kafka's
//! `WorkerConnector`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::Properties;
use forebay_connect_api::{
    Access, BoxFuture, Connector, ConnectorContext, Constructor, Error, Plugin, PluginType, SinkConnector,
    SourceConnector,
};
use tokio::sync::{mpsc, watch};

use super::blocked::Blocked;
use super::context::Context;
use super::supervisor::{Command, Failure, Unit, stopped};
use crate::connector_config::{ConnectorConfig, RestartPolicy};
use crate::herder::cluster::Cluster;
use crate::provider::Resolved;
use crate::store::config::TargetState;
use crate::store::status::State;

/// How long to wait before tasks that could not be made or written are tried again, the first time; doubled each time.
const PUBLISH_RETRY_DELAY: Duration = Duration::from_millis(250);

/// To what that grows.
const PUBLISH_RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// A connector of either type.
pub(crate) enum AnyConnector {
    /// Of sources.
    Source(Box<dyn SourceConnector>),
    /// Of sinks.
    Sink(Box<dyn SinkConnector>),
}

impl AnyConnector {
    /// One that has not started.
    pub(crate) fn new(plugin: &Plugin) -> Self {
        match &plugin.constructor {
            Constructor::Source(new) => Self::Source(new()),
            Constructor::Sink(new) => Self::Sink(new()),
        }
    }

    /// What both types have.
    pub(crate) fn connector(&self) -> &dyn Connector {
        match self {
            Self::Source(connector) => &**connector,
            Self::Sink(connector) => &**connector,
        }
    }

    fn connector_mut(&mut self) -> &mut dyn Connector {
        match self {
            Self::Source(connector) => &mut **connector,
            Self::Sink(connector) => &mut **connector,
        }
    }
}

/// The name of a connector's task class, which Kafka's workers want in a task's configuration.
pub(crate) fn task_class(plugin: &Plugin) -> String {
    let stem = plugin.class.strip_suffix("Connector").unwrap_or(plugin.class);
    format!("{stem}Task")
}

/// A connector's way to its worker.
struct RunningContext {
    name: Arc<str>,
    access: Access,
    /// Room for one: those beyond are the same.
    requests: mpsc::Sender<()>,
    /// Room for the first.
    errors: mpsc::Sender<Error>,
}

impl fmt::Debug for RunningContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ConnectorContext for RunningContext {
    fn connector(&self) -> &str {
        &self.name
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn request_task_reconfiguration(&self) {
        // There is one already, or the connector has stopped: either way nothing is lost.
        let _ = self.requests.try_send(());
    }

    fn raise_error(&self, error: Error) {
        tracing::error!(connector = %self.name, trace = error.trace(), "the connector raised an error");
        // It has failed already, or has stopped.
        let _ = self.errors.try_send(error);
    }
}

/// A connector to be supervised.
#[derive(Debug)]
pub(super) struct ConnectorUnit {
    pub(super) context: Arc<Context>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) name: Arc<str>,
}

impl Unit for ConnectorUnit {
    type Spec = Arc<Properties>;

    fn title(&self) -> String {
        super::connector_title(&self.name)
    }

    fn run(
        self: Arc<Self>,
        spec: Arc<Properties>,
        mut command: watch::Receiver<Command>,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            self.context.metrics.starts.connector_begins(&self.name);
            loop {
                let now = *command.borrow_and_update();
                match now {
                    Command::Stop => return Ok(()),
                    Command::Be(TargetState::Started) => {
                        self.run_started(&spec, &mut command).await?;
                        continue;
                    }
                    Command::Be(TargetState::Paused) => self.is(State::Paused),
                    Command::Be(TargetState::Stopped) => self.is(State::Stopped),
                }
                if command.changed().await.is_err() {
                    return Ok(());
                }
            }
        })
    }

    fn failed<'a>(&'a self, _spec: &'a Arc<Properties>, trace: String) -> BoxFuture<'a, ()> {
        tracing::error!(connector = %self.name, trace, "the connector has failed");
        self.context.connector_is(&self.name, State::Failed, Some(trace));
        Box::pin(std::future::ready(()))
    }

    fn restart_policy(&self, spec: &Arc<Properties>) -> RestartPolicy {
        RestartPolicy::new(spec)
    }

    fn stop_timeout(&self) -> Duration {
        self.context.config.task_shutdown_graceful_timeout
    }

    fn session_over(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.context.session.over())
    }

    fn blocked(&self) -> &Blocked {
        &self.context.blocked
    }
}

/// A connector that has started.
struct Started<'a> {
    unit: &'a ConnectorUnit,
    plugin: &'a Plugin,
    /// The configuration as it is stored.
    raw: Arc<Properties>,
    resolved: Resolved,
    config: ConnectorConfig,
    connector: AnyConnector,
    requests: mpsc::Receiver<()>,
}

impl ConnectorUnit {
    fn is(&self, state: State) {
        self.context.connector_is(&self.name, state, None);
    }

    /// Runs until it is no longer to be STARTED.
    async fn run_started(
        &self,
        properties: &Arc<Properties>,
        command: &mut watch::Receiver<Command>,
    ) -> Result<(), Failure> {
        let resolved = self.context.resolve(properties).await.map_err(Failure::Start)?;
        let plugin = self
            .context
            .plugin(&resolved.properties)
            .map_err(Failure::Start)?;
        let config = ConnectorConfig::new(plugin.plugin_type(), Arc::clone(&resolved.properties))
            .map_err(|errors| Failure::Start(Error::Config(errors)))?;
        let (sender, requests) = mpsc::channel(1);
        let (errors, mut raised) = mpsc::channel(1);
        let context = Arc::new(RunningContext {
            name: Arc::clone(&self.name),
            access: self.context.access.clone(),
            requests: sender,
            errors,
        });
        let mut connector = AnyConnector::new(plugin);
        if let Err(error) = connector
            .connector_mut()
            .start(context, &resolved.properties)
            .await
        {
            connector.connector_mut().stop().await;
            return Err(Failure::Start(error));
        }
        self.is(State::Running);
        let mut started = Started {
            unit: self,
            plugin,
            raw: Arc::clone(properties),
            resolved,
            config,
            connector,
            requests,
        };
        let outcome = tokio::select! {
            outcome = started.work(command) => outcome,
            Some(error) = raised.recv() => Err(error),
        };
        started.connector.connector_mut().stop().await;
        outcome.map_err(Failure::Run)
    }
}

impl Started<'_> {
    async fn work(&mut self, command: &mut watch::Receiver<Command>) -> Result<(), Error> {
        let mut publish = true;
        let (context, resolved) = (Arc::clone(&self.unit.context), self.resolved.clone());
        let mut changed = Box::pin(async move { context.providers.changed(&resolved).await });
        let mut delay = PUBLISH_RETRY_DELAY;
        let mut publish_at = tokio::time::Instant::now();
        let (cluster, name) = (Arc::clone(&self.unit.cluster), Arc::clone(&self.unit.name));
        let mut unpublished = None;
        loop {
            tokio::select! {
                changed = command.changed() => {
                    if changed.is_err() || *command.borrow() != Command::Be(TargetState::Started) {
                        return Ok(());
                    }
                }
                () = &mut changed => return Ok(()), // To be started with what the references stand for now.
                // None: the connector did not keep its context, it has nothing to ask.
                Some(()) = self.requests.recv() => {
                    publish = true;
                    delay = PUBLISH_RETRY_DELAY;
                    publish_at = tokio::time::Instant::now();
                }
                () = cluster.lacks_tasks(&name, unpublished), if !publish => {
                    tracing::warn!(connector = %name, "the config topic has not all of the connector's tasks; they are published again");
                    publish = true;
                    delay = PUBLISH_RETRY_DELAY;
                    publish_at = tokio::time::Instant::now();
                }
                () = tokio::time::sleep_until(publish_at), if publish => {
                    unpublished = cluster.unpublished(&name);
                    match self.publish_unless_stopped(command).await {
                        Ok(()) => publish = false,
                        Err(error) if error.is_retriable() => {
                            tracing::warn!(connector = %name, trace = error.trace(), "the connector's tasks cannot be published; trying again");
                            publish_at = tokio::time::Instant::now() + delay;
                            delay = (delay * 2).min(PUBLISH_RETRY_DELAY_MAX);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Publishes; a rebalance, which it waits for, may want the connector to stop.
    async fn publish_unless_stopped(&self, command: &watch::Receiver<Command>) -> Result<(), Error> {
        let mut command = command.clone();
        tokio::select! {
            published = self.publish() => published,
            () = stopped(&mut command) => Err(Error::retriable("the connector is stopping")),
        }
    }

    /// Asks the connector for its tasks, and writes them to the config topic unless they are there.
    async fn publish(&self) -> Result<(), Error> {
        let tasks = self
            .connector
            .connector()
            .task_configs(self.config.tasks_max)
            .await?;
        self.check_count(tasks.len())?;
        let properties = &self.config.originals;
        let topics = ["topics", "topics.regex"]
            .into_iter()
            .filter(|_| self.plugin.plugin_type() == PluginType::Sink)
            .filter_map(|key| Some((key.to_owned(), properties.get(key)?.clone())));
        let framework: Properties = topics
            .chain([("task.class".to_owned(), task_class(self.plugin))])
            .collect();
        let tasks: Vec<Properties> = tasks
            .into_iter()
            .map(|mut task| {
                task.extend(framework.clone());
                self.resolved.without_secrets(&self.raw, task)
            })
            .collect();
        let published = self
            .unit
            .cluster
            .publish_tasks(&self.unit.name, &self.raw, &tasks)
            .await;
        published.map_err(|error| {
            let message = "the task configurations cannot be written";
            if error.is_retriable() {
                Error::retriable(message).with_source(error)
            } else {
                Error::fatal(message).with_source(error)
            }
        })
    }

    fn check_count(&self, count: usize) -> Result<(), Error> {
        let (name, max) = (&self.unit.name, self.config.tasks_max);
        if count <= max as usize {
            return Ok(());
        }
        let message = format!(
            "The connector {name} has generated {count} tasks, which is greater than {max}, the maximum number of tasks it is \
             configured to create. "
        );
        if self.config.tasks_max_enforce {
            Err(Error::fatal(format!(
                "{message}This behavior should be considered a bug and is disallowed. If necessary, it can be permitted by \
                 reconfiguring the connector with 'tasks.max.enforce' set to false."
            )))
        } else {
            tracing::warn!("{message}");
            Ok(())
        }
    }
}
