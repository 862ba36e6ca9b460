//! Runs one source task: poll, convert, produce, and commit source offsets behind what is acknowledged (Kafka's
//! `WorkerSourceTask`).
//!
//! The order that must hold: an offset is committed only after its record and all before it in its source partition are
//! acknowledged. It is committed soon after that, so that a process that is killed repeats little.

mod boundary;
mod letters;
mod moved;
mod read_ahead;
mod submitted;
mod topics;
mod transactional;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use forebay_client::producer::RecordMetadata;
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_connect_api::{
    Access, BoxFuture, Error, OffsetMap, OffsetReader, Progress as Far, SourceRecord, SourceTask,
    SourceTaskContext, TaskId, TransactionContext,
};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clients;
use super::context::Context;
use super::converters::{Converters, Rejected};
use super::dead_letters::Fault;
use super::progress::{Hold, Progress, SAID_AFTER, because};
use super::stage::Stage;
use super::supervisor::{Command, Failure, stopped, wait_while_paused};
use super::task::Equipment;
use super::transformations::Transformations;
use crate::connector_config::ConnectorConfig;
use crate::metrics::{Commit, Side, TaskMetrics};
use crate::store::Error as StoreError;
use crate::store::config::TargetState;
use crate::store::offset::ConnectorOffsets;
use crate::store::status::{State, TopicStatus};
use letters::{Delivery, Letters, Place, Undelivered};
use submitted::{Committable, Submitted};
use topics::Topics;
pub(super) use transactional::TransactionalRunner;

/// How long after an acknowledgement its offset is committed, unless `offset.flush.interval.ms` is shorter.
const COMMIT_DELAY: Duration = Duration::from_millis(250);

/// How many records may be on their way, beside the producer's own bound of bytes.
const IN_FLIGHT_MAX: usize = 50_000;

/// How long to wait after a retriable error of `poll`, the first time; doubled each time.
const POLL_RETRY_DELAY: Duration = Duration::from_millis(300);

/// To what that grows.
const POLL_RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// What a task sees of its worker.
#[derive(Debug)]
struct TaskContext {
    id: TaskId,
    access: Access,
    reader: ConnectorOffsets,
    metrics: Arc<TaskMetrics>,
    progress: Arc<Progress>,
    /// With `transaction.boundary=connector`.
    boundaries: Option<Arc<boundary::Requests>>,
}

impl SourceTaskContext for TaskContext {
    fn task_id(&self) -> &TaskId {
        &self.id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn offset_reader(&self) -> &dyn OffsetReader {
        &self.reader
    }

    fn transaction_context(&self) -> Option<&dyn TransactionContext> {
        self.boundaries
            .as_deref()
            .map(|requests| requests as &dyn TransactionContext)
    }

    fn report_progress(&self, progress: Far) {
        self.metrics.progress(progress);
    }

    fn report_waiting(&self, why: Option<&str>) {
        match why {
            Some(why) => self.progress.waits(Hold::Own, why),
            None => self.progress.works(Hold::Own),
        }
    }
}

/// A write of offsets that is under way, and what it writes.
struct Committing {
    offsets: Vec<Committable>,
    began: Instant,
    written: BoxFuture<'static, Result<(), StoreError>>,
}

/// A source task that runs.
pub(super) struct SourceTaskRunner {
    context: Arc<Context>,
    id: TaskId,
    config: ConnectorConfig,
    metrics: Arc<TaskMetrics>,
    transformations: Transformations,
    converters: Converters,
    producer: Producer,
    topics: Topics,
    task: Box<dyn SourceTask>,
    submitted: Submitted<Delivery>,
    /// Where records go that go no further.
    letters: Option<Letters>,
    task_class: String,
    /// What the status says of holds.
    progress: Arc<Progress>,
    /// Where offsets are; known once it runs.
    offsets: Option<ConnectorOffsets>,
    /// Topics that are known to be active.
    active_topics: BTreeSet<String>,
    committing: Option<Committing>,
    /// When offsets are next committed; `None`: there are none.
    commit_at: Option<Instant>,
    /// Since when nothing was acknowledged of what is on its way, or when that was said last.
    unacknowledged_since: Option<Instant>,
}

/// What woke the runner.
enum Woken {
    Command,
    Polled(Result<Vec<SourceRecord>, Error>),
    Committed(Result<(), StoreError>),
}

impl SourceTaskRunner {
    /// Prepares everything but the task itself.
    pub(super) fn new(
        context: Arc<Context>,
        id: TaskId,
        config: ConnectorConfig,
        (task, task_class): (Box<dyn SourceTask>, String),
    ) -> Result<Self, Error> {
        let equipment = Equipment::new(&context, &id, config, (Side::Source, &task_class))?;
        let producer = clients::source_producer(&context, &equipment.config, &id)
            .map_err(|error| Error::fatal("cannot make the task's producer").with_source(error))?;
        Ok(Self {
            topics: Topics::new(&context, &equipment.config, &equipment.progress)?,
            transformations: equipment.transformations,
            converters: equipment.converters,
            progress: equipment.progress,
            config: equipment.config,
            metrics: equipment.metrics,
            context,
            id,
            producer,
            task,
            submitted: Submitted::new(),
            offsets: None,
            letters: None,
            task_class,
            active_topics: BTreeSet::new(),
            committing: None,
            commit_at: None,
            unacknowledged_since: None,
        })
    }

