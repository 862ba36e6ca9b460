//! The worker's side of tasks, for tests: it answers with what the test gives and keeps what the task tells.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::intents::Owner;
use crate::{
    Access, BoxFuture, ErrantRecordReporter, Error, Intents, Offset, OffsetMap, OffsetReader, Progress,
    ResultRecord, SinkBatch, SinkTaskContext, SourceTaskContext, TaskId, TopicPartition,
};

/// A source task's worker. Offsets go through JSON, as they do in the offset topic.
#[derive(Debug)]
pub struct SourceContext {
    task_id: TaskId,
    access: Access,
    committed: Vec<(OffsetMap, OffsetMap)>,
    /// Of the source partitions that are not among them.
    of_others: Option<OffsetMap>,
    progress: Mutex<Option<Progress>>,
    waiting: Mutex<Option<String>>,
}

impl SourceContext {
    /// Nothing is committed.
    pub fn new(access: Access) -> Self {
        Self {
            task_id: task_id(),
            access,
            committed: Vec::new(),
            of_others: None,
            progress: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// This is the committed offset of whichever source partition is asked for.
    #[must_use]
    pub fn with_offset(mut self, offset: Option<OffsetMap>) -> Self {
        self.of_others = offset;
        self
    }

    /// These source partitions have committed offsets.
    #[must_use]
    pub fn with_offsets(mut self, committed: Vec<(OffsetMap, OffsetMap)>) -> Self {
        self.committed = committed;
        self
    }

    /// How far the task has said last that it is.
    pub fn progress(&self) -> Option<Progress> {
        *lock(&self.progress)
    }

    /// What the task says that it waits for.
    pub fn waiting(&self) -> Option<String> {
        lock(&self.waiting).clone()
    }
}

impl SourceTaskContext for SourceContext {
    fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn offset_reader(&self) -> &dyn OffsetReader {
        self
    }

    fn report_progress(&self, progress: Progress) {
        *lock(&self.progress) = Some(progress);
    }

    fn report_waiting(&self, why: Option<&str>) {
        *lock(&self.waiting) = why.map(str::to_owned);
    }
}

impl OffsetReader for SourceContext {
    fn offsets<'a>(
        &'a self,
        partitions: &'a [OffsetMap],
    ) -> BoxFuture<'a, Result<Vec<Option<OffsetMap>>, Error>> {
        let found = partitions.iter().map(|partition| {
            let known = self.committed.iter().find(|(known, _)| known == partition);
            let offset = known.map(|(_, offset)| offset).or(self.of_others.as_ref());
            offset.map(through_json).transpose()
        });
        Box::pin(std::future::ready(found.collect()))
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<(OffsetMap, OffsetMap)>, Error>> {
        let all = self.committed.iter();
        let all = all.map(|(partition, offset)| Ok((through_json(partition)?, through_json(offset)?)));
        Box::pin(std::future::ready(all.collect()))
    }
}

fn through_json(map: &OffsetMap) -> Result<OffsetMap, Error> {
    OffsetMap::from_json(&map.to_string())
        .map_err(|error| Error::fatal(format!("{map} is no offset")).with_source(error))
}

/// A sink task's worker.
#[derive(Debug)]
pub struct SinkContext {
    task_id: TaskId,
    access: Access,
    offsets: Mutex<Vec<(TopicPartition, Offset)>>,
    owner: OnceLock<Arc<Owner>>,
    reporter: Option<Reporter>,
    results: Mutex<Vec<ResultRecord>>,
}

/// A dead letter queue.
#[derive(Debug, Default)]
struct Reporter(Mutex<Vec<(Offset, String)>>);

impl SinkContext {
    /// Without a dead letter queue, and without a place for intents.
    pub fn new(access: Access) -> Self {
        Self {
            task_id: task_id(),
            access,
            offsets: Mutex::default(),
            owner: OnceLock::new(),
            reporter: None,
            results: Mutex::default(),
        }
    }

    /// With a dead letter queue.
    #[must_use]
    pub fn with_reporter(mut self) -> Self {
        self.reporter = Some(Reporter::default());
        self
    }

    /// With a place for intents.
    #[must_use]
    pub fn with_owner(self, owner: Arc<Owner>) -> Self {
        self.set_owner(owner);
        self
    }

    /// It has a place for intents from now on, unless it has one.
    pub(super) fn set_owner(&self, owner: Arc<Owner>) {
        self.owner.get_or_init(|| owner);
    }

    pub(super) fn owner(&self) -> Option<&Arc<Owner>> {
        self.owner.get()
    }

    /// Where the task has asked to be given records from, since this was called last.
    pub fn take_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        std::mem::take(&mut lock(&self.offsets))
    }

    /// What has come into the dead letter queue: the offsets of records, and what is wrong with each.
    pub fn reported(&self) -> Vec<(Offset, String)> {
        let reporter = self.reporter.as_ref();
        reporter.map_or_else(Vec::new, |reporter| lock(&reporter.0).clone())
    }

    /// Which results the task has told.
    pub fn results(&self) -> Vec<ResultRecord> {
        lock(&self.results).clone()
    }
}

impl SinkTaskContext for SinkContext {
    fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn offset(&self, topic_partition: &TopicPartition, offset: Offset) {
        lock(&self.offsets).push((topic_partition.clone(), offset));
    }

    // Tests deliver in any order that they like, so a pause changes nothing.
    fn pause(&self, _partitions: &[TopicPartition]) {}

    fn resume(&self, _partitions: &[TopicPartition]) {}

    fn request_commit(&self) {}

    fn intents(&self) -> Option<&dyn Intents> {
        self.owner.get().map(|owner| &**owner as _)
    }

    fn errant_record_reporter(&self) -> Option<&dyn ErrantRecordReporter> {
        self.reporter.as_ref().map(|reporter| reporter as _)
    }

    fn report_results(&self, records: Vec<ResultRecord>) -> BoxFuture<'_, Result<(), Error>> {
        lock(&self.results).extend(records);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl ErrantRecordReporter for Reporter {
    fn report<'a>(
        &'a self,
        _batch: &'a SinkBatch,
        offset: Offset,
        error: Error,
    ) -> BoxFuture<'a, Result<(), Error>> {
        lock(&self.0).push((offset, error.trace()));
        Box::pin(std::future::ready(Ok(())))
    }
}

fn task_id() -> TaskId {
    TaskId {
        connector: "c".into(),
        task: 0,
    }
}

/// Nothing in here panics while it holds the lock.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
