//! What there is to tell of a task: names, kinds, and where the figures come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forebay_metrics::Kind;

use super::task::{Counted, ErrorMetrics};

/// What one task says of something; `None`: nothing.
pub(super) type OfTask<T> = fn(&mut T, Instant) -> Option<f64>;

/// A family: the end of its name, what it is, its help.
pub(super) type Family<T> = (&'static str, Kind, &'static str, OfTask<T>);

/// Kafka's `connector-task-metrics`, as far as they are figures.
pub(super) const TASK: [Family<Counted>; 8] = [
    (
        "batch_size_max",
        Kind::Gauge,
        "Records of the largest batch lately",
        |task, now| task.batch.max(now),
    ),
    (
        "batch_size_avg",
        Kind::Gauge,
        "Records of a batch lately",
        |task, now| task.batch.average(now),
    ),
    (
        "offset_commit_max_time_ms",
        Kind::Gauge,
        "The longest commit of offsets lately",
        |task, now| task.commit_ms.max(now),
    ),
    (
        "offset_commit_avg_time_ms",
        Kind::Gauge,
        "A commit of offsets lately",
        |task, now| task.commit_ms.average(now),
    ),
    (
        "offset_commit_success_percentage",
        Kind::Gauge,
        "Commits that succeeded lately, 0 to 1",
        |task, now| task.commit_succeeded.average(now),
    ),
    (
        "offset_commit_failure_percentage",
        Kind::Gauge,
        "Commits that failed lately, 0 to 1",
        |task, now| Some(1.0 - task.commit_succeeded.average(now)?),
    ),
    (
        "running_ratio",
        Kind::Gauge,
        "The share of its life in which the task ran",
        |task, now| Some(task.ratios(now).0),
    ),
    (
        "pause_ratio",
        Kind::Gauge,
        "The share of its life in which the task was paused",
        |task, now| Some(task.ratios(now).1),
    ),
];

/// Kafka's `source-task-metrics`.
pub(super) const SOURCE: [Family<Counted>; 12] = [
    (
        "source_record_poll_total",
        Kind::Counter,
        "Records that were polled",
        |task, _| Some(task.taken.total as f64),
    ),
    (
        "source_record_poll_rate",
        Kind::Gauge,
        "Records polled per second lately",
        |task, now| Some(task.taken.recent.rate(now)),
    ),
    (
        "source_record_write_total",
        Kind::Counter,
        "Records that are acknowledged",
        |task, _| Some(task.given.total as f64),
    ),
    (
        "source_record_write_rate",
        Kind::Gauge,
        "Records acknowledged per second lately",
        |task, now| Some(task.given.recent.rate(now)),
    ),
    (
        "poll_batch_max_time_ms",
        Kind::Gauge,
        "The longest poll lately",
        |task, now| task.work_ms.max(now),
    ),
    (
        "poll_batch_avg_time_ms",
        Kind::Gauge,
        "A poll lately",
        |task, now| task.work_ms.average(now),
    ),
    (
        "source_record_active_count",
        Kind::Gauge,
        "Records polled and not acknowledged",
        |task, _| Some(task.active.now as f64),
    ),
    (
        "source_record_active_count_max",
        Kind::Gauge,
        "The most of them lately",
        |task, now| task.active.recent.max(now),
    ),
    (
        "source_record_active_count_avg",
        Kind::Gauge,
        "Their mean lately",
        |task, now| task.active.recent.average(now),
    ),
    (
        "transaction_size_max",
        Kind::Gauge,
        "Records of the largest transaction lately",
        |task, now| task.transaction.max(now),
    ),
    (
        "transaction_size_min",
        Kind::Gauge,
        "Records of the smallest transaction lately",
        |task, now| task.transaction.min(now),
    ),
    (
        "transaction_size_avg",
        Kind::Gauge,
        "Records of a transaction lately",
        |task, now| task.transaction.average(now),
    ),
];