    /// Runs until told to stop or until it fails; what was produced is committed in either case.
    pub(super) async fn run(
        mut self,
        properties: Arc<Properties>,
        mut command: watch::Receiver<Command>,
    ) -> Result<(), Failure> {
        if !wait_while_paused(&mut command, || {
            self.context.task_is(&self.id, State::Paused, None);
        })
        .await
        {
            return Ok(());
        }
        let offsets = connector_offsets(&self.context, &self.config).await?;
        self.offsets = Some(offsets.clone());
        let letters = Letters::open(&self.context, &self.config, &self.id, self.task_class.clone());
        self.letters = letters.await.map_err(Failure::Start)?;
        let context = TaskContext {
            id: self.id.clone(),
            access: self.context.access.clone(),
            reader: offsets,
            metrics: Arc::clone(&self.metrics),
            progress: Arc::clone(&self.progress),
            boundaries: None,
        };
        let started = self.task.start(Arc::new(context), &properties).await;
        if let Err(error) = started {
            self.task.stop().await;
            return Err(Failure::Start(error));
        }
        self.is_running();
        let outcome = self.work(&mut command).await;
        self.finish().await;
        self.task.stop().await;
        outcome.map_err(Failure::Run)
    }

    async fn work(&mut self, command: &mut watch::Receiver<Command>) -> Result<(), Error> {
        let mut retry_delay = POLL_RETRY_DELAY;
        loop {
            let now = *command.borrow_and_update();
            match now {
                Command::Stop => return Ok(()),
                Command::Be(TargetState::Started) => {}
                Command::Be(_) => {
                    self.finish().await;
                    self.metrics.runs(false);
                    let paused = || self.context.task_is(&self.id, State::Paused, None);
                    if !wait_while_paused(command, paused).await {
                        return Ok(());
                    }
                    self.is_running();
                }
            }
            let began = Instant::now();
            match self.wait(command).await? {
                Woken::Command => {}
                Woken::Polled(Ok(records)) => {
                    self.metrics.took(records.len(), began.elapsed());
                    retry_delay = POLL_RETRY_DELAY;
                    let progress = Arc::clone(&self.progress);
                    progress.works(Hold::Task);
                    let producer = self.producer.clone();
                    let why = || {
                        format!(
                            "records wait for room on their way to the cluster{}",
                            because(&producer)
                        )
                    };
                    tokio::select! {
                        // First: who was told to stop while it blocked its thread may have a successor.
                        biased;
                        () = stopped(command) => return Ok(()),
                        sent = progress.telling(Hold::Producer, why, self.send(records)) => sent?,
                    }
                }
                Woken::Polled(Err(error)) if error.is_retriable() => {
                    self.progress
                        .fails(Hold::Task, || format!("poll is tried again: {}", error.trace()));
                    tracing::warn!(task = %self.id, %error, "poll failed; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(retry_delay) => {}
                        _ = command.changed() => {}
                    }
                    retry_delay = (retry_delay * 2).min(POLL_RETRY_DELAY_MAX);
                }
                Woken::Polled(Err(error)) => return Err(error),
                Woken::Committed(written) => self.committed(written).await,
            }
        }
    }

