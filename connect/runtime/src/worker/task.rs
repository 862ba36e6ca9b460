//! Runs one task of either type, and gives its place in the group up when it does not come back by itself.

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Properties;
use forebay_connect_api::{BoxFuture, Constructor, Error, PluginType, SourceTask, TaskId};
use tokio::sync::watch;

use super::blocked::Blocked;
use super::connector::task_class;
use super::context::Context;
use super::converters::Converters;
use super::fencing;
use super::progress::Progress;
use super::sink_task::{self, SinkTaskRunner};
use super::source_task::{SourceTaskRunner, TransactionalRunner};
use super::stage::Stage;
use super::supervisor::{Command, Failure, Unit, stopped};
use super::transformations::Transformations;
use crate::connector_config::{ConnectorConfig, RestartPolicy};
use crate::herder::cluster::Cluster;
use crate::herder::plan::TaskSpec;
use crate::metrics::{Parts, Side, TaskMetrics};
use crate::provider::Resolved;
use crate::store::status::State;

/// A task to be supervised.
#[derive(Debug)]
pub(super) struct TaskUnit {
    pub(super) context: Arc<Context>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) id: TaskId,
}

/// What every task has, of whichever type, but its client.
pub(super) struct Equipment {
    pub(super) config: ConnectorConfig,
    pub(super) metrics: Arc<TaskMetrics>,
    pub(super) transformations: Transformations,
    pub(super) converters: Converters,
    /// What the status says of holds.
    pub(super) progress: Arc<Progress>,
}

impl Equipment {
    /// Errors count for the task, and what it waits for is in its status.
    pub(super) fn new(
        context: &Arc<Context>,
        id: &TaskId,
        mut config: ConnectorConfig,
        (side, task_class): (Side, &str),
    ) -> Result<Self, Error> {
        let metrics = context.metrics.task(id, side);
        config.errors.metrics = Arc::clone(&metrics.errors);
        let progress = Arc::new(Progress::new(context, id));
        let converters = Converters::new(&context.config, &config).map_err(Error::Config)?;
        metrics.made_of(|| made_of(context, &config, &converters, task_class));
        Ok(Self {
            transformations: Transformations::new(&config)?,
            converters: converters.with_progress(&progress),
            progress,
            metrics,
            config,
        })
    }
}

/// The classes that a task is made of, for its metrics; `None`: its connector's is not known any more.
fn made_of(
    context: &Context,
    config: &ConnectorConfig,
    converters: &Converters,
    task_class: &str,
) -> Option<Parts> {
    let plugin = context.plugin(&config.originals).ok()?;
    let mut classes = vec![
        ("connector_class", plugin.class.to_owned()),
        ("connector_type", plugin.plugin_type().name().to_owned()),
        ("task_class", task_class.to_owned()),
    ];
    for (name, stage) in [
        ("key_converter_class", Stage::KeyConverter),
        ("value_converter_class", Stage::ValueConverter),
        ("header_converter_class", Stage::HeaderConverter),
    ] {
        classes.extend(converters.class(stage).map(|class| (name, class.to_owned())));
    }
    Some(Parts {
        version: plugin.version,
        classes,
    })
}

/// A source task that is to begin with transactions.
struct ExactlyOnce {
    generation: u64,
    config: ConnectorConfig,
    /// And the name of its Java class.
    task: (Box<dyn SourceTask>, String),
}

impl Unit for TaskUnit {
    type Spec = TaskSpec;

    fn title(&self) -> String {
        super::task_title(&self.id)
    }

