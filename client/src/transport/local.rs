//! Our own node, in this process: what answers is given from outside (a broker's router), here are the order and the bounds
//! that a socket would have, and a task that sees each request through, whoever stops waiting.

mod line;

use std::sync::Arc;

use forebay_protocol::{Records, Request, Response};

use crate::transport::{CallFuture, Error, Transport};
use line::Line;

/// How many Produce requests may be in work at once; of the others, one. As many as a broker takes from one connection.
pub const IN_WORK_MAX: usize = 16;

/// How many bytes of records may be in work at once; a larger request is alone. As many as a broker takes from one connection.
pub const IN_WORK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes of records a request may have: the default of a broker's `socket.request.max.bytes`.
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// A connection to a node in this process.
#[derive(Debug)]
pub struct Local {
    line: Arc<Line>,
}

impl Local {
    /// Puts order and bounds around `node`, which need not have any. Its calls must begin when they are made: see
    /// [`Transport`]. Must be called inside a tokio runtime.
    pub fn new(node: Arc<dyn Transport>) -> Self {
        Self {
            line: Line::start(node),
        }
    }

    fn disconnected(&self, reason: &str) -> Error {
        Error::Disconnected {
            address: self.address().clone(),
            reason: reason.into(),
        }
    }
}

impl Transport for Local {
    fn call(&self, api_version: i16, request: Request) -> CallFuture {
        let bytes = record_bytes(&request);
        if bytes > REQUEST_BYTES_MAX {
            let error = Error::TooLarge {
                address: self.address().clone(),
                api: request.api_key().name(),
                bytes,
                bytes_max: REQUEST_BYTES_MAX,
            };
            return Box::pin(std::future::ready(Err(error)));
        }
        let answered = self.line.enqueue(api_version, request, bytes);
        let gone = self.disconnected("its runtime has ended");
        Box::pin(async move { answered.await.unwrap_or(Err(gone)) })
    }

    fn address(&self) -> &Arc<str> {
        self.line.node.address()
    }

    fn is_open(&self) -> bool {
        self.line.is_open() && self.line.node.is_open()
    }

    /// Closes this way to the node; the node itself is not ours to close.
    fn close(&self) {
        self.line.end(&self.disconnected("it was closed on this side"));
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.line.leave();
    }
}

fn record_bytes(request: &Request) -> usize {
    let Request::Produce(produce) = request else {
        return 0;
    };
    let partitions = produce.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions
        .filter_map(|partition| partition.records.as_ref())
        .map(Records::len)
        .sum()
}

fn in_memory(response: &Response) -> bool {
    let Response::Fetch(fetch) = response else {
        return true;
    };
    let mut partitions = fetch.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.all(|partition| !matches!(partition.records, Some(Records::File(_))))
}

#[cfg(test)]
mod tests;