    fn is_running(&self) {
        self.metrics.runs(true);
        self.context.task_is(&self.id, State::Running, None);
    }

    /// Waits for the task's next records, or for what comes first. Acknowledgements are taken meanwhile, and offsets written.
    async fn wait(&mut self, command: &mut watch::Receiver<Command>) -> Result<Woken, Error> {
        let is_full = self.submitted.in_flight() >= IN_FLIGHT_MAX;
        if self.submitted.in_flight() > 0 {
            self.unacknowledged_since.get_or_insert_with(Instant::now);
        }
        let mut poll: BoxFuture<'_, _> = if is_full {
            Box::pin(std::future::pending())
        } else {
            self.task.poll()
        };
        loop {
            tokio::select! {
                _ = command.changed() => return Ok(Woken::Command),
                delivered = delivered(&mut self.submitted, &mut self.active_topics, (&self.context, &self.id, &self.config, &self.metrics)) => {
                    delivered?;
                    self.progress.works(Hold::Producer);
                    let is_waiting = self.submitted.in_flight() > 0;
                    self.unacknowledged_since = is_waiting.then(Instant::now);
                    if self.submitted.has_committable() {
                        let delay = COMMIT_DELAY.min(self.context.config.offset_flush_interval);
                        self.commit_at.get_or_insert_with(|| Instant::now() + delay);
                    }
                    if is_full && self.submitted.in_flight() < IN_FLIGHT_MAX {
                        return Ok(Woken::Command);
                    }
                }
                () = at(self.unacknowledged_since.map(|since| since + SAID_AFTER)) => {
                    self.unacknowledged_since = Some(Instant::now());
                    let count = self.submitted.in_flight();
                    let why = || {
                        let because = because(&self.producer);
                        format!("the cluster does not acknowledge records: {count} wait{because}")
                    };
                    self.progress.stalls(Hold::Producer, why);
                }
                () = at(self.commit_at), if self.committing.is_none() => {
                    self.commit_at = None;
                    self.committing = begin_commit(self.offsets.as_ref(), &mut self.submitted);
                }
                written = written(&mut self.committing) => return Ok(Woken::Committed(written)),
                polled = &mut poll => return Ok(Woken::Polled(polled)),
            }
        }
    }

    /// Converts records and gives them to the producer; waits where its buffer is full.
    async fn send(&mut self, records: Vec<SourceRecord>) -> Result<(), Error> {
        for mut record in records {
            if record.forgets {
                self.submitted.forget(&record.source_partition);
                continue;
            }
            let offset = record.source_offset.take();
            let delivery = self.deliver(&mut record, offset.as_ref()).await?;
            self.submitted.submit(&record.source_partition, offset, delivery);
        }
        Ok(())
    }

