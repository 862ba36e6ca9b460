//! The checkpoint directory, laid out as Spark's: `metadata` (which query this is), `offsets/N` (the plan of epoch N,
//! written before it runs), `state/N.snapshot` (state and next offsets after epoch N: its commit).

mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use forebay_disk::{Disk, DiskExt, Lock, OpenOptions};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::plan::{self, Offsets, Plan};

/// How many snapshots are kept: the newest may turn out damaged.
const SNAPSHOTS_KEPT: u64 = 2;

/// The longest metadata or offsets file that is read.
const SMALL_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Which query a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// Spark's query id: survives restarts.
    pub(crate) id: String,
    /// What the query does, with all that changes its meaning.
    pub(crate) query: String,
    /// The topic's id when the query began.
    #[serde(rename = "topicId")]
    pub(crate) topic_id: String,
}

/// What a query goes on from.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The last epoch that is committed.
    pub(crate) epoch: u64,
    /// The next offsets to read.
    pub(crate) offsets: Offsets,
    /// The state.
    pub(crate) state: RecordBatch,
}

/// An open checkpoint; no other process has it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    topic: String,
    _lock: Box<dyn Lock>,
}

impl Checkpoint {
    /// Opens or makes the checkpoint of `ours`, and gives what the query had committed.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        topic: &str,
        ours: &Metadata,
    ) -> Result<(Self, Option<Restored>), Error> {
        for folder in ["offsets", "state"] {
            disk.create_dir_all(&directory.join(folder))?;
        }
        let lock = disk.lock(&directory.join(".lock"))?;
        let checkpoint = Self {
            disk,
            directory: directory.to_owned(),
            topic: topic.to_owned(),
            _lock: lock,
        };
        let snapshots = checkpoint.epochs("state", ".snapshot")?;
        match checkpoint.read_small(&directory.join("metadata"))? {
            Some(bytes) => checkpoint.check_metadata(&bytes, ours)?,
            None if snapshots.is_empty() && checkpoint.epochs("offsets", "")?.is_empty() => {
                let bytes =
                    serde_json::to_vec(ours).map_err(|error| checkpoint.damaged(error.to_string()))?;
                checkpoint
                    .disk
                    .write_atomically(&directory.join("metadata"), &bytes)?;
            }
            None => return Err(checkpoint.damaged("the file metadata is missing".to_owned())),
        }
        let restored = checkpoint.newest(&snapshots)?;
        Ok((checkpoint, restored))
    }

    fn check_metadata(&self, bytes: &[u8], ours: &Metadata) -> Result<(), Error> {
        let theirs: Metadata =
            serde_json::from_slice(bytes).map_err(|error| self.damaged(format!("metadata: {error}")))?;
        let directory = self.directory.display().to_string();
        if theirs.query != ours.query {
            return Err(Error::OtherQuery {
                directory,
                theirs: theirs.query,
                ours: ours.query.clone(),
            });
        }
        if theirs.topic_id != ours.topic_id {
            let (then, now) = (theirs.topic_id, ours.topic_id.clone());
            return Err(Error::OtherTopic {
                topic: self.topic.clone(),
                directory,
                then,
                now,
            });
        }
        Ok(())
    }

    /// The newest snapshot that is whole. One that is damaged is passed over if the one before and the plans since are there;
    /// where none is whole, nothing is assumed.
    fn newest(&self, epochs: &[u64]) -> Result<Option<Restored>, Error> {
        let mut damage = None;
        for epoch in epochs.iter().rev() {
            match snapshot::read(&*self.disk, &self.snapshot_path(*epoch), &self.topic) {
                Ok((offsets, state)) => {
                    return Ok(Some(Restored {
                        epoch: *epoch,
                        offsets,
                        state,
                    }));
                }
                Err(reason) => {
                    tracing::warn!(epoch, %reason, "a snapshot of the query is damaged; looking for the one before");
                    damage.get_or_insert(format!("state/{epoch}.snapshot: {reason}"));
                }
            }
        }
        damage.map_or(Ok(None), |damage| Err(self.damaged(damage)))
    }

    /// The plan of `epoch`, where an earlier run wrote it: it is run again as it is.
    pub(crate) fn planned(&self, epoch: u64) -> Result<Option<Plan>, Error> {
        let path = self.directory.join("offsets").join(epoch.to_string());
        let Some(bytes) = self.read_small(&path)? else {
            return Ok(None);
        };
        let parsed = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| parse_plan(text, &self.topic));
        match parsed {
            Some((start, end)) => Ok(Some(Plan { epoch, start, end })),
            None => Err(self.damaged(format!("offsets/{epoch} cannot be read"))),
        }
    }

    /// Writes a plan before it is run.
    pub(crate) fn plan(&self, plan: &Plan, now_ms: u64) -> Result<(), Error> {
        let start = plan::to_json(&self.topic, &plan.start);
        let about = serde_json::json!({ "batchWatermarkMs": 0, "batchTimestampMs": now_ms, "conf": {}, "start": start });
        let text = format!("v1\n{about}\n{}", plan::to_json(&self.topic, &plan.end));
        let path = self.directory.join("offsets").join(plan.epoch.to_string());
        Ok(self.disk.write_atomically(&path, text.as_bytes())?)
    }

    /// Commits an epoch: from here on it is never run again. Old snapshots and plans are deleted.
    pub(crate) fn commit(&self, epoch: u64, offsets: &Offsets, state: &RecordBatch) -> Result<(), Error> {
        let bytes = snapshot::encode(&self.topic, offsets, state)?;
        self.disk.write_atomically(&self.snapshot_path(epoch), &bytes)?;
        let Some(last_old) = epoch.checked_sub(SNAPSHOTS_KEPT) else {
            return Ok(());
        };
        for old in self
            .epochs("state", ".snapshot")?
            .into_iter()
            .filter(|old| *old <= last_old)
        {
            self.disk.remove_file_if_exists(&self.snapshot_path(old))?;
        }
        for old in self
            .epochs("offsets", "")?
            .into_iter()
            .filter(|old| *old <= last_old)
        {
            self.disk
                .remove_file_if_exists(&self.directory.join("offsets").join(old.to_string()))?;
        }
        Ok(())
    }

    fn snapshot_path(&self, epoch: u64) -> PathBuf {
        self.directory.join("state").join(format!("{epoch}.snapshot"))
    }

    /// The numbers of the files `N<suffix>` in a folder, in order.
    fn epochs(&self, folder: &str, suffix: &str) -> Result<Vec<u64>, Error> {
        let entries = self.disk.read_dir(&self.directory.join(folder))?;
        let names = entries.iter().filter_map(|entry| entry.name.to_str());
        let mut epochs: Vec<u64> = names
            .filter_map(|name| name.strip_suffix(suffix)?.parse().ok())
            .collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn read_small(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match self.disk.open(path, OpenOptions::read()) {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Some(self.disk.read(path, SMALL_FILE_BYTES_MAX)?)),
        }
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged {
            directory: self.directory.display().to_string(),
            reason,
        }
    }
}

fn parse_plan(text: &str, topic: &str) -> Option<(Offsets, Offsets)> {
    let mut lines = text.lines();
    let ("v1", about, end) = (lines.next()?, lines.next()?, lines.next()?) else {
        return None;
    };
    let about: serde_json::Value = serde_json::from_str(about).ok()?;
    let start = plan::from_json(topic, about.get("start")?)?;
    Some((start, plan::from_json(topic, &serde_json::from_str(end).ok()?)?))
}

#[cfg(test)]
mod tests;
