//! DirectorySource: the records of all files of a directory, by as many tasks as `tasks.max` says. Files are lines, JSON, CSV or
//! Parquet, plain or compressed by gzip or zstd; they grow and are rotated, or are complete when they appear.
//!
//! The source partition is `{"filename":path,"identity":…}`, a file's history; the source offset holds `position`, how many bytes
//! (decompressed) or rows are done, and how to know the file again: its inode and the birth of that, a `fingerprint` of its
//! beginning and a `checksum` over every byte before the position. So a file that is renamed stays what it is; one that is
//! truncated or replaced is begun anew, also in place of a deleted one with the same inode; one that was copied before it was truncated goes on in the copy (files
//! that are complete are not looked at for that). All of it holds across restarts, as there is no other state: with exactly-once
//! on nothing is lost that was there to be read, and nothing is doubled.
//!
//! A file belongs to the task that its first inode leads to, whatever its name is later. A file that begins as another one is waited
//! for some seconds, as it may be a copy whose original is truncated next. If another task has the original, that holds if it committed something of it
//! by then.
//!
//! A file is deleted, moved or marked once the offset of its last record is committed. The offset of a complete file is forgotten when the
//! file is gone for good, and that is proven (`gone`): it was deleted here and has no other name, or its inode's number was given to another
//! file. Other offsets stay in the offset topic, one record each.

mod completion;
mod config;
mod content;
mod format;
mod glob;
mod gone;
mod input;
mod lineage;
mod listing;
mod pieces;
mod reader;
mod status;
mod task;

use std::sync::Arc;

use forebay_connect_api::{
    Access, AlteredOffset, BoxFuture, Connector, ConnectorContext, Error, ExactlyOnceSupport,
    SourceConnector, SourceTask,
    config::{ConfigDef, ConfigValue, Properties},
};

/// Its name in the manner of a Java class.
pub const CLASS: &str = "forebay.connect.file.DirectorySourceConnector";

/// The connector: one directory, many tasks.
#[derive(Debug, Default)]
pub struct DirectorySourceConnector {
    properties: Properties,
}

impl Connector for DirectorySourceConnector {
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
            let access = context.access().clone();
            let checked = tokio::task::spawn_blocking(move || {
                let paths = config.paths();
                paths.into_iter().try_for_each(|path| access.check_path(path))
            });
            checked.await.map_err(|error| {
                Error::fatal("the thread that looks at the directory ended").with_source(error)
            })?
        })
    }

    /// The files need not be known: each task finds its own by their inodes.
    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let tasks = (0..tasks_max).map(|task| {
            let mut properties = self.properties.clone();
            properties.insert(config::TASK_INDEX.to_owned(), task.to_string());
            properties.insert(config::TASK_COUNT.to_owned(), tasks_max.to_string());
            properties
        });
        Box::pin(std::future::ready(Ok(tasks.collect())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for DirectorySourceConnector {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(task::DirectorySourceTask::default())
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
    lineage::Lineage::read(partition, offset)?;
    match offset.get_int64(lineage::POSITION) {
        Some(0..) => Ok(()),
        _ => Err(Error::fatal(format!(
            "the source offset {offset} needs the key 'position', how many bytes or rows are done"
        ))),
    }
}

#[cfg(test)]
mod tests;
