//! One partition on this broker: its log, its state machine, and the queue of appends that one I/O thread at a time works off
//! (the partition's single writer). Whatever waits in the queue shares one write and one sync.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use forebay_broker_log::{Append, Appended, Log, LogConfig, Read, ReadResult, ValidatedBatch};
use forebay_broker_partition::{
    Action, AwaitFetch, AwaitProduce, Command, EpochEntry, FetchAnswer, FetchCheck, FetchWaiter, Partition,
    ProduceWaiter, RequiredAcks, Role,
};
use forebay_protocol::{TopicPartition, Uuid};
use forebay_records::{AppendOrigin, Offset, Timestamp};
use tokio::sync::oneshot;

use super::{Error, Shared};
use crate::clock;
use crate::io_pool::Drain;

/// Bytes that one round of the writer takes from the queue; the rest waits for its next turn.
const ROUND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that may wait in a partition's queue. Connections bound what they have in flight; this bounds all of them together.
pub(crate) const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Batches to append to one partition.
#[derive(Debug)]
pub(crate) struct NewAppend {
    /// Validated; usually one.
    pub(crate) batches: Vec<ValidatedBatch>,
    /// Who appends.
    pub(crate) origin: AppendOrigin,
    /// Whose acknowledgement is waited for.
    pub(crate) acks: RequiredAcks,
}

struct Queued {
    append: NewAppend,
    bytes: usize,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Appended, Error>>;

#[derive(Default)]
struct Queue {
    appends: VecDeque<Queued>,
    bytes: usize,
}

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
    queue: Mutex<Queue>,
    scheduled: AtomicBool,
    /// The state machine has asked for a sync outside of the writer's round.
    sync_wanted: AtomicBool,
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
            queue: Mutex::default(),
            scheduled: AtomicBool::new(false),
            sync_wanted: AtomicBool::new(false),
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
            self.sync_wanted.store(true, Ordering::Release);
            // False: the broker stops; closing the log syncs it.
            let _scheduled = self.shared.appends.schedule(self);
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

