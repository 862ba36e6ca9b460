//! Why a request failed, and what to make of it. Targets are shown without their queries.

use std::{fmt::Write, net::IpAddr, time::Duration};

use bytes::Bytes;
use forebay_connect_api::{BoxError, Error as ConnectError};
use reqwest::StatusCode;

use super::address::Forbidden;

/// Why one attempt failed. `target` is the method and the URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No connection, or it broke before the answer was complete.
    #[error("{target} failed")]
    Transfer {
        target: String,
        #[source]
        source: BoxError,
    },
    /// A limit passed.
    #[error("{target}: {what} did not come within {} ms", .limit.as_millis())]
    TimedOut {
        target: String,
        what: &'static str,
        limit: Duration,
    },
    /// Not a 2xx.
    #[error("{target} was answered {status}")]
    Status {
        target: String,
        status: StatusCode,
        retry_after: Option<Duration>,
        /// The beginning of its body, where that is wanted. Never shown in an error: it may hold anything.
        excerpt: Bytes,
    },
    /// An OAuth2 endpoint gave no token.
    #[error("{target} gave no token: {reason}")]
    Token { target: String, reason: &'static str },
    /// The body goes on behind the limit.
    #[error("the answer to {target} is longer than {bytes_max} bytes")]
    TooLong { target: String, bytes_max: usize },
    /// The body is compressed, which was not asked for.
    #[error(
        "the answer to {target} has Content-Encoding: {encoding}, which was not asked for; bodies are only taken as they are"
    )]
    Encoded { target: String, encoding: String },
    /// A redirect that is not followed.
    #[error("{target} was answered {status}, a redirect that is not followed: {reason}")]
    Redirect {
        target: String,
        status: StatusCode,
        reason: String,
    },
    /// An address that may not be reached.
    #[error("{target} leads to {address}, {reason}")]
    Forbidden {
        target: String,
        address: IpAddr,
        reason: &'static str,
    },
}

impl Error {
    /// A failure of the HTTP library, which may be a refusal of our resolver's underneath.
    pub(super) fn transfer(target: String, error: reqwest::Error) -> Self {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(inner) = cause {
            if let Some(Forbidden { address, reason }) = inner.downcast_ref() {
                let (address, reason) = (*address, *reason);
                return Self::Forbidden {
                    target,
                    address,
                    reason,
                };
            }
            cause = inner.source();
        }
        Self::Transfer {
            target,
            source: error.without_url().into(),
        }
    }

    /// Whether another attempt may succeed, if it is no status.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Transfer { .. } | Self::TimedOut { .. } => true,
            // Which statuses are, the configuration says.
            Self::Status { .. }
            | Self::TooLong { .. }
            | Self::Encoded { .. }
            | Self::Redirect { .. }
            | Self::Forbidden { .. }
            | Self::Token { .. } => false,
        }
    }

    /// The status that was not 2xx.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The beginning of the body of such an answer.
    pub(crate) fn excerpt(&self) -> Option<&Bytes> {
        match self {
            Self::Status { excerpt, .. } => Some(excerpt),
            _ => None,
        }
    }

    /// The pause that the server asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The message and those of all errors underneath in one line.
    pub(crate) fn trace(&self) -> String {
        let mut trace = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let _ = write!(trace, ": {error}"); // Writing to a string does not fail.
            source = error.source();
        }
        trace
    }
}

/// Why a request failed for good.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong last.
    pub(crate) error: Error,
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// Whether another attempt may succeed.
    pub(crate) retriable: bool,
}

impl Failure {
    /// The error for the worker: retriable if the same request may succeed later.
    pub(crate) fn into_connect(self) -> ConnectError {
        let Self {
            error,
            attempts,
            retriable,
        } = self;
        let mut message = error.trace();
        if attempts > 1 {
            let _ = write!(message, " (attempt {attempts}, the last one)"); // Writing to a string does not fail.
        }
        if retriable {
            ConnectError::retriable(message)
        } else {
            ConnectError::fatal(message)
        }
    }
}
