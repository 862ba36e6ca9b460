//! A request on its way: who calls, what a handler is given, and how it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use forebay_protocol::{ApiKey, Response, Utf8Bytes};

use crate::core::Core;

/// Who calls when nobody has authenticated.
pub const ANONYMOUS: &str = "User:ANONYMOUS";

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A caller in this process.
    InProcess,
    /// A socket, with its peer.
    Socket(SocketAddr),
}

/// Who calls, and by which way (Kafka's `RequestContext`).
#[derive(Debug, Clone)]
pub struct CallContext {
    /// What the client calls itself.
    pub client_id: Option<Utf8Bytes>,
    /// Who it is: `User:NAME`.
    pub principal: Arc<str>,
    /// Where the request comes from.
    pub origin: Origin,
    /// The listener whose addresses Metadata answers.
    pub listener: Arc<str>,
}

impl CallContext {
    /// A caller in this process, told the addresses of `listener`.
    #[must_use]
    pub fn in_process(client_id: &str, listener: impl Into<Arc<str>>) -> Self {
        Self {
            client_id: Some(client_id.into()),
            principal: ANONYMOUS.into(),
            origin: Origin::InProcess,
            listener: listener.into(),
        }
    }

    pub(crate) fn of_socket(client_id: Option<Utf8Bytes>, peer: SocketAddr, listener: Arc<str>) -> Self {
        Self {
            client_id,
            principal: ANONYMOUS.into(),
            origin: Origin::Socket(peer),
            listener,
        }
    }

    /// The client's address as Kafka prints it, `/127.0.0.1`.
    #[must_use]
    pub fn client_host(&self) -> String {
        match self.origin {
            Origin::InProcess => "/127.0.0.1".to_owned(),
            Origin::Socket(peer) => format!("/{}", peer.ip()),
        }
    }
}

/// How a request ends.
#[derive(Debug)]
pub enum Reply {
    /// By this response.
    Response(Response),
    /// Without one: Produce with `acks=0`.
    Silence,
    /// By closing the connection, as Kafka does where no response could say what is wrong.
    Hangup(&'static str),
}

impl Reply {
    /// The answer never came because the broker stops.
    pub(crate) const STOPPING: Self = Self::Hangup("the broker is stopping");
}

impl<R: Into<Response>> From<R> for Reply {
    fn from(response: R) -> Self {
        Self::Response(response.into())
    }
}

/// A request that has been given to its handler; what has to be in the order of requests is done.
pub(crate) enum Dispatched {
    /// It is answered.
    Now(Reply),
    /// It is answered when this is.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

/// An answer that comes, and how long was worked on it: Kafka's local time, as against the time that it waits for others.
pub(crate) struct Answer {
    future: Pin<Box<dyn Future<Output = Reply> + Send>>,
    pub(crate) worked: Duration,
}

impl Answer {
    /// The answer that a handler has begun with `worked` behind it.
    pub(crate) fn new(dispatched: Dispatched, worked: Duration) -> Self {
        let future = match dispatched {
            Dispatched::Now(reply) => Box::pin(std::future::ready(reply)),
            Dispatched::Later(answer) => answer,
        };
        Self { future, worked }
    }
}

impl Future for Answer {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let began = Instant::now();
        let outcome = self.future.as_mut().poll(context);
        self.worked += began.elapsed();
        outcome
    }
}

/// One request on its way through a handler.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The broker.
    pub(crate) core: Arc<Core>,
    /// Who calls.
    pub(crate) context: CallContext,
    /// The version of the request and of its response.
    pub(crate) version: i16,
    /// What the broker serves, for ApiVersions.
    pub(crate) served: &'static [ApiKey],
}
