//! The task: sends what it is given before `put` returns, and remembers per partition how far it came, so that a batch that
//! comes again after a failure goes on where that was.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Offset, Offsets, SinkBatch, SinkTask, SinkTaskContext,
    TopicPartition, ValueFormat, config::Properties,
};
use reqwest::{
    StatusCode,
    header::{self, HeaderValue},
};

use super::{
    body::Piece,
    config::{Config, OnError},
    pieces::{Pieces, Step},
    report,
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
    config: Arc<Config>,
    client: Client,
    context: Arc<dyn SinkTaskContext>,
    pieces: Pieces,
    /// How many records were left out because of their errors.
    left_out: u64,
}

/// What becomes of the records of a request that failed for good.
enum Verdict {
    /// Halves of it are sent, to find the record at fault.
    Split,
    /// They are reported.
    Report,
    /// They are left out.
    LeaveOut,
    /// The task fails, because of these records.
    Fault,
    /// The task fails, or the worker tries again.
    Stop { again: bool },
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
        let config = Arc::new(Config::parse(properties)?);
        let access = context.access().clone();
        let client = Client::new(
            config.client.clone(),
            config.https,
            access,
            Arc::clone(&self.time),
        )?;
        let told = Arc::clone(&context);
        let client = client.telling(Arc::new(move |why| told.report_waiting(why)));
        self.started = Some(Started {
            pieces: Pieces::new(Arc::clone(&config))?,
            config,
            client,
            context,
            left_out: 0,
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
        let is_plain = |started: &Started| started.config.is_plain();
        matches!(format, ValueFormat::String | ValueFormat::Bytes)
            && self.started.as_ref().is_some_and(is_plain)
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
        let mut gathered: Vec<Piece> = Vec::new();
        for step in self.pieces.steps(batch, *next)? {
            match step {
                Step::Send(piece) => {
                    let is_full = gathered.len() == records_max;
                    let goes_elsewhere = gathered.first().is_some_and(|first| first.target != piece.target);
                    if is_full || goes_elsewhere {
                        self.send(batch, &gathered, next).await?;
                        gathered.clear();
                    }
                    gathered.push(piece);
                }
                Step::LeaveOut(_) if !gathered.is_empty() => {}
                Step::LeaveOut(offset) => *next = after(offset),
                Step::Fault(offset, error) => {
                    self.send(batch, &gathered, next).await?;
                    gathered.clear();
                    self.cannot_send(batch, offset, error).await?;
                    *next = after(offset);
                }
            }
        }
        self.send(batch, &gathered, next).await?;
        *next = batch.next_offset.max(*next);
        Ok(())
    }

    /// A record of which no request can be made.
    async fn cannot_send(&mut self, batch: &SinkBatch, offset: Offset, error: Error) -> Result<(), Error> {
        match self.config.on_error {
            OnError::Ignore | OnError::Log => {
                self.leave_out(batch, offset, 1, &error.trace());
                Ok(())
            }
            _ => self.report(batch, offset, error).await,
        }
    }

    /// Sends pieces as one request. If that is refused, halves of it, where the rest can go on without the record at fault.
    async fn send(&mut self, batch: &SinkBatch, pieces: &[Piece], next: &mut Offset) -> Result<(), Error> {
        let mut waiting = vec![pieces];
        while let Some(pieces) = waiting.pop() {
            let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
                continue;
            };
            let request = self.request(&batch.topic_partition, pieces)?;
            match self.client.send(&request).await {
                Ok(answer) => {
                    let (reports, from) = (&self.config.reports, &batch.topic_partition);
                    report::result(&self.context, reports, from, pieces, answer).await?;
                }
                Err(failure) => match self.judge(&failure, pieces.len()) {
                    Verdict::Split => {
                        let (first, second) = pieces.split_at(pieces.len() / 2);
                        waiting.extend([second, first]);
                        continue;
                    }
                    Verdict::Report => self.report_all(batch, pieces, failure).await?,
                    Verdict::LeaveOut => {
                        self.tell(batch, pieces, &failure).await?;
                        self.leave_out(batch, first.offset, pieces.len(), &failure.error.trace());
                    }
                    Verdict::Fault => {
                        return Err(fault(batch, first.offset, last.offset, failure.into_connect()));
                    }
                    Verdict::Stop { again: true } => return Err(failure.into_connect()),
                    Verdict::Stop { again: false } => return Err(failure.into_connect().into_fatal()),
                },
            }
            *next = after(last.offset);
        }
        Ok(())
    }

