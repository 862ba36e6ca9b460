//! What a sink task asks of its worker: kept until the method that asks has returned, then done.

use std::sync::{Arc, Mutex, OnceLock};

use forebay_connect_api::{
    Access, BoxFuture, ErrantRecordReporter, Error, Intents, Offset, ResultRecord, SinkTaskContext, TaskId,
    TopicPartition,
};

use super::super::progress::{Hold, Progress};
use super::intents::TaskIntents;
use super::reporter::Reporter;
use super::results::Results;

/// What was asked since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Where to go on, in the order asked.
    pub(super) offsets: Vec<(TopicPartition, Offset)>,
    /// Partitions to pause (true) or resume (false), in the order asked.
    pub(super) pauses: Vec<(TopicPartition, bool)>,
    /// Whether to commit soon.
    pub(super) commit: bool,
}

/// The context of one task.
#[derive(Debug)]
pub(super) struct TaskContext {
    id: TaskId,
    access: Access,
    requests: Mutex<Requests>,
    reporter: Option<Arc<Reporter>>,
    results: Arc<Results>,
    progress: Arc<Progress>,
    intents: OnceLock<Arc<TaskIntents>>,
}

impl TaskContext {
    pub(super) fn new(
        id: TaskId,
        access: Access,
        reporter: Option<Arc<Reporter>>,
        results: Arc<Results>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            id,
            access,
            requests: Mutex::default(),
            reporter,
            results,
            progress,
            intents: OnceLock::new(),
        }
    }

    /// From now on the task can say what it intends.
    pub(super) fn set_intents(&self, intents: Arc<TaskIntents>) {
        // Once, after the task has started.
        let _ = self.intents.set(intents);
    }

    /// What was asked since the last time.
    pub(super) fn take(&self) -> Requests {
        std::mem::take(&mut self.requests.lock().expect("nobody panics with the requests"))
    }

    fn ask(&self, ask: impl FnOnce(&mut Requests)) {
        ask(&mut self.requests.lock().expect("nobody panics with the requests"));
    }
}

impl SinkTaskContext for TaskContext {
    fn task_id(&self) -> &TaskId {
        &self.id
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn offset(&self, topic_partition: &TopicPartition, offset: Offset) {
        self.ask(|requests| requests.offsets.push((topic_partition.clone(), offset)));
    }

    fn pause(&self, partitions: &[TopicPartition]) {
        let paused = partitions.iter().map(|partition| (partition.clone(), true));
        self.ask(|requests| requests.pauses.extend(paused));
    }

    fn resume(&self, partitions: &[TopicPartition]) {
        let resumed = partitions.iter().map(|partition| (partition.clone(), false));
        self.ask(|requests| requests.pauses.extend(resumed));
    }

    fn request_commit(&self) {
        self.ask(|requests| requests.commit = true);
    }

    fn intents(&self) -> Option<&dyn Intents> {
        self.intents.get().map(|intents| &**intents as &dyn Intents)
    }

    fn report_results(&self, records: Vec<ResultRecord>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.results.send(records))
    }

    fn report_waiting(&self, why: Option<&str>) {
        match why {
            Some(why) => self.progress.waits(Hold::Own, why),
            None => self.progress.works(Hold::Own),
        }
    }

    fn errant_record_reporter(&self) -> Option<&dyn ErrantRecordReporter> {
        self.reporter
            .as_deref()
            .map(|reporter| reporter as &dyn ErrantRecordReporter)
    }
}
