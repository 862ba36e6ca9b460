//! Connectors with nothing between their configuration and their tasks: all that most need. One type is the task; the connector, its
//! definition and the reading of its configuration are made of it.

use std::{future::Future, marker::PhantomData, sync::Arc};

use crate::{
    AssignedPartition, BoxFuture, Connector, ConnectorContext, Error, ExactlyOnceSupport, Offsets, Plugin,
    SinkBatch, SinkConnector, SinkRecord, SinkRecords, SinkTask, SinkTaskContext, SourceConnector,
    SourceRecord, SourceTask, SourceTaskContext,
    config::{ConfigDef, Configuration, Properties},
};

/// A source that one task reads. [`SourceTask`]'s contract holds for [`SimpleSource::poll`]: it may be dropped at any `.await`, and
/// loses nothing by that.
pub trait SimpleSource: Send + Sized + 'static {
    /// What it is configured with.
    type Config: Configuration + Send;

    /// Whether a task that is started at a record's source offset goes on with the very next record.
    const EXACTLY_ONCE: ExactlyOnceSupport = ExactlyOnceSupport::Unsupported;

    /// Begins where [`SourceTaskContext::offset_reader`] says.
    ///
    /// # Errors
    /// The task is FAILED; a retriable error starts it again after a pause.
    fn start(
        config: Self::Config,
        context: Arc<dyn SourceTaskContext>,
    ) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Waits for the next records; never empty.
    ///
    /// # Errors
    /// A retriable error: polled again after a pause. Else the task is FAILED.
    fn poll(&mut self) -> impl Future<Output = Result<Vec<SourceRecord>, Error>> + Send;
}

/// A sink whose tasks share its topics' partitions and are all configured alike. It is at-least-once: what was put but not flushed
/// when a task ends comes again.
pub trait SimpleSink: Send + Sized + 'static {
    /// What it is configured with.
    type Config: Configuration + Send;

    /// Gets ready.
    ///
    /// # Errors
    /// The task is FAILED; a retriable error starts it again after a pause.
    fn start(
        config: Self::Config,
        context: Arc<dyn SinkTaskContext>,
    ) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Takes records of one partition, in its order; they need not be durable yet.
    ///
    /// # Errors
    /// A retriable one: the same records come again after a pause. Else the task is FAILED.
    fn put(&mut self, records: &[SinkRecord]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Makes everything durable that was put. Offsets are committed after that and only then.
    ///
    /// # Errors
    /// Nothing is committed then.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

impl Plugin {
    /// A source of one type, under the class name that users write.
    pub fn simple_source<S: SimpleSource>(class: &'static str, version: &'static str) -> Self {
        Self::source(class, version, Source::<S>::default)
    }

    /// A sink of one type, under the class name that users write.
    pub fn simple_sink<S: SimpleSink>(class: &'static str, version: &'static str) -> Self {
        Self::sink(class, version, Sink::<S>::default)
    }
}

struct Source<S> {
    properties: Properties,
    task: PhantomData<fn() -> S>,
}

struct Sink<S> {
    properties: Properties,
    task: PhantomData<fn() -> S>,
}

struct Task<T>(Option<T>);

macro_rules! simple_connector {
    ($connector:ident, $simple:ident, $tasks:expr) => {
        impl<S> Default for $connector<S> {
            fn default() -> Self {
                Self {
                    properties: Properties::new(),
                    task: PhantomData,
                }
            }
        }

        impl<S: $simple> Connector for $connector<S> {
            fn config(&self) -> ConfigDef {
                S::Config::definition()
            }

            fn start<'a>(
                &'a mut self,
                _context: Arc<dyn ConnectorContext>,
                properties: &'a Properties,
            ) -> BoxFuture<'a, Result<(), Error>> {
                self.properties = properties.clone();
                ready(S::Config::parse(properties).map(drop).map_err(Error::from))
            }

            fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
                let tasks: fn(u32) -> u32 = $tasks;
                ready(Ok((0..tasks(tasks_max))
                    .map(|_| self.properties.clone())
                    .collect()))
            }

            fn stop(&mut self) -> BoxFuture<'_, ()> {
                ready(())
            }
        }
    };
}

simple_connector!(Source, SimpleSource, |_| 1);
simple_connector!(Sink, SimpleSink, |tasks_max| tasks_max);

impl<S: SimpleSource> SourceConnector for Source<S> {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(Task::<S>(None))
    }

    fn exactly_once_support(&self, _properties: &Properties) -> ExactlyOnceSupport {
        S::EXACTLY_ONCE
    }
}

impl<S: SimpleSink> SinkConnector for Sink<S> {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(Task::<S>(None))
    }
}

impl<T> Task<T> {
    fn started(&mut self) -> &mut T {
        self.0.as_mut().expect("the worker starts a task first")
    }
}

impl<S: SimpleSource> SourceTask for Task<S> {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.0 = Some(S::start(S::Config::parse(properties)?, context).await?);
            Ok(())
        })
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(self.started().poll())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.0 = None;
        ready(())
    }
}

impl<S: SimpleSink> SinkTask for Task<S> {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.0 = Some(S::start(S::Config::parse(properties)?, context).await?);
            Ok(())
        })
    }

    fn open<'a>(&'a mut self, _partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        ready(Ok(()))
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        match &batch.records {
            SinkRecords::Converted(records) => Box::pin(self.started().put(records)),
            SinkRecords::Raw(_) => ready(Err(Error::fatal("raw records were not asked for"))),
        }
    }

    fn flush<'a>(&'a mut self, _current: &'a Offsets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.started().flush())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.0 = None;
        ready(())
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}
