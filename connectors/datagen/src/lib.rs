//! DatagenSource: made-up records at a set pace, under the class name and keys of Confluent's datagen connector
//! (`io.confluent.kafka.connect.datagen.DatagenConnector`), whose quickstarts keep their fields and types here.
//!
//! A record depends on nothing but the seed, the task's number and its place in the task's sequence. So a task that goes on at a
//! source offset makes exactly the records that it would have made, and nothing is made twice with exactly-once on. The source
//! partition is `{"task.id":n}`, the source offset holds `current.iteration` and `random.seed`.
//!
//! Unlike Confluent's: a task that has made all its records stays RUNNING and idle instead of failing; `rate` and `count` set pace
//! and number of all tasks together; the values that a seed leads to are this connector's own.

mod avro;
mod config;
mod pattern;
mod quickstart;
mod random;
mod task;
mod template;

use std::sync::Arc;

use forebay_connect_api::{
    Access, AlteredOffset, BoxFuture, Connector, ConnectorContext, Error, ExactlyOnceSupport, OffsetValue,
    Plugin, SourceConnector, SourceTask,
    config::{ConfigDef, ConfigValue, Properties},
};

/// The Java class whose configuration it takes.
pub const CLASS: &str = "io.confluent.kafka.connect.datagen.DatagenConnector";
/// Its own name.
const ALIASES: &[&str] = &["DatagenSourceConnector"];

/// The field of a source partition, and the header: the task's number.
const TASK_ID: &str = "task.id";
/// The key in a task's configuration that says how many there are.
const TASK_COUNT: &str = "task.count";
/// The field of a source offset, and the header: the place of the next record, and of the record.
const CURRENT_ITERATION: &str = "current.iteration";
/// The field of a source offset: the seed of all records.
const RANDOM_SEED: &str = "random.seed";
/// The header, and the field of a source offset: how often the task was started with records to go on from.
const TASK_GENERATION: &str = "task.generation";

/// The connector, for the worker's table.
pub fn plugins() -> [Plugin; 1] {
    [Plugin::source(CLASS, env!("CARGO_PKG_VERSION"), DatagenConnector::default).aliases(ALIASES)]
}

/// The connector: as many tasks as it may have, each with a sequence of its own.
#[derive(Debug, Default)]
pub struct DatagenConnector {
    properties: Properties,
}

impl Connector for DatagenConnector {
    fn config(&self) -> ConfigDef {
        config::definition()
    }

    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        config::definition().validate_with(properties, |properties| {
            config::Config::parse(properties).map(drop)
        })
    }

    fn start<'a>(
        &'a mut self,
        context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        Box::pin(async move {
            let config = config::Config::parse(properties)?;
            config.load(context.access()).await.map(drop)
        })
    }

    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let tasks = (0..tasks_max).map(|task| {
            let mut properties = self.properties.clone();
            properties.insert(TASK_ID.to_owned(), task.to_string());
            properties.insert(TASK_COUNT.to_owned(), tasks_max.to_string());
            properties
        });
        Box::pin(std::future::ready(Ok(tasks.collect())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for DatagenConnector {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(task::DatagenTask::default())
    }

    fn exactly_once_support(&self, _properties: &Properties) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Supported
    }

    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        _properties: &'a Properties,
        offsets: &'a [AlteredOffset],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        let judged = offsets.iter().try_for_each(check_altered).map(|()| true);
        Box::pin(std::future::ready(judged))
    }
}

/// Any source partition may be forgotten, so that garbage can be cleaned up.
fn check_altered((partition, offset): &AlteredOffset) -> Result<(), Error> {
    let Some(offset) = offset else { return Ok(()) };
    if partition.get_int64(TASK_ID).is_none_or(|task| task < 0) {
        return Err(Error::fatal(format!(
            "the source partition {partition} needs the key '{TASK_ID}', the number of a task from 0"
        )));
    }
    match (offset.get_int64(CURRENT_ITERATION), offset.get(RANDOM_SEED)) {
        (Some(0..), None | Some(OffsetValue::Int64(_))) => Ok(()),
        _ => Err(Error::fatal(format!(
            "the source offset {offset} needs the key '{CURRENT_ITERATION}', how many records are made, and may have the number \
             '{RANDOM_SEED}'"
        ))),
    }
}

#[cfg(test)]
mod tests;
