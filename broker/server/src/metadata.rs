//! The driver of the controller: commands are decided one after the other, their records appended to `__cluster_metadata-0`,
//! replayed, synced (one sync for all that wait), published to this broker and only then answered. One voter: what is
//! synced is committed.

mod load;
mod snapshots;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_broker_controller::{Command, Context, Controller, MetadataImage, Record};
use forebay_broker_log::{self as log, Append, Log, ValidatedBatch};
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::{ErrorCode, Uuid};
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, Headers, LeaderEpoch, Offset, RecordBatch, Timestamp,
    ValidationOptions,
};
use tokio::sync::{oneshot, watch};

use crate::clock;
use crate::io_pool::{Drain, IoPool};
use crate::random::random_bits;
use crate::replicas::Replicas;

pub use load::Error as LoadError;
pub(crate) use load::{Loaded, Start, load};
pub use snapshots::ReadError as SnapshotError;
use snapshots::{Committed, Snapshots, Written};

/// Commands that may wait at once; further ones are told to come again.
const COMMANDS_MAX: usize = 1024;

/// Why a command got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its records could not be written: this controller may no longer decide anything.
    #[error("the metadata log cannot be written")]
    LogFailed,
    /// Its records could not be written now; later they may be.
    #[error("the metadata log cannot be written for now: the disk is full, or files or memory have run out")]
    NotWritten,
    /// Too many commands wait.
    #[error("{COMMANDS_MAX} commands wait for the controller already")]
    Busy,
}

impl Error {
    /// What Kafka answers.
    pub(crate) fn error_code(self) -> ErrorCode {
        match self {
            Self::LogFailed => ErrorCode::NotController,
            Self::NotWritten => ErrorCode::KafkaStorageError,
            Self::Busy => ErrorCode::RequestTimedOut,
        }
    }
}

/// What is left to do for a command once its records are synced.
type Finish = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// A command: decides on the writer, and says what to do when it is committed.
type Job = Box<dyn FnOnce(&mut Writer) -> Finish + Send>;

/// Somebody who acts on new metadata at once.
type Observer = Box<dyn Fn(&Arc<MetadataImage>) + Send>;

/// The controller and its log.
pub(crate) struct Writer {
    controller: Controller,
    log: Arc<Log>,
    leader_epoch: LeaderEpoch,
    /// Names of topics that the records since the last publication are about.
    changed: BTreeSet<String>,
    /// Bytes of batches since the snapshot that this process began with.
    bytes: u64,
    /// When the last batch was appended.
    timestamp: Timestamp,
    failed: bool,
}

/// Where the metadata log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quorum {
    /// Of this controller.
    pub(crate) leader_epoch: LeaderEpoch,
    /// What is committed.
    pub(crate) high_watermark: Offset,
    /// What is written.
    pub(crate) log_end_offset: Offset,
}

/// The driver. Commands come in by [`Metadata::submit`], what is committed goes out by [`Metadata::image`].
pub(crate) struct Metadata {
    queue: Mutex<VecDeque<Job>>,
    scheduled: AtomicBool,
    /// Only the I/O thread whose turn it is locks it.
    writer: Mutex<Writer>,
    image: watch::Sender<Arc<MetadataImage>>,
    observers: Mutex<Vec<Observer>>,
    leader_epoch: LeaderEpoch,
    log: Arc<Log>,
    snapshots: Snapshots,
    replicas: Arc<Replicas>,
    pool: IoPool,
    /// The log is being filled ahead.
    filling: Arc<AtomicBool>,
}

