//! The task: turns lines into records and waits for more. Reading happens on a blocking thread; what is under way there
//! stays in the task, so that `poll` can be dropped at any time.

use std::{path::Path, sync::Arc, time::Duration};

use forebay_connect_api::{
    BoxFuture, Error, OffsetMap, OffsetValue, Schema, SchemaAndValue, SourceRecord, SourceTask,
    SourceTaskContext, Text, config::Properties,
};
use tokio::task::JoinHandle;

use super::{
    CHECKSUM, FILENAME, FINGERPRINT, POSITION,
    config::{Config, InvalidUtf8},
    follow::{Follower, Progress, Resume},
    lines::{Line, TooLong},
    stdin::Stream,
};

/// How often a file that does not grow is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Reads one file or standard input.
#[derive(Debug, Default)]
pub(super) struct FileStreamSourceTask {
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    context: Arc<dyn SourceTaskContext>,
    config: Config,
    partition: Arc<OffsetMap>,
    schema: Arc<Schema>,
    names: Names,
    invalid_lines: u64,
    /// Whether it has said that it waits for the file.
    waits: bool,
    /// What is wrong with the line behind those that were given out last.
    at_fault: Option<Error>,
    input: Input,
}

/// Shared by all source offsets.
#[derive(Debug)]
struct Names {
    position: Arc<str>,
    fingerprint: Arc<str>,
    checksum: Arc<str>,
}

#[derive(Debug)]
enum Input {
    File(Box<Follower>),
    /// A thread has the file; the handle gives it back.
    Reading(JoinHandle<(Box<Follower>, Result<Progress, Error>)>),
    Stream(Box<Stream>),
    /// The last read panicked or was cancelled with the runtime.
    Lost,
}

impl SourceTask for FileStreamSourceTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let config = Config::parse(properties)?;
            let partition = OffsetMap::new().with(FILENAME, Arc::clone(&config.filename));
            let input = match &config.file {
                None => Input::Stream(Box::new(Stream::new(std::io::stdin(), config.line_bytes_max)?)),
                Some(path) => {
                    let found = context
                        .offset_reader()
                        .offsets(std::slice::from_ref(&partition))
                        .await?;
                    let resume = resume(path, found.into_iter().next().flatten().as_ref())?;
                    Input::File(Box::new(Follower::new(
                        path,
                        &config,
                        context.access().clone(),
                        resume,
                    )))
                }
            };
            self.started = Some(Started {
                context,
                partition: Arc::new(partition),
                schema: Schema::string_schema(),
                names: Names {
                    position: POSITION.into(),
                    fingerprint: FINGERPRINT.into(),
                    checksum: CHECKSUM.into(),
                },
                invalid_lines: 0,
                waits: false,
                at_fault: None,
                config,
                input,
            });
            Ok(())
        })
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            match &mut self.started {
                Some(started) => started.poll().await,
                None => Err(Error::fatal("the task has not started")),
            }
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

