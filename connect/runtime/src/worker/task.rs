//! Runs one task of either type, and gives its place in the group up when it does not come back by itself.

use std::sync::Arc;
use std::time::Duration;

use forebay_connect_api::{BoxFuture, Constructor, Error, PluginType, TaskId};
use tokio::sync::watch;

use super::connector::task_class;
use super::context::Context;
use super::sink_task::{self, SinkTaskRunner};
use super::source_task::SourceTaskRunner;
use super::supervisor::{Command, Failure, Unit};
use crate::connector_config::ConnectorConfig;
use crate::herder::plan::TaskSpec;
use crate::store::status::State;

/// A task to be supervised.
#[derive(Debug)]
pub(super) struct TaskUnit {
    pub(super) context: Arc<Context>,
    pub(super) id: TaskId,
}

impl Unit for TaskUnit {
    type Spec = TaskSpec;

    fn run(
        self: Arc<Self>,
        spec: TaskSpec,
        command: watch::Receiver<Command>,
    ) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            let (context, id) = (Arc::clone(&self.context), self.id.clone());
            let plugin = self.context.plugin(&spec.connector).map_err(Failure::Start)?;
            let config = ConnectorConfig::new(plugin.plugin_type(), Arc::clone(&spec.connector))
                .map_err(|errors| Failure::Start(Error::Config(errors)))?;
            match &plugin.constructor {
                Constructor::Source(new) => {
                    let task = new().task();
                    let runner = SourceTaskRunner::new(context, id, config, task).map_err(Failure::Start)?;
                    runner.run(spec.task, command).await
                }
                Constructor::Sink(new) => {
                    let parts = sink_task::Parts {
                        task: new().task(),
                        task_class: task_class(plugin),
                        command,
                    };
                    let runner = SinkTaskRunner::new(context, id, config, parts).map_err(Failure::Start)?;
                    runner.run(spec.task).await
                }
            }
        })
    }

    fn failed<'a>(&'a self, spec: &'a TaskSpec, trace: String) -> BoxFuture<'a, ()> {
        tracing::error!(task = %self.id, trace, "the task has failed");
        self.context.task_is(&self.id, State::Failed, Some(trace));
        Box::pin(Self::leave(&self.context, spec, &self.id))
    }

    fn stop_timeout(&self) -> Duration {
        self.context.config.task_shutdown_graceful_timeout
    }
}

impl TaskUnit {
    /// Lets others have the partitions of a sink task.
    pub(super) async fn leave(context: &Context, spec: &TaskSpec, id: &TaskId) {
        let plugin_type = context.plugin(&spec.connector).map(|plugin| plugin.plugin_type());
        if let Ok(PluginType::Sink) = plugin_type {
            sink_task::leave_group(context, &spec.connector, id).await;
        }
    }
}
