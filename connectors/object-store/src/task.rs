//! The task: routes batches to their partitions, keeps their open files within one memory budget, and commits what is stored.

mod lane;
mod open_file;
mod partition;
mod promise;
mod take;
mod upload;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Intents, Offset, Offsets, SinkBatch, SinkRecords, SinkTask,
    SinkTaskContext, Timestamp, TopicPartition, ValueFormat, config::Properties,
};
use futures_util::{StreamExt, TryStreamExt};

use self::{
    partition::Partition,
    promise::{Outstanding, Promise},
    take::{AtFault, Record, Stop, Take},
};
use crate::{
    budget::Share,
    config::Config,
    connector::Environment,
    format::{self, Cell, Reading},
    partitioner::default_partition,
    resume::{Covered, Stored},
    store::{self, Store},
};

/// Partitions that are listed or written at the same time.
const CONCURRENT_MAX: usize = 8;

/// A folder, and what is in it.
type Listed = (String, Arc<[store::Found]>);

/// Writes the partitions that it is given.
#[derive(Debug)]
pub(crate) struct ObjectStoreSinkTask {
    environment: Environment,
    started: Option<Started>,
}

/// Where a partition goes on.
#[derive(Debug)]
struct Found {
    position: Offset,
    /// What is stored of it from there on, with the default partitioner.
    covered: Option<Covered>,
    outstanding: Outstanding,
}

#[derive(Debug)]
struct Started {
    config: Arc<Config>,
    store: Arc<dyn Store>,
    environment: Environment,
    context: Arc<dyn SinkTaskContext>,
    partitions: BTreeMap<TopicPartition, Partition>,
    /// Of the memory of all tasks.
    share: Share,
    /// Folders of several partitions that were listed since the last of these was opened.
    listed: BTreeMap<String, Arc<[store::Found]>>,
    /// The wall clock as it was looked at last: it never goes back.
    now: Timestamp,
    /// After a failure of the store: not to be tried again before.
    retry_at: Option<Instant>,
}

impl ObjectStoreSinkTask {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            started: None,
        }
    }

    fn started(&mut self) -> Result<&mut Started, Error> {
        self.started
            .as_mut()
            .ok_or_else(|| Error::fatal("the task has not started"))
    }
}

