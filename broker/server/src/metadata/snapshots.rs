//! Snapshots of the metadata (KIP-630; Kafka's `SnapshotGenerator` and `KafkaMetadataLog`): when one is written, and what goes once it
//! is there. In this order, which a crash may end anywhere: the snapshot is durable, then the log's start moves, then segments and
//! older snapshots go. So there is always a snapshot at or behind the log's start, or the log begins at offset 0.

mod file_name;
mod read;
mod restore;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_broker_controller::MetadataImage;
use forebay_broker_log::{self as log, Log, LogDirectory};
use forebay_disk::{Disk, DiskExt as _};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use crate::config::MetadataLogConfig;
pub(crate) use file_name::SnapshotId;
pub use read::Error as ReadError;
pub(crate) use read::QuorumRecords;
pub(crate) use restore::{Restored, bootstrap_records, restore};
use write::Snapshot;

/// How often snapshots are looked through for those that are too old, or too many (Kafka's `RaftMetadataLogCleanerManager`).
const CLEAN_INTERVAL_MS: i64 = 60_000;

/// A snapshot that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    bytes: u64,
    /// When the last record was appended that it stands for; none where nobody has looked.
    timestamp: Option<Timestamp>,
}

/// The snapshots that lie in the metadata log's folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    known: BTreeMap<SnapshotId, Known>,
    /// Those that cannot be read: kept until there is a later one that can.
    damaged: Vec<SnapshotId>,
}

/// What the metadata are when a snapshot may be taken: committed, and acted upon by this broker.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// All of it.
    pub(crate) image: Arc<MetadataImage>,
    /// Of the last record in it.
    pub(crate) epoch: LeaderEpoch,
    /// When that record was appended.
    pub(crate) timestamp: Timestamp,
    /// Bytes of the log that were replayed or appended since the snapshot that this process began with.
    pub(crate) bytes: u64,
}

/// The last snapshot that this process has written, for whoever counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// How large it is.
    pub(crate) bytes: u64,
    /// When it was written.
    pub(crate) at: Timestamp,
}

/// Where and how snapshots are written.
pub(crate) struct Options {
    /// The data directory.
    pub(crate) directory: Arc<LogDirectory>,
    /// The metadata log.
    pub(crate) log: Arc<Log>,
    /// What the configuration says.
    pub(crate) config: MetadataLogConfig,
    /// What is handed on.
    pub(crate) quorum: QuorumRecords,
}

/// Writes snapshots and takes away what they stand for.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: Options,
    /// Held by whoever writes or removes snapshots.
    writing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    found: Found,
    /// How many bytes there had been when the last snapshot was begun.
    bytes_at_last: u64,
    /// When the last snapshot was begun, or the process.
    last_begun: Timestamp,
    last_cleaned: Timestamp,
    written: Option<Written>,
    /// The disk did not do what it was asked for: what a later sync says means nothing any more.
    failed: bool,
}

impl Snapshots {
    /// What there is has been found and read.
    pub(crate) fn new(options: Options, found: Found, now: Timestamp) -> Self {
        Self {
            disk: Arc::clone(options.directory.disk()),
            folder: options.log.folder().to_path_buf(),
            options,
            writing: Mutex::default(),
            state: Mutex::new(State {
                found,
                bytes_at_last: 0,
                last_begun: now,
                last_cleaned: now,
                written: None,
                failed: false,
            }),
        }
    }

    /// The last snapshot that this process has written.
    pub(crate) fn written(&self) -> Option<Written> {
        self.state().written
    }