    /// Gives a record to the producer, or its letter; `None`: it goes no further.
    async fn deliver(
        &mut self,
        record: &mut SourceRecord,
        offset: Option<&OffsetMap>,
    ) -> Result<Option<Delivery>, Error> {
        if let Some(why) = record.fault.take() {
            return self.leave_out(&why, Place { record, offset }).await;
        }
        if self.letters.is_none() && !self.transformations.source(&self.id, record)? {
            return Ok(None);
        }
        // For a letter, which has it as the task gave it.
        let before = (self.letters.is_some() && !self.transformations.is_empty()).then(|| record.clone());
        let transformed = match &before {
            Some(_) => self.transformations.try_source(record),
            None => Ok(true),
        };
        let encoded = match transformed {
            Ok(true) => self.converters.encode(record).await,
            Ok(false) => return Ok(None),
            Err(rejected) => Err(rejected),
        };
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(rejected) => {
                return self
                    .reject(rejected, before.as_ref().unwrap_or(record), offset)
                    .await;
            }
        };
        self.topics.ensure(&record.topic).await?;
        let delivery = self.producer.send(ProducerRecord {
            topic: &record.topic,
            partition: record.partition,
            timestamp: record.timestamp,
            key: encoded.key.as_deref(),
            value: encoded.value.as_deref(),
            headers: &encoded.headers,
        });
        let delivery = delivery.await;
        let Some(letters) = self.letters.clone() else {
            return match delivery {
                Ok(delivery) => Ok(Some(Delivery::Record(delivery))),
                Err(error) => self.refused(error, record).map(|_| None),
            };
        };
        let (kept, offset) = (record.clone(), offset.cloned());
        let letter = move |letters: &Letters, error: &Error| {
            let place = Place {
                record: &kept,
                offset: offset.as_ref(),
            };
            letters.of_refused(&encoded, place, error)
        };
        match delivery {
            Ok(delivery) => Ok(Some(Delivery::either(
                delivery,
                self.producer.clone(),
                letters,
                letter,
            ))),
            Err(error) => {
                let letter = letter(&letters, &self.refused(error, record)?);
                let sent = letters.send(&self.producer, letter).await?;
                Ok(Some(Delivery::Letter(sent, letters)))
            }
        }
    }

    /// A record that the task leaves out: its letter, if there is a queue.
    async fn leave_out(&mut self, why: &str, place: Place<'_>) -> Result<Option<Delivery>, Error> {
        let Some(letters) = self.letters.clone() else {
            return Ok(None);
        };
        let letter = letters.of_left_out(place, why)?;
        let sent = letters.send(&self.producer, letter).await?;
        Ok(Some(Delivery::Letter(sent, letters)))
    }

    /// A record that could not be transformed or converted: its letter, if there is a queue.
    async fn reject(
        &mut self,
        rejected: Rejected,
        record: &SourceRecord,
        offset: Option<&OffsetMap>,
    ) -> Result<Option<Delivery>, Error> {
        let (errors, stage) = (&self.config.errors, rejected.stage);
        let error = errors.tolerate(&self.id, stage, rejected.error, || format!("{record:?}"))?;
        let Some(letters) = self.letters.clone() else {
            return Ok(None);
        };
        let class = rejected.class.or_else(|| self.converters.class(stage));
        let fault = Fault {
            stage,
            class: class.unwrap_or_default(),
            error: &error,
        };
        let place = Place { record, offset };
        let letter = letters.of_record(&self.converters, place, fault).await;
        let sent = letters.send(&self.producer, letter).await?;
        Ok(Some(Delivery::Letter(sent, letters)))
    }

    /// A record that the producer does not take.
    fn refused(&self, error: ClientError, record: &SourceRecord) -> Result<Error, Error> {
        let error = Error::fatal("Unrecoverable exception from producer send callback").with_source(error);
        let (errors, stage) = (&self.config.errors, Stage::KafkaProduce);
        errors.tolerate(&self.id, stage, error, || format!("{record:?}"))
    }

    /// Offsets were written, or not: then they are tried again with the next ones.
    async fn committed(&mut self, written: Result<(), StoreError>) {
        let Some(Committing { offsets, began, .. }) = self.committing.take() else {
            return;
        };
        let outcome = if written.is_ok() {
            Commit::Done
        } else {
            Commit::Failed
        };
        self.metrics.committed(began.elapsed(), outcome);
        match written {
            Ok(()) => {
                self.progress.works(Hold::Offsets);
                let moved = offsets.into_iter();
                let moved: Vec<_> = moved
                    .filter_map(|(partition, offset)| Some((partition, offset?)))
                    .collect();
                if let Err(error) = self.task.commit(&moved).await {
                    tracing::warn!(task = %self.id, %error, "the task could not be told of committed offsets");
                }
            }
            Err(error) => {
                self.progress.fails(Hold::Offsets, || {
                    format!("source offsets cannot be committed: {error}")
                });
                tracing::warn!(task = %self.id, %error, "source offsets cannot be committed; trying again");
                self.submitted.give_back(offsets);
                self.commit_at = Some(Instant::now() + self.context.config.offset_flush_timeout);
            }
        }
    }

    /// Waits, at most `offset.flush.timeout.ms`, until what was sent is acknowledged, and commits it.
    async fn finish(&mut self) {
        let config = &self.context.config;
        // The task has yet to stop before the supervisor loses its patience.
        let patience = config.task_shutdown_graceful_timeout * 4 / 5;
        let deadline = Instant::now() + config.offset_flush_timeout.min(patience);
        let acknowledged = async {
            while self.submitted.in_flight() > 0 {
                let (submitted, active) = (&mut self.submitted, &mut self.active_topics);
                if delivered(
                    submitted,
                    active,
                    (&self.context, &self.id, &self.config, &self.metrics),
                )
                .await
                .is_err()
                {
                    return; // What is behind the failed record must not be committed.
                }
            }
        };
        if tokio::time::timeout_at(deadline, acknowledged).await.is_err() {
            tracing::warn!(
                task = %self.id, records = self.submitted.in_flight(),
                "not all records were acknowledged in time; they will be sent again by the next start"
            );
        }
        loop {
            if self.committing.is_none() {
                self.committing = begin_commit(self.offsets.as_ref(), &mut self.submitted);
            }
            if self.committing.is_none() {
                break;
            }
            let written = tokio::time::timeout_at(deadline, written(&mut self.committing)).await;
            let is_over = !matches!(written, Ok(Ok(())));
            if let Ok(written) = written {
                self.committed(written).await;
            }
            if is_over {
                break; // Repeated by the next start.
            }
        }
        self.commit_at = None;
    }
}

