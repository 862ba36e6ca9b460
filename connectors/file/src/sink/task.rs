//! The task: gathers lines and writes them on a blocking thread.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use forebay_connect_api::{
    Access, AssignedPartition, BoxFuture, Error, Offsets, SinkBatch, SinkRecords, SinkTask, SinkTaskContext,
    ValueFormat, config::Properties,
};

use super::{
    config::Config,
    output::{LockedFile, Output, Tail},
};

/// Gathered before it is written.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Writes to one file or standard output.
#[derive(Debug, Default)]
pub(super) struct FileStreamSinkTask {
    config: Option<Config>,
    access: Option<Access>,
    /// Only blocking threads lock it.
    output: Option<Arc<Mutex<Output>>>,
    lines: Vec<u8>,
}

impl SinkTask for FileStreamSinkTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let parsed = Config::parse(properties).map(|config| {
            self.config = Some(config);
            self.access = Some(context.access().clone());
        });
        Box::pin(std::future::ready(parsed))
    }

    fn takes_raw(&self, format: &ValueFormat) -> bool {
        matches!(format, ValueFormat::String | ValueFormat::Bytes)
    }

    // The file is opened here and not at the start, as only the partitions tell whether a torn line is ours.
    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if self.output.is_some() {
                return Ok(());
            }
            let (Some(config), Some(access)) = (self.config.clone(), self.access.clone()) else {
                return Err(Error::fatal("the task has not started"));
            };
            let tail = match partitions.iter().any(|one| one.committed.is_some()) {
                true => Tail::Ours,
                false => Tail::Unknown,
            };
            let output = match config.file {
                None => Output::Stdout,
                Some(path) => {
                    let open = move || {
                        let mut file = LockedFile::open(&path, &access)?;
                        file.repair(tail, &access)?;
                        Ok(file)
                    };
                    Output::File(blocking(open).await?)
                }
            };
            self.output = Some(Arc::new(Mutex::new(output)));
            Ok(())
        })
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match &batch.records {
                SinkRecords::Converted(records) => {
                    for record in records {
                        let written = match record.value.value.as_str() {
                            Some(text) => self.lines.write_all(text.as_bytes()),
                            None => write!(self.lines, "{}", record.value),
                        };
                        written.expect("a vector takes everything");
                        self.lines.push(b'\n');
                        if self.lines.len() >= BUFFER_BYTES {
                            self.write(false).await?;
                        }
                    }
                }
                SinkRecords::Raw(records) => {
                    let lines = &mut self.lines;
                    records.try_for_each::<Error>(|record| {
                        lines.extend_from_slice(record.value.unwrap_or(b"null"));
                        lines.push(b'\n');
                        Ok(())
                    })?;
                    if self.lines.len() >= BUFFER_BYTES {
                        self.write(false).await?;
                    }
                }
            }
            Ok(())
        })
    }

    fn flush<'a>(&'a mut self, _current: &'a Offsets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.write(true))
    }

    // `close` keeps the lines that are gathered: they are lines of this file, whoever has their partition next.

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.output = None;
        self.lines = Vec::new();
        Box::pin(std::future::ready(()))
    }
}

impl FileStreamSinkTask {
    /// Writes what is gathered. After an error it takes nothing more and lets nothing be committed: what it gathered is gone, and
    /// comes again to the task that follows.
    async fn write(&mut self, sync: bool) -> Result<(), Error> {
        let Some(output) = self.output.clone() else {
            return Err(Error::fatal(
                "the task has no file, or failed to write to it before",
            ));
        };
        let lines = std::mem::take(&mut self.lines);
        let written = blocking(move || {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            if !lines.is_empty() {
                output.write(&lines)?;
            }
            if sync { output.sync() } else { Ok(()) }
        });
        let written = written.await;
        if written.is_err() {
            self.output = None;
        }
        written
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::fatal("the thread that writes the file ended").with_source(error))?
}
