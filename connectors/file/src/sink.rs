//! FileStreamSink (`org.apache.kafka.connect.file.FileStreamSinkConnector`): each value as one line, in the text that Java's `toString`
//! gives; to standard output if there is no `file`. At least once, as in Kafka: what was written after the last commit is
//! written again after a kill.
//!
//! An offset is committed only after the lines before it are written and synced. A torn last line, which a kill or a full disk
//! leaves, is cut off before the task goes on, as its record comes again; it is kept in `FILE.torn`, as it may have been someone
//! else's, where the connector was given another file. One connector has the file to itself: it has one
//! task, and that holds a lock on the file.

mod config;
mod output;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_connect_api::{
    Access, BoxFuture, Connector, ConnectorContext, Error, Offset, SinkConnector, SinkTask, TopicPartition,
    config::{ConfigDef, Properties},
};

/// The Java class that it stands for.
pub const CLASS: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

/// The connector: one file, one task.
#[derive(Debug, Default)]
pub struct FileStreamSinkConnector {
    properties: Properties,
}

impl Connector for FileStreamSinkConnector {
    fn config(&self) -> ConfigDef {
        config::definition()
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        let parsed = config::Config::parse(properties).map(|_| ());
        Box::pin(std::future::ready(parsed))
    }

    // Kafka starts `tasks.max` tasks that all append to the one file; one is faster, and lines stay whole.
    fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        Box::pin(std::future::ready(Ok(vec![self.properties.clone()])))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SinkConnector for FileStreamSinkConnector {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(task::FileStreamSinkTask::default())
    }

    /// It keeps no offsets anywhere else.
    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        _properties: &'a Properties,
        _offsets: &'a BTreeMap<TopicPartition, Option<Offset>>,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

#[cfg(test)]
mod tests;
