//! What is known of compaction, for whatever recorder the process has installed.

use std::time::Duration;

use forebay_broker_log::{Cleaned, CleaningRound};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

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
