//! What an error means for a transaction, by what was asked (KIP-1050's classes, and where Kafka's handlers differ by request).

use forebay_protocol::ErrorCode;

use crate::error::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::producer) enum Class {
    /// Ask again.
    Retry,
    /// The transaction is lost; the producer goes on after an abort.
    Abort,
    /// The same, with another epoch, as the coordinator has forgotten this one.
    AbortAndBump,
    /// Another producer has taken the id over, or the coordinator has given this one up.
    Fenced,
    /// Nothing helps.
    Fatal,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::producer) enum Kind {
    Init,
    AddPartitions,
    AddOffsets,
    CommitOffsets,
    End,
}

/// Of a request to a coordinator.
pub(super) fn of_request(kind: Kind, error: &Error) -> Class {
    use ErrorCode as Code;
    if error.is_retriable() {
        return Class::Retry;
    }
    let Error::Broker { code, .. } = error else {
        return Class::Fatal;
    };
    match (code, kind) {
        (Code::ProducerFenced | Code::InvalidProducerEpoch, _) => Class::Fenced,
        // By itself it is: the partition was not the one that failed.
        (Code::OperationNotAttempted, Kind::AddPartitions)
        | (Code::TransactionAbortable, _)
        | (Code::GroupAuthorizationFailed, Kind::AddOffsets | Kind::CommitOffsets)
        | (
            Code::FencedInstanceId | Code::UnknownMemberId | Code::IllegalGeneration | Code::StaleMemberEpoch,
            Kind::CommitOffsets,
        ) => Class::Abort,
        (Code::UnknownProducerId, Kind::AddPartitions | Kind::AddOffsets) => Class::AbortAndBump,
        (
            Code::InvalidTxnState | Code::TransactionalIdAuthorizationFailed | Code::InvalidProducerIdMapping,
            Kind::AddPartitions,
        ) => Class::Fatal,
        // Of one of the partitions: unknown to the broker's rules, forbidden, …
        (_, Kind::AddPartitions) => Class::Abort,
        _ => Class::Fatal,
    }
}

/// Of a batch that was given up, or of a record that did not get into one.
pub(super) fn of_batch(error: &Error) -> Class {
    match error {
        Error::Broker { code, .. } => match code {
            ErrorCode::ProducerFenced => Class::Fenced,
            ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::UnsupportedVersion => Class::Fatal,
            _ => Class::Abort,
        },
        Error::UnsupportedVersion { .. } | Error::Closed(_) => Class::Fatal,
        _ => Class::Abort,
    }
}
