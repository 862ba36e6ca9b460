//! Why a request is refused, in Kafka's words, and under which HTTP status (`ConnectExceptionMapper`).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forebay_connect_api::Error as ConnectError;
use forebay_http::ErrorBody;

use crate::provider::redact;
use crate::store;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// There is one already.
    #[error("Connector {0} already exists")]
    AlreadyExists(String),
    /// The request cannot be right.
    #[error("{0}")]
    BadRequest(String),
    /// The worker's configuration does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be done now.
    #[error("{0}")]
    Conflict(String),
    /// Another worker has to do it: the leader, or the one that has the connector or task.
    #[error("{why}")]
    NotLeader {
        /// In Kafka's words.
        why: &'static str,
        /// Where its REST API is, if that is known.
        url: Option<Arc<str>>,
    },
    /// The worker that was asked in turn refuses.
    #[error("{message}")]
    Remote {
        /// Its status.
        status: StatusCode,
        /// Why.
        message: String,
    },
    /// The sender of a request cannot be told from anybody else.
    #[error("Internal request contained invalid signature.")]
    Signature,
    /// Not yet.
    #[error("{0}")]
    Unavailable(&'static str),
    /// The connector refuses, or fails to answer.
    #[error("{}", .0.trace())]
    Connector(ConnectError),
    /// The cluster does not take the change.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The cluster does not do what is asked.
    #[error("{what}: {source}")]
    Client {
        /// What was to be done.
        what: String,
        /// Why not.
        source: forebay_client::Error,
    },
    /// It takes too long.
    #[error("Request timed out. {}", doing(stage, *seconds))]
    TimedOut {
        /// What it is doing.
        stage: &'static str,
        /// Since when.
        seconds: u64,
    },
    /// Something of ours failed.
    #[error("{0}")]
    Internal(String),
}

/// What a worker is at, as its answers put it.
pub(crate) fn doing(stage: &str, seconds: u64) -> String {
    format!("The worker is currently {stage}, which began {seconds} s ago.")
}

impl Error {
    /// Whether it may work if it is tried again by itself.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            // It will not become shorter.
            Self::Remote { status, .. } => *status != StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotLeader { .. }
            | Self::Conflict(_)
            | Self::Unavailable(_)
            | Self::Store(_)
            | Self::Client { .. }
            | Self::Internal(_) => true,
            _ => false,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::AlreadyExists(_) | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) | Self::Signature => StatusCode::FORBIDDEN,
            Self::NotLeader { .. } => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Remote { status, .. } => *status,
            Self::Connector(_)
            | Self::Store(_)
            | Self::Client { .. }
            | Self::TimedOut { .. }
            | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// In a response: where the request belongs. Whoever sends requests on looks for it.
#[derive(Debug, Clone)]
pub(crate) struct Target(pub(crate) Option<Arc<str>>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // A connector's errors may have what config providers gave.
        let message = redact(&self.to_string()).into_owned();
        let mut response = ErrorBody::new(self.status(), message).into_response();
        if let Self::NotLeader { url, .. } = self {
            response.extensions_mut().insert(Target(url));
        }
        response
    }
}
