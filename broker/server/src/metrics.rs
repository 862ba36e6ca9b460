//! Counters of requests, bytes and connections, for whatever recorder the process has installed.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_broker_log::{Cleaned, CleaningRound};
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

/// What is known of compaction (Kafka's `LogCleaner` and `LogCleanerManager` metrics).
pub(crate) struct CleanerMetrics {
    max_dirty_percent: Gauge,
    max_compaction_delay_seconds: Gauge,
    uncleanable_partitions: Gauge,
    buffer_utilization_percent: Gauge,
    clean_time_seconds: Histogram,
    bytes_read: Counter,
    bytes_written: Counter,
}

impl CleanerMetrics {
    /// Registers them.
    pub(crate) fn new() -> Self {
        Self {
            max_dirty_percent: gauge!("kafka_log_cleaner_max_dirty_percent"),
            max_compaction_delay_seconds: gauge!("kafka_log_cleaner_max_compaction_delay_seconds"),
            uncleanable_partitions: gauge!("kafka_log_cleaner_uncleanable_partitions"),
            buffer_utilization_percent: gauge!("kafka_log_cleaner_buffer_utilization_percent"),
            clean_time_seconds: histogram!("kafka_log_cleaner_clean_time_seconds"),
            bytes_read: counter!("kafka_log_cleaner_bytes_read_total"),
            bytes_written: counter!("kafka_log_cleaner_bytes_written_total"),
        }
    }

    /// A cleaner has looked for something to do.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn round(&self, round: &CleaningRound) {
        self.max_dirty_percent.set(round.max_dirty_ratio * 100.0);
        self.max_compaction_delay_seconds
            .set(round.max_overdue_ms as f64 / 1000.0);
        self.uncleanable_partitions.set(round.uncleanable as f64);
    }

    /// A log was compacted.
    pub(crate) fn cleaned(&self, cleaned: &Cleaned, took: Duration) {
        self.buffer_utilization_percent
            .set(cleaned.buffer_utilization * 100.0);
        self.clean_time_seconds.record(took);
        self.bytes_read.increment(cleaned.bytes_read);
        self.bytes_written.increment(cleaned.bytes_written);
    }
}