impl Metadata {
    /// The driver of a controller that has been loaded, activated and published.
    pub(crate) fn new(
        Loaded {
            writer,
            snapshots,
            image,
            replicas,
            ..
        }: Loaded,
        pool: IoPool,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            scheduled: AtomicBool::new(false),
            observers: Mutex::default(),
            leader_epoch: writer.leader_epoch,
            log: Arc::clone(&writer.log),
            writer: Mutex::new(writer),
            snapshots,
            image: watch::Sender::new(image),
            replicas,
            pool,
            filling: Arc::default(),
        }
    }

    /// What is committed and known to this broker's partitions.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.borrow())
    }

    /// Has `observer` told of the metadata as they are, and of each new image before the commands that made it are answered. It
    /// may neither block nor submit.
    pub(crate) fn observe(&self, observer: impl Fn(&Arc<MetadataImage>) + Send + 'static) {
        let mut observers = self.observers.lock().unwrap_or_else(PoisonError::into_inner);
        observer(&self.image());
        observers.push(Box::new(observer));
    }

    /// Where the metadata log stands.
    pub(crate) fn quorum(&self) -> Quorum {
        // One voter: what is synced is committed. Asked for first, it cannot be ahead of the end.
        let high_watermark = self.log.synced_offset();
        Quorum {
            leader_epoch: self.leader_epoch,
            high_watermark,
            log_end_offset: self.log.log_end_offset(),
        }
    }

    /// Writes a snapshot of the metadata if one is due, and takes away what older ones and the log need not keep any more. Call it now
    /// and then; blocks.
    pub(crate) fn upkeep(&self, now: Timestamp) {
        let committed = {
            // What is published while the writer is held is all that it has committed.
            let Ok(writer) = self.writer.lock() else { return };
            if writer.failed {
                return;
            }
            Committed {
                image: self.image(),
                epoch: writer.leader_epoch,
                timestamp: writer.timestamp,
                bytes: writer.bytes,
            }
        };
        // The log says which folders are still to be deleted, a snapshot would not. They are tried again meanwhile.
        if !self.replicas.shared().directory.has_undeleted() {
            self.snapshots.round(&committed, now);
        }
    }

    /// The last snapshot that this process has written.
    pub(crate) fn latest_snapshot(&self) -> Option<Written> {
        self.snapshots.written()
    }

    /// Hears of each new image.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.image.subscribe()
    }

    /// Has a command decided; its answer comes when its records are committed and this broker has acted on them.
    ///
    /// # Errors
    /// When its records cannot be written, or too many commands wait.
    pub(crate) async fn submit<C>(self: &Arc<Self>, command: C) -> Result<C::Response, Error>
    where
        C: Command + Send + 'static,
        C::Response: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let decided = writer.decide(command);
            Box::new(move |committed| {
                // Who asked may be gone.
                let _gone = sender.send(committed.and(decided));
            })
        });
        {
            let mut queue = self.queue();
            if queue.len() >= COMMANDS_MAX {
                return Err(Error::Busy);
            }
            queue.push_back(job);
        }
        if !self.pool.schedule(self) {
            // The broker stops.
            self.queue().clear();
        }
        receiver.await.unwrap_or(Err(Error::LogFailed))
    }

    /// Has the log filled ahead with zeros, as those of partitions are: each command waits for a sync. Not on this thread, which has
    /// the next commands to decide.
    fn fill_ahead(&self) {
        let filling = &self.filling;
        if filling.load(Ordering::Acquire) || !self.log.wants_zeros() || filling.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let (log, filling) = (Arc::clone(&self.log), Arc::clone(filling));
        let fill = move || {
            // A failed sync takes the directory offline: the next command hears of it.
            if let Err(error) = log.fill_ahead(clock::now()) {
                tracing::error!(%error, "the metadata log cannot be filled ahead");
            }
            filling.store(false, Ordering::Release);
        };
        // False: the broker stops.
        let _submitted = self.pool.submit(fill);
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drain for Metadata {
    fn scheduled(&self) -> &AtomicBool {
        &self.scheduled
    }

    fn drain(self: Arc<Self>) {
        let jobs = std::mem::take(&mut *self.queue());
        // A panic in here would leave the controller half changed: it then decides nothing more.
        let Ok(mut writer) = self.writer.lock() else {
            tracing::error!(
                "the controller has failed; commands are refused until the broker is started again"
            );
            return;
        };
        let finishes: Vec<Finish> = jobs.into_iter().map(|job| job(&mut writer)).collect();
        let committed = writer.commit();
        if committed.is_ok() {
            let image = writer.controller.image();
            let changed = std::mem::take(&mut writer.changed);
            self.replicas
                .apply(&image, changed.iter().map(String::as_str), clock::now());
            self.image.send_replace(Arc::clone(&image));
            for observer in self
                .observers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                observer(&image);
            }
        }
        drop(writer);
        for finish in finishes {
            finish(committed);
        }
        self.fill_ahead();
    }

    fn has_work(&self) -> bool {
        !self.queue().is_empty()
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metadata").finish_non_exhaustive()
    }
}

