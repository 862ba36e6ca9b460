//! FileStreamSource (`org.apache.kafka.connect.file.FileStreamSourceConnector`): one record per line, values of STRING.
//!
//! As in Kafka a line ends with `\n`, `\r\n` or `\r`, and a line without its end waits; the source partition is
//! `{"filename":path}`, the source offset `{"position":bytes}`. Unlike Kafka's: positions count bytes, not characters; batches
//! are given out at once, not held back until the file grows; `file.complete=true` says that the file does not grow any
//! more, so that a last line without its end is a line; a line longer than `max.line.bytes` fails the task; bytes that are
//! not UTF-8 become U+FFFD as in Kafka, but not in silence, or fail the task (`invalid.utf8`).
//!
//! Source offsets carry a `fingerprint` of the file's beginning, too, and a `checksum` over every byte before the position. So
//! a file that was rotated or truncated is noticed, also when it happened between two runs. A file that was renamed while it was
//! open is read to its end; else the rest of the old one is read only from a file of the same directory that is provably it: its
//! name begins like the file's (`app.log.1`, `app-2026-11-21.log`), and it holds every byte that was read, at least 256 of them.
//! Where there is none, `on.truncation` decides. Offsets without fingerprint, as Kafka writes them, are taken as they are.

mod config;
mod fingerprint;
mod follow;
mod lines;
mod siblings;
mod stdin;
mod task;

use std::sync::Arc;

pub(crate) use siblings::is_namesake;

use forebay_connect_api::{
    Access, AlteredOffset, BoxFuture, Connector, ConnectorContext, Error, ExactlyOnceSupport, OffsetValue,
    SourceConnector, SourceTask,
    config::{ConfigDef, Properties},
};

/// The Java class that it stands for.
pub const CLASS: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";

/// The field of a source partition.
const FILENAME: &str = "filename";
/// The field of a source offset: how many bytes of the file are done.
const POSITION: &str = "position";
/// The field of a source offset: what the file begins with.
const FINGERPRINT: &str = "fingerprint";
/// The field of a source offset: CRC-32C over every byte before the position, absent where a run began in the middle.
const CHECKSUM: &str = "checksum";

/// The connector: one file, one task.
#[derive(Debug, Default)]
pub struct FileStreamSourceConnector {
    properties: Properties,
}

impl Connector for FileStreamSourceConnector {
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

    fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        Box::pin(std::future::ready(Ok(vec![self.properties.clone()])))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for FileStreamSourceConnector {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(task::FileStreamSourceTask::default())
    }

    fn exactly_once_support(&self, properties: &Properties) -> ExactlyOnceSupport {
        match config::Config::parse(properties) {
            Ok(config) if config.file.is_some() => ExactlyOnceSupport::Supported,
            _ => ExactlyOnceSupport::Unsupported,
        }
    }

    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        properties: &'a Properties,
        offsets: &'a [AlteredOffset],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        let judged = config::Config::parse(properties).and_then(|config| {
            if config.file.is_none() {
                return Err(Error::fatal(
                    "Offsets cannot be modified if the 'file' configuration is unspecified. \
                     This is because stdin is used for input and offsets are not tracked.",
                ));
            }
            offsets.iter().try_for_each(check_altered).map(|()| true)
        });
        Box::pin(std::future::ready(judged))
    }
}

/// Kafka's checks, in Kafka's words. Any source partition may be forgotten, so that garbage can be cleaned up.
fn check_altered((partition, offset): &AlteredOffset) -> Result<(), Error> {
    let Some(offset) = offset else { return Ok(()) };
    let position = match offset.get(POSITION) {
        None => {
            return Err(Error::fatal(
                "Offset objects should either be null or contain the key 'position'",
            ));
        }
        Some(OffsetValue::Int64(position)) => *position,
        Some(_) => {
            return Err(Error::fatal(
                "The value for the 'position' key in the offset is expected to be a Long value",
            ));
        }
    };
    if position < 0 {
        return Err(Error::fatal(
            "The value for the 'position' key in the offset should be a non-negative value",
        ));
    }
    if partition.get(FILENAME).is_none() {
        return Err(Error::fatal(
            "Partition objects should contain the key 'filename'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
