//! The loop of a query: plan, read and fold, show, commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_client::Client;
use forebay_disk::Disk;
use forebay_protocol::TopicPartition;

use crate::Error;
use crate::checkpoint::{Checkpoint, Metadata, Restored};
use crate::plan::{self, Offsets, Plan, StartingOffsets, Trigger};
use crate::sink::Sink;
use crate::source::{RETRY_DELAY, Source};
use crate::state::{Bounds, MemoryStateStore, StateStore};
use crate::words::{self, Counts};

/// How often an idle query without an interval asks whether there is something new.
const IDLE_DELAY: Duration = Duration::from_millis(100);

/// What a word count reads, and how.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// The topic.
    pub topic: String,
    /// Where it begins, unless the checkpoint says.
    pub starting_offsets: StartingOffsets,
    /// When epochs start.
    pub trigger: Trigger,
    /// About how many offsets an epoch reads at most (`maxOffsetsPerTrigger`).
    pub max_offsets_per_trigger: u64,
    /// Where the checkpoint is (`checkpointLocation`).
    pub checkpoint_location: PathBuf,
}

/// What an epoch did (the core of Spark's `StreamingQueryProgress`).
#[derive(Debug, Clone)]
pub struct Progress {
    /// The epoch (`batchId`).
    pub batch_id: u64,
    /// Records read (`numInputRows`).
    pub input_rows: u64,
    /// Rows of the result.
    pub output_rows: usize,
    /// Words counted so far, all epochs together.
    pub words_total: i64,
    /// The next offsets to read.
    pub end_offsets: Offsets,
    /// How long it took.
    pub duration: Duration,
}

/// The word count over a topic.
pub struct Query {
    options: QueryOptions,
    source: Source,
    checkpoint: Arc<Checkpoint>,
    state: Box<dyn StateStore>,
    sink: Box<dyn Sink>,
    on_progress: Box<dyn FnMut(&Progress) + Send>,
    next_epoch: u64,
    next_offsets: Offsets,
}

impl std::fmt::Debug for Query {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Query")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Query {
    /// Opens the checkpoint and goes on from it, or begins.
    ///
    /// # Errors
    /// If the topic does not exist, or the checkpoint is damaged or of something else.
    pub async fn open(
        client: &Client,
        disk: Arc<dyn Disk>,
        options: QueryOptions,
        sink: Box<dyn Sink>,
    ) -> Result<Self, Error> {
        let source = Source::open(client, &options.topic, &options.checkpoint_location).await?;
        let metadata = Metadata {
            id: uuid::Uuid::new_v4().to_string(),
            query: format!("wordcount split=' ' topic={}", options.topic),
            topic_id: source.topic_id().to_owned(),
        };
        let (location, topic) = (options.checkpoint_location.clone(), options.topic.clone());
        let opened = blocking(move || Checkpoint::open(disk, &location, &topic, &metadata)).await;
        let (checkpoint, restored) = opened?;
        let mut state = MemoryStateStore::default();
        let (next_epoch, next_offsets) = match restored {
            Some(Restored {
                epoch,
                offsets,
                state: columns,
            }) => {
                state.restore(&columns)?;
                (epoch + 1, offsets)
            }
            None => (0, source.start(options.starting_offsets).await?),
        };
        let (checkpoint, state) = (Arc::new(checkpoint), Box::new(state));
        let on_progress = Box::new(|_: &Progress| {});
        Ok(Self {
            options,
            source,
            checkpoint,
            state,
            sink,
            on_progress,
            next_epoch,
            next_offsets,
        })
    }

