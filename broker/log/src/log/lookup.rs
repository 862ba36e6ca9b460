//! Finding offsets: by timestamp, and by leader epoch.

use std::cmp::Reverse;
use std::sync::Arc;

use forebay_records::{LeaderEpoch, Offset, Timestamp};

use super::Log;
use crate::error::Result;
use crate::locks::{lock, read_lock, write_lock};
use crate::segment::{Segment, TimestampOffset};

impl Log {
    /// The first record whose timestamp is `timestamp` or later; none if all are earlier. It may lie beyond the high
    /// watermark. May wait for the disk.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] or a storage error.
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> Result<Option<TimestampOffset>> {
        self.directory.check()?;
        for segment in self.segments() {
            let from = self.log_start_offset();
            let found = segment.max_timestamp().and_then(|max| match max {
                Some(max) if max.timestamp >= timestamp => segment.find_timestamp(timestamp, from),
                _ => Ok(None),
            });
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) if self.was_deleted(&error, segment.base_offset()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The first record with the greatest timestamp (KIP-734); none if no record has one. May wait for the disk.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] or a storage error.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>> {
        self.directory.check()?;
        let mut bounds: Vec<(Timestamp, Arc<Segment>)> = Vec::new();
        for segment in self.segments() {
            let max = match segment.max_timestamp() {
                Ok(max) => max,
                Err(error) if self.was_deleted(&error, segment.base_offset()) => continue,
                Err(error) => return Err(error),
            };
            bounds.extend(max.map(|max| (max.timestamp, segment)));
        }
        // Compaction may have emptied the batch that has a segment's greatest timestamp: then another has the record.
        bounds.sort_by_key(|(timestamp, _)| Reverse(*timestamp));
        let mut newest: Option<TimestampOffset> = None;
        for (bound, segment) in bounds {
            if newest.is_some_and(|newest| newest.timestamp >= bound) {
                break;
            }
            let found = match segment.find_max_timestamp() {
                Ok(found) => found,
                Err(error) if self.was_deleted(&error, segment.base_offset()) => continue,
                Err(error) => return Err(error),
            };
            newest = newest.into_iter().chain(found).reduce(|one, other| {
                if other.timestamp > one.timestamp {
                    other
                } else {
                    one
                }
            });
        }
        Ok(newest)
    }

    /// Notes that the records from the log's end on are of a new leader's epoch.
    pub fn assign_epoch_start_offset(&self, epoch: LeaderEpoch) {
        let mut writer = lock(&self.writer);
        writer.touched = true;
        let end = self.log_end_offset();
        write_lock(&self.epochs).assign(epoch, end);
    }

    /// The largest epoch up to `epoch`, and the offset at which its records end (`OffsetForLeaderEpoch`). None if the
    /// log knows nothing of it.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let end = self.log_end_offset();
        read_lock(&self.epochs).end_offset_for(epoch, end)
    }

    /// The leader epoch of the record at `offset`.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        read_lock(&self.epochs).epoch_of(offset)
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        read_lock(&self.view).segments.values().map(Arc::clone).collect()
    }
}
