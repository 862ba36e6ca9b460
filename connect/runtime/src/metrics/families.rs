//! What there is to tell of a task: names, kinds, and where the figures come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forebay_metrics::Kind;

use super::task::{Counted, ErrorMetrics};

/// What one task says of something; `None`: nothing.
pub(super) type OfTask<T> = fn(&mut T, Instant) -> Option<f64>;

/// A family: the end of its name, what it is, its help, and where its figures are.
pub(super) type Family<T> = (&'static str, Kind, &'static str, OfTask<T>);

/// A table of families, a line each: `name Kind "help" => what a task says;`.
macro_rules! families {
    ($($(#[$doc:meta])* $table:ident of $of:ty { $($name:ident $kind:ident $help:literal => |$task:pat_param, $now:pat_param| $value:expr;)* })*) => {
        $($(#[$doc])*
        pub(super) const $table: &[Family<$of>] = &[
            $((stringify!($name), Kind::$kind, $help, |$task, $now| $value),)*
        ];)*
    };
}

families! {
    /// Kafka's `connector-task-metrics`, as far as they are figures.
    TASK of Counted {
        batch_size_max Gauge "Records of the largest batch lately" => |task, now| task.batch.max(now);
        batch_size_avg Gauge "Records of a batch lately" => |task, now| task.batch.average(now);
        offset_commit_max_time_ms Gauge "The longest commit of offsets lately" => |task, now| task.commit_ms.max(now);
        offset_commit_avg_time_ms Gauge "A commit of offsets lately" => |task, now| task.commit_ms.average(now);
        offset_commit_success_percentage Gauge "Commits that succeeded lately, 0 to 1" => |task, now| task.commit_succeeded.average(now);
        offset_commit_failure_percentage Gauge "Commits that failed lately, 0 to 1" => |task, now| Some(1.0 - task.commit_succeeded.average(now)?);
        running_ratio Gauge "The share of its life in which the task ran" => |task, now| Some(task.ratios(now).0);
        pause_ratio Gauge "The share of its life in which the task was paused" => |task, now| Some(task.ratios(now).1);
    }

    /// Kafka's `source-task-metrics`.
    SOURCE of Counted {
        source_record_poll_total Counter "Records that were polled" => |task, _| Some(task.taken.total as f64);
        source_record_poll_rate Gauge "Records polled per second lately" => |task, now| Some(task.taken.recent.rate(now));
        source_record_write_total Counter "Records that are acknowledged" => |task, _| Some(task.given.total as f64);
        source_record_write_rate Gauge "Records acknowledged per second lately" => |task, now| Some(task.given.recent.rate(now));
        poll_batch_max_time_ms Gauge "The longest poll lately" => |task, now| task.work_ms.max(now);
        poll_batch_avg_time_ms Gauge "A poll lately" => |task, now| task.work_ms.average(now);
        source_record_active_count Gauge "Records polled and not acknowledged" => |task, _| Some(task.active.now as f64);
        source_record_active_count_max Gauge "The most of them lately" => |task, now| task.active.recent.max(now);
        source_record_active_count_avg Gauge "Their mean lately" => |task, now| task.active.recent.average(now);
        transaction_size_max Gauge "Records of the largest transaction lately" => |task, now| task.transaction.max(now);
        transaction_size_min Gauge "Records of the smallest transaction lately" => |task, now| task.transaction.min(now);
        transaction_size_avg Gauge "Records of a transaction lately" => |task, now| task.transaction.average(now);
    }

    /// Kafka's `sink-task-metrics`.
    SINK of Counted {
        sink_record_read_total Counter "Records that were read" => |task, _| Some(task.taken.total as f64);
        sink_record_read_rate Gauge "Records read per second lately" => |task, now| Some(task.taken.recent.rate(now));
        sink_record_send_total Counter "Records that were put" => |task, _| Some(task.given.total as f64);
        sink_record_send_rate Gauge "Records put per second lately" => |task, now| Some(task.given.recent.rate(now));
        sink_record_lag_max Gauge "Records behind the end, of the partition that is furthest behind" => |task, _| task.lag_max.map(|lag| lag as f64);
        partition_count Gauge "Partitions that the task has" => |task, _| Some(task.partitions as f64);
        put_batch_max_time_ms Gauge "The longest put lately" => |task, now| task.work_ms.max(now);
        put_batch_avg_time_ms Gauge "A put lately" => |task, now| task.work_ms.average(now);
        sink_record_active_count Gauge "Records read and not committed" => |task, _| Some(task.active.now as f64);
        sink_record_active_count_max Gauge "The most of them lately" => |task, now| task.active.recent.max(now);
        sink_record_active_count_avg Gauge "Their mean lately" => |task, now| task.active.recent.average(now);
        offset_commit_completion_total Counter "Commits of offsets that succeeded" => |task, _| Some(task.commits.total as f64);
        offset_commit_completion_rate Gauge "Commits of offsets per second lately" => |task, now| Some(task.commits.recent.rate(now));
        offset_commit_skip_total Counter "None: a commit is waited for" => |_, _| Some(0.0);
        offset_commit_skip_rate Gauge "None: a commit is waited for" => |_, _| Some(0.0);
        offset_commit_seq_no Gauge "The number of the last commit" => |task, _| Some(task.commits.total as f64);
    }

    /// Kafka's `task-error-metrics`.
    ERRORS of Arc<ErrorMetrics> {
        total_record_failures Counter "Attempts to process a record that failed" => |errors, _| count(&errors.failures);
        total_record_errors Counter "Records that could not be processed" => |errors, _| count(&errors.errors);
        total_records_skipped Counter "Records that were left out because of an error" => |errors, _| count(&errors.skipped);
        total_retries Counter "Attempts after the first" => |errors, _| count(&errors.retries);
        total_errors_logged Counter "Errors in the log" => |errors, _| count(&errors.logged);
        deadletterqueue_produce_requests Counter "Records for the dead letter queue" => |errors, _| count(&errors.dead_letters);
        deadletterqueue_produce_failures Counter "Records that the dead letter queue did not take" => |errors, _| count(&errors.dead_letters_failed);
        last_error_timestamp Gauge "When a record could not be processed last, milliseconds since 1970"
            => |errors, _| Some(errors.last_ms.load(Ordering::Relaxed) as f64);
    }
}

fn count(counter: &AtomicU64) -> Option<f64> {
    Some(counter.load(Ordering::Relaxed) as f64)
}
