//! The start: what lies in the metadata log's folder is looked through, and the newest snapshot read (`KafkaMetadataLog.recoverSnapshots`).
//! Where that one is damaged, an older one with the log behind it says the same; Kafka does not start then.

use std::path::Path;

use forebay_broker_controller::{Controller, Record};
use forebay_broker_log::Log;
use forebay_disk::{Disk, DiskExt as _, FileKind};
use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, Offset};

use super::file_name::{self, SnapshotId, State};
use super::read::{self, Contents, Error as ReadError, QuorumRecords};
use super::{Found, Known};
use crate::metadata::load::Error;

/// What a new cluster begins with, in the data directory; `kafka-storage format` writes it.
const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";

/// What the snapshots say.
pub(crate) struct Restored {
    /// A controller that knows what the base says.
    pub(crate) controller: Controller,
    /// The snapshot behind which the log goes on; none: from offset 0.
    pub(crate) base: Option<SnapshotId>,
    pub(crate) quorum: QuorumRecords,
    pub(crate) found: Found,
    /// The log ends before the base, or has gone another way since, and is to start anew at it (`truncateToLatestSnapshot`).
    pub(crate) truncate: bool,
}

/// Reads the newest snapshot that can be read.
///
/// # Errors
/// If the folder cannot be read, or what there is does not make up all of the metadata.
pub(crate) fn restore(disk: &dyn Disk, log: &Log, make: &dyn Fn() -> Controller) -> Result<Restored, Error> {
    let folder = log.folder();
    let start = log.log_start_offset();
    let (whole, leavings) = list(disk, folder)?;
    let usable: Vec<SnapshotId> = whole
        .iter()
        .copied()
        .filter(|id| id.end_offset >= start)
        .collect();
    if usable.is_empty() && start > Offset::ZERO {
        return Err(Error::Snapshot { first: start });
    }
    let mut restored = newest_readable(disk, log, &usable, make)?;
    // One of an earlier epoch that reaches further is of a history that did not come true (KIP-595).
    let end = restored.base.map_or(Offset::ZERO, |base| base.end_offset);
    let holds = |id: &&SnapshotId| !restored.found.damaged.contains(id) && id.end_offset <= end;
    let older: Vec<SnapshotId> = usable.iter().filter(holds).copied().collect();
    for id in &older {
        let path = file_name::path(folder, *id);
        let bytes = disk.metadata(&path).map_err(ReadError::Disk)?.length;
        let known = Known {
            bytes,
            timestamp: None,
        };
        restored.found.known.entry(*id).or_insert(known);
    }
    // Only now that it is known that nobody needs them.
    for name in leavings {
        remove(disk, &folder.join(name))?;
    }
    for id in whole.iter().filter(|id| id.end_offset < start) {
        remove(disk, &file_name::path(folder, *id))?;
    }
    Ok(restored)
}

fn newest_readable(
    disk: &dyn Disk,
    log: &Log,
    usable: &[SnapshotId],
    make: &dyn Fn() -> Controller,
) -> Result<Restored, Error> {
    let mut damaged = Vec::new();
    for id in usable.iter().rev() {
        let path = file_name::path(log.folder(), *id);
        let mut controller = make();
        match read::read(disk, &path, &mut |number, record| {
            controller.restore(number, record)
        }) {
            Ok(contents) => {
                controller.skip_to(id.end_offset);
                let Contents {
                    timestamp,
                    quorum,
                    bytes,
                } = contents;
                let known = Known {
                    bytes,
                    timestamp: Some(timestamp),
                };
                return Ok(Restored {
                    controller,
                    base: Some(*id),
                    quorum,
                    found: Found {
                        known: [(*id, known)].into(),
                        damaged,
                    },
                    truncate: is_ahead(*id, log),
                });
            }
            // The log has nothing of what only this one knew.
            Err(error @ ReadError::Damaged { .. }) if is_ahead(*id, log) => {
                return Err(Error::DamagedSnapshot(error));
            }
            Err(error @ ReadError::Damaged { .. }) => {
                tracing::error!(%error, "a snapshot of the metadata is damaged and done without");
                damaged.push(*id);
                if *id == usable[0] && log.log_start_offset() > Offset::ZERO {
                    return Err(Error::DamagedSnapshot(error));
                }
            }
            Err(error) => return Err(Error::ReadSnapshot(error)),
        }
    }
    Ok(Restored {
        controller: make(),
        base: None,
        quorum: QuorumRecords::default(),
        found: Found {
            damaged,
            ..Found::default()
        },
        truncate: false,
    })
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), ReadError> {
    tracing::info!(file = %path.display(), "deleting a snapshot of the metadata that nobody needs");
    Ok(disk.remove_file_if_exists(path)?)
}

/// Whether a snapshot holds what the log does not.
fn is_ahead(id: SnapshotId, log: &Log) -> bool {
    let end = SnapshotId {
        epoch: log.latest_epoch().unwrap_or(NO_LEADER_EPOCH).max(LeaderEpoch(0)),
        end_offset: log.log_end_offset(),
    };
    id > end
}

/// The whole snapshots in order, and the names of what is none or none any more.
fn list(disk: &dyn Disk, folder: &Path) -> Result<(Vec<SnapshotId>, Vec<String>), Error> {
    let entries = match disk.read_dir(folder) {
        Ok(entries) => entries,
        // Nothing was ever appended.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(ReadError::Disk(error).into()),
    };
    let (mut whole, mut leavings) = (Vec::new(), Vec::new());
    for entry in entries.into_iter().filter(|entry| entry.kind == FileKind::File) {
        let Ok(name) = entry.name.into_string() else {
            continue;
        };
        match file_name::parse(&name) {
            Some((id, State::Whole)) => whole.push(id),
            Some((_, State::Partial | State::Deleted)) => leavings.push(name),
            None => {}
        }
    }
    whole.sort_unstable();
    Ok((whole, leavings))
}

/// What a new cluster is to begin with, if somebody has said so. Nobody has judged it yet.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn bootstrap_records(disk: &dyn Disk, directory: &Path) -> Result<Vec<Record>, Error> {
    let path = directory.join(BOOTSTRAP_FILE);
    if !disk.exists(&path).map_err(ReadError::Disk)? {
        return Ok(Vec::new());
    }
    let mut records = Vec::new();
    let read = read::read(disk, &path, &mut |_, record| {
        records.push(record.clone());
        Ok(())
    });
    read.map(|_| records).map_err(Error::ReadSnapshot)
}
