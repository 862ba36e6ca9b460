//! Logs that go: those of deleted topics, and those that nobody knows. Their folders are renamed at once, and what was deleted is removed
//! after `file.delete.delay.ms`. Where that cannot be done for now, for want of room or descriptors, it is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_records::Timestamp;

use super::{LogDirectory, Slot};
use crate::error::Result;
use crate::locks::{lock, write_lock};
use crate::log::Log;
use crate::topic_partition::TopicPartition;

pub(super) const DELETE_SUFFIX: &str = "-delete";
const STRAY_SUFFIX: &str = "-stray";
/// What a file system allows.
const FILE_NAME_BYTES_MAX: usize = 255;

/// What is left to do for a deleted partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Undeleted {
    unique: u128,
    delay_ms: i64,
}

impl LogDirectory {
    /// Deletes logs: from now on they refuse everything, their folders are renamed to
    /// `<topic>-<partition>.<unique>-delete`, and removed by [`LogDirectory::purge`] after `file.delete.delay.ms`. Those
    /// that are not here are passed over. `unique` is a random number, so that a topic of the same name can be deleted
    /// again meanwhile.
    ///
    /// # Errors
    /// Storage errors; the logs are gone from here nevertheless. What is left to do [`LogDirectory::purge`] tries again.
    pub fn delete(&self, partitions: &[TopicPartition], unique: u128, now: Timestamp) -> Result<()> {
        self.state.check()?;
        let gone = self.let_go(partitions).into_iter().map(|(partition, log)| {
            let delay_ms = log.map_or(0, |log| log.config().file_delete_delay_ms);
            (partition, Undeleted { unique, delay_ms })
        });
        let gone: Vec<_> = gone.collect();
        lock(&self.undeleted).extend(gone.iter().cloned());
        self.forget(partitions)?;
        self.finish(gone, |partition, undeleted| {
            self.take_away(partition, undeleted, now)
        })
    }

