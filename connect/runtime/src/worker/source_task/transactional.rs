//! Runs one source task whose records and source offsets are written in one transaction (Kafka's `ExactlyOnceWorkerSourceTask`,
//! KIP-618): after whatever end of the task or its process, what is committed and where the next start goes on fit together.
//!
//! Two orders must hold. The producer takes its transactional id over before the task learns where to go on: only then is there
//! nothing any more that another holder of the id could add. And an offset goes into a transaction only once its record has.

mod ending;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use forebay_client::topic_table::KeyValue;
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_connect_api::{Error, OffsetMap, SourceRecord, SourceTask, TaskId};
use tokio::sync::watch;
use tokio::time::Instant;

use super::boundary::{Boundary, End};
use super::letters::{Letter, Letters, Place};
use super::moved::Moved;
use super::read_ahead::ReadAhead;
use super::topics::Topics;
use super::{POLL_RETRY_DELAY, POLL_RETRY_DELAY_MAX, TaskContext, at, connector_offsets};
use crate::connector_config::ConnectorConfig;
use crate::metrics::{Side, TaskMetrics};
use crate::store::config::TargetState;
use crate::store::offset::ConnectorOffsets;
use crate::store::status::State;
use crate::worker::clients;
use crate::worker::context::Context;
use crate::worker::converters::{Converters, Encoded, Rejected};
use crate::worker::dead_letters::Fault;
use crate::worker::progress::{Hold, Progress, because};
use crate::worker::stage::Stage;
use crate::worker::supervisor::{Command, Failure, stopped, wait_while_paused};
use crate::worker::task::Equipment;
use crate::worker::transformations::Transformations;

/// How long the coordinator may take to give the producer its id before the task says that it waits for that.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A source task that runs.
pub(in crate::worker) struct TransactionalRunner {
    context: Arc<Context>,
    id: TaskId,
    config: ConnectorConfig,
    metrics: Arc<TaskMetrics>,
    transformations: Transformations,
    pub(super) converters: Converters,
    /// What the status says of holds.
    progress: Arc<Progress>,
    /// Where records go that go no further.
    letters: Option<Letters>,
    task_class: String,
    producer: Producer,
    topics: Topics,
    task: Box<dyn SourceTask>,
    boundary: Boundary,
    /// What the task gave meanwhile.
    ahead: ReadAhead,
    /// Whether there is a transaction.
    is_open: bool,
    /// Whether its commit was begun: nothing more goes into it, and whoever looks again waits for that.
    is_committing: bool,
    /// How the transaction is to end, from when that is known until it has.
    ending: Option<End>,
    /// Whether a batch was given up in the middle: what is before it in the transaction has its offsets, but belongs to it.
    is_cut: bool,
    /// The records of the transaction.
    records: usize,
    /// What the next commit has to contain.
    moved: Moved,
    /// What is committed, until the task and the worker's own offsets topic have it, too.
    untold: Option<Told>,
    /// The topics of the transaction, and those that are known to be active.
    touched: BTreeSet<Arc<str>>,
    active_topics: BTreeSet<Arc<str>>,
}

/// What a status says while nothing gets to the cluster.
fn in_transit(producer: &Producer) -> String {
    let because = because(producer);
    format!("records wait on their way to the cluster, or for the end of their transaction{because}")
}

/// Offsets, as records and as the task knows them.
struct Told {
    records: Vec<KeyValue>,
    offsets: Vec<(Arc<OffsetMap>, OffsetMap)>,
}

/// A batch that is being sent.
struct Sending {
    records: std::vec::IntoIter<SourceRecord>,
    place: usize,
}

impl TransactionalRunner {
    /// Prepares everything but the task itself.
    pub(in crate::worker) fn new(
        context: Arc<Context>,
        id: TaskId,
        config: ConnectorConfig,
        (task, task_class): (Box<dyn SourceTask>, String),
    ) -> Result<Self, Error> {
        let equipment = Equipment::new(&context, &id, config, (Side::Source, &task_class))?;
        let config = equipment.config;
        let producer = clients::transactional_producer(&context, &config, &id)
            .map_err(|error| Error::fatal("cannot make the task's producer").with_source(error))?;
        Ok(Self {
            topics: Topics::new(&context, &config, &equipment.progress)?,
            transformations: equipment.transformations,
            converters: equipment.converters,
            progress: equipment.progress,
            metrics: equipment.metrics,
            letters: None,
            task_class,
            boundary: Boundary::new(config.boundary, context.config.offset_flush_interval),
            ahead: ReadAhead::default(),
            context,
            id,
            config,
            producer,
            task,
            is_open: false,
            is_committing: false,
            ending: None,
            is_cut: false,
            records: 0,
            untold: None,
            moved: Moved::default(),
            touched: BTreeSet::new(),
            active_topics: BTreeSet::new(),
        })
    }

