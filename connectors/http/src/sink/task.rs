//! The task: sends what it is given before `put` returns, and remembers per partition how far it came, so that a batch that
//! comes again after a failure goes on where that was.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Offset, Offsets, SinkBatch, SinkRecords, SinkTask, SinkTaskContext,
    TopicPartition, ValueFormat, config::Properties,
};
use reqwest::{
    StatusCode,
    header::{self, HeaderValue},
};

use super::{
    body::{self, Piece},
    config::{Config, OnNull},
};
use crate::{
    client::{Client, Failure, Request},
    time::Time,
};

/// Sends to one endpoint.
pub(super) struct HttpSinkTask {
    time: Arc<dyn Time>,
    started: Option<Started>,
    /// The next offset to send of each partition: everything before it was answered 2xx, left out or reported.
    next: Offsets,
}

struct Started {
    config: Config,
    client: Client,
    context: Arc<dyn SinkTaskContext>,
    nulls: u64,
}

/// One record of a batch.
enum Step {
    Send(Piece),
    LeaveOut(Offset),
    /// It cannot be sent.
    Fault(Offset, Error),
}

impl HttpSinkTask {
    pub(super) fn new(time: Arc<dyn Time>) -> Self {
        Self {
            time,
            started: None,
            next: BTreeMap::new(),
        }
    }

    fn start(&mut self, context: Arc<dyn SinkTaskContext>, properties: &Properties) -> Result<(), Error> {
        let config = Config::parse(properties)?;
        let https = config.url.scheme() == "https";
        let access = context.access().clone();
        let client = Client::new(config.client.clone(), https, access, Arc::clone(&self.time))
            .map_err(|error| Error::fatal("HTTP cannot be used on this machine").with_source(error))?;
        self.started = Some(Started {
            config,
            client,
            context,
            nulls: 0,
        });
        Ok(())
    }
}

