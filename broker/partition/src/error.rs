//! Why a partition refuses, by meaning, and the one map to Kafka's error codes.

use forebay_protocol::ErrorCode;
use forebay_records::{LeaderEpoch, Offset};

/// Why a partition refuses a request, or ends a wait without success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another broker leads it, or none.
    #[error("this broker does not lead the partition")]
    NotLeaderOrFollower,
    /// It was deleted.
    #[error("the partition does not exist on this broker")]
    UnknownTopicOrPartition,
    /// Its log directory failed.
    #[error("the partition's log directory is offline")]
    Storage,
    /// The client knows an older leader.
    #[error("leader epoch {requested} is older than the current one, {current}")]
    FencedLeaderEpoch {
        /// The client's.
        requested: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// The client knows a newer leader than we do.
    #[error("leader epoch {requested} is newer than {current}, the newest known here")]
    UnknownLeaderEpoch {
        /// The client's.
        requested: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// The log does not reach there.
    #[error("offset {offset} is out of range, the log has {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// Asked for.
        offset: Offset,
        /// The log's first.
        log_start_offset: Offset,
        /// After the log's last.
        log_end_offset: Offset,
    },
    /// After an election the high watermark has not yet reached the new leader's epoch.
    #[error(
        "the high watermark {high_watermark} has not reached the start of the leader's epoch, {epoch_start_offset}"
    )]
    OffsetNotAvailable {
        /// As it stands.
        high_watermark: Offset,
        /// Where it must come to.
        epoch_start_offset: Offset,
    },
    /// Nothing was appended.
    #[error("{in_sync_replicas} replicas are in sync, min.insync.replicas is {min_insync_replicas}")]
    NotEnoughReplicas {
        /// How many there are.
        in_sync_replicas: usize,
        /// How many are needed.
        min_insync_replicas: usize,
    },
    /// It was appended, and then too few replicas were left.
    #[error(
        "appended, but only {in_sync_replicas} replicas are in sync; min.insync.replicas is {min_insync_replicas}"
    )]
    NotEnoughReplicasAfterAppend {
        /// How many there are.
        in_sync_replicas: usize,
        /// How many are needed.
        min_insync_replicas: usize,
    },
}

impl Error {
    /// What Kafka answers.
    #[must_use]
    pub const fn error_code(&self) -> ErrorCode {
        match self {
            Self::NotLeaderOrFollower => ErrorCode::NotLeaderOrFollower,
            Self::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            Self::Storage => ErrorCode::KafkaStorageError,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::OffsetNotAvailable { .. } => ErrorCode::OffsetNotAvailable,
            Self::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            Self::NotEnoughReplicasAfterAppend { .. } => ErrorCode::NotEnoughReplicasAfterAppend,
        }
    }
}
