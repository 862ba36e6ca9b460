//! Kafka's error codes for what can go wrong in the rooms below that do not know the protocol, and in this one. Exhaustive: a new variant does
//! not compile until it has its code here. The machines (partitions, coordinators, the controller) speak in codes by themselves.

use forebay_broker_log as log;
use forebay_broker_partition as partition;
use forebay_protocol::ErrorCode;
use forebay_records as records;

use crate::replicas;

/// An error that has a code of Kafka's.
pub(crate) trait HasErrorCode {
    /// What Kafka answers.
    fn error_code(&self) -> ErrorCode;
}

/// Results whose errors have codes.
pub(crate) trait ToErrorCode<T> {
    /// The same with Kafka's code for the error.
    fn code(self) -> Result<T, ErrorCode>;
}

impl<T, E: HasErrorCode> ToErrorCode<T> for Result<T, E> {
    fn code(self) -> Result<T, ErrorCode> {
        self.map_err(|error| error.error_code())
    }
}

impl HasErrorCode for replicas::Error {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Log(error) => error.error_code(),
            Self::Partition(error) => error.error_code(),
            Self::Verification { code, .. } => *code,
            // Both are for a producer to try again: what was not appended may be appended later.
            Self::QueueFull => ErrorCode::RequestTimedOut,
            Self::Lost => ErrorCode::NotLeaderOrFollower,
        }
    }
}

impl HasErrorCode for partition::Error {
    fn error_code(&self) -> ErrorCode {
        partition::Error::error_code(self)
    }
}

impl HasErrorCode for log::Error {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Storage(_) | Self::Offline { .. } | Self::Closed { .. } | Self::Hole { .. } => {
                ErrorCode::KafkaStorageError
            }
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::RecordBatchTooLarge { .. } => ErrorCode::RecordListTooLarge,
            Self::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::InvalidTransactionState { .. } | Self::Unverified { .. } => ErrorCode::InvalidTxnState,
            Self::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            Self::CorruptBatch { .. } | Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::InconsistentTopicId { .. } => ErrorCode::InconsistentTopicId,
            Self::InvalidTopic(_) => ErrorCode::InvalidTopicException,
            Self::UnexpectedAppendOffset { .. }
            | Self::UnsupportedFormat { .. }
            | Self::InvalidFile { .. }
            | Self::ForeignDirectory { .. } => ErrorCode::UnknownServerError,
        }
    }
}

impl HasErrorCode for records::Error {
    fn error_code(&self) -> ErrorCode {
        match self {
            Self::Incomplete { .. } | Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::UnsupportedMagic { magic: 0 | 1 } | Self::InvalidBatch(_) => ErrorCode::InvalidRecord,
            Self::UnsupportedMagic { .. } => ErrorCode::CorruptMessage,
            Self::UnsupportedCompression { .. } => ErrorCode::UnsupportedCompressionType,
            Self::InvalidRecords { errors } => {
                if errors.iter().any(|error| error.reason.is_timestamp()) {
                    ErrorCode::InvalidTimestamp
                } else {
                    ErrorCode::InvalidRecord
                }
            }
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
        }
    }
}