    /// Runs until told to stop or until it fails. `verified` looks, once the transactional id is taken over, whether the task is
    /// still to run: it may have fenced its own successor.
    pub(in crate::worker) async fn run(
        mut self,
        properties: Arc<Properties>,
        mut command: watch::Receiver<Command>,
        verified: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Failure> {
        // Before a pause, too: what an earlier holder of the id has left open holds up whoever reads.
        let begin = async {
            self.take_over().await?;
            verified.await
        };
        tokio::select! {
            begun = begin => begun.map_err(Failure::Start)?,
            () = stopped(&mut command) => return Ok(()),
        }
        let paused = || self.context.task_is(&self.id, State::Paused, None);
        if !wait_while_paused(&mut command, paused).await {
            return Ok(());
        }
        let offsets = connector_offsets(&self.context, &self.config).await?;
        let letters = Letters::open(&self.context, &self.config, &self.id, self.task_class.clone());
        self.letters = letters.await.map_err(Failure::Start)?;
        let context = TaskContext {
            id: self.id.clone(),
            access: self.context.access.clone(),
            reader: offsets.clone(),
            metrics: Arc::clone(&self.metrics),
            progress: Arc::clone(&self.progress),
            boundaries: self.boundary.requests().cloned(),
        };
        if let Err(error) = self.task.start(Arc::new(context), &properties).await {
            self.task.stop().await;
            return Err(Failure::Start(error));
        }
        self.is_running();
        self.boundary.ended();
        let mut outcome = self.work(&offsets, &mut command).await;
        match outcome {
            Ok(()) => outcome = self.finish(&offsets).await,
            Err(_) => self.give_up().await,
        }
        self.task.stop().await;
        outcome.map_err(Failure::Run)
    }

    /// Fences whoever had the transactional id, and waits until what it has left open is ended.
    async fn take_over(&mut self) -> Result<(), Error> {
        let initialized = tokio::time::timeout(INIT_TIMEOUT, self.producer.init_transactions()).await;
        let what = "the task's producer cannot initialize transactions";
        match initialized {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.is_fatal_for_producer() => Err(Error::fatal(what).with_source(error)),
            Ok(Err(error)) => Err(Error::retriable(what).with_source(error)),
            Err(_) => Err(Error::retriable(format!(
                "{what} within {} s; if the cluster has no working transaction coordinator (transaction.state.log.replication.factor), \
                 set exactly.once.source.support=disabled",
                INIT_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn work(
        &mut self,
        offsets: &ConnectorOffsets,
        command: &mut watch::Receiver<Command>,
    ) -> Result<(), Error> {
        let mut retry_delay = POLL_RETRY_DELAY;
        loop {
            let now = *command.borrow_and_update();
            match now {
                Command::Stop => return Ok(()),
                Command::Be(TargetState::Started) => {}
                Command::Be(_) => {
                    // A transaction that stays open holds up readers, and is ended by its coordinator.
                    // Where the task decides, it stays open: the task goes on after the pause, and would not give it again.
                    if let Some(end) = self.boundary.at_end(false) {
                        tokio::select! {
                            ended = self.end(end, offsets, None) => ended?,
                            () = stopped(command), if end == End::Commit => return Ok(()),
                        }
                    }
                    self.metrics.runs(false);
                    let paused = || self.context.task_is(&self.id, State::Paused, None);
                    if !wait_while_paused(command, paused).await {
                        return Ok(());
                    }
                    self.is_running();
                    self.boundary.ended();
                }
            }
            let due = self
                .boundary
                .due()
                .filter(|_| self.is_open || !self.moved.is_empty());
            let polled = tokio::select! {
                changed = command.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Ok(()), // Without a supervisor there is nobody to go on for.
                },
                () = at(due) => {
                    let (progress, producer) = (Arc::clone(&self.progress), self.producer.clone());
                    let why = || in_transit(&producer);
                    tokio::select! {
                        ended = progress.telling(Hold::Producer, why, self.end(End::Commit, offsets, None)) => ended?,
                        () = stopped(command) => return Ok(()),
                    }
                    continue;
                }
                polled = async { match self.ahead.pop() {
                    Some(polled) => polled,
                    None => poll(&mut self.task, &self.metrics).await,
                } } => polled,
            };
            match polled {
                Ok(records) => {
                    retry_delay = POLL_RETRY_DELAY;
                    let (progress, producer) = (Arc::clone(&self.progress), self.producer.clone());
                    progress.works(Hold::Task);
                    let why = || in_transit(&producer);
                    let sent = self.send(records, offsets, command);
                    if !progress.telling(Hold::Producer, why, sent).await? {
                        return Ok(());
                    }
                }
                Err(error) if error.is_retriable() => {
                    self.progress
                        .fails(Hold::Task, || format!("poll is tried again: {}", error.trace()));
                    tracing::warn!(task = %self.id, %error, "poll failed; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(retry_delay) => {}
                        () = at(due) => {}
                        _ = command.changed() => {}
                    }
                    retry_delay = (retry_delay * 2).min(POLL_RETRY_DELAY_MAX);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn is_running(&self) {
        self.metrics.runs(true);
        self.context.task_is(&self.id, State::Running, None);
    }

    /// Sends a batch, and ends transactions where that is due. `false`: the task is to stop, and has sent a part of it.
    async fn send(
        &mut self,
        records: Vec<SourceRecord>,
        offsets: &ConnectorOffsets,
        command: &mut watch::Receiver<Command>,
    ) -> Result<bool, Error> {
        let mut sending = Sending {
            records: records.into_iter(),
            place: 0,
        };
        loop {
            let Some(end) = self.send_on(&mut sending, offsets.topic(), command).await? else {
                return Ok(false);
            };
            let is_whole = sending.records.len() == 0;
            self.metrics.active((self.records + self.ahead.records()) as u64);
            // What is due after the last record, and what after the batch, are two things.
            let after_batch = if is_whole && !self.ahead.has_batch() {
                self.boundary.after_batch()
            } else {
                None
            };
            let polling = self.boundary.is_poll().then(|| command.clone());
            for end in end.into_iter().chain(after_batch) {
                self.ending = Some(end);
                tokio::select! {
                    ended = self.end(end, offsets, polling.as_ref()) => ended?,
                    () = stopped(command), if end == End::Commit => return Ok(false),
                }
            }
            if is_whole {
                return Ok(true);
            }
        }
    }

    /// Goes on with a batch as far as [`Self::send_some`] does. `None`: the task is to stop, and there was no time for the rest of the batch.
    async fn send_on(
        &mut self,
        sending: &mut Sending,
        offsets_topic: &str,
        command: &mut watch::Receiver<Command>,
    ) -> Result<Option<Option<End>>, Error> {
        // The transaction has yet to be ended.
        let patience = self.patience() / 4;
        let sent = {
            let mut sent = pin!(self.send_some(sending, offsets_topic));
            tokio::select! {
                sent = &mut sent => Some(sent),
                () = stopped(command) => tokio::time::timeout(patience, sent).await.ok(),
            }
        };
        self.is_cut = sent.is_none();
        sent.transpose()
    }

    /// Sends records until a transaction is to end or the batch does.
    async fn send_some(&mut self, sending: &mut Sending, offsets_topic: &str) -> Result<Option<End>, Error> {
        for record in sending.records.by_ref() {
            self.send_one(record, offsets_topic).await?;
            let place = sending.place;
            sending.place += 1;
            if let Some(end) = self.boundary.after_record(place) {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    async fn send_one(&mut self, mut record: SourceRecord, offsets_topic: &str) -> Result<(), Error> {
        let offset = record.source_offset.take();
        if record.forgets {
            self.moved.set(&record.source_partition, None);
            return Ok(());
        }
        let left_out = record.fault.take();
        if let (Some(why), Some(letters)) = (&left_out, self.letters.clone()) {
            let place = Place {
                record: &record,
                offset: offset.as_ref(),
            };
            self.post(&letters, letters.of_left_out(place, why)?).await?;
        }
        if left_out.is_some() {
            self.moves(&record, offset);
            return Ok(());
        }
        // For a letter, which has it as the task gave it.
        let before = (self.letters.is_some() && !self.transformations.is_empty()).then(|| record.clone());
        let transformed = match &before {
            Some(_) => self.transformations.try_source(&mut record),
            None => Ok(self.transformations.source(&self.id, &mut record)?),
        };
        match transformed {
            Ok(true) => self.produce(&record, offset.as_ref(), offsets_topic).await?,
            Ok(false) => {}
            Err(rejected) => {
                let record = before.as_ref().unwrap_or(&record);
                self.reject(rejected, record, offset.as_ref()).await?;
            }
        }
        self.moves(&record, offset);
        Ok(())
    }

    /// Of a record that is left out, too: it shall not come again.
    fn moves(&mut self, record: &SourceRecord, offset: Option<OffsetMap>) {
        if offset.is_some() {
            self.moved.set(&record.source_partition, offset);
        }
    }

    async fn produce(
        &mut self,
        record: &SourceRecord,
        offset: Option<&OffsetMap>,
        offsets_topic: &str,
    ) -> Result<(), Error> {
        match self.converters.encode(record).await {
            Ok(encoded) => {
                if *record.topic == *offsets_topic {
                    // Its next look at its offsets would wait for the transaction that it holds open.
                    return Err(Error::fatal(
                        "Source tasks may not produce to their own offsets topics when exactly-once support is enabled",
                    ));
                }
                let produced = ProducerRecord {
                    topic: &record.topic,
                    partition: record.partition,
                    timestamp: record.timestamp,
                    key: encoded.key.as_deref(),
                    value: encoded.value.as_deref(),
                    headers: &encoded.headers,
                };
                // One that the producer refuses in a transaction takes that with it, and the task, as in Kafka.
                if self.config.errors.tolerates
                    && let Err(error) = self.producer.check_size(&produced)
                {
                    return self.too_large(error, &encoded, Place { record, offset }).await;
                }
                self.topics.ensure(&record.topic).await?;
                self.begin()?;
                let sent = self.producer.send(produced);
                // How it goes on with it, the commit tells.
                drop(
                    sent.await
                        .map_err(|error| self.failed("Unrecoverable exception trying to send", error))?,
                );
                self.records += 1;
                if !self.touched.contains(&record.topic) {
                    self.touched.insert(Arc::clone(&record.topic));
                }
            }
            Err(rejected) => self.reject(rejected, record, offset).await?,
        }
        Ok(())
    }

    /// A record that could not be transformed or converted: its letter, if there is a queue, goes into the same transaction.
    async fn reject(
        &mut self,
        rejected: Rejected,
        record: &SourceRecord,
        offset: Option<&OffsetMap>,
    ) -> Result<(), Error> {
        let (errors, stage) = (&self.config.errors, rejected.stage);
        let error = errors.tolerate(&self.id, stage, rejected.error, || format!("{record:?}"))?;
        let Some(letters) = self.letters.clone() else {
            return Ok(());
        };
        let class = rejected.class.or_else(|| self.converters.class(stage));
        let fault = Fault {
            stage,
            class: class.unwrap_or_default(),
            error: &error,
        };
        let letter = letters
            .of_record(&self.converters, Place { record, offset }, fault)
            .await;
        self.post(&letters, letter).await
    }

    /// A record that is too large to be sent: its letter, if there is a queue.
    async fn too_large(
        &mut self,
        error: ClientError,
        encoded: &Encoded,
        place: Place<'_>,
    ) -> Result<(), Error> {
        let error = Error::fatal("Unrecoverable exception trying to send").with_source(error);
        let (errors, stage) = (&self.config.errors, Stage::KafkaProduce);
        let error = errors.tolerate(&self.id, stage, error, || format!("{:?}", place.record))?;
        match self.letters.clone() {
            Some(letters) => {
                let letter = letters.of_refused(encoded, place, &error);
                self.post(&letters, letter).await
            }
            None => Ok(()),
        }
    }

    async fn post(&mut self, letters: &Letters, letter: Letter) -> Result<(), Error> {
        self.begin()?;
        // How it goes on with it, the commit tells.
        drop(letters.send(&self.producer, letter).await?);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.is_open {
            let begun = self.producer.begin_transaction();
            begun.map_err(|error| self.failed("the task's producer cannot begin a transaction", error))?;
            self.is_open = true;
        }
        Ok(())
    }
}

/// Waits for the task's next records, and counts them.
async fn poll(task: &mut Box<dyn SourceTask>, metrics: &TaskMetrics) -> Result<Vec<SourceRecord>, Error> {
    let began = Instant::now();
    let polled = task.poll().await;
    if let Ok(records) = &polled {
        metrics.took(records.len(), began.elapsed());
    }
    polled
}

impl Drop for TransactionalRunner {
    /// Whatever is not committed is not to be: the next start ends the transaction.
    fn drop(&mut self) {
        self.producer.abort();
    }
}
