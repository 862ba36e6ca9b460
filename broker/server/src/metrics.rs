//! What is counted while the broker serves: requests with their phases, bytes, connections. A request costs a few additions to
//! counters that nobody locks. `exposition.rs` writes all of it, and what the partitions know, in Prometheus' text form.

mod cleaner;
mod coordinators;
mod exposition;
mod group_lag;
mod histogram;
mod recovery;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay_protocol::{ApiKey, ErrorCode, Response};

pub(crate) use cleaner::CleanerMetrics;
pub(crate) use coordinators::{LoadTimes, Partitions};
pub(crate) use exposition::Exposition;
use histogram::Histogram;
pub(crate) use recovery::{BrokerState, before_serving};

/// A request that has been answered, and where its time went (Kafka's `RequestMetrics`).
#[derive(Debug)]
pub(crate) struct Answered {
    /// Its API.
    pub(crate) api_key: ApiKey,
    /// How long the answer was.
    pub(crate) bytes: usize,
    /// How long it stood behind others of its connection.
    pub(crate) queue: Duration,
    /// How long was worked on it.
    pub(crate) local: Duration,
    /// How long the answer took to the socket.
    pub(crate) send: Duration,
    /// For how long the client is not heard after it.
    pub(crate) throttle: Duration,
    /// From the last byte of the request to the last of the answer.
    pub(crate) total: Duration,
}

/// The requests of one API.
#[derive(Debug)]
struct Requests {
    api_key: ApiKey,
    received: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// By the number of the error, from -1 on.
    errors: Vec<AtomicU64>,
    total: Histogram,
    queue: Histogram,
    local: Histogram,
    /// What is in none of the others: waiting for records, members, acknowledgements.
    remote: Histogram,
    send: Histogram,
    throttle: Histogram,
}

/// All counters of the network's side.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// By the number of the API.
    requests: Vec<Option<Box<Requests>>>,
    connections: AtomicU64,
    connections_opened: AtomicU64,
    connections_refused: AtomicU64,
}

impl Metrics {
    /// Nothing has been counted yet of the APIs that are served.
    pub(crate) fn new(served: &[ApiKey]) -> Self {
        let places = served
            .iter()
            .map(|api_key| place(*api_key) + 1)
            .max()
            .unwrap_or(0);
        let mut requests: Vec<Option<Box<Requests>>> = Vec::new();
        requests.resize_with(places, || None);
        for api_key in served {
            requests[place(*api_key)] = Some(Box::new(Requests::new(*api_key)));
        }
        Self {
            requests,
            connections: AtomicU64::new(0),
            connections_opened: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
        }
    }

    /// A request of so many bytes has been read.
    pub(crate) fn request_received(&self, api_key: ApiKey, bytes: usize) {
        if let Some(requests) = self.of(api_key) {
            add(&requests.received, 1);
            add(&requests.bytes_in, bytes as u64);
        }
    }

    /// A request was answered so: every error code in it counts, success as well (Kafka's `updateErrorMetrics`).
    pub(crate) fn errors(&self, response: &Response, version: i16) {
        let Some(requests) = self.of(response.api_key()) else {
            return;
        };
        response.each_error_code(version, &mut |code| {
            let place = usize::try_from(i32::from(code) + 1).unwrap_or(0);
            if let Some(counter) = requests.errors.get(place) {
                add(counter, 1);
            }
        });
    }

    /// Its answer has been written.
    pub(crate) fn answered(&self, answered: &Answered) {
        let Some(requests) = self.of(answered.api_key) else {
            return;
        };
        add(&requests.bytes_out, answered.bytes as u64);
        requests.total.record(answered.total);
        requests.queue.record(answered.queue);
        requests.local.record(answered.local);
        requests.send.record(answered.send);
        let known = answered.queue + answered.local + answered.send;
        requests.remote.record(answered.total.saturating_sub(known));
        if !answered.throttle.is_zero() {
            requests.throttle.record(answered.throttle);
        }
    }

    /// A connection has been opened.
    pub(crate) fn connection_opened(&self) {
        add(&self.connections, 1);
        add(&self.connections_opened, 1);
    }

    /// A connection has ended.
    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection was turned away.
    pub(crate) fn connection_refused(&self) {
        add(&self.connections_refused, 1);
    }

    fn of(&self, api_key: ApiKey) -> Option<&Requests> {
        self.requests.get(place(api_key))?.as_deref()
    }
}

impl Requests {
    fn new(api_key: ApiKey) -> Self {
        Self {
            api_key,
            received: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            errors: ErrorCode::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            total: Histogram::default(),
            queue: Histogram::default(),
            local: Histogram::default(),
            remote: Histogram::default(),
            send: Histogram::default(),
            throttle: Histogram::default(),
        }
    }
}

fn place(api_key: ApiKey) -> usize {
    usize::try_from(api_key.number()).unwrap_or(0)
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use forebay_protocol::messages::FindCoordinatorResponse;
    use forebay_protocol::messages::find_coordinator_response::Coordinator;

    use super::*;

    #[test]
    fn the_errors_are_those_that_the_version_has() {
        let code = ErrorCode::CoordinatorNotAvailable.to_i16();
        let one = Coordinator {
            error_code: code,
            ..Coordinator::default()
        };
        let response = Response::from(FindCoordinatorResponse {
            coordinators: vec![Coordinator::default(), one],
            ..FindCoordinatorResponse::default()
        });
        let metrics = Metrics::new(&[ApiKey::FindCoordinator]);
        let counts = |metrics: &Metrics| {
            let requests = metrics.of(ApiKey::FindCoordinator).expect("served");
            let count = |code: i16| {
                requests.errors[usize::try_from(code + 1).expect("positive")].load(Ordering::Relaxed)
            };
            (count(0), count(code))
        };
        // Before version 4 there is one coordinator, whose error is the response's.
        metrics.errors(&response, 3);
        assert_eq!(counts(&metrics), (1, 0));
        metrics.errors(&response, 4);
        assert_eq!(counts(&metrics), (2, 1));
        let unserved = Metrics::new(&[]);
        unserved.errors(&response, 4);
    }
}
