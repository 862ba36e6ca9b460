//! The words between the coordinator and whoever drives it: what goes in with a request, what comes out of a call.

use bytes::Bytes;

/// A request as its driver numbers it: unique among the requests that one coordinator has not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A set of records that is written as one. Ids grow by one in the order in which appends must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// One record of `__consumer_offsets`, encoded; no value: a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, opening with its two-byte version, which is also the type of the record.
    pub key: Bytes,
    /// The value, opening with its two-byte version; `None` deletes what the key names.
    pub value: Option<Bytes>,
}

/// Records to write in one batch, in this order, after those of every append with a smaller id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// To be given back in `committed` or `append_failed`.
    pub id: AppendId,
    /// Never empty.
    pub records: Vec<Record>,
}

/// The answer to a request; sent at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion<R> {
    /// Whose answer it is.
    pub request: RequestId,
    /// What to send.
    pub response: R,
}

/// What a call has decided. Answers that have to wait for an append are not in here: they come out of `committed`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "its appends must be written and its completions sent"]
pub struct Outcome<R> {
    /// To be written, in order.
    pub appends: Vec<Append>,
    /// To be sent, in order.
    pub completed: Vec<Completion<R>>,
}

/// Where a request comes from and which version of its API it speaks (Kafka's `RequestContext`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The version of the request.
    pub api_version: i16,
    /// The client id of the request header, empty where it has none; new member ids open with it.
    pub client_id: String,
    /// The client's address as Kafka prints it, `/127.0.0.1`.
    pub client_host: String,
}
