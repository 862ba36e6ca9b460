//! Why a message cannot be written at a version: the caller's doing, never the peer's.

/// A message that has no form at this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} version {version}: {cause}")]
pub struct Error {
    /// Kafka's name of the message.
    pub message: &'static str,
    /// The version it was to be written at.
    pub version: i16,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say it
pub enum Cause {
    #[error("unsupported version; versions {lowest} to {highest} are supported")]
    Version { lowest: i16, highest: i16 },
    #[error("{field} is set, but does not exist at this version")]
    Absent { field: &'static str },
    #[error("{field} is null, which it may not be at this version")]
    Null { field: &'static str },
    #[error("{field} is too long to be written: {length}")]
    TooLong { field: &'static str, length: usize },
    #[error("the frame is too long to be written: {length} bytes")]
    FrameTooLong { length: usize },
    #[error("unknown tagged field {tag} has the tag of a known one")]
    TagTaken { tag: u32 },
    #[error("its records lie in a file, not in memory")]
    InFile,
}
