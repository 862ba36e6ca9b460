//! Connectors and tasks for the crate's tests, which do nothing but what they are told, and what a worker has for them.

use std::sync::Arc;

use forebay_client::Client;
use forebay_config::{ConfigDef, Properties};
use forebay_connect_api::{
    Access, AssignedPartition, BoxFuture, Connector, ConnectorContext, Error, Plugins, SinkBatch,
    SinkConnector, SinkTask, SinkTaskContext, SourceConnector, SourceRecord, SourceTask, SourceTaskContext,
};

use crate::config::Config;
use crate::group::Session;
use crate::metrics::Registry;
use crate::provider::Providers;
use crate::store::intent::IntentStore;
use crate::store::offset::OffsetStore;
use crate::store::status::StatusStore;
use crate::worker::Context;
use crate::worker::blocked::Blocked;

/// A worker with every key's default.
pub(crate) fn context(client: &Client, offsets: OffsetStore) -> Arc<Context> {
    let config = Config::new(&Properties::new()).expect("every key has a default");
    Arc::new(Context {
        providers: Providers::default(),
        access: Access::unrestricted(),
        plugins: Plugins::default(),
        worker_id: "w".to_owned(),
        statuses: StatusStore::in_memory(),
        offsets,
        metrics: Registry::default(),
        intents: IntentStore::new(&config, true),
        session: Session::alone(),
        blocked: Blocked::default(),
        client: client.clone(),
        config,
    })
}

/// Makes so many tasks.
pub(crate) struct Idle<F> {
    pub(crate) tasks: usize,
    pub(crate) task: F,
}

impl<F: Send + Sync> Connector for Idle<F> {
    fn config(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn start<'a>(
        &'a mut self,
        _: Arc<dyn ConnectorContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, _: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let task = |number: usize| Properties::from([("number".to_owned(), number.to_string())]);
        Box::pin(std::future::ready(Ok((0..self.tasks).map(task).collect())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl<F: Fn() -> Box<dyn SourceTask> + Send + Sync> SourceConnector for Idle<F> {
    fn task(&self) -> Box<dyn SourceTask> {
        (self.task)()
    }
}

impl<F: Fn() -> Box<dyn SinkTask> + Send + Sync> SinkConnector for Idle<F> {
    fn task(&self) -> Box<dyn SinkTask> {
        (self.task)()
    }
}

/// What [`SourceTask::poll`] gives.
pub(crate) type Polled = BoxFuture<'static, Result<Vec<SourceRecord>, Error>>;

/// A task of which `poll` is all that matters.
struct Asked<F>(F);

impl<F: FnMut() -> Polled + Send> SourceTask for Asked<F> {
    fn start<'a>(
        &'a mut self,
        _: Arc<dyn SourceTaskContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        (self.0)()
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A source task that gives what this gives.
pub(crate) fn asked(poll: impl FnMut() -> Polled + Send + 'static) -> Box<dyn SourceTask> {
    Box::new(Asked(poll))
}

/// A source task that gives nothing.
pub(crate) fn idle_source() -> Box<dyn SourceTask> {
    asked(|| Box::pin(std::future::pending()))
}

struct IdleSink;

impl SinkTask for IdleSink {
    fn start<'a>(
        &'a mut self,
        _: Arc<dyn SinkTaskContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn open<'a>(&'a mut self, _: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn put<'a>(&'a mut self, _: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A sink task that takes all and does nothing with it.
pub(crate) fn idle_sink() -> Box<dyn SinkTask> {
    Box::new(IdleSink)
}