impl SinkTask for ObjectStoreSinkTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let config = Arc::new(Config::parse(properties)?);
            let store = self.environment.open(&config, context.access()).await?;
            let share = self.environment.budget.join(config.worker_bytes_max);
            self.started = Some(Started {
                share,
                config,
                store,
                environment: self.environment.clone(),
                context,
                partitions: BTreeMap::new(),
                listed: BTreeMap::new(),
                now: Timestamp(i64::MIN),
                retry_at: None,
            });
            Ok(())
        })
    }

    fn takes_raw(&self, format: &ValueFormat) -> bool {
        let started = self.started.as_ref();
        started.is_some_and(|started| {
            started.config.format.takes_raw(format) && !started.config.partitioner.needs_value()
        })
    }

    fn says_intents(&self) -> bool {
        let started = self.started.as_ref();
        started.is_some_and(|started| started.config.intents)
    }

    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.started()?.open(partitions).await })
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.started()?.put(batch).await })
    }

    fn deadline(&self) -> Option<Instant> {
        let started = self.started.as_ref()?;
        if started.share.excess() > 0 && started.partitions.values().any(|one| one.largest_bytes() > 0) {
            return Some(Instant::now());
        }
        let deadlines = started.partitions.values().filter_map(Partition::deadline);
        let wait_ms = deadlines
            .min()?
            .value()
            .saturating_sub(started.environment.clock.now().value());
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        Instant::now().checked_add(wait)
    }

    fn on_deadline(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.started()?.close_due().await })
    }

    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        Box::pin(async move {
            let started = self.started()?;
            started.close_due().await?;
            let safe = current.iter().filter_map(|(topic_partition, delivered)| {
                let partition = started.partitions.get(topic_partition)?;
                Some((topic_partition.clone(), partition.safe_offset().min(*delivered)))
            });
            Ok(safe.collect())
        })
    }

    // What is not in the store yet is delivered to the next owner.
    fn close<'a>(&'a mut self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, Result<(), Error>> {
        if let Some(started) = &mut self.started {
            started
                .partitions
                .retain(|topic_partition, _| !partitions.contains(topic_partition));
            started.count();
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

impl Started {
    async fn open(&mut self, assigned: &[AssignedPartition]) -> Result<(), Error> {
        // What their owners wrote until now has to be seen.
        self.listed.clear();
        let context = Arc::clone(&self.context);
        let mut found: Vec<BoxFuture<'_, Result<Found, Error>>> = Vec::new();
        for one in assigned {
            let (store, config) = (&*self.store, &*self.config);
            found.push(Box::pin(look(store, config, context.intents(), one)));
        }
        let found = futures_util::stream::iter(found).buffered(CONCURRENT_MAX);
        let found: Vec<Found> = found.try_collect().await?;
        let mut opened = Vec::with_capacity(assigned.len());
        for (one, found) in assigned.iter().zip(found) {
            let Found {
                position,
                covered,
                outstanding,
            } = found;
            let config = Arc::clone(&self.config);
            let mut partition = Partition::new(one, position, outstanding.promises, config, &self.store);
            if let Some(covered) = covered {
                partition.learn(default_partition(&one.topic_partition).into(), covered);
            }
            if let Some(intents) = context.intents().filter(|_| !outstanding.made.is_empty()) {
                let (of, safe) = (&one.topic_partition, partition.safe_offset());
                intents.done(of, &outstanding.made, safe).await?;
            }
            opened.push(partition);
        }
        // Nothing can fail any more.
        for (one, partition) in assigned.iter().zip(opened) {
            let position = partition.position();
            if position != one.position {
                tracing::info!(partition = %one.topic_partition, %position, committed = ?one.committed, "going on where the store says");
                context.offset(&one.topic_partition, position);
            }
            self.partitions.insert(one.topic_partition.clone(), partition);
        }
        Ok(())
    }

    fn now(&mut self) -> Timestamp {
        self.now = self.now.max(self.environment.clock.now());
        self.now
    }

    fn partition(&mut self, name: &TopicPartition) -> Result<&mut Partition, Error> {
        let found = self.partitions.get_mut(name);
        found.ok_or_else(|| Error::fatal(format!("{name} is not assigned to the task")))
    }

    async fn put(&mut self, batch: &SinkBatch) -> Result<(), Error> {
        self.check_routes(batch)?;
        // What failed to get into the store comes first; until it is there, nothing more is taken.
        self.upload().await?;
        let now = self.now();
        self.look_up(batch, now).await?;
        let context = Arc::clone(&self.context);
        let reporter = context.errant_record_reporter();
        let partition = self.partition(&batch.topic_partition)?;
        let mut at_fault = Vec::new();
        let mut unreadable = Vec::new();
        let taken = loop {
            let mut take = Take {
                partition: &mut *partition,
                now,
                at_fault: reporter.is_some().then_some(&mut at_fault),
                lane: None,
            };
            match for_each(batch, &unreadable, |record| take.record(record)) {
                Ok(()) => {
                    partition.end_batch(batch.next_offset)?;
                    break Ok(());
                }
                Err(Stop::Failed(error)) => return Err(error),
                // What was taken before is skipped by its offset, here and when the batch comes again.
                Err(Stop::Fetch(schema_id)) => {
                    if let Err(error) = format::fetch(batch, schema_id, &mut unreadable).await {
                        break Err(error);
                    }
                }
            }
        };
        if let Some(reporter) = reporter {
            for AtFault { offset, error } in at_fault {
                // What follows it has been taken: delivered again, it would be skipped, this record with it.
                let reported = reporter.report(batch, offset, error).await;
                reported.map_err(Error::into_fatal)?;
            }
        }
        taken?;
        self.close_largest_beyond_budget()?;
        self.upload().await
    }

    /// Looks at the folders in which records of this batch may be stored already.
    async fn look_up(&mut self, batch: &SinkBatch, now: Timestamp) -> Result<(), Error> {
        let partition = self.partition(&batch.topic_partition)?;
        let may_be_stored = partition.may_be_stored(batch.first_offset.max(partition.position()));
        if !may_be_stored || partition.knows_all_places() {
            return Ok(());
        }
        let mut unknown = BTreeSet::new();
        for_each(batch, &[], |record| {
            unknown.extend(partition.unknown(record, now));
            Ok::<(), Error>(())
        })?;
        let assigned = partition.assigned().clone();
        let (store, layout) = (Arc::clone(&self.store), self.config.layout.clone());
        let folder = |encoded: &str| layout.folder(&assigned.topic_partition.topic, encoded);
        let topic = &assigned.topic_partition.topic;
        let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for encoded in &unknown {
            let of_topic = self.partitions.keys().filter(|one| one.topic == *topic);
            let own = of_topic.map(|of| layout.beginning(of, encoded));
            paths.entry(folder(encoded).path).or_default().extend(own);
        }
        paths.retain(|path, _| !self.listed.contains_key(path));
        let mut lists: Vec<BoxFuture<'_, Result<Listed, Error>>> = Vec::new();
        for (path, own) in paths {
            let store = &store;
            lists.push(Box::pin(async move {
                let found = store.list(&path, &own).await?;
                Ok((path, found.into()))
            }));
        }
        let lists = futures_util::stream::iter(lists).buffer_unordered(CONCURRENT_MAX);
        let lists: Vec<Listed> = lists.try_collect().await?;
        self.listed.extend(lists);
        for encoded in unknown {
            let folder = folder(&encoded);
            let found = Arc::clone(&self.listed[&folder.path]);
            let stored = Stored::of(&layout, &assigned.topic_partition, &folder, &found);
            stored.check_topic(&*store, &assigned).await?;
            stored.check(&*store, &assigned)?;
            let partition = self.partition(&batch.topic_partition)?;
            partition.learn(encoded, stored.covered(partition.position()));
        }
        Ok(())
    }

    /// Ranges of offsets are the log's, so records stay in the folder of the topic they are from.
    fn check_routes(&self, batch: &SinkBatch) -> Result<(), Error> {
        let SinkRecords::Converted(records) = &batch.records else {
            return Ok(());
        };
        let of = &batch.topic_partition;
        match records.iter().find(|record| record.topic != of.topic) {
            None => Ok(()),
            Some(record) => Err(Error::fatal(format!(
                "a transform sent the record at offset {} of {of} to topic {}; this sink does not support transforms that change the topic",
                record.offset, record.topic
            ))),
        }
    }

    /// Closes the files whose time has come.
    async fn close_due(&mut self) -> Result<(), Error> {
        let now = self.now();
        for partition in self.partitions.values_mut() {
            partition.close_due(now)?;
        }
        self.close_largest_beyond_budget()?;
        self.upload().await
    }

    /// Files that take more than their share are closed early: many small objects are better than no memory.
    fn close_largest_beyond_budget(&mut self) -> Result<(), Error> {
        let open: usize = self.partitions.values().map(Partition::bytes).sum();
        let closed: usize = self.partitions.values().map(Partition::closed_bytes).sum();
        let excess = self.share.set(open + closed);
        let mut excess = excess.max(open.saturating_sub(self.config.buffer_bytes_max));
        while excess > 0 {
            let partitions = self.partitions.values_mut();
            let largest = partitions.max_by_key(|partition| partition.largest_bytes());
            let Some(largest) = largest.filter(|partition| partition.largest_bytes() > 0) else {
                break;
            };
            let bytes = largest.largest_bytes();
            tracing::debug!(
                excess,
                bytes,
                "open files take more memory than they may: closing the largest"
            );
            excess = excess.saturating_sub(bytes);
            largest.close_largest()?;
        }
        Ok(())
    }

    /// What is in the store takes no memory any more.
    fn count(&self) {
        let bytes = self
            .partitions
            .values()
            .map(|one| one.bytes() + one.closed_bytes());
        self.share.set(bytes.sum());
    }

    /// Puts closed files into the store: those of one partition one after the other, partitions at the same time.
    async fn upload(&mut self) -> Result<(), Error> {
        let context = Arc::clone(&self.context);
        let (store, intents) = (&*self.store, context.intents());
        let mut uploads: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::new();
        for partition in self.partitions.values_mut().filter(|one| one.has_closed_files()) {
            uploads.push(Box::pin(partition.upload(store, intents)));
        }
        if uploads.is_empty() {
            return Ok(());
        }
        if let Some(retry_at) = self.retry_at {
            tokio::time::sleep_until(retry_at.into()).await;
        }
        let uploads = futures_util::stream::iter(uploads).buffer_unordered(CONCURRENT_MAX);
        let results: Vec<Result<(), Error>> = uploads.collect().await;
        // A fatal error says more than one that may pass.
        let mut errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(Error::is_retriable);
        let error = errors.into_iter().next();
        let backoff = Duration::from_millis(self.config.retry_backoff_ms);
        self.retry_at = error.is_some().then(|| Instant::now() + backoff);
        self.count();
        error.map_or(Ok(()), Err)
    }
}

/// What the store, and tasks before this one, say of a partition.
async fn look(
    store: &dyn Store,
    config: &Config,
    intents: Option<&dyn Intents>,
    one: &AssignedPartition,
) -> Result<Found, Error> {
    let outstanding = match intents {
        Some(intents) => Outstanding::look(intents, store, one).await?,
        None => Outstanding::default(),
    };
    let (mut position, mut stored) = (one.position, None);
    if config.partitioner.is_default() {
        let of = &one.topic_partition;
        // After the look at what was begun: what appeared since is seen here, too.
        let list = Stored::list(store, &config.layout, of, &default_partition(of)).await?;
        list.check_topic(store, one).await?;
        list.check(store, one)?;
        position = list.position(one);
        stored = Some(list);
    }
    let promised = outstanding.promises.iter().map(Promise::start).min();
    let position = promised.map_or(position, |promised| promised.min(position));
    Ok(Found {
        position,
        // Of what comes from there on some may be in others already.
        covered: stored.map(|stored| stored.covered(position)),
        outstanding,
    })
}

/// Gives the records of a batch to `visit`, in order.
fn for_each<E: From<Error>>(
    batch: &SinkBatch,
    unreadable: &[(i32, String)],
    mut visit: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    match &batch.records {
        SinkRecords::Converted(records) => records.iter().try_for_each(|record| {
            visit(Record {
                offset: record.offset,
                timestamp: record.timestamp,
                cell: Cell::Converted(&record.value),
            })
        }),
        SinkRecords::Raw(records) => {
            let reading = Reading {
                format: records.format(),
                topic: &batch.topic_partition.topic,
                unreadable,
            };
            records.try_for_each(|record| {
                visit(Record {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    cell: Cell::Raw(&reading, record.value),
                })
            })
        }
    }
}

#[cfg(test)]
mod tests;