    fn run(
        self: Arc<Self>,
        spec: TaskSpec,
        mut command: watch::Receiver<Command>,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            loop {
                self.context.metrics.starts.task_begins(&self.id);
                let (resolved, task) = self.resolve(&spec).await.map_err(Failure::Start)?;
                if resolved.lasts() && task.lasts() {
                    return self
                        .run_with(spec.generation, &resolved, task.properties, command)
                        .await;
                }
                let changed = async {
                    tokio::select! {
                        () = self.context.providers.changed(&resolved) => {}
                        () = self.context.providers.changed(&task) => {}
                    }
                };
                let (forward, commands) = watch::channel(*command.borrow_and_update());
                let mut running =
                    Box::pin(self.run_with(spec.generation, &resolved, task.properties.clone(), commands));
                let mut changed = Box::pin(changed);
                loop {
                    tokio::select! {
                        outcome = &mut running => return outcome,
                        told = command.changed() => {
                            let now = *command.borrow_and_update();
                            forward.send_replace(if told.is_ok() { now } else { Command::Stop });
                            if told.is_err() {
                                return running.await;
                            }
                        }
                        () = &mut changed => break,
                    }
                }
                // What its references stand for is something else now.
                forward.send_replace(Command::Stop);
                running.await?;
            }
        })
    }

    fn failed<'a>(&'a self, spec: &'a TaskSpec, trace: String) -> BoxFuture<'a, ()> {
        tracing::error!(task = %self.id, trace, "the task has failed");
        self.context.task_is(&self.id, State::Failed, Some(trace));
        Box::pin(Self::leave(&self.context, spec, &self.id))
    }

    fn restart_policy(&self, spec: &TaskSpec) -> RestartPolicy {
        RestartPolicy::new(&spec.connector)
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

impl TaskUnit {
    /// The configurations of the connector and of the task with what their references stand for.
    async fn resolve(&self, spec: &TaskSpec) -> Result<(Resolved, Resolved), Error> {
        let connector = self.context.resolve(&spec.connector).await?;
        Ok((connector, self.context.resolve(&spec.task).await?))
    }

    async fn run_with(
        &self,
        generation: u64,
        connector: &Resolved,
        properties: Arc<Properties>,
        command: watch::Receiver<Command>,
    ) -> Result<(), Failure> {
        let (context, id) = (Arc::clone(&self.context), self.id.clone());
        let plugin = self
            .context
            .plugin(&connector.properties)
            .map_err(Failure::Start)?;
        let config = ConnectorConfig::new(plugin.plugin_type(), Arc::clone(&connector.properties))
            .map_err(|errors| Failure::Start(Error::Config(errors)))?;
        match &plugin.constructor {
            Constructor::Source(new) if self.context.config.is_exactly_once() => {
                let start = ExactlyOnce {
                    generation,
                    config,
                    task: (new().task(), task_class(plugin)),
                };
                self.run_exactly_once(start, properties, command).await
            }
            Constructor::Source(new) => {
                let task = new().task();
                let task = (task, task_class(plugin));
                let runner = SourceTaskRunner::new(context, id, config, task).map_err(Failure::Start)?;
                runner.run(properties, command).await
            }
            Constructor::Sink(new) => {
                let parts = sink_task::Parts {
                    task: new().task(),
                    task_class: task_class(plugin),
                    command,
                };
                let runner = SinkTaskRunner::new(context, id, config, parts).map_err(Failure::Start)?;
                runner.run(properties).await
            }
        }
    }

    /// Runs a source task whose records and offsets are one transaction, once the tasks before it are fenced.
    async fn run_exactly_once(
        &self,
        start: ExactlyOnce,
        properties: Arc<Properties>,
        mut command: watch::Receiver<Command>,
    ) -> Result<(), Failure> {
        let ExactlyOnce {
            generation,
            config,
            task,
        } = start;
        let preflight = async {
            fencing::before_task(&self.context, &self.cluster, &self.id.connector).await?;
            fencing::check_owner(&self.context, &self.cluster, &self.id)
        };
        tokio::select! {
            fenced = preflight => fenced.map_err(Failure::Start)?,
            // A rebalance, on whose end the leader waits, may wait for this task.
            () = stopped(&mut command) => return Ok(()),
        }
        let verified = fencing::verify(&self.context, &self.cluster, &self.id, generation);
        let runner = TransactionalRunner::new(Arc::clone(&self.context), self.id.clone(), config, task);
        let runner = runner.map_err(Failure::Start)?;
        runner.run(properties, command, verified).await
    }

    /// Lets others have the partitions of a sink task.
    pub(super) async fn leave(context: &Context, spec: &TaskSpec, id: &TaskId) {
        let plugin_type = context.plugin(&spec.connector).map(|plugin| plugin.plugin_type());
        if let Ok(PluginType::Sink) = plugin_type {
            sink_task::leave_group(context, &spec.connector, id).await;
        }
    }
}
