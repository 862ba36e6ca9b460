//! A request that has been read, on its way to its answer, and what is measured of it.

use std::time::{Duration, Instant};

use forebay_protocol::{ApiKey, Request};

use crate::call::{Answer, CallContext};
use crate::network::request_memory::Grant;

/// What is kept of a request until it is answered.
pub(super) struct Header {
    pub(super) api_key: ApiKey,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) frame_bytes: usize,
    pub(super) received: Instant,
    /// When it was given to its handler.
    pub(super) begun: Instant,
    /// For how long the connection is not to be read when it is answered, as far as that is known by now.
    pub(super) throttle: Duration,
    /// Whose quotas it counts in, if there are any.
    pub(super) payer: Option<CallContext>,
    /// Given back when the request is answered.
    pub(super) grant: Grant,
}

/// A request that may not begin yet.
pub(super) struct Held {
    pub(super) header: Header,
    pub(super) context: CallContext,
    pub(super) request: Request,
}

/// A request that has begun.
pub(super) struct InFlight {
    pub(super) header: Header,
    pub(super) answer: Answer,
}
