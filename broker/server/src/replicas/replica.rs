//! One partition on this broker: its log, its state machine, and what the machine asks for. What is appended goes through the
//! partition's single writer (`writer.rs`).

mod verifying;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use forebay_broker_log::{Appended, Log, LogConfig, Read, ReadResult};
use forebay_broker_partition::{
    Action, AwaitFetch, Command, EpochEntry, FetchAnswer, FetchCheck, FetchIsolation, FetchWaiter, Partition,
    ProduceWaiter, Role,
};
use forebay_protocol::{TopicPartition, Uuid};
use forebay_records::{Offset, Timestamp};

use super::{Error, Meters, Shared};
use crate::{clock, replicas};
#[cfg(test)]
pub(crate) use writer::SET_ASIDE_BYTES_MAX;
pub(crate) use writer::{NewAppend, QUEUE_BYTES_MAX};
use writer::{Reply, Writer};

struct State {
    partition: Partition,
    /// Appended, and not yet acknowledged as they asked.
    produces: BTreeMap<ProduceWaiter, (Appended, Reply)>,
    next_waiter: u64,
}

/// One partition on this broker.
pub(crate) struct Replica {
    name: TopicPartition,
    topic_id: Uuid,
    config: RwLock<Arc<LogConfig>>,
    /// None if it cannot be used; the state machine then refuses everything.
    log: Option<Arc<Log>>,
    state: Mutex<State>,
    writer: Writer,
    meters: Meters,
    shared: Arc<Shared>,
}

