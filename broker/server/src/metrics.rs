//! Counters of requests, bytes and connections, for whatever recorder the process has installed.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_protocol::ApiKey;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Handles, looked up once: a request costs an addition.
pub(crate) struct Metrics {
    requests: BTreeMap<ApiKey, (Counter, Histogram)>,
    bytes_in: Counter,
    bytes_out: Counter,
    connections: Gauge,
    refused: Counter,
}

impl Metrics {
    /// Registers the metrics of the APIs that are served.
    pub(crate) fn new(served: &[ApiKey]) -> Self {
        let of = |key: &ApiKey| {
            let requests = counter!("kafka_network_requests_total", "request" => key.name());
            let seconds = histogram!("kafka_network_request_seconds", "request" => key.name());
            (*key, (requests, seconds))
        };
        Self {
            requests: served.iter().map(of).collect(),
            bytes_in: counter!("kafka_network_bytes_in_total"),
            bytes_out: counter!("kafka_network_bytes_out_total"),
            connections: gauge!("kafka_network_connections"),
            refused: counter!("kafka_network_connections_refused_total"),
        }
    }

    /// A request of so many bytes has been read.
    pub(crate) fn request_received(&self, api_key: ApiKey, bytes: usize) {
        self.bytes_in.increment(bytes as u64);
        if let Some((requests, _)) = self.requests.get(&api_key) {
            requests.increment(1);
        }
    }

    /// Its response has been written, so long after.
    pub(crate) fn response_sent(&self, api_key: ApiKey, bytes: usize, after: Duration) {
        self.bytes_out.increment(bytes as u64);
        if let Some((_, seconds)) = self.requests.get(&api_key) {
            seconds.record(after);
        }
    }

    /// A connection has been opened.
    pub(crate) fn connection_opened(&self) {
        self.connections.increment(1.0);
    }

    /// A connection has ended.
    pub(crate) fn connection_closed(&self) {
        self.connections.decrement(1.0);
    }

    /// A connection was turned away.
    pub(crate) fn connection_refused(&self) {
        self.refused.increment(1);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
