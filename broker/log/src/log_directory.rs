//! One data directory: the folder of each partition, whose directory it is, the checkpoints, and the marker that says that
//! the last process ended properly (Kafka's `LogManager` for one `log.dir`). Locked as long as this lives.

mod checkpoints;
mod claim;
mod clean;
mod delete;
mod load;
mod recovery;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use forebay_disk::{Disk, Lock, OpenOptions, Space};
use forebay_records::{Offset, Timestamp};

use crate::config::LogConfig;
use crate::directory_state::DirectoryState;
use crate::error::{Error, Result};
use crate::locks::{lock, read_lock, write_lock};
use crate::log::{Log, LogOptions};
use crate::meta_properties::MetaProperties;
use crate::tail_cache::TailBudget;
use crate::topic_partition::TopicPartition;
use crate::uuid::{DirectoryId, TopicId};

use checkpoints::Checkpoints;
pub use clean::CleaningRound;
pub(crate) use delete::deleted_folder_name;
use delete::{DELETE_SUFFIX, Undeleted};
pub use load::LoadSummary;
pub use recovery::Recovery;

/// The most bytes of recent batches that one log keeps in memory, unless told otherwise.
pub const TAIL_BYTES_PER_LOG_DEFAULT: usize = 4 * 1024 * 1024;
/// The most bytes of recent batches that all logs of a directory keep in memory, unless told otherwise.
pub const TAIL_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

const LOCK_FILE: &str = ".lock";
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";

/// How to open a data directory.
#[derive(Debug, Clone)]
pub struct DirectoryOptions {
    /// Where it is.
    pub disk: Arc<dyn Disk>,
    /// `log.dirs`, one of them. Created if it is missing.
    pub path: PathBuf,
    /// `node.id`.
    pub node_id: i32,
    /// The cluster that the directory must belong to; none takes whichever it belongs to.
    pub cluster_id: Option<String>,
    /// For a directory that has no cluster yet, if `cluster_id` is none.
    pub new_cluster_id: String,
    /// For a directory that has no id yet.
    pub new_directory_id: DirectoryId,
    /// See [`TAIL_BYTES_PER_LOG_DEFAULT`].
    pub tail_bytes_per_log: usize,
    /// See [`TAIL_BYTES_DEFAULT`].
    pub tail_bytes: usize,
    /// Told how far [`LogDirectory::load`] is.
    pub recovery: Arc<Recovery>,
}

/// A data directory in use.
pub struct LogDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    state: Arc<DirectoryState>,
    meta: MetaProperties,
    tail_bytes_per_log: usize,
    tail_budget: Arc<TailBudget>,
    logs: RwLock<BTreeMap<TopicPartition, Slot>>,
    /// Once the logs are loaded, whether the last process ended properly: if not, one that could not be opened is still to be recovered.
    was_clean: OnceLock<bool>,
    checkpoints: Mutex<Checkpoints>,
    recovery: Arc<Recovery>,
    /// Folders of deleted partitions, and when they may go.
    doomed: Mutex<Vec<(Timestamp, PathBuf)>>,
    /// Deleted partitions whose folders may still have their names after a loss of power.
    undeleted: Mutex<BTreeMap<TopicPartition, Undeleted>>,
    _lock: Box<dyn Lock>,
}

/// A partition's place in the directory.
#[derive(Debug, Clone)]
enum Slot {
    Open(Arc<Log>),
    /// It could not be opened. What its recovery had done until then stays done.
    Failed(Error),
}