impl Replica {
    /// A partition whose state machine knows its log and has no role yet.
    pub(crate) fn new(
        name: TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        log: Option<Arc<Log>>,
        partition: Partition,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            name,
            topic_id,
            config: RwLock::new(config),
            log,
            state: Mutex::new(State {
                partition,
                produces: BTreeMap::new(),
                next_waiter: 0,
            }),
            writer: Writer::default(),
            meters: Meters::default(),
            shared,
        }
    }

    /// Which partition it is.
    pub(crate) fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// The id of its topic.
    pub(crate) fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// What has gone in and out of it.
    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// A fetch was answered with so many bytes of it.
    pub(crate) fn fetched(&self, bytes: usize) {
        self.meters.fetched(bytes);
        self.shared.meters.fetched(bytes);
    }

    /// A fetch of it was refused or failed.
    pub(crate) fn fetch_failed(&self) {
        self.meters.fetch_failed();
        self.shared.meters.fetch_failed();
    }

    /// So much of a request was appended.
    fn appended(&self, bytes: usize, appended: &Appended) {
        let messages = appended.end_offset().0 - appended.base_offset.0;
        self.meters.appended(bytes, messages);
        self.shared.meters.appended(bytes, messages);
    }

    /// What a request wanted to append was refused or could not be.
    pub(crate) fn append_failed(&self) {
        self.meters.append_failed();
        self.shared.meters.append_failed();
    }

    /// Its topic's configuration.
    pub(crate) fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The topic's configuration has changed.
    pub(crate) fn set_config(self: &Arc<Self>, config: Arc<LogConfig>) {
        if let Some(log) = &self.log {
            log.set_config(Arc::clone(&config));
        }
        self.handle(Command::Configure(super::partition_config(&config)));
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Its log, unless that cannot be used.
    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        self.log.as_ref()
    }

    /// Looks at the state machine.
    pub(crate) fn with_partition<T>(&self, look: impl FnOnce(&Partition) -> T) -> T {
        look(&self.state().partition)
    }

    /// Tells the state machine something and does what follows; a sync is left to the writer.
    pub(crate) fn handle(self: &Arc<Self>, command: Command) {
        let sync = {
            let mut state = self.state();
            self.step(&mut state, command)
        };
        if sync {
            self.want_sync();
        }
    }

    /// Takes the role that the metadata give this broker. A new leader's epoch is noted in the log, so that consumers that have
    /// heard of it find it there although it has no records yet (KIP-320).
    pub(crate) fn take_role(self: &Arc<Self>, role: Command) {
        let before = self.with_partition(Partition::leader_epoch);
        self.handle(role);
        let (leads, epoch) =
            self.with_partition(|state| (state.role() == Role::Leader, state.leader_epoch()));
        if let Some(log) = &self.log
            && leads
            && epoch > before
        {
            log.assign_epoch_start_offset(epoch);
        }
    }

    /// Whether a fetch may read, and within which bounds.
    ///
    /// # Errors
    /// As the partition refuses.
    pub(crate) fn check_fetch(&self, check: &FetchCheck) -> Result<FetchAnswer, Error> {
        let epochs = if check.last_fetched_epoch.is_some() {
            self.epoch_entries()
        } else {
            Vec::new()
        };
        Ok(self.with_partition(|partition| partition.check_fetch(check, &epochs))?)
    }

    /// The leader epochs that have records, with the offset where each begins.
    pub(crate) fn epoch_entries(&self) -> Vec<EpochEntry> {
        let entries = self
            .log
            .as_ref()
            .map(|log| log.epoch_entries())
            .unwrap_or_default();
        entries
            .into_iter()
            .map(|(epoch, start_offset)| EpochEntry { epoch, start_offset })
            .collect()
    }

    /// Reads what is in memory; `None` if a disk may have to be waited for: then [`Replica::read`].
    pub(crate) fn read_cached(&self, read: &Read) -> Option<Result<ReadResult, Error>> {
        match &self.log {
            Some(log) => log.read_cached(read).map(|result| result.map_err(Error::from)),
            None => Some(Ok(ReadResult {
                next_offset: read.offset,
                ..ReadResult::default()
            })),
        }
    }

    /// Reads, on an I/O thread.
    ///
    /// # Errors
    /// As the log.
    pub(crate) async fn read(&self, read: Read) -> Result<ReadResult, Error> {
        self.on_log(move |log| log.read(&read)).await?.ok_or(Error::Lost)
    }

    /// Runs something that may wait for the disk on the log, if there is one.
    ///
    /// # Errors
    /// As the log, or [`Error::Lost`] when the broker stops.
    pub(crate) async fn on_log<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Log) -> forebay_broker_log::Result<T> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(log) = self.log.clone() else {
            return Ok(None);
        };
        let outcome = self
            .shared
            .reads
            .run(move || job(&log))
            .await
            .map_err(|_lost| Error::Lost)?;
        Ok(Some(outcome?))
    }

    /// A fetch waits for this partition, after a read that gave too little.
    pub(crate) fn await_fetch(self: &Arc<Self>, wait: AwaitFetch) {
        self.handle(Command::AwaitFetch(wait));
    }

    /// The fetch no longer waits.
    pub(crate) fn cancel_fetch(self: &Arc<Self>, waiter: FetchWaiter) {
        self.handle(Command::CancelFetch(waiter));
    }

    /// The state stays good if a holder panics: the machine's own assertions are before its changes.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the state machine and what it asks for. True if it asks for a sync.
    fn step(&self, state: &mut State, command: Command) -> bool {
        let mut actions = Vec::new();
        state.partition.handle(command, clock::now(), &mut actions);
        let mut sync = false;
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::CompleteProduce { waiter, result } => {
                    if let Some((appended, reply)) = state.produces.remove(&waiter) {
                        // The producer may have gone.
                        let _gone = reply.send(result.map(|()| appended).map_err(Error::from));
                    }
                }
                Action::FetchProgress {
                    waiter,
                    index,
                    available_bytes,
                } => {
                    self.shared.fetch_waits.progress(waiter, index, available_bytes);
                }
                Action::WakeFetch { waiter } => self.shared.fetch_waits.wake(waiter),
                Action::Sync { .. } => sync = true,
                Action::HighWatermark { offset } => {
                    if let Some(command) = self.raise_high_watermark(offset) {
                        let mut more = Vec::new();
                        state.partition.handle(command, clock::now(), &mut more);
                        actions.extend(more);
                    }
                }
                // A cluster of one has no other replicas to take in or leave out.
                Action::AlterIsr { .. } => {}
            }
        }
        sync
    }

    /// Tells the log; what the state machine is to be told if that makes the end of a transaction count.
    fn raise_high_watermark(&self, high_watermark: Offset) -> Option<Command> {
        let log = self.log.as_ref()?;
        let before = log.first_unstable_offset();
        log.update_high_watermark(high_watermark);
        let offset = log.first_unstable_offset();
        (offset != before).then_some(Command::FirstUnstableOffset { offset })
    }

    /// Deletes what retention no longer keeps. On an I/O thread.
    pub(crate) fn delete_old_segments(self: &Arc<Self>, now: Timestamp) {
        let Some(log) = &self.log else { return };
        log.remove_expired_producers(now);
        match log.delete_old_segments(self.high_watermark(), now) {
            Ok(0) => {}
            Ok(deleted) => {
                tracing::info!(partition = %self.name, deleted, "segments deleted by retention");
                self.handle(Command::LogStart {
                    offset: log.log_start_offset(),
                });
            }
            Err(error) => replicas::report(&error.into()),
        }
    }

    /// Deletes the segments that DeleteRecords has left before the log's start. On an I/O thread.
    pub(crate) fn delete_segments_before_start(&self, now: Timestamp) {
        let Some(log) = &self.log else { return };
        if let Err(error) = log.delete_segments_before_start(self.high_watermark(), now) {
            replicas::report(&error.into());
        }
    }

    /// Deletes the records before `offset`, or before the high watermark; gives where the partition starts then. That lasts
    /// once the log starts are checkpointed.
    ///
    /// # Errors
    /// If this broker does not lead the partition; [`forebay_broker_log::Error::OffsetOutOfRange`] beyond the high watermark.
    pub(crate) async fn delete_records(self: &Arc<Self>, offset: Option<Offset>) -> Result<Offset, Error> {
        self.with_partition(|state| state.check_list_offsets(None, FetchIsolation::HighWatermark, true))?;
        let high_watermark = self.high_watermark();
        let before = offset.unwrap_or(high_watermark);
        let start = self
            .on_log(move |log| log.delete_records_before(before, high_watermark))
            .await?
            .ok_or(Error::Lost)?;
        self.handle(Command::LogStart { offset: start });
        Ok(self.with_partition(Partition::low_watermark))
    }

    /// The high watermark, for the checkpoint.
    pub(crate) fn high_watermark(&self) -> Offset {
        self.with_partition(Partition::high_watermark)
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