    /// Writes a snapshot if one is due, and takes away what is due to go. Call it now and then, on a thread that may wait for the
    /// disk.
    pub(crate) fn round(&self, committed: &Committed, now: Timestamp) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.options.directory.check().is_err() || self.state().failed {
            return;
        }
        let is_written = self.is_due(committed, now) && self.write(committed, now);
        let clean_due = now - self.state().last_cleaned >= CLEAN_INTERVAL_MS;
        if is_written || clean_due {
            self.state().last_cleaned = now;
            if let Err(error) = self.clean(now) {
                self.give_up(&error);
            }
        }
    }

    /// `SnapshotGenerator.publishLogDelta`.
    fn is_due(&self, committed: &Committed, now: Timestamp) -> bool {
        let state = self.state();
        let newest = state.found.known.last_key_value();
        if newest.is_some_and(|(id, _)| id.end_offset >= committed.image.next_offset()) {
            return false;
        }
        let config = &self.options.config;
        let bytes = committed.bytes.saturating_sub(state.bytes_at_last);
        bytes >= config.record_bytes_between_snapshots_max
            || (config.snapshot_interval_ms_max > 0
                && bytes > 0
                && now - state.last_begun >= config.snapshot_interval_ms_max)
    }

    /// Gives whether it is there.
    fn write(&self, committed: &Committed, now: Timestamp) -> bool {
        let id = SnapshotId {
            epoch: committed.epoch,
            end_offset: committed.image.next_offset(),
        };
        {
            let mut state = self.state();
            state.bytes_at_last = committed.bytes;
            state.last_begun = now;
        }
        let snapshot = Snapshot {
            id,
            timestamp: committed.timestamp,
            quorum: &self.options.quorum,
            image: &committed.image,
        };
        match write::write(&*self.disk, &self.folder, &snapshot, now) {
            Ok(bytes) => {
                tracing::info!(%id, bytes, "a snapshot of the metadata is written");
                let mut state = self.state();
                let timestamp = Some(committed.timestamp);
                state.found.known.insert(id, Known { bytes, timestamp });
                state.written = Some(Written { bytes, at: now });
                true
            }
            // The log has it all, and is read in full until there is room again.
            Err(write::Error::Disk(error)) if error.is_retriable() => {
                tracing::error!(%id, %error, "no snapshot of the metadata for now");
                false
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    fn give_up(&self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "no further snapshots of the metadata until the next start: the metadata log grows");
        self.state().failed = true;
    }

    /// `KafkaMetadataLog.maybeClean`: the oldest snapshots go while they are too large together with the log, or too old, and with
    /// each the log before the next one; the newest stays.
    fn clean(&self, now: Timestamp) -> Result<(), log::Error> {
        while let Some(next) = self.next_start(now) {
            self.delete_before(next, now)?;
        }
        let newest = self.newest();
        let damaged = std::mem::take(&mut self.state().found.damaged);
        for id in damaged {
            // One that can be read stands for it.
            if newest.is_some_and(|newest| newest > id) {
                self.remove(id)?;
            } else {
                self.state().found.damaged.push(id);
            }
        }
        Ok(())
    }

    fn newest(&self) -> Option<SnapshotId> {
        self.state().found.known.last_key_value().map(|(id, _)| *id)
    }

    /// The snapshot at which the log is to start, if that is to change.
    fn next_start(&self, now: Timestamp) -> Option<SnapshotId> {
        let config = &self.options.config;
        let (oldest, known, next) = {
            let known = &self.state().found.known;
            let mut known = known.iter().map(|(id, known)| (*id, *known));
            let ((oldest, known), (next, _)) = (known.next()?, known.next()?);
            (oldest, known, next)
        };
        let timestamp = known.timestamp.unwrap_or_else(|| {
            // Nobody has asked for its age yet. What cannot be read is as old as can be. Whoever counts does not wait for it.
            let path = file_name::path(&self.folder, oldest);
            let contents = read::read(&*self.disk, &path, &mut |_, _| Ok(()));
            contents.map_or(Timestamp(0), |read| read.timestamp)
        });
        let mut state = self.state();
        if let Some(known) = state.found.known.get_mut(&oldest) {
            known.timestamp = Some(timestamp);
        }
        let too_old = config.retention_ms >= 0 && now - timestamp > config.retention_ms;
        let snapshots: u64 = state.found.known.values().map(|known| known.bytes).sum();
        let total = self.options.log.size_in_bytes().saturating_add(snapshots);
        let too_large = u64::try_from(config.retention_bytes).is_ok_and(|most| total > most);
        (too_old || too_large).then_some(next)
    }

    /// Has the log start at a snapshot, and removes the older ones.
    fn delete_before(&self, start: SnapshotId, now: Timestamp) -> Result<(), log::Error> {
        let log = &self.options.log;
        let committed = log.synced_offset();
        log.delete_records_before(start.end_offset, committed)?;
        self.options.directory.checkpoint_log_starts()?;
        log.delete_old_segments(committed, now)?;
        let older: Vec<SnapshotId> = {
            let known = &self.state().found.known;
            known.range(..start).map(|(id, _)| *id).collect()
        };
        for id in older {
            self.remove(id)?;
            self.state().found.known.remove(&id);
        }
        Ok(())
    }

    fn remove(&self, id: SnapshotId) -> Result<(), log::Error> {
        tracing::info!(%id, "deleting a snapshot of the metadata");
        let path = file_name::path(&self.folder, id);
        Ok(self.disk.remove_file_if_exists(&path)?)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

/// Where the log goes on behind a snapshot.
pub(crate) fn end_offset(base: Option<SnapshotId>) -> Offset {
    base.map_or(Offset::ZERO, |id| id.end_offset)
}