impl fmt::Debug for LogDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LogDirectory")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl LogDirectory {
    /// Locks the directory and checks that it is this broker's; makes it if there is none. The logs are not open yet: see
    /// [`LogDirectory::load`].
    ///
    /// # Errors
    /// [`Error::Storage`] with [`forebay_disk::Error::Locked`] if another process has it, [`Error::ForeignDirectory`],
    /// [`Error::InvalidFile`], other storage errors.
    pub fn open(options: DirectoryOptions) -> Result<LogDirectory> {
        let DirectoryOptions { disk, path, .. } = &options;
        disk.create_dir_all(path)?;
        let held = disk.lock(&path.join(LOCK_FILE))?;
        let meta = claim::claim(&options)?;
        Ok(LogDirectory {
            state: Arc::new(DirectoryState::new(path)),
            meta,
            tail_bytes_per_log: options.tail_bytes_per_log,
            tail_budget: Arc::new(TailBudget::new(options.tail_bytes)),
            logs: RwLock::default(),
            was_clean: OnceLock::new(),
            checkpoints: Mutex::new(Checkpoints::read(&**disk, path)?),
            recovery: options.recovery,
            doomed: Mutex::default(),
            undeleted: Mutex::default(),
            _lock: held,
            path: options.path,
            disk: options.disk,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// How much room there is on its device; `None` where nobody can say.
    ///
    /// # Errors
    /// [`Error::Storage`] if the device does not answer.
    pub fn space(&self) -> Result<Option<Space>> {
        Ok(self.disk.space(&self.path)?)
    }

    /// Whose it is.
    pub fn meta_properties(&self) -> &MetaProperties {
        &self.meta
    }

    /// Whether the directory is in use.
    ///
    /// # Errors
    /// [`Error::Offline`] after a failure that took it offline.
    pub fn check(&self) -> Result<()> {
        self.state.check()
    }

    /// `listener` hears why the directory was given up, once that happens, at once if it has happened. It is called from
    /// where the failure is noticed: it may neither block nor use the directory.
    pub fn on_failure(&self, listener: impl FnOnce(Arc<str>) + Send + 'static) {
        self.state.on_failure(Box::new(listener));
    }

    /// Looks whether the directory is still there, and gives it up if somebody has removed it: writing to the files that
    /// are open would go on without an error. Call it now and then.
    pub fn ensure_exists(&self) {
        if let Err(error) = self.disk.metadata(&self.path.join(LOCK_FILE))
            && error.is_not_found()
        {
            self.state.fail(&Error::InvalidFile {
                path: self.path.clone(),
                reason: Arc::from("it was removed while it was in use"),
            });
        }
    }

    /// The log of a partition, if it has one here.
    ///
    /// # Errors
    /// What kept it from being opened.
    pub fn log(&self, partition: &TopicPartition) -> Result<Option<Arc<Log>>> {
        match read_lock(&self.logs).get(partition) {
            None => Ok(None),
            Some(Slot::Open(log)) => Ok(Some(Arc::clone(log))),
            Some(Slot::Failed(error)) => Err(error.clone()),
        }
    }

    /// The log of a partition; a new one, of which nothing is on the disk before its first append, if it has none.
    ///
    /// # Errors
    /// [`Error::InconsistentTopicId`] if the folder is of another topic with the same name; what kept the log from being
    /// opened; [`Error::Offline`].
    pub fn log_or_create(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: &Arc<LogConfig>,
    ) -> Result<Arc<Log>> {
        self.state.check()?;
        let log = match self.log(partition)? {
            Some(log) => log,
            None => {
                self.forget_leftovers(partition)?;
                let mut logs = write_lock(&self.logs);
                let create = || {
                    Slot::Open(Arc::new(Log::create(
                        self.log_options(partition, config),
                        topic_id,
                    )))
                };
                match logs.entry(partition.clone()).or_insert_with(create) {
                    Slot::Open(log) => Arc::clone(log),
                    Slot::Failed(error) => return Err(error.clone()),
                }
            }
        };
        log.claim(topic_id)?;
        Ok(log)
    }

    /// What the checkpoints say of a partition that has no log is about one that was deleted, if there was no room to say so.
    fn forget_leftovers(&self, partition: &TopicPartition) -> Result<()> {
        let mut checkpoints = lock(&self.checkpoints);
        if self.log(partition)?.is_some() || !checkpoints.knows(partition) {
            return Ok(());
        }
        let forgotten = checkpoints.forget(&*self.disk, &self.path, std::slice::from_ref(partition));
        forgotten.map_err(|error| self.state.judge(error))
    }

    /// All open logs, sorted by partition.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        let logs = read_lock(&self.logs);
        let open = logs.values().filter_map(|slot| match slot {
            Slot::Open(log) => Some(Arc::clone(log)),
            Slot::Failed(_) => None,
        });
        open.collect()
    }

    /// Cuts all records of a log at and after `offset`, for good. Gives whether there were any.
    ///
    /// # Errors
    /// As [`LogDirectory::log`]; [`Error::Offline`] if the cut could not be completed.
    pub fn truncate_to(&self, partition: &TopicPartition, offset: Offset, now: Timestamp) -> Result<bool> {
        let Some(log) = self.log(partition)? else {
            return Ok(false);
        };
        let end = log.batch_boundary(offset)?;
        // Held until it is cut: who writes the checkpoints meanwhile would say what was true before.
        let mut checkpoints = lock(&self.checkpoints);
        checkpoints.lower(&*self.disk, &self.path, partition, end)?;
        log.truncate_to(offset, now)
    }

    /// Deletes all records of a log and lets it start at `offset`.
    ///
    /// # Errors
    /// As [`LogDirectory::truncate_to`].
    pub fn truncate_fully_and_start_at(
        &self,
        partition: &TopicPartition,
        offset: Offset,
        now: Timestamp,
    ) -> Result<()> {
        let Some(log) = self.log(partition)? else {
            return Ok(());
        };
        let mut checkpoints = lock(&self.checkpoints);
        checkpoints.lower(&*self.disk, &self.path, partition, Offset::ZERO)?;
        log.truncate_fully_and_start_at(offset, now)
    }

    /// Closes all logs, on `threads` threads, and leaves the marker that says that all is as it should be. After this
    /// every use of a log is an error. `broker_epoch` is written into the marker (KIP-966); -1 for none. There is no marker
    /// if a log could not be opened after an unclean end, as it is still to be recovered, nor before [`LogDirectory::load`].
    ///
    /// # Errors
    /// The first error; then there is no marker, and the next start recovers the logs.
    pub fn shutdown(&self, threads: usize, broker_epoch: i64, now: Timestamp) -> Result<()> {
        self.state.check()?;
        let logs = self.logs();
        let closed = in_parallel(threads, &logs, |log| {
            log.close(now).map(|end| (log.partition().clone(), end))
        });
        let ends = closed.into_iter().collect::<Result<Vec<_>>>()?;
        let mut checkpoints = lock(&self.checkpoints);
        let current = self.checkpointed(&checkpoints, &logs, ends);
        checkpoints.write(&*self.disk, &self.path, current, None)?;
        let failed = self.failed();
        let is_recovered = self
            .was_clean
            .get()
            .map(|was_clean| *was_clean || failed.is_empty());
        if is_recovered != Some(true) {
            tracing::warn!(directory = %self.path.display(), ?failed, "logs could not be recovered: the next start recovers again");
            return Ok(());
        }
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        let marker = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        let file = self.disk.open(&path, OpenOptions::replace())?;
        file.write_all_at(marker.as_bytes(), 0)?;
        file.sync_data()?;
        Ok(self.disk.sync_dir(&self.path)?)
    }

    fn log_options(&self, partition: &TopicPartition, config: &Arc<LogConfig>) -> LogOptions {
        LogOptions {
            disk: Arc::clone(&self.disk),
            partition: partition.clone(),
            folder: self.path.join(partition.to_string()),
            directory: Arc::clone(&self.state),
            config: Arc::clone(config),
            tail_bytes_max: self.tail_bytes_per_log,
            tail_budget: Arc::clone(&self.tail_budget),
        }
    }
}

/// Calls `work` for each item on up to `threads` threads; the results are in the order of the items.
fn in_parallel<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = threads.clamp(1, items.len().max(1));
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut results = worker();
        for other in others {
            results.extend(
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
