//! A committed offset (Kafka's `OffsetAndMetadata`) and when it is no longer kept (KIP-211).

use std::time::Duration;

use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

/// Whose offset, of which partition. The order groups what belongs together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OffsetKey {
    /// The group id.
    pub(crate) group: Utf8Bytes,
    /// The topic.
    pub(crate) topic: Utf8Bytes,
    /// The partition.
    pub(crate) partition: i32,
}

impl OffsetKey {
    /// The first key that a group can have.
    pub(crate) fn first_of(group: &Utf8Bytes) -> Self {
        Self {
            group: group.clone(),
            topic: Utf8Bytes::default(),
            partition: i32::MIN,
        }
    }
}

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetAndMetadata {
    /// The next offset to consume.
    pub(crate) offset: Offset,
    /// The epoch of the last consumed record, if the client said it.
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    /// Whatever the client wanted to keep beside it.
    pub(crate) metadata: Utf8Bytes,
    /// When it was committed.
    pub(crate) commit_timestamp: Timestamp,
    /// When it expires by the wish of an old client (OffsetCommit 2 to 4), whatever its group does.
    pub(crate) expire_timestamp: Option<Timestamp>,
    /// The id of the topic; `Uuid::ZERO` where the committer did not know it.
    pub(crate) topic_id: Uuid,
}

impl OffsetAndMetadata {
    /// Whether it is to be forgotten `now`, if it has been kept since `base`.
    pub(crate) fn is_expired(&self, now: Timestamp, base: Timestamp, retention: Duration) -> bool {
        match self.expire_timestamp {
            Some(expiry) => now >= expiry,
            None => {
                i128::from(now.0) - i128::from(base.0)
                    >= i128::try_from(retention.as_millis()).unwrap_or(i128::MAX)
            }
        }
    }
}