/// Reads a source offset, ours or Kafka's.
fn resume(path: &Path, offset: Option<&OffsetMap>) -> Result<Resume, Error> {
    let Some(offset) = offset else {
        return Ok(Resume::default());
    };
    let wrong = || {
        Error::fatal(format!(
            "the source offset of {} is {offset}, which has no position in bytes",
            path.display()
        ))
    };
    let position = match offset.get(POSITION) {
        None | Some(OffsetValue::Null) => return Ok(Resume::default()),
        Some(OffsetValue::Int64(position)) => u64::try_from(*position).map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    let number = |field| {
        offset
            .get_int64(field)
            .and_then(|number| u32::try_from(number).ok())
    };
    Ok(Resume {
        position,
        fingerprint: number(FINGERPRINT),
        checksum: number(CHECKSUM),
    })
}

impl Started {
    async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        loop {
            let records = self.records()?;
            self.tell();
            if !records.is_empty() {
                return Ok(records);
            }
            let progress = self.advance().await?;
            self.tell_waiting();
            if progress == Progress::Nothing {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Says that it waits for the file, or no longer.
    fn tell_waiting(&mut self) {
        let waits = matches!(&self.input, Input::File(follower) if follower.waits_for_file());
        if std::mem::replace(&mut self.waits, waits) == waits {
            return;
        }
        let file = self.config.file.as_deref().filter(|_| waits);
        let why = file.map(|file| {
            let place = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
            format!("{} does not exist, and is waited for", place.display())
        });
        self.context.report_waiting(why.as_deref());
    }

    /// Says how far it is, of a file that does not grow.
    fn tell(&self) {
        if let Input::File(follower) = &self.input
            && let Some(progress) = follower.progress()
        {
            self.context.report_progress(progress);
        }
    }

    /// Reads on, on a blocking thread.
    async fn advance(&mut self) -> Result<Progress, Error> {
        match std::mem::replace(&mut self.input, Input::Lost) {
            Input::File(mut follower) => {
                self.input = Input::Reading(tokio::task::spawn_blocking(move || {
                    let progress = follower.advance();
                    (follower, progress)
                }));
            }
            other => self.input = other,
        }
        match &mut self.input {
            Input::Reading(handle) => {
                let (follower, progress) = handle.await.map_err(|error| {
                    Error::fatal("the thread that reads the file ended").with_source(error)
                })?;
                self.input = Input::File(follower);
                if matches!(progress, Ok(Progress::Finished)) {
                    self.tell();
                    return std::future::pending().await;
                }
                progress
            }
            Input::Stream(stream) => {
                let why = "standard input is read, as the configuration names no file";
                self.context.report_waiting(Some(why));
                let advanced = stream.advance().await;
                self.context.report_waiting(None);
                advanced.map(|()| Progress::More)
            }
            Input::File(_) | Input::Lost => Err(Error::fatal("the file was lost by a read that failed")),
        }
    }

    /// The lines that are there, up to a batch. A line at fault fails the call after the one that gives out those before it.
    fn records(&mut self) -> Result<Vec<SourceRecord>, Error> {
        let mut records = Vec::new();
        while records.len() < self.config.batch_size && self.at_fault.is_none() {
            let next = match &mut self.input {
                Input::File(follower) => follower.lines().next(),
                Input::Stream(stream) => stream.lines().next(),
                Input::Reading(_) | Input::Lost => Ok(None),
            };
            let record = match next {
                Ok(Some(line)) => self.record(&line),
                Ok(None) => break,
                Err(error) => Err(self.too_long(error)),
            };
            match record {
                Ok(record) => records.push(record),
                Err(error) => self.at_fault = Some(error),
            }
        }
        match self.at_fault.take_if(|_| records.is_empty()) {
            Some(error) => Err(error),
            None => Ok(records),
        }
    }

    fn record(&mut self, line: &Line) -> Result<SourceRecord, Error> {
        let text = match Text::from_utf8(line.bytes.clone()) {
            Ok(text) => text,
            Err(_) => self.replaced(line)?,
        };
        let offset = match &self.input {
            Input::File(follower) => {
                let position = i64::try_from(line.next_position).expect("no file is that long");
                let fingerprint = i64::from(follower.fingerprint(line.next_position));
                let mut offset = OffsetMap::new();
                if let Some(checksum) = line.checksum {
                    offset = offset.with(Arc::clone(&self.names.checksum), i64::from(checksum));
                }
                let offset = offset.with(Arc::clone(&self.names.fingerprint), fingerprint);
                Some(offset.with(Arc::clone(&self.names.position), position))
            }
            _ => None,
        };
        let value = SchemaAndValue::new(Arc::clone(&self.schema), text);
        let (partition, topic) = (Arc::clone(&self.partition), Arc::clone(&self.config.topic));
        Ok(SourceRecord::new(partition, offset, topic, value))
    }

    /// A line that is not UTF-8.
    fn replaced(&mut self, line: &Line) -> Result<Text, Error> {
        let next = line.next_position;
        let file = &self.config.filename;
        if self.config.invalid_utf8 == InvalidUtf8::Fail {
            return Err(Error::fatal(format!(
                "the line of {file} that ends at byte {next} is not UTF-8, and invalid.utf8=fail"
            )));
        }
        self.invalid_lines += 1;
        if self.invalid_lines.is_power_of_two() {
            let lines = self.invalid_lines;
            tracing::warn!(%file, next, lines, "a line is not UTF-8: U+FFFD stands for what is wrong in it");
        }
        Ok(Text::from_utf8_lossy(line.bytes.clone()))
    }

    fn too_long(&self, error: TooLong) -> Error {
        Error::fatal(format!(
            "the line of {} that begins at byte {} is longer than max.line.bytes={}; raise that (and the limits of producer and \
             topic), or take the line out",
            self.config.filename, error.position, self.config.line_bytes_max
        ))
    }
}
