//! Which log is compacted next, and what is remembered of it (Kafka's `LogCleanerManager`).

use std::sync::Arc;

use forebay_records::{Offset, Timestamp};

use super::LogDirectory;
use crate::cleaner::{Cleaned, CleanerOptions, Error as CleanerError, Pace};
use crate::error::{Error, Result};
use crate::locks::lock;
use crate::log::{Log, Plan};
use crate::topic_partition::TopicPartition;

/// What a cleaner has found and done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CleaningRound {
    /// The share of the dirtiest log that is dirty, of 1.
    pub max_dirty_ratio: f64,
    /// For how long records have waited at most beyond their `max.compaction.lag.ms`.
    pub max_overdue_ms: i64,
    /// Logs that are compacted no more, because of what was found in them.
    pub uncleanable: usize,
    /// The log that was compacted, and what came of it; none if none was due.
    pub cleaned: Option<(TopicPartition, std::result::Result<Cleaned, CleanerError>)>,
}

impl LogDirectory {
    /// Compacts the dirtiest of the logs whose `cleanup.policy` has `compact`, if one is due: more of it is dirty than
    /// `min.cleanable.dirty.ratio` allows, or records wait for longer than `max.compaction.lag.ms`. Any number of threads
    /// may do this. A log that cannot be compacted for what is in it stays as it is, and is passed over from then on.
    pub fn clean_dirtiest(&self, options: &CleanerOptions, now: Timestamp, pace: &dyn Pace) -> CleaningRound {
        let mut round = CleaningRound::default();
        let mut dirtiest: Option<(Plan, Arc<Log>)> = None;
        if self.state.check().is_err() {
            return round;
        }
        for log in self.logs() {
            if !log.config().compact {
                continue;
            }
            if log.uncleanable_reason().is_some() {
                round.uncleanable += 1;
                continue;
            }
            if log.is_being_cleaned() || log.rests(now) {
                continue;
            }
            let plan = match self.plan_cleaning(&log, now) {
                Ok(plan) => plan,
                Err(error) => {
                    round.uncleanable += usize::from(self.note_failure(&log, &error));
                    continue;
                }
            };
            round.max_dirty_ratio = round.max_dirty_ratio.max(plan.dirty_ratio());
            round.max_overdue_ms = round.max_overdue_ms.max(plan.overdue_ms);
            let dirtier = |(other, _): &(Plan, _)| plan.dirty_ratio() > other.dirty_ratio();
            if plan.is_due() && dirtiest.as_ref().is_none_or(dirtier) {
                dirtiest = Some((plan, log));
            }
        }
        if let Some((plan, log)) = dirtiest {
            let cleaned = self.clean(&log, &plan, options, now, pace);
            match &cleaned {
                Ok(_) => log.end_rest(),
                Err(CleanerError::Log(error)) if error.is_retriable() => log.rest(now),
                Err(CleanerError::Log(error)) => {
                    round.uncleanable += usize::from(self.note_failure(&log, error));
                }
                Err(CleanerError::Interrupted) => {}
            }
            round.cleaned = Some((log.partition().clone(), cleaned));
        }
        round
    }

    fn plan_cleaning(&self, log: &Arc<Log>, now: Timestamp) -> Result<Plan> {
        let checkpoint = lock(&self.checkpoints)
            .cleaner_offsets
            .get(log.partition())
            .copied();
        let plan = log.plan_cleaning(checkpoint, now)?;
        if checkpoint.is_some_and(|checkpoint| checkpoint != plan.first_dirty_offset) {
            self.write_cleaner_offset(log, plan.first_dirty_offset)?;
        }
        Ok(plan)
    }

    fn clean(
        &self,
        log: &Arc<Log>,
        plan: &Plan,
        options: &CleanerOptions,
        now: Timestamp,
        pace: &dyn Pace,
    ) -> std::result::Result<Cleaned, CleanerError> {
        let cleaned = log.clean(options, plan, now, pace)?;
        // Last: until it is written, the same is done again.
        self.write_cleaner_offset(log, cleaned.first_dirty_offset)?;
        Ok(cleaned)
    }

    fn write_cleaner_offset(&self, log: &Arc<Log>, offset: Offset) -> Result<()> {
        let mut checkpoints = lock(&self.checkpoints);
        // A log that was cut or deleted meanwhile, or another one of its name, is not what was cleaned.
        let is_there = |there: Option<Arc<Log>>| there.is_some_and(|there| Arc::ptr_eq(&there, log));
        if offset > log.log_end_offset() || !is_there(self.log(log.partition())?) {
            return Ok(());
        }
        let partition = log.partition();
        let written = checkpoints.write_cleaner_offset(&*self.disk, &self.path, partition, Some(offset));
        written.map_err(|error| self.state.judge(error))
    }

    /// Remembers that a log cannot be compacted, unless the reason passes by itself or is not the log's; gives whether it
    /// does.
    fn note_failure(&self, log: &Log, error: &Error) -> bool {
        let passing = error.is_retriable() || matches!(error, Error::Closed { .. });
        if passing || self.state.check().is_err() {
            return false;
        }
        tracing::error!(partition = %log.partition(), %error, "the log cannot be compacted; it stays as it is until the next start");
        log.set_uncleanable(Arc::from(error.to_string()));
        true
    }
}

#[cfg(test)]
mod tests {
    use forebay_disk::MemoryDisk;

    use super::*;
    use crate::testing::{NOW, append_of, open, partition, small_segments, topic_id};

    /// A cleaner comes back when the topic it has compacted was deleted and made anew.
    #[test]
    fn what_was_cleaned_says_nothing_of_another_log_of_that_name() {
        let config = small_segments();
        let directory = open(Arc::new(MemoryDisk::new()), &config).expect("open");
        let config = Arc::new(config);
        let make = |id| directory.log_or_create(&partition(), id, &config).expect("new");
        let old = make(topic_id());
        for answer in old.append(crate::testing::EPOCH, NOW, vec![append_of(1, 5, 1)]) {
            answer.expect("appended");
        }
        directory.delete(&[partition()], 1, NOW).expect("deleted");
        make(crate::Uuid([8; 16]));
        directory
            .write_cleaner_offset(&old, Offset(5))
            .expect("no matter");
        assert!(lock(&directory.checkpoints).cleaner_offsets.is_empty());
    }
}
