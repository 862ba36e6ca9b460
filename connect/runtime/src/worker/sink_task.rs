//! Runs one sink task: consume, convert, put, and commit what the task says is durable (Kafka's `WorkerSinkTask`).
//!
//! The order that must hold: batches of a partition reach the task in order and without gaps, also after a retry or a rewind;
//! and no offset is committed that the task has not returned from `pre_commit`.

mod context;
mod deliver;
mod intents;
mod missing;
mod opening;
mod partitions;
mod rebalance;
mod reporter;
mod results;

use std::sync::Arc;
use std::time::Duration;

use forebay_client::consumer::Subscription;
use forebay_client::{Consumer, Error as ClientError};
use forebay_config::Properties;
use forebay_connect_api::{Error, SinkTask, TaskId, ValueFormat};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clients;
use super::context::Context;
use super::converters::Converters;
use super::progress::{Hold, Progress};
use super::supervisor::{Command, Failure, stopped, wait_while_paused};
use super::task::Equipment;
use super::transformations::Transformations;
use crate::connector_config::{ConnectorConfig, Topics};
use crate::metrics::{Side, TaskMetrics};
use crate::outage::Outage;
use crate::store::config::TargetState;
use crate::store::status::State;
use context::TaskContext;
use intents::TaskIntents;
use missing::Missing;
use opening::Waiting;
use partitions::Partitions;
use reporter::Reporter;
use results::Results;

/// How long one poll of the consumer waits for records; commands and deadlines end it earlier.
const POLL_MAX: Duration = Duration::from_secs(1);

/// Offsets are committed this often at least while records flow, unless `offset.flush.interval.ms` is shorter.
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(5);

/// Offsets are committed no more often than this when nothing more is there to read.
const COMMIT_INTERVAL_IDLE: Duration = Duration::from_millis(500);

/// How long to wait after a retriable error, the first time; doubled each time.
const RETRY_DELAY: Duration = Duration::from_millis(300);

/// To what that grows.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A sink task that runs.
pub(super) struct SinkTaskRunner {
    context: Arc<Context>,
    id: TaskId,
    config: ConnectorConfig,
    transformations: Transformations,
    converters: Converters,
    consumer: Consumer,
    metrics: Arc<TaskMetrics>,
    task: Box<dyn SinkTask>,
    task_class: String,
    /// How the task reads raw values, if it does.
    raw: Option<ValueFormat>,
    partitions: Partitions,
    /// Those that are the task's and not open yet.
    waiting: Waiting,
    requests: Option<Arc<TaskContext>>,
    reporter: Option<Arc<Reporter>>,
    /// What the task tells of records.
    results: Option<Arc<Results>>,
    /// Where the task says what it intends, if it does.
    intents: Option<Arc<TaskIntents>>,
    /// When offsets were last committed, or nothing was there to commit.
    committed_at: Instant,
    /// Whether the task wants a commit soon.
    commit_requested: bool,
    /// What the status says of holds.
    progress: Arc<Progress>,
    /// What is looked for while the task has nothing.
    missing: Missing,
    /// Whether the consumer can poll.
    polling: Outage,
    /// Whether offsets can be committed.
    committing: Outage,
    flushing: Outage,
    /// The state that was said last.
    said: Option<TargetState>,
    /// Ends waits between calls of the task. A call itself is never cut short, as its contract says.
    command: watch::Receiver<Command>,
}

/// What a sink task is run with.
pub(super) struct Parts {
    /// The task, not started.
    pub(super) task: Box<dyn SinkTask>,
    /// The name of its Java class.
    pub(super) task_class: String,
    /// What it is told.
    pub(super) command: watch::Receiver<Command>,
}

impl SinkTaskRunner {
    /// Prepares everything but the task itself.
    pub(super) fn new(
        context: Arc<Context>,
        id: TaskId,
        config: ConnectorConfig,
        parts: Parts,
    ) -> Result<Self, Error> {
        let equipment = Equipment::new(&context, &id, config, (Side::Sink, &parts.task_class))?;
        let consumer = clients::sink_consumer(&context, &equipment.config, &id)
            .map_err(|error| Error::fatal("cannot make the task's consumer").with_source(error))?;
        Ok(Self {
            transformations: equipment.transformations,
            converters: equipment.converters,
            progress: equipment.progress,
            config: equipment.config,
            metrics: equipment.metrics,
            missing: Missing::default(),
            context,
            id,
            consumer,
            task: parts.task,
            task_class: parts.task_class,
            raw: None,
            partitions: Partitions::default(),
            waiting: Waiting::default(),
            requests: None,
            reporter: None,
            results: None,
            intents: None,
            committed_at: Instant::now(),
            commit_requested: false,
            polling: Outage::default(),
            committing: Outage::default(),
            flushing: Outage::default(),
            said: None,
            command: parts.command,
        })
    }

