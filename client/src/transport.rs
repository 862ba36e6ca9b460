//! How a request reaches a node: over TCP, or in-process where the node is our own. Above this seam nothing knows which.

pub mod local;
pub mod tcp;

use std::{fmt, future::Future, io, pin::Pin, sync::Arc, time::Duration};

use forebay_protocol::{Request, Response, decode, encode};

/// The answer to a request, some time.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// One way to one node.
///
/// # Contract
/// - A request takes its place in line when `call` returns, before the future is first polled, as long as no more than the
///   transport's bound are in flight; requests in line are carried out in that order, and their answers come in it.
/// - The request makes progress whether or not the future is polled, and goes on if the future is dropped.
/// - The records of a response are in memory. A produce request with `acks=0` is answered by an empty response once it
///   is on its way.
/// - After the first error that [`Error::is_disconnect`] says, every call fails with one.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request in this version of its API.
    fn call(&self, api_version: i16, request: Request) -> CallFuture;

    /// What errors name: the broker's `host:port`, or that it is our own node.
    fn address(&self) -> &Arc<str>;

    /// Whether it is worth calling.
    fn is_open(&self) -> bool;

    /// Gives up: whatever is in flight fails.
    fn close(&self);
}

/// What went wrong between us and a node.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The node.
        address: Arc<str>,
        /// Why.
        source: Arc<io::Error>,
    },
    /// None came about in time.
    #[error("cannot connect to {address} within {} ms", .after.as_millis())]
    ConnectTimeout {
        /// The node.
        address: Arc<str>,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended while a request was in flight: it may or may not have been carried out.
    #[error("the connection to {address} was lost: {reason}")]
    Disconnected {
        /// The node.
        address: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// No answer came in time; the connection is given up.
    #[error("{address} did not answer {api} within {} ms", .after.as_millis())]
    RequestTimeout {
        /// The node.
        address: Arc<str>,
        /// Kafka's name of the request.
        api: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The request cannot be written in this version.
    #[error("cannot write {api}, version {version}: {source}")]
    Encode {
        /// Kafka's name of the request.
        api: &'static str,
        /// The version.
        version: i16,
        /// Why.
        source: Arc<encode::Error>,
    },
    /// The answer cannot be read.
    #[error("cannot read the answer of {address} to {api}, version {version}: {source}")]
    Decode {
        /// The node.
        address: Arc<str>,
        /// Kafka's name of the request.
        api: &'static str,
        /// The version.
        version: i16,
        /// Why.
        source: Arc<decode::Error>,
    },
    /// A request larger than the node would take.
    #[error("{api} has {bytes} bytes, more than the {bytes_max} that {address} takes")]
    TooLarge {
        /// The node.
        address: Arc<str>,
        /// Kafka's name of the request.
        api: &'static str,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
}

impl Error {
    /// Whether the same request may succeed on another connection.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Disconnected { .. }
            | Self::RequestTimeout { .. } => true,
            Self::Encode { .. } | Self::Decode { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the connection is gone.
    pub fn is_disconnect(&self) -> bool {
        !matches!(self, Self::Encode { .. } | Self::TooLarge { .. })
    }
}