    /// Sets the logs of partitions aside that no topic of the cluster has: their folders are renamed to
    /// `<topic>-<partition>.<unique>-stray`, as Kafka does it, and stay for somebody to look at.
    ///
    /// # Errors
    /// Storage errors.
    pub fn set_stray(&self, partitions: &[TopicPartition], unique: u128) -> Result<()> {
        self.state.check()?;
        self.let_go(partitions);
        self.forget(partitions)?;
        for partition in partitions {
            let aside = self.path.join(folder_name(partition, unique, STRAY_SUFFIX));
            match self.disk.rename(&self.path.join(partition.to_string()), &aside) {
                Ok(()) => {
                    tracing::warn!(%partition, aside = %aside.display(), "a partition of no topic is set aside");
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(self.state.judge(error.into())),
            }
        }
        let synced = self.disk.sync_dir(&self.path);
        synced.map_err(|error| self.state.judge(error.into()))
    }

    /// Whether folders of deleted partitions may be there under their names at the next start, which must know then that they were
    /// deleted. [`LogDirectory::purge`] goes on trying to change that.
    pub fn has_undeleted(&self) -> bool {
        !lock(&self.undeleted).is_empty()
    }

    /// Removes deleted segments and partitions whose delay is over. Call it now and then.
    pub fn purge(&self, now: Timestamp) {
        for log in self.logs() {
            log.purge(now);
        }
        self.retry_deletions(now);
        let mut doomed = lock(&self.doomed);
        let mut due: Vec<_> = doomed.extract_if(.., |(due, _)| *due <= now).collect();
        // Who deletes the next topic does not wait for the files of this one.
        drop(doomed);
        due.retain(|(_, folder)| match self.disk.remove_dir_all(folder) {
            Ok(()) => false,
            Err(error) if error.is_not_found() => false,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "a deleted partition's folder stays for now");
                true
            }
        });
        lock(&self.doomed).append(&mut due);
    }

    /// Takes logs out; nobody uses them any more when this returns. Gives those that were here; without a log those that could not be
    /// opened.
    fn let_go(&self, partitions: &[TopicPartition]) -> Vec<(TopicPartition, Option<Arc<Log>>)> {
        let mut gone = Vec::new();
        let mut logs = write_lock(&self.logs);
        for partition in partitions {
            match logs.remove(partition) {
                Some(Slot::Open(log)) => gone.push((partition.clone(), Some(log))),
                Some(Slot::Failed(_)) => gone.push((partition.clone(), None)),
                None => {}
            }
        }
        // Only the deletion waits for who writes, not whoever asks for another log.
        drop(logs);
        let open = || gone.iter().filter_map(|(_, log)| log.as_ref());
        open().for_each(|log| log.abandon());
        open().for_each(|log| log.await_cleaner());
        gone
    }

    /// Before the folders get other names: a topic made anew must not find offsets of the old one in the checkpoints.
    fn forget(&self, partitions: &[TopicPartition]) -> Result<()> {
        let mut checkpoints = lock(&self.checkpoints);
        if let Err(error) = checkpoints.forget(&*self.disk, &self.path, partitions) {
            let error = self.state.judge(error);
            if !error.is_retriable() {
                return Err(error);
            }
            // The folders may be what makes room again. Whoever makes a log of that name has this done before.
            tracing::warn!(%error, "the checkpoints still name deleted partitions");
        }
        Ok(())
    }

    /// Renames the folder of a deleted partition.
    fn take_away(&self, partition: &TopicPartition, undeleted: Undeleted, now: Timestamp) -> Result<()> {
        let Undeleted { unique, delay_ms } = undeleted;
        let doomed = self.path.join(deleted_folder_name(partition, unique));
        match self.disk.rename(&self.path.join(partition.to_string()), &doomed) {
            Ok(()) => {
                lock(&self.doomed).push((now + delay_ms, doomed));
                Ok(())
            }
            // Nothing was ever appended.
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Does what is left to do for deleted partitions, and makes it durable. What fails is left for the next time.
    fn finish(
        &self,
        left: Vec<(TopicPartition, Undeleted)>,
        work: impl Fn(&TopicPartition, Undeleted) -> Result<()>,
    ) -> Result<()> {
        let mut result = Ok(());
        let mut done = BTreeMap::new();
        for (partition, undeleted) in left {
            match work(&partition, undeleted) {
                Ok(()) => drop(done.insert(partition, undeleted)),
                Err(error) => result = result.and(Err(error)),
            }
        }
        let synced = self.disk.sync_dir(&self.path).map_err(crate::Error::from);
        if synced.is_ok() {
            let mut undeleted = lock(&self.undeleted);
            // One that was deleted once more meanwhile is another matter.
            undeleted.retain(|partition, left| done.get(partition) != Some(left));
        }
        let result: Result<()> = result.and(synced);
        result.map_err(|error| self.state.judge(error))
    }

    fn retry_deletions(&self, now: Timestamp) {
        let left = lock(&self.undeleted).clone();
        if left.is_empty() || self.state.check().is_err() {
            return;
        }
        let retried = self.finish(left.into_iter().collect(), |partition, undeleted| {
            // As long as it is held nobody makes a log of that name, whose folder it would be.
            let logs = write_lock(&self.logs);
            match logs.get(partition) {
                Some(Slot::Open(log)) => {
                    let log = Arc::clone(log);
                    drop(logs);
                    log.make_way(now)
                }
                Some(Slot::Failed(_)) | None => self.take_away(partition, undeleted, now),
            }
        });
        match retried {
            Ok(()) => {
                tracing::info!(directory = %self.path.display(), "the folders of deleted partitions are gone after all");
            }
            // Why, was told when they were deleted.
            Err(error) => tracing::debug!(%error, "folders of deleted partitions stay for now"),
        }
    }
}

/// `<topic>-<partition>.<unique>-delete`.
pub(crate) fn deleted_folder_name(partition: &TopicPartition, unique: u128) -> String {
    folder_name(partition, unique, DELETE_SUFFIX)
}

/// A long topic name is shortened so that it is still a file name.
fn folder_name(partition: &TopicPartition, unique: u128, suffix: &str) -> String {
    let suffix = format!("-{}.{unique:032x}{suffix}", partition.partition());
    let topic = partition.topic();
    // Topic names are ASCII.
    let kept = topic.len().min(FILE_NAME_BYTES_MAX - suffix.len());
    format!("{}{suffix}", &topic[..kept])
}