impl Writer {
    /// Decides a command and appends and replays its records; they are not committed yet.
    pub(crate) fn decide<C: Command>(&mut self, command: C) -> Result<C::Response, Error> {
        if self.failed {
            return Err(Error::LogFailed);
        }
        let context = Context {
            now: clock::now(),
            next_offset: self.log.log_end_offset(),
            seed: random_bits(),
        };
        let outcome = self.controller.handle(command, context);
        if !outcome.records.is_empty() {
            self.write(&outcome.records, context.next_offset)?;
        }
        Ok(outcome.response)
    }

    /// Makes everything decided so far durable. A sync that fails is the end of this controller.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::LogFailed);
        }
        if self.log.synced_offset() < self.log.log_end_offset() {
            self.log.sync(clock::now()).map_err(|error| self.fail(&error))?;
            self.log.update_high_watermark(self.log.log_end_offset());
        }
        Ok(())
    }

    fn write(&mut self, records: &[Record], next_offset: Offset) -> Result<(), Error> {
        let batch = match batch(records) {
            Ok(batch) => batch,
            // Nothing is written or replayed: only this command fails.
            Err(error) => {
                tracing::error!(%error, "metadata records cannot be encoded");
                return Err(Error::LogFailed);
            }
        };
        self.append(batch)?;
        for (offset, record) in (next_offset.0..).zip(records) {
            self.note_change(&record.message);
            self.controller
                .replay(Offset(offset), record)
                .map_err(|error| self.fail(&error))?;
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, batch: RecordBatch) -> Result<(), Error> {
        let now = clock::now();
        let bytes = batch.size_in_bytes() as u64;
        let options = ValidationOptions {
            origin: AppendOrigin::Coordinator,
            ..ValidationOptions::at(now)
        };
        let validated = forebay_records::validate(&batch, &options).map_err(|error| self.fail(&error))?;
        let append = Append {
            batches: vec![ValidatedBatch { batch, validated }],
            origin: AppendOrigin::Coordinator,
            transaction: log::TransactionChecks::default(),
        };
        let results = self.log.append(self.leader_epoch, now, vec![append]);
        for result in results {
            result.map_err(|error| self.not_appended(&error))?;
        }
        self.bytes += bytes;
        self.timestamp = now;
        Ok(())
    }

    /// On a full disk nothing was appended nor replayed: only this command fails.
    fn not_appended(&mut self, error: &log::Error) -> Error {
        if error.is_retriable() {
            tracing::error!(%error, "metadata records cannot be written for now");
            Error::NotWritten
        } else {
            self.fail(error)
        }
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) -> Error {
        tracing::error!(%error, "the metadata log cannot be written; topics and configurations stay as they are");
        self.failed = true;
        Error::LogFailed
    }

    /// Remembers which topics a record is about, before it is replayed.
    fn note_change(&mut self, message: &MetadataRecord) {
        let image = self.controller.image();
        let by_id = |id: Uuid| image.topic_by_id(id).map(|topic| topic.name().to_string());
        match message {
            MetadataRecord::Topic(topic) => self.changed.extend([topic.name.to_string()]),
            MetadataRecord::Partition(partition) => self.changed.extend(by_id(partition.topic_id)),
            MetadataRecord::PartitionChange(change) => self.changed.extend(by_id(change.topic_id)),
            MetadataRecord::RemoveTopic(remove) => self.changed.extend(by_id(remove.topic_id)),
            MetadataRecord::Config(config) => {
                self.note_config(config.resource_type, &config.resource_name, &image);
            }
            _ => {}
        }
    }

    /// A broker's settings are its topics' defaults.
    fn note_config(&mut self, resource_type: i8, name: &str, image: &MetadataImage) {
        match forebay_broker_controller::ResourceType::of(resource_type) {
            Some(forebay_broker_controller::ResourceType::Topic) => self.changed.extend([name.to_owned()]),
            Some(forebay_broker_controller::ResourceType::Broker) => {
                self.changed
                    .extend(image.topics().map(|topic| topic.name().to_string()));
            }
            _ => {}
        }
    }
}

/// The records as one batch; offsets are the log's to assign.
fn batch(records: &[Record]) -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let timestamp = clock::now();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in records {
        let value = record.to_bytes()?;
        builder.append(timestamp, None, Some(&value), &Headers::EMPTY)?;
    }
    Ok(builder.build()?)
}