    /// Runs until told to stop or until it fails.
    pub(super) async fn run(mut self, properties: Arc<Properties>) -> Result<(), Failure> {
        let mut command = self.command.clone();
        if !wait_while_paused(&mut command, || {
            self.context.task_is(&self.id, State::Paused, None);
        })
        .await
        {
            return Ok(());
        }
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared,
            () = stopped(&mut command) => return Ok(()),
        };
        prepared.map_err(Failure::Start)?;
        let outcome = match self.start(&properties).await {
            Ok(()) => self.work().await.map_err(Failure::Run),
            Err(error) => Err(Failure::Start(error)),
        };
        let closed = self.close_all(outcome.is_ok()).await.map_err(Failure::Run);
        self.task.stop().await;
        if let Err(error) = self.consumer.close().await {
            tracing::warn!(task = %self.id, %error, "the task's consumer did not close well");
        }
        outcome.and(closed)
    }

    async fn prepare(&mut self) -> Result<(), Error> {
        let reporter = Reporter::new(
            &self.context,
            &self.config,
            Arc::clone(&self.progress),
            self.task_class.clone(),
            self.converters.clone(),
        );
        self.reporter = Some(Arc::new(reporter.await?));
        Ok(())
    }

    async fn start(&mut self, properties: &Properties) -> Result<(), Error> {
        let errant = self.reporter.clone().filter(|_| self.config.errors.tolerates);
        let results = Arc::new(Results::new(
            Arc::clone(&self.context),
            self.config.clone(),
            Arc::clone(&self.progress),
        ));
        self.results = Some(Arc::clone(&results));
        let requests = Arc::new(TaskContext::new(
            self.id.clone(),
            self.context.access.clone(),
            errant,
            results,
            Arc::clone(&self.progress),
        ));
        self.requests = Some(Arc::clone(&requests));
        self.task.start(Arc::clone(&requests) as _, properties).await?;
        if self.task.says_intents() {
            self.offer_intents(&requests);
        }
        let format = self.converters.value_format.clone();
        let format = format.filter(|_| self.transformations.is_empty());
        let format = format.map(|format| self.config.errors.bound(format));
        self.raw = format.filter(|format| self.task.takes_raw(format));
        let subscription = match self.config.topics().map_err(Error::Config)? {
            Topics::Named(topics) => Subscription::topics(topics),
            Topics::Matching(regex) => Subscription::matching(move |topic| regex.is_match(topic)),
        };
        let subscribed = self.consumer.subscribe(subscription.with_events());
        subscribed
            .map_err(|error| Error::fatal("cannot subscribe to the connector's topics").with_source(error))
    }

    fn offer_intents(&mut self, requests: &TaskContext) {
        let told = self
            .results
            .clone()
            .map(|results| (self.reporter.clone(), results));
        let told = told.expect("made when the task was started");
        self.intents = TaskIntents::new(&self.context, &self.config, &self.id, told);
        match &self.intents {
            Some(intents) => requests.set_intents(Arc::clone(intents)),
            None => {
                tracing::info!(task = %self.id, "the worker has no topic for intents: no other task may have the same partitions");
            }
        }
    }

    async fn work(&mut self) -> Result<(), Error> {
        let mut retry_delay = RETRY_DELAY;
        while self.follow().await?.is_some() {
            let wait = self.wait();
            let mut command = self.command.clone();
            let polled = tokio::select! {
                polled = self.consumer.poll_batches(wait) => polled,
                _ = command.changed() => continue,
            };
            match polled {
                Ok(batches) => {
                    self.tell_group();
                    retry_delay = RETRY_DELAY;
                    self.progress.works(Hold::Consumer);
                    if let Some(lasted) = self.polling.ends() {
                        tracing::info!(task = %self.id, ?lasted, "the task's consumer polls again");
                    }
                    let is_idle = batches.is_empty();
                    self.deliver(batches).await?;
                    self.rebalance().await?;
                    self.keep_time(is_idle).await?;
                }
                Err(error) if error.is_retriable() => {
                    let why = || format!("the cluster cannot be read, and is tried again: {error}");
                    self.progress.fails(Hold::Consumer, why);
                    if self.polling.begins() {
                        tracing::warn!(task = %self.id, %error, "the task's consumer cannot poll; trying again");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(retry_delay) => {}
                        _ = command.changed() => {}
                    }
                    retry_delay = (retry_delay * 2).min(RETRY_DELAY_MAX);
                    self.rebalance().await?;
                    self.keep_time(true).await?;
                }
                Err(error) => return Err(Error::fatal("the task's consumer has failed").with_source(error)),
            }
        }
        Ok(())
    }

    /// Intents are said in the name of the member that the last poll has made of the task.
    pub(super) fn tell_group(&self) {
        if let Some(intents) = &self.intents {
            intents.set_group(self.consumer.group_metadata());
        }
    }

    /// Does what the task is told; gives the state that it is in, `None` if it is to stop.
    async fn follow(&mut self) -> Result<Option<TargetState>, Error> {
        // Without a supervisor there is nobody to go on for.
        if self.command.has_changed().is_err() {
            return Ok(None);
        }
        let now = *self.command.borrow_and_update();
        let Command::Be(state) = now else {
            return Ok(None);
        };
        if self.said != Some(state) {
            self.be(state).await?;
            self.said = Some(state);
        }
        Ok(Some(state))
    }

    /// Goes into the state that the user wants, and says so.
    async fn be(&mut self, state: TargetState) -> Result<(), Error> {
        if state == TargetState::Started {
            self.partitions.set_user_paused(false);
            self.metrics.runs(true);
            self.context.task_is(&self.id, State::Running, None);
        } else {
            self.commit().await?;
            self.partitions.set_user_paused(true);
            self.metrics.runs(false);
            self.context.task_is(&self.id, State::Paused, None);
        }
        self.apply_pauses()
    }

    /// How long to poll: until the task's deadline, the next commit, or the next attempt to open partitions.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        if self.commit_requested {
            return Duration::ZERO;
        }
        let deadline = self.task.deadline().map(Instant::from_std);
        let commit = self
            .partitions
            .has_uncommitted()
            .then(|| self.committed_at + COMMIT_INTERVAL_IDLE);
        let until = deadline
            .into_iter()
            .chain(commit)
            .chain(self.waiting.next())
            .min();
        until
            .map_or(POLL_MAX, |until| until.saturating_duration_since(now))
            .min(POLL_MAX)
    }

    /// Does what is due by the clock.
    async fn keep_time(&mut self, is_idle: bool) -> Result<(), Error> {
        if is_idle {
            self.deliver_gaps().await?;
            self.look_for_missing().await;
        }
        let is_due = |deadline: std::time::Instant| deadline <= std::time::Instant::now();
        if self.task.deadline().is_some_and(is_due) {
            match self.task.on_deadline().await {
                Ok(()) => self.progress.works(Hold::Deadline),
                Err(error) if error.is_retriable() => {
                    let why = || format!("what was due is tried again: {}", error.trace());
                    self.progress.fails(Hold::Deadline, why);
                    tracing::warn!(task = %self.id, %error, "the task could not do what was due; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(error) => return Err(error),
            }
            self.take_requests()?;
        } else {
            self.progress.works(Hold::Deadline);
        }
        let since = self.committed_at.elapsed();
        let is_time = if is_idle && self.partitions.has_uncommitted() {
            since >= COMMIT_INTERVAL_IDLE.min(self.context.config.offset_flush_interval)
        } else {
            let interval = COMMIT_INTERVAL_MAX.min(self.context.config.offset_flush_interval);
            self.partitions.are_behind() && since >= interval
        };
        if is_time || self.commit_requested {
            self.commit().await?;
        }
        Ok(())
    }
}

/// Takes a static member out of its group, so that others get its partitions at once, or the group becomes empty: for a task
/// that does not come back by itself.
pub(crate) async fn leave_group(context: &Context, connector: &Arc<Properties>, id: &TaskId) {
    let instance = clients::instance_id(id);
    let left = async {
        let resolved = context.resolve(connector).await;
        let group = super::context::sink_group(connector, &id.connector);
        let group = resolved.map_or(group, |one| {
            super::context::sink_group(&one.properties, &id.connector)
        });
        let admin = context.client.admin(&Properties::new())?;
        let removed = admin.remove_static_members(&group, &[&instance]).await?;
        removed.into_values().collect::<Result<Vec<()>, ClientError>>()
    };
    match tokio::time::timeout(LEAVE_TIMEOUT, left).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(task = %id, %error, "the task did not have to leave its group");
        }
        Err(_) => tracing::warn!(
            task = %id,
            "the task could not leave its group in time; its partitions are free after session.timeout.ms"
        ),
    }
}

#[cfg(test)]
mod tests;