    /// Calls `on_progress` after each commit.
    #[must_use]
    pub fn on_progress(mut self, on_progress: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Runs epochs until `shutdown`, or with [`Trigger::AvailableNow`] until all is read. Stopping is as safe as a kill.
    ///
    /// # Errors
    /// What the query cannot go on from.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            outcome = self.epochs() => outcome,
            () = shutdown => Ok(()),
        }
    }

    async fn epochs(&mut self) -> Result<(), Error> {
        // What AvailableNow reads is fixed at the start.
        let until = match self.options.trigger {
            Trigger::AvailableNow => Some(self.source.latest().await?),
            Trigger::ProcessingTime(_) => None,
        };
        loop {
            let began = Instant::now();
            let Some(plan) = self.next_plan(until.as_ref()).await? else {
                if until.is_some() {
                    return Ok(());
                }
                tokio::time::sleep(self.pause(began, true)).await;
                continue;
            };
            self.run_epoch(plan, began).await?;
            tokio::time::sleep(self.pause(began, false)).await;
        }
    }

    /// How long until the next multiple of the interval; an epoch that took longer is followed at once.
    fn pause(&self, began: Instant, idle: bool) -> Duration {
        let interval = match self.options.trigger {
            Trigger::ProcessingTime(interval) if idle => interval.max(IDLE_DELAY),
            Trigger::ProcessingTime(interval) => interval,
            Trigger::AvailableNow => Duration::ZERO,
        };
        interval.saturating_sub(began.elapsed())
    }

    /// The plan of the next epoch, on disk already; `None` where there is nothing to read.
    async fn next_plan(&mut self, until: Option<&Offsets>) -> Result<Option<Plan>, Error> {
        let epoch = self.next_epoch;
        let checkpoint = Arc::clone(&self.checkpoint);
        if let Some(planned) = blocking(move || checkpoint.planned(epoch)).await? {
            if planned.epoch == 0 {
                self.next_offsets.clone_from(&planned.start);
            }
            // The plan knows where a partition begins that was added after the last commit; of the others the commit counts.
            let mut plan = planned;
            plan.start.extend(
                self.next_offsets
                    .iter()
                    .map(|(partition, next)| (*partition, *next)),
            );
            return Ok(Some(plan));
        }
        let latest = match until {
            Some(until) => until.clone(),
            None => latest(&self.source, &self.options.topic).await?,
        };
        // After the ends are known: they are of the topic with that id.
        self.source.check_topic().await?;
        plan::check_not_backwards(&self.options.topic, &self.next_offsets, &latest)?;
        self.begin_new_partitions(&latest).await?;
        let offsets_max = self.options.max_offsets_per_trigger;
        let plan = Plan::limited(epoch, self.next_offsets.clone(), &latest, offsets_max);
        if plan.offset_count() == 0 {
            return Ok(None);
        }
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_millis());
        let (checkpoint, written) = (Arc::clone(&self.checkpoint), plan.clone());
        blocking(move || checkpoint.plan(&written, u64::try_from(now_ms).unwrap_or(0))).await?;
        Ok(Some(plan))
    }

    /// Partitions that were added since are read from their beginning.
    async fn begin_new_partitions(&mut self, latest: &Offsets) -> Result<(), Error> {
        if latest
            .keys()
            .all(|partition| self.next_offsets.contains_key(partition))
        {
            return Ok(());
        }
        for (partition, earliest) in self.source.start(StartingOffsets::Earliest).await? {
            self.next_offsets.entry(partition).or_insert(earliest);
        }
        Ok(())
    }

    async fn run_epoch(&mut self, plan: Plan, began: Instant) -> Result<(), Error> {
        let mut delta = Counts::new();
        let mut delta_bytes = 0;
        let read = self.source.read(&plan, |lines| {
            delta_bytes += words::count(&words::split(lines)?, &mut delta);
            Bounds::default().check(delta.len(), delta_bytes)
        });
        let read = read.await;
        // Nothing of another topic gets into the state, and that it is another one says more than that offsets are gone.
        self.source.check_topic().await?;
        let input_rows = read.map_err(|error| self.name_lost(error))?;
        self.state.apply(&delta)?;
        let rows = self.state.scan()?;
        self.sink.write(plan.epoch, &rows).await?;
        let (checkpoint, end, columns) = (Arc::clone(&self.checkpoint), plan.end.clone(), rows.clone());
        blocking(move || checkpoint.commit(plan.epoch, &end, &columns)).await?;
        self.next_epoch = plan.epoch + 1;
        self.next_offsets.extend(plan.end);
        let counts =
            arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(rows.column(1));
        let progress = Progress {
            batch_id: plan.epoch,
            input_rows,
            output_rows: rows.num_rows(),
            words_total: counts.values().iter().sum(),
            end_offsets: self.next_offsets.clone(),
            duration: began.elapsed(),
        };
        (self.on_progress)(&progress);
        Ok(())
    }

    fn name_lost(&self, error: Error) -> Error {
        match error {
            Error::Client(forebay_client::Error::NoOffsetForPartition(partition)) => {
                let from = self
                    .next_offsets
                    .get(&partition.partition)
                    .copied()
                    .unwrap_or_default();
                let partition = TopicPartition::new(self.options.topic.as_str(), partition.partition);
                Error::DataLoss {
                    partition,
                    from,
                    to: from,
                }
            }
            other => other,
        }
    }
}

/// The cluster may be away for a while: a query waits for it.
async fn latest(source: &Source, topic: &str) -> Result<Offsets, Error> {
    loop {
        match source.latest().await {
            Err(error) if error.may_pass() => {
                tracing::warn!(topic, %error, "the cluster gives no offsets; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            other => return other,
        }
    }
}

/// Files are written on a thread of their own, never on one that moves data.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

#[cfg(test)]
mod tests;