    /// Puts batches in the queue of this partition's writer, in the order of the calls. The receiver hears of the
    /// acknowledgement asked for, with `acks=0` of the append.
    ///
    /// # Errors
    /// If this broker does not lead the partition, or too few replicas are in sync, or the queue is full.
    pub(crate) fn append(
        self: &Arc<Self>,
        append: NewAppend,
    ) -> Result<oneshot::Receiver<Result<Appended, Error>>, Error> {
        self.with_partition(|partition| partition.check_append(append.acks))?;
        let bytes = append.batches.iter().map(|one| one.batch.size_in_bytes()).sum();
        let (reply, receiver) = oneshot::channel();
        {
            let mut queue = self.queue();
            if queue.bytes > 0 && queue.bytes + bytes > QUEUE_BYTES_MAX {
                return Err(Error::QueueFull);
            }
            queue.bytes += bytes;
            queue.appends.push_back(Queued { append, bytes, reply });
        }
        if !self.shared.appends.schedule(self) {
            refuse(self.take_round(), &Error::Lost);
        }
        Ok(receiver)
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

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the state machine and what it asks for. True if it asks for a sync.
    fn step(&self, state: &mut State, command: Command) -> bool {
        let mut actions = Vec::new();
        state.partition.handle(command, clock::now(), &mut actions);
        let mut sync = false;
        for action in actions {
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
                    if let Some(log) = &self.log {
                        log.update_high_watermark(offset);
                    }
                }
                // A cluster of one has no other replicas to take in or leave out.
                Action::AlterIsr { .. } => {}
            }
        }
        sync
    }

    fn take_round(&self) -> Vec<Queued> {
        let mut queue = self.queue();
        let mut bytes = 0;
        let mut round = Vec::new();
        while let Some(next) = queue.appends.front()
            && (round.is_empty() || bytes + next.bytes <= ROUND_BYTES_MAX)
        {
            bytes += next.bytes;
            round.extend(queue.appends.pop_front());
        }
        queue.bytes -= bytes;
        round
    }

    /// Appends a round with one write, and syncs once if anyone waits for that.
    fn write(&self, round: Vec<Queued>) {
        let now = clock::now();
        let Some((leader_epoch, accepted)) = self.check_round(round) else {
            return;
        };
        let Some(log) = &self.log else {
            return refuse(accepted, &Error::Lost);
        };
        let mut waits = Vec::with_capacity(accepted.len());
        let mut appends = Vec::with_capacity(accepted.len());
        for Queued { append, bytes, reply } in accepted {
            waits.push((append.acks, bytes, reply));
            appends.push(Append {
                batches: append.batches,
                origin: append.origin,
            });
        }
        let results = log.append(leader_epoch, now, appends);
        let sync = self.after_append(log, waits, results);
        if sync || log.sync_required() {
            self.sync(log);
        }
    }

    /// What may still be appended now that its turn has come: the role may have changed since it was queued.
    fn check_round(&self, round: Vec<Queued>) -> Option<(forebay_records::LeaderEpoch, Vec<Queued>)> {
        let mut accepted = Vec::with_capacity(round.len());
        let mut epoch = None;
        for queued in round {
            match self.with_partition(|partition| partition.check_append(queued.append.acks)) {
                Ok(leader_epoch) => {
                    epoch = Some(leader_epoch);
                    accepted.push(queued);
                }
                Err(error) => refuse(vec![queued], &error.into()),
            }
        }
        epoch.map(|epoch| (epoch, accepted))
    }

    fn after_append(
        &self,
        log: &Log,
        waits: Vec<(RequiredAcks, usize, Reply)>,
        results: Vec<forebay_broker_log::Result<Appended>>,
    ) -> bool {
        let mut state = self.state();
        let bytes = waits
            .iter()
            .zip(&results)
            .filter(|(_, result)| is_new(result))
            .map(|((_, bytes, _), _)| *bytes)
            .sum::<usize>();
        let mut sync = bytes > 0 && self.step(&mut state, appended(log, bytes));
        for ((acks, _, reply), result) in waits.into_iter().zip(results) {
            match result {
                Ok(appended) if acks != RequiredAcks::None => {
                    let waiter = ProduceWaiter(state.next_waiter);
                    state.next_waiter += 1;
                    state.produces.insert(waiter, (appended, reply));
                    // Its time limit is the handler's to watch: it answers, the wait here ends with the append's.
                    let wait = AwaitProduce {
                        waiter,
                        acks,
                        required_offset: appended.end_offset(),
                        deadline: Timestamp(i64::MAX),
                    };
                    sync |= self.step(&mut state, Command::AwaitProduce(wait));
                }
                result => {
                    let result = result.map_err(Error::from);
                    if let Err(error) = &result {
                        self.shared.note(error);
                    }
                    // The producer may have gone.
                    let _gone = reply.send(result);
                }
            }
        }
        sync
    }

    /// Syncs until nobody waits for one any more. A failed sync is never tried again: the log directory is given up.
    fn sync(&self, log: &Log) {
        loop {
            let command = match log.sync(clock::now()) {
                Ok(offset) => Command::Synced { offset },
                Err(error) => {
                    self.shared.note(&error.into());
                    Command::Fail
                }
            };
            let mut state = self.state();
            if !self.step(&mut state, command) {
                return;
            }
        }
    }

    /// Syncs if `flush.ms` or a closed segment asks for it. On an I/O thread.
    pub(crate) fn sync_if_due(&self, now: Timestamp) {
        if let Some(log) = &self.log
            && log.sync_due(now)
        {
            self.sync(log);
        }
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
            Err(error) => self.shared.note(&error.into()),
        }
    }

    /// The high watermark, for the checkpoint.
    pub(crate) fn high_watermark(&self) -> Offset {
        self.with_partition(Partition::high_watermark)
    }
}

impl Drain for Replica {
    fn scheduled(&self) -> &AtomicBool {
        &self.scheduled
    }

    fn drain(&self) {
        let round = self.take_round();
        if !round.is_empty() {
            self.write(round);
        }
        if self.sync_wanted.swap(false, Ordering::AcqRel)
            && let Some(log) = &self.log
        {
            self.sync(log);
        }
    }

    fn has_work(&self) -> bool {
        self.sync_wanted.load(Ordering::Acquire) || !self.queue().appends.is_empty()
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn is_new(result: &forebay_broker_log::Result<Appended>) -> bool {
    result.as_ref().is_ok_and(|appended| !appended.duplicate)
}

fn appended(log: &Log, bytes: usize) -> Command {
    Command::Appended {
        log_end_offset: log.log_end_offset(),
        bytes: bytes as u64,
        first_unstable_offset: log.first_unstable_offset(),
    }
}

fn refuse(round: Vec<Queued>, error: &Error) {
    for queued in round {
        // The producer may have gone.
        let _gone = queued.reply.send(Err(error.clone()));
    }
}
