//! The four checkpoint files of a data directory, and when they are written. A checkpoint that cannot be read costs time or
//! the memory of deleted records, never records: it is set aside with a warning.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use forebay_disk::Disk;
use forebay_records::Offset;

use super::{LogDirectory, Slot};
use crate::checkpoint::{self, Offsets};
use crate::error::{Error, Result};
use crate::locks::{lock, read_lock};
use crate::log::{Log, RecoveryPoint};
use crate::topic_partition::TopicPartition;

/// What the files say.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    pub(super) recovery_points: Offsets,
    pub(super) log_start_offsets: Offsets,
    pub(super) high_watermarks: Offsets,
    pub(super) cleaner_offsets: Offsets,
}

/// Up to where the logs are synced, as each has said.
type Prepared = BTreeMap<TopicPartition, (Arc<Log>, RecoveryPoint)>;

/// What they are to say of the open logs.
#[derive(Debug, Default)]
pub(super) struct Checkpointed {
    recovery_points: Offsets,
    log_start_offsets: Offsets,
}

impl Checkpoints {
    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<Checkpoints> {
        let read = |name| {
            let path = directory.join(name);
            match checkpoint::read_offsets(disk, &path) {
                Err(Error::InvalidFile { reason, .. }) => {
                    tracing::warn!(file = %path.display(), %reason, "a checkpoint cannot be read and is done without");
                    Ok(Offsets::new())
                }
                read => read,
            }
        };
        Ok(Checkpoints {
            recovery_points: read(checkpoint::RECOVERY_POINTS)?,
            log_start_offsets: read(checkpoint::LOG_START_OFFSETS)?,
            high_watermarks: read(checkpoint::HIGH_WATERMARKS)?,
            cleaner_offsets: read(checkpoint::CLEANER_OFFSETS)?,
        })
    }

    /// Writes the files that have changed.
    pub(super) fn write(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        current: Checkpointed,
        high_watermarks: Option<Offsets>,
    ) -> Result<()> {
        let write = |name, stored: &mut Offsets, current: Offsets| -> Result<()> {
            if *stored != current {
                checkpoint::write_offsets(disk, &directory.join(name), &current)?;
                *stored = current;
            }
            Ok(())
        };
        write(
            checkpoint::LOG_START_OFFSETS,
            &mut self.log_start_offsets,
            current.log_start_offsets,
        )?;
        write(
            checkpoint::RECOVERY_POINTS,
            &mut self.recovery_points,
            current.recovery_points,
        )?;
        match high_watermarks {
            Some(high_watermarks) => write(
                checkpoint::HIGH_WATERMARKS,
                &mut self.high_watermarks,
                high_watermarks,
            ),
            None => Ok(()),
        }
    }

    /// Writes up to where a log is clean, or if that is not known, nothing of it.
    pub(super) fn write_cleaner_offset(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        partition: &TopicPartition,
        offset: Option<Offset>,
    ) -> Result<()> {
        let mut offsets = self.cleaner_offsets.clone();
        match offset {
            Some(offset) => offsets.insert(partition.clone(), offset),
            None => offsets.remove(partition),
        };
        if offsets != self.cleaner_offsets {
            checkpoint::write_offsets(disk, &directory.join(checkpoint::CLEANER_OFFSETS), &offsets)?;
            self.cleaner_offsets = offsets;
        }
        Ok(())
    }

    /// Whether they say anything of a partition's log. High watermarks are there also for those that have none yet.
    pub(super) fn knows(&self, partition: &TopicPartition) -> bool {
        let of_logs = [
            &self.recovery_points,
            &self.log_start_offsets,
            &self.cleaner_offsets,
        ];
        of_logs.iter().any(|offsets| offsets.contains_key(partition))
    }

    /// Removes deleted partitions.
    pub(super) fn forget(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        let without = |offsets: &Offsets| {
            let mut offsets = offsets.clone();
            offsets.retain(|partition, _| !partitions.contains(partition));
            offsets
        };
        let current = Checkpointed {
            recovery_points: without(&self.recovery_points),
            log_start_offsets: without(&self.log_start_offsets),
        };
        let high_watermarks = without(&self.high_watermarks);
        self.write(disk, directory, current, Some(high_watermarks))?;
        let cleaner_offsets = without(&self.cleaner_offsets);
        if cleaner_offsets != self.cleaner_offsets {
            checkpoint::write_offsets(
                disk,
                &directory.join(checkpoint::CLEANER_OFFSETS),
                &cleaner_offsets,
            )?;
            self.cleaner_offsets = cleaner_offsets;
        }
        Ok(())
    }

