//! Opening all logs of a data directory, several at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_disk::{DiskExt, FileKind};
use forebay_records::{Offset, Timestamp};

use super::{CLEAN_SHUTDOWN_FILE, DELETE_SUFFIX, LogDirectory, Slot, in_parallel};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::locks::{lock, write_lock};
use crate::log::{LoadOptions, LoadReport, Log};
use crate::topic_partition::TopicPartition;

/// A marker is some thirty bytes; more than this is none of Kafka's.
const MARKER_BYTES_MAX: u64 = 4096;

/// What [`LogDirectory::load`] has found and done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoadSummary {
    /// The last process ended properly.
    pub clean: bool,
    /// The broker epoch that it had, if it ended properly and said so (KIP-966).
    pub broker_epoch: Option<i64>,
    /// What was opened.
    pub loaded: Vec<(TopicPartition, LoadReport)>,
    /// What could not be opened: these partitions are offline. After an unclean end they are recovered by the next start.
    pub failed: Vec<(TopicPartition, Error)>,
}

/// Says now and then how far the loading is: some ten times, however many logs there are.
struct Progress {
    step: usize,
    done: AtomicUsize,
}

impl Progress {
    const STEPS: usize = 10;

    fn new(logs: usize) -> Progress {
        Progress {
            step: logs.div_ceil(Progress::STEPS).max(1),
            done: AtomicUsize::new(0),
        }
    }

    /// One more log is loaded; how many are, if that is to be said.
    fn one_more(&self) -> Option<usize> {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        done.is_multiple_of(self.step).then_some(done)
    }
}

impl LogDirectory {
    /// Opens the log of every partition folder on up to `threads` threads, recovering what the last process left
    /// unfinished. `config` says how each is configured. Once, before any other use of logs.
    ///
    /// # Errors
    /// If the directory itself cannot be read or written. What is wrong with a single log is in the summary.
    pub fn load(
        &self,
        config: &(dyn Fn(&TopicPartition) -> Arc<LogConfig> + Sync),
        threads: usize,
        now: Timestamp,
    ) -> Result<LoadSummary> {
        let marker = self.take_clean_shutdown_marker()?;
        let clean = marker.is_some();
        let partitions = self.partition_folders()?;
        let progress = Progress::new(partitions.len());
        self.recovery.begin(partitions.len(), threads.max(1));
        if !clean && !partitions.is_empty() {
            tracing::info!(
                directory = %self.path.display(),
                logs = partitions.len(),
                "the last process did not end cleanly: logs are recovered"
            );
        }
        let load = |partition: &TopicPartition| {
            let at_log = self.recovery.next_log();
            let options = self.log_options(partition, &config(partition));
            let checkpoints = lock(&self.checkpoints);
            let offset = |offsets: &crate::checkpoint::Offsets| {
                offsets.get(partition).copied().unwrap_or(Offset::ZERO)
            };
            let load = LoadOptions {
                clean,
                recovery_point: offset(&checkpoints.recovery_points),
                log_start_offset: offset(&checkpoints.log_start_offsets),
                cleaned_to: offset(&checkpoints.cleaner_offsets),
                now,
            };
            drop(checkpoints);
            let loaded = Log::load(options, load, at_log.segments());
            if let Some(logs) = progress.one_more()
                && !clean
            {
                tracing::info!(logs, of = partitions.len(), "recovery goes on");
            }
            loaded
        };
        let results = in_parallel(threads, &partitions, load);
        let mut summary = LoadSummary {
            clean,
            broker_epoch: marker.as_deref().and_then(broker_epoch),
            ..LoadSummary::default()
        };
        let mut logs = write_lock(&self.logs);
        for (partition, result) in partitions.into_iter().zip(results) {
            let slot = match result {
                Ok((log, report)) => {
                    if !clean {
                        tracing::info!(%partition, ?report, end = log.log_end_offset().value(), "recovered");
                    }
                    summary.loaded.push((partition.clone(), report));
                    Slot::Open(Arc::new(log))
                }
                Err(error) => {
                    tracing::error!(%partition, %error, "the partition is offline");
                    summary.failed.push((partition.clone(), error.clone()));
                    Slot::Failed(error)
                }
            };
            logs.insert(partition, slot);
        }
        // Only now: without all of the logs nobody knows which are to be recovered.
        let _ = self.was_clean.set(clean);
        Ok(summary)
    }

    /// What the last process wrote if it ended properly. The marker goes, durably, before anything is changed: the next
    /// start must not believe it.
    fn take_clean_shutdown_marker(&self) -> Result<Option<String>> {
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        if !self.disk.exists(&path)? {
            return Ok(None);
        }
        let marker = self.disk.read(&path, MARKER_BYTES_MAX)?;
        self.disk.remove_file(&path)?;
        self.disk.sync_dir(&self.path)?;
        Ok(Some(String::from_utf8_lossy(&marker).into_owned()))
    }

    /// The partitions that have a folder. Folders whose deletion was begun are removed.
    fn partition_folders(&self) -> Result<Vec<TopicPartition>> {
        let mut partitions = Vec::new();
        for entry in self.disk.read_dir(&self.path)? {
            let Some(name) = entry.name.to_str().filter(|_| entry.kind == FileKind::Directory) else {
                continue;
            };
            if name.ends_with(DELETE_SUFFIX) && name.contains('.') {
                self.disk.remove_dir_all(&self.path.join(name))?;
            } else if let Some(partition) = TopicPartition::from_folder_name(name) {
                partitions.push(partition);
            } else {
                let folder: PathBuf = self.path.join(name);
                tracing::warn!(folder = %folder.display(), "this is no partition's folder, it is left alone");
            }
        }
        Ok(partitions)
    }
}

/// The number in `{"version":0,"brokerEpoch":7}` (`CleanShutdownFileHandler`); none in a marker that is empty, or says -1.
fn broker_epoch(marker: &str) -> Option<i64> {
    let (_, rest) = marker.split_once("\"brokerEpoch\":")?;
    let number = rest.trim_start();
    let end = number
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(number.len());
    number[..end].parse().ok().filter(|epoch| *epoch >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_ten_times_at_most() {
        for (logs, told) in [(0, 0), (1, 1), (9, 9), (10, 10), (11, 5), (100, 10), (1009, 9)] {
            let progress = Progress::new(logs);
            let lines = (0..logs).filter_map(|_| progress.one_more()).count();
            assert_eq!(lines, told, "{logs} logs");
        }
    }
}
