//! Why a request failed, and what to make of it. Targets are shown without their queries.

use std::{fmt::Write, net::IpAddr, time::Duration};

use bytes::Bytes;
use forebay_connect_api::{BoxError, Error as ConnectError};
use reqwest::StatusCode;

use super::{address::Forbidden, certificate};

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
    /// No agreement over TLS: most often about a certificate.
    #[error("{target} failed: {reason}")]
    Tls { target: String, reason: String },
    /// The proxy does not let us through.
    #[error("{target} failed: {reason}")]
    Proxy {
        target: String,
        reason: &'static str,
        retriable: bool,
    },
    /// A name that is to be judged before a proxy is asked for it, and is not known here.
    #[error(
        "{target} leads to {host}, a name that does not resolve here, so that nobody can tell where the proxy would go; a redirect may \
         only go there if http.redirect.private.allowed=true, and nothing may unless the worker allows private addresses"
    )]
    Unresolved { target: String, host: String },
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
    /// A failure of the HTTP library, which may be a refusal of our resolver's underneath, or one of TLS.
    pub(super) fn transfer(target: String, error: reqwest::Error) -> Self {
        for cause in causes(&error) {
            if let Some(tls) = cause.downcast_ref() {
                let reason = certificate::explain(tls);
                return Self::Tls { target, reason };
            }
            if let Some((reason, retriable)) = of_tunnel(cause) {
                return Self::Proxy {
                    target,
                    reason,
                    retriable,
                };
            }
            if let Some(Forbidden { address, reason }) = cause.downcast_ref() {
                let (address, reason) = (*address, *reason);
                return Self::Forbidden {
                    target,
                    address,
                    reason,
                };
            }
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
            // A certificate may be renewed, a name server may come back.
            Self::Tls { .. } | Self::Unresolved { .. } => true,
            Self::Proxy { retriable, .. } => *retriable,
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

/// An error and what is underneath. What an `io::Error` was made of is not its source, which is that one's.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let made_of = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        match made_of {
            Some(inner) => Some(inner as _),
            None => error.source(),
        }
    })
}

/// What a proxy says to CONNECT: the library's type for it has no name outside.
fn of_tunnel(error: &(dyn std::error::Error + 'static)) -> Option<(&'static str, bool)> {
    match error.to_string().as_str() {
        "tunnel error: proxy authorization required" => {
            let reason = "the proxy wants to know who asks, or does not take it (407); give http.proxy.user and http.proxy.password";
            Some((reason, false))
        }
        "tunnel error: unsuccessful" => Some(("the proxy does not connect to that host", true)),
        _ => None,
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