impl Drop for SourceTaskRunner {
    /// What `finish` could not see acknowledged in time, or the supervisor had no patience for, is sent again by the next start:
    /// the old producer must not go on with it beside the new one. Kafka's worker closes its producer within a time for that.
    fn drop(&mut self) {
        self.producer.abort();
    }
}

/// Takes acknowledgements; ready once there was one.
async fn delivered(
    submitted: &mut Submitted<Delivery>,
    active_topics: &mut BTreeSet<String>,
    (context, id, config, metrics): (&Context, &TaskId, &ConnectorConfig, &TaskMetrics),
) -> Result<(), Error> {
    let mut acknowledged = 0;
    let queue = config.dead_letter_queue().map(|queue| queue.topic);
    let mut outcome = |delivered: Result<RecordMetadata, Undelivered>| match delivered {
        Ok(metadata) => {
            acknowledged += 1;
            let topic = &*metadata.topic_partition.topic;
            let is_letter = queue.as_deref() == Some(topic);
            if context.config.topic_tracking && !is_letter && !active_topics.contains(topic) {
                active_topics.insert(topic.to_owned());
                context.statuses.put_topic(&TopicStatus {
                    topic: topic.to_owned(),
                    connector: id.connector.to_string(),
                    task: id.task,
                    discover_timestamp: super::now(),
                });
            }
            Ok(())
        }
        Err(Undelivered::Letter(error)) => Err(error),
        Err(Undelivered::Record(error)) => {
            let error =
                Error::fatal("Unrecoverable exception from producer send callback").with_source(error);
            let tolerated = config
                .errors
                .tolerate(id, Stage::KafkaProduce, error, String::new);
            tolerated.map(drop)
        }
    };
    let delivered = poll_fn(|context| submitted.poll_delivered(context, &mut outcome)).await;
    metrics.gave(acknowledged);
    metrics.active(submitted.in_flight() as u64);
    delivered
}

/// Where the connector's offsets are.
async fn connector_offsets(context: &Context, config: &ConnectorConfig) -> Result<ConnectorOffsets, Failure> {
    let opened = context.offsets.of(&config.name, config.offsets_topic()).await;
    opened.map_err(|error| {
        Failure::Start(Error::retriable("the connector's offsets topic cannot be used").with_source(error))
    })
}

fn begin_commit(store: Option<&ConnectorOffsets>, submitted: &mut Submitted<Delivery>) -> Option<Committing> {
    let store = store?.clone();
    let offsets = submitted.take_committable();
    if offsets.is_empty() {
        return None;
    }
    let records = store.records(
        offsets
            .iter()
            .map(|(partition, offset)| (&**partition, offset.as_ref())),
    );
    let written = Box::pin(async move { store.write(&records).await });
    Some(Committing {
        offsets,
        began: Instant::now(),
        written,
    })
}

/// The end of the write that is under way; never without one.
async fn written(committing: &mut Option<Committing>) -> Result<(), StoreError> {
    match committing {
        Some(committing) => Pin::new(&mut committing.written).await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
