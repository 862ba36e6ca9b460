//! An error as responses carry it: Kafka's code and, where there is more to say than the code does, a text (`ApiError`).

use forebay_protocol::{ErrorCode, Utf8Bytes};

/// A code and perhaps a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Kafka's error.
    pub code: ErrorCode,
    /// What the response says beside it.
    pub message: Option<String>,
}

impl ApiError {
    /// An error with a text of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// An error with the text that all of its code have.
    pub fn generic(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }

    /// An error without text: what Kafka makes of an exception whose message says no more than its code.
    pub fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// The text as responses have it.
    pub(crate) fn text(&self) -> Option<Utf8Bytes> {
        self.message.as_deref().map(Utf8Bytes::from)
    }

    /// The error of a request that would write too much at once.
    pub(crate) fn too_many_records() -> Self {
        Self::new(
            ErrorCode::PolicyViolation,
            "Unable to perform excessively large batch operation.",
        )
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidConfig, message)
    }
}