    /// Lowers recovery point, log start and the cleaner's offset before a log is cut.
    pub(super) fn lower(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<()> {
        let lowered = |offsets: &Offsets| {
            let mut offsets = offsets.clone();
            if let Some(stored) = offsets.get_mut(partition) {
                *stored = offset.min(*stored);
            }
            offsets
        };
        let current = Checkpointed {
            recovery_points: lowered(&self.recovery_points),
            log_start_offsets: lowered(&self.log_start_offsets),
        };
        self.write(disk, directory, current, None)?;
        match self.cleaner_offsets.get(partition) {
            Some(clean_to) if *clean_to > offset => {
                let clean_to = Some(offset).filter(|offset| *offset > Offset::ZERO);
                self.write_cleaner_offset(disk, directory, partition, clean_to)
            }
            _ => Ok(()),
        }
    }
}

impl LogDirectory {
    /// Writes the checkpoints: up to where each log is synced and where it starts, and if given, the high watermarks.
    /// Call it now and then (`log.flush.offset.checkpoint.interval.ms`); the next start recovers only what lies behind.
    ///
    /// # Errors
    /// Storage errors; the files are as they were.
    pub fn checkpoint(&self, mut high_watermarks: Option<Offsets>) -> Result<()> {
        self.state.check()?;
        // Before the lock: this waits for the disk and for who writes, and who deletes records or makes a log does not wait for that.
        let mut prepared = Prepared::new();
        for log in self.logs() {
            match log.prepare_checkpoint() {
                Ok(point) => prepared.insert(log.partition().clone(), (log, point)),
                // Deleted meanwhile.
                Err(Error::Closed { .. }) => None,
                Err(error) => return Err(self.state.judge(error)),
            };
        }
        // From here on no log is cut, nor forgotten.
        let mut checkpoints = lock(&self.checkpoints);
        let logs = self.logs();
        let points = logs
            .iter()
            .filter_map(|log| Self::recovery_point(&checkpoints, log, &prepared));
        let current = self.checkpointed(&checkpoints, &logs, points.collect());
        if let Some(high_watermarks) = &mut high_watermarks {
            for partition in self.failed() {
                if let Some(stored) = checkpoints.high_watermarks.get(&partition) {
                    high_watermarks.entry(partition).or_insert(*stored);
                }
            }
        }
        let written = checkpoints.write(&*self.disk, &self.path, current, high_watermarks);
        written.map_err(|error| self.state.judge(error))
    }

    /// As it was prepared, or if the log was cut since, as it was lowered for that; none of one that was made meanwhile.
    fn recovery_point(
        stored: &Checkpoints,
        log: &Arc<Log>,
        prepared: &Prepared,
    ) -> Option<(TopicPartition, Offset)> {
        let partition = log.partition();
        let (of, point) = prepared.get(partition)?;
        if !Arc::ptr_eq(of, log) {
            return None;
        }
        let point = if log.holds(point) {
            point.offset
        } else {
            *stored.recovery_points.get(partition)?
        };
        Some((partition.clone(), point))
    }

    /// Writes where each log starts, if that has changed: records that were deleted stay so from now on, also after a loss
    /// of power.
    ///
    /// # Errors
    /// Storage errors; the file is as it was.
    pub fn checkpoint_log_starts(&self) -> Result<()> {
        self.state.check()?;
        let mut checkpoints = lock(&self.checkpoints);
        let Checkpointed {
            log_start_offsets, ..
        } = self.checkpointed(&checkpoints, &self.logs(), Vec::new());
        let current = Checkpointed {
            log_start_offsets,
            recovery_points: checkpoints.recovery_points.clone(),
        };
        let written = checkpoints.write(&*self.disk, &self.path, current, None);
        written.map_err(|error| self.state.judge(error))
    }

    /// The high watermarks as they were checkpointed last.
    pub fn high_watermarks(&self) -> Offsets {
        lock(&self.checkpoints).high_watermarks.clone()
    }

    /// What is to be written of these logs. Of logs that could not be opened what was known stays known.
    pub(super) fn checkpointed(
        &self,
        stored: &Checkpoints,
        logs: &[Arc<Log>],
        points: Vec<(TopicPartition, Offset)>,
    ) -> Checkpointed {
        let mut current = Checkpointed {
            recovery_points: points.into_iter().collect(),
            ..Checkpointed::default()
        };
        current.recovery_points.retain(|_, point| *point > Offset::ZERO);
        for partition in self.failed() {
            if let Some(point) = stored.recovery_points.get(&partition) {
                current.recovery_points.insert(partition.clone(), *point);
            }
            if let Some(start) = stored.log_start_offsets.get(&partition) {
                current.log_start_offsets.insert(partition, *start);
            }
        }
        for log in logs {
            if let Some(start) = log.start_to_checkpoint() {
                current.log_start_offsets.insert(log.partition().clone(), start);
            }
        }
        current
    }

    /// The partitions that could not be opened.
    pub(super) fn failed(&self) -> Vec<TopicPartition> {
        let logs = read_lock(&self.logs);
        let failed = logs.iter().filter(|(_, slot)| matches!(slot, Slot::Failed(_)));
        failed.map(|(partition, _)| partition.clone()).collect()
    }
}
