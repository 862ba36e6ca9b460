//! What of a log could be compacted, and whether that is worth it (Kafka's `LogCleanerManager.cleanableOffsets`).

use std::sync::Arc;

use forebay_records::{Offset, Timestamp};

use crate::cleaner::Broken;
use crate::config::LogConfig;
use crate::error::Result;
use crate::locks::read_lock;
use crate::log::Log;
use crate::segment::Segment;

/// What of a log can be compacted (`LogToClean`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plan {
    /// Up to here it was compacted before.
    pub(crate) first_dirty_offset: Offset,
    /// The base offset of the first segment that stays as it is: the active one, one that is too young, or one with records
    /// whose transaction is open.
    pub(crate) first_uncleanable_offset: Offset,
    /// Bytes of the segments before the first dirty offset.
    pub(crate) clean_bytes: u64,
    /// Bytes of those from there on that can be compacted.
    pub(crate) dirty_bytes: u64,
    /// For how long records have waited beyond `max.compaction.lag.ms`.
    pub(crate) overdue_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    min_dirty_ratio: f64,
}

impl Plan {
    /// Share of the log that is dirty, of 1.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub(crate) fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 {
            0.0
        } else {
            self.dirty_bytes as f64 / total as f64
        }
    }

    /// Whether it is time.
    pub(crate) fn is_due(&self) -> bool {
        (self.overdue_ms > 0 && self.dirty_bytes > 0) || self.dirty_ratio() > self.min_dirty_ratio
    }
}

impl Log {
    /// What can be compacted, given up to where the log was before, by the checkpoint.
    ///
    /// # Errors
    /// Storage errors.
    pub(crate) fn plan_cleaning(&self, checkpoint: Option<Offset>, now: Timestamp) -> Result<Plan> {
        let config = self.config();
        // Before the segments: what is open or not synced now is not in a segment that is looked at.
        let stable = if Broken::OpenTransactionsToo.is_on() {
            self.synced_offset()
        } else {
            self.last_stable_offset().min(self.synced_offset())
        };
        let segments = self.segments();
        let closed = segments.split_last().map_or(&[][..], |(_, closed)| closed);
        let first_dirty_offset = self.first_dirty_offset(checkpoint, &config);
        let mut uncleanable = stable.max(first_dirty_offset);
        if config.min_compaction_lag_ms > 0 {
            let young = first_young(closed, first_dirty_offset, now - config.min_compaction_lag_ms)?;
            uncleanable = uncleanable.min(young.unwrap_or(uncleanable));
        }
        let active = segments
            .last()
            .map_or(Offset::ZERO, |active| active.base_offset());
        // The segment that holds the offset stays as a whole.
        let count = closed
            .iter()
            .zip(segments.iter().skip(1))
            .take_while(|(_, next)| next.base_offset() <= uncleanable)
            .count();
        let first_uncleanable_offset = closed.get(count).map_or(active, |segment| segment.base_offset());
        let dirty = closed[..count].partition_point(|segment| segment.base_offset() < first_dirty_offset);
        // The one that is dirty from its middle on counts as dirty.
        let dirty = match closed[..count].get(dirty) {
            Some(next) if next.base_offset() == first_dirty_offset => dirty,
            _ if first_dirty_offset >= first_uncleanable_offset => dirty,
            _ => dirty.saturating_sub(1),
        };
        let bytes = |segments: &[Arc<Segment>]| segments.iter().map(|segment| segment.size()).sum();
        Ok(Plan {
            first_dirty_offset,
            first_uncleanable_offset,
            clean_bytes: bytes(&closed[..dirty]),
            dirty_bytes: bytes(&closed[dirty..count]),
            overdue_ms: overdue_ms(&closed[dirty..], &config, now),
            min_dirty_ratio: config.min_cleanable_dirty_ratio,
        })
    }

    fn first_dirty_offset(&self, checkpoint: Option<Offset>, config: &LogConfig) -> Offset {
        let view = read_lock(&self.view);
        let (start, end) = (view.log_start_offset, view.log_end_offset);
        drop(view);
        match checkpoint {
            Some(clean_to) if (start..=end).contains(&clean_to) => clean_to,
            Some(clean_to) => {
                // With retention the start overtakes the cleaner now and then.
                if clean_to > end || !config.delete {
                    tracing::warn!(partition = %self.partition, %clean_to, %start, %end, "the cleaner's checkpoint lies outside of the log, all of which is cleaned again");
                }
                start
            }
            None => start,
        }
    }
}

/// The base offset of the first segment that has a record newer than `newest`.
fn first_young(segments: &[Arc<Segment>], from: Offset, newest: Timestamp) -> Result<Option<Offset>> {
    let first = segments
        .partition_point(|segment| segment.base_offset() <= from)
        .saturating_sub(1);
    for segment in segments.get(first..).unwrap_or_default() {
        if segment.max_timestamp()?.is_some_and(|max| max.timestamp > newest) {
            return Ok(Some(segment.base_offset()));
        }
    }
    Ok(None)
}

/// By how much the oldest of these segments is older than `max.compaction.lag.ms` allows.
fn overdue_ms(dirty: &[Arc<Segment>], config: &LogConfig, now: Timestamp) -> i64 {
    let known = dirty.iter().filter_map(|segment| segment.first_timestamp());
    let oldest = known.filter(|timestamp| timestamp.value() > 0).min();
    let until = now.value().saturating_sub(config.max_compaction_lag_ms.max(0));
    oldest.map_or(0, |oldest| until.saturating_sub(oldest.value()).max(0))
}