/// Kafka's `sink-task-metrics`.
pub(super) const SINK: [Family<Counted>; 14] = [
    (
        "sink_record_read_total",
        Kind::Counter,
        "Records that were read",
        |task, _| Some(task.taken.total as f64),
    ),
    (
        "sink_record_read_rate",
        Kind::Gauge,
        "Records read per second lately",
        |task, now| Some(task.taken.recent.rate(now)),
    ),
    (
        "sink_record_send_total",
        Kind::Counter,
        "Records that were put",
        |task, _| Some(task.given.total as f64),
    ),
    (
        "sink_record_send_rate",
        Kind::Gauge,
        "Records put per second lately",
        |task, now| Some(task.given.recent.rate(now)),
    ),
    (
        "sink_record_lag_max",
        Kind::Gauge,
        "Records behind the end, of the partition that is furthest behind",
        |task, _| task.lag_max.map(|lag| lag as f64),
    ),
    (
        "partition_count",
        Kind::Gauge,
        "Partitions that the task has",
        |task, _| Some(task.partitions as f64),
    ),
    (
        "put_batch_max_time_ms",
        Kind::Gauge,
        "The longest put lately",
        |task, now| task.work_ms.max(now),
    ),
    (
        "put_batch_avg_time_ms",
        Kind::Gauge,
        "A put lately",
        |task, now| task.work_ms.average(now),
    ),
    (
        "sink_record_active_count",
        Kind::Gauge,
        "Records read and not committed",
        |task, _| Some(task.active.now as f64),
    ),
    (
        "sink_record_active_count_max",
        Kind::Gauge,
        "The most of them lately",
        |task, now| task.active.recent.max(now),
    ),
    (
        "sink_record_active_count_avg",
        Kind::Gauge,
        "Their mean lately",
        |task, now| task.active.recent.average(now),
    ),
    (
        "offset_commit_completion_total",
        Kind::Counter,
        "Commits of offsets that succeeded",
        |task, _| Some(task.commits.total as f64),
    ),
    (
        "offset_commit_completion_rate",
        Kind::Gauge,
        "Commits of offsets per second lately",
        |task, now| Some(task.commits.recent.rate(now)),
    ),
    (
        "offset_commit_seq_no",
        Kind::Gauge,
        "The number of the last commit",
        |task, _| Some(task.commits.total as f64),
    ),
];

/// Kafka's `task-error-metrics`.
pub(super) const ERRORS: [Family<Arc<ErrorMetrics>>; 8] = [
    (
        "total_record_failures",
        Kind::Counter,
        "Attempts to process a record that failed",
        |errors, _| count(&errors.failures),
    ),
    (
        "total_record_errors",
        Kind::Counter,
        "Records that could not be processed",
        |errors, _| count(&errors.errors),
    ),
    (
        "total_records_skipped",
        Kind::Counter,
        "Records that were left out because of an error",
        |errors, _| count(&errors.skipped),
    ),
    (
        "total_retries",
        Kind::Counter,
        "Attempts after the first",
        |errors, _| count(&errors.retries),
    ),
    (
        "total_errors_logged",
        Kind::Counter,
        "Errors in the log",
        |errors, _| count(&errors.logged),
    ),
    (
        "deadletterqueue_produce_requests",
        Kind::Counter,
        "Records for the dead letter queue",
        |errors, _| count(&errors.dead_letters),
    ),
    (
        "deadletterqueue_produce_failures",
        Kind::Counter,
        "Records that the dead letter queue did not take",
        |errors, _| count(&errors.dead_letters_failed),
    ),
    (
        "last_error_timestamp",
        Kind::Gauge,
        "When a record could not be processed last, milliseconds since 1970",
        |errors, _| Some(errors.last_ms.load(Ordering::Relaxed) as f64),
    ),
];

fn count(counter: &AtomicU64) -> Option<f64> {
    Some(counter.load(Ordering::Relaxed) as f64)
}