impl SinkTask for HttpSinkTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let started = self.start(context, properties);
        Box::pin(std::future::ready(started))
    }

    fn takes_raw(&self, format: &ValueFormat) -> bool {
        matches!(format, ValueFormat::String | ValueFormat::Bytes)
    }

    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        for one in partitions {
            self.next.insert(one.topic_partition.clone(), one.position);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(started) = &mut self.started else {
                return Err(Error::fatal("the task has not started"));
            };
            let next = self
                .next
                .entry(batch.topic_partition.clone())
                .or_insert(batch.first_offset);
            started.put(batch, next).await
        })
    }

    /// What was delivered, as far as it was sent: a batch that failed counts only to where it came.
    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        let safe = current.iter().filter_map(|(topic_partition, delivered)| {
            let next = self.next.get(topic_partition)?;
            Some((topic_partition.clone(), *delivered.min(next)))
        });
        Box::pin(std::future::ready(Ok(safe.collect())))
    }

    fn close<'a>(&'a mut self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, Result<(), Error>> {
        for one in partitions {
            self.next.remove(one);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

impl Started {
    async fn put(&mut self, batch: &SinkBatch, next: &mut Offset) -> Result<(), Error> {
        let records_max = self
            .config
            .batching
            .as_ref()
            .map_or(1, |batching| batching.records_max);
        let mut gathered = Vec::new();
        for step in self.steps(batch, *next)? {
            match step {
                Step::Send(piece) => gathered.push(piece),
                Step::LeaveOut(_) if !gathered.is_empty() => {}
                Step::LeaveOut(offset) => *next = after(offset),
                Step::Fault(offset, error) => {
                    self.send(batch, &gathered, next).await?;
                    gathered.clear();
                    self.report(batch, offset, error).await?;
                    *next = after(offset);
                }
            }
            if gathered.len() == records_max {
                self.send(batch, &gathered, next).await?;
                gathered.clear();
            }
        }
        self.send(batch, &gathered, next).await?;
        *next = batch.next_offset.max(*next);
        Ok(())
    }

    /// The records of a batch from an offset on.
    fn steps(&mut self, batch: &SinkBatch, from: Offset) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        match &batch.records {
            SinkRecords::Converted(records) => {
                for record in records.iter().filter(|record| record.offset >= from) {
                    steps.push(match body::piece(record) {
                        Ok(Some(piece)) => self.checked(piece),
                        Ok(None) => self.null(&batch.topic_partition, record.offset),
                        Err(error) => Step::Fault(record.offset, error),
                    });
                }
            }
            SinkRecords::Raw(records) => records.try_for_each::<Error>(|record| {
                if record.offset >= from {
                    steps.push(match record.value {
                        Some(value) => self.checked(body::raw_piece(records.format(), record.offset, value)),
                        None => self.null(&batch.topic_partition, record.offset),
                    });
                }
                Ok(())
            })?,
        }
        Ok(steps)
    }

    /// One text that is no JSON would spoil the whole array.
    fn checked(&self, piece: Piece) -> Step {
        let in_array = self
            .config
            .batching
            .as_ref()
            .is_some_and(|batching| batching.json_array);
        if !in_array || piece.json {
            return Step::Send(piece);
        }
        match serde_json::from_slice::<serde_json::Value>(&piece.bytes) {
            Ok(_) => Step::Send(piece),
            Err(error) => {
                let message = "the value is not JSON, which batch.json.as.array=true asks for";
                Step::Fault(piece.offset, Error::fatal(message).with_source(error))
            }
        }
    }

    fn null(&mut self, topic_partition: &TopicPartition, offset: Offset) -> Step {
        if self.config.on_null == OnNull::Fail {
            let message = "the value is null, and behavior.on.null.values=fail";
            return Step::Fault(offset, Error::fatal(message));
        }
        self.nulls += 1;
        if self.config.on_null == OnNull::Log && self.nulls.is_power_of_two() {
            tracing::warn!(%topic_partition, %offset, nulls = self.nulls, "a record without value is left out");
        }
        Step::LeaveOut(offset)
    }

    /// Sends pieces as one request. If that is refused, halves of it, where a record may be reported.
    async fn send(&self, batch: &SinkBatch, pieces: &[Piece], next: &mut Offset) -> Result<(), Error> {
        let mut waiting = vec![pieces];
        while let Some(pieces) = waiting.pop() {
            let Some(last) = pieces.last() else { continue };
            match self.client.send(&self.request(pieces)).await {
                Ok(_) => {}
                Err(failure) if !is_records_fault(&failure) => return Err(failure.into_connect()),
                Err(failure) if pieces.len() == 1 => {
                    self.report(batch, last.offset, failure.into_connect()).await?;
                }
                Err(failure) if self.context.errant_record_reporter().is_none() => {
                    let first = pieces[0].offset;
                    return Err(fault(batch, first, last.offset, failure.into_connect()));
                }
                Err(_) => {
                    let (first, second) = pieces.split_at(pieces.len() / 2);
                    waiting.extend([second, first]);
                    continue;
                }
            }
            *next = after(last.offset);
        }
        Ok(())
    }

    fn request(&self, pieces: &[Piece]) -> Request {
        let config = &self.config;
        let mut headers = config.headers.clone();
        let json = match &config.batching {
            Some(batching) => batching.json_array,
            None => pieces.iter().all(|piece| piece.json),
        };
        if json {
            let json = HeaderValue::from_static("application/json");
            headers.entry(header::CONTENT_TYPE).or_insert(json);
        }
        let body = match (&config.batching, pieces) {
            (None, [piece]) => piece.bytes.clone(),
            (batching, pieces) => {
                let frame = batching.as_ref().map(|batching| &batching.frame);
                frame.cloned().unwrap_or_default().join(pieces)
            }
        };
        Request {
            method: config.method.clone(),
            url: config.url.clone(),
            headers,
            body: Some(body),
        }
    }

    /// Reports a record at fault, or fails.
    async fn report(&self, batch: &SinkBatch, offset: Offset, error: Error) -> Result<(), Error> {
        match self.context.errant_record_reporter() {
            Some(reporter) => reporter.report(batch, offset, error).await,
            None => Err(fault(batch, offset, offset, error)),
        }
    }
}

/// Whether the server refused what it was sent, rather than who sent it or where.
fn is_records_fault(failure: &Failure) -> bool {
    let about_the_endpoint = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::GONE,
    ];
    let status = failure.error.status();
    !failure.error.is_retriable()
        && status.is_some_and(|status| status.is_client_error() && !about_the_endpoint.contains(&status))
}

/// Records at fault without a reporter.
fn fault(batch: &SinkBatch, first: Offset, last: Offset, error: Error) -> Error {
    let topic_partition = &batch.topic_partition;
    let records = match first == last {
        true => format!("the record of {topic_partition} at offset {first}"),
        false => format!("a record of {topic_partition} at offsets {first} to {last}"),
    };
    Error::fatal(format!(
        "{records} cannot be sent; with errors.tolerance=all such records are reported and left out"
    ))
    .with_source(error)
}

fn after(offset: Offset) -> Offset {
    Offset(offset.value() + 1)
}