    fn judge(&self, failure: &Failure, count: usize) -> Verdict {
        let is_records_fault = self.is_records_fault(failure);
        let has_reporter = self.context.errant_record_reporter().is_some();
        let leaves_out = matches!(self.config.on_error, OnError::Ignore | OnError::Log);
        match self.config.on_error {
            _ if is_records_fault && count > 1 && (has_reporter || leaves_out) => Verdict::Split,
            OnError::Ignore | OnError::Log => Verdict::LeaveOut,
            OnError::Report if has_reporter => Verdict::Report,
            OnError::Report => Verdict::Fault,
            OnError::Fail | OnError::Retry if is_records_fault && has_reporter => Verdict::Report,
            OnError::Fail | OnError::Retry if is_records_fault => Verdict::Fault,
            OnError::Fail => Verdict::Stop { again: false },
            OnError::Retry => Verdict::Stop { again: true },
        }
    }

    /// Whether the server refused what it was sent, rather than who sent it or where.
    fn is_records_fault(&self, failure: &Failure) -> bool {
        let about_the_endpoint = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        let about_the_url = [
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::GONE,
        ];
        let url_is_fixed = self.config.url.template().is_fixed();
        failure.error.status().is_some_and(|status| {
            status.is_client_error()
                && !about_the_endpoint.contains(&status)
                && !(url_is_fixed && about_the_url.contains(&status))
        })
    }

    async fn report_all(&self, batch: &SinkBatch, pieces: &[Piece], failure: Failure) -> Result<(), Error> {
        self.tell(batch, pieces, &failure).await?;
        let error = failure.into_connect().into_fatal();
        for piece in pieces {
            self.report(batch, piece.offset, Error::fatal(error.to_string()))
                .await?;
        }
        Ok(())
    }

    async fn tell(&self, batch: &SinkBatch, pieces: &[Piece], failure: &Failure) -> Result<(), Error> {
        let reports = &self.config.reports;
        report::error(
            &self.context,
            reports,
            &batch.topic_partition,
            pieces,
            &failure.error,
        )
        .await
    }

    fn leave_out(&mut self, batch: &SinkBatch, first: Offset, count: usize, error: &str) {
        self.left_out += u64::try_from(count).unwrap_or(u64::MAX);
        if self.config.on_error == OnError::Log {
            let topic_partition = &batch.topic_partition;
            tracing::warn!(%topic_partition, %first, count, left_out = self.left_out, error, "records are left out");
        }
    }

    fn request(&self, topic_partition: &TopicPartition, pieces: &[Piece]) -> Result<Request, Error> {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return Err(Error::fatal("a request has at least one record"));
        };
        let config = &self.config;
        let mut headers = first.target.headers.clone();
        let json = match &config.batching {
            Some(batching) => batching.json_array,
            None => pieces.iter().all(|piece| piece.json),
        };
        if json {
            let json = HeaderValue::from_static("application/json");
            headers.entry(header::CONTENT_TYPE).or_insert(json);
        }
        if let Some(name) = &config.idempotency {
            let key = match first.offset == last.offset {
                true => format!("{topic_partition}-{}", first.offset),
                false => format!("{topic_partition}-{}-{}", first.offset, last.offset),
            };
            let key = HeaderValue::from_str(&key);
            let key = key.map_err(|_| Error::fatal("the topic's name cannot be put into a header"))?;
            headers.insert(name, key);
        }
        let body = match (&config.batching, pieces) {
            (None, [piece]) => piece.bytes.clone(),
            (batching, pieces) => {
                let frame = batching.as_ref().map(|batching| &batching.frame);
                Some(frame.cloned().unwrap_or_default().join(pieces))
            }
        };
        Ok(Request {
            method: first.target.method.clone(),
            url: first.target.url.clone(),
            headers,
            body,
        })
    }

    /// Reports a record at fault, or fails.
    async fn report(&self, batch: &SinkBatch, offset: Offset, error: Error) -> Result<(), Error> {
        match self.context.errant_record_reporter() {
            Some(reporter) => reporter.report(batch, offset, error).await,
            None => Err(fault(batch, offset, offset, error)),
        }
    }
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
