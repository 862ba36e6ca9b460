//! What connectors and tasks have done in this worker, under the names of Kafka's metrics (`ConnectMetricsRegistry`) as they are behind
//! the usual Prometheus exporter of its beans. A task counts by the batch, not by the record; the rest is asked at a scrape.

mod families;
mod rebalances;
mod render;
mod starts;
mod task;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use forebay_connect_api::TaskId;
use forebay_metrics::Text;

pub(crate) use rebalances::Rebalances;
pub(crate) use starts::Starts;
pub(crate) use task::{Commit, ErrorMetrics, Parts, Side, TaskMetrics};

/// What is counted here.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// The tasks that run.
    tasks: Mutex<BTreeMap<TaskId, Weak<TaskMetrics>>>,
    /// How often something was started.
    pub(crate) starts: Starts,
    /// Of a worker that is in a group.
    rebalances: Option<Arc<Rebalances>>,
}

impl Registry {
    /// Nothing is counted yet.
    pub(crate) fn new(rebalances: Option<Arc<Rebalances>>) -> Self {
        Self {
            rebalances,
            ..Self::default()
        }
    }

    /// The metrics of a task that begins; they are told of for as long as somebody holds them.
    pub(crate) fn task(&self, id: &TaskId, side: Side) -> Arc<TaskMetrics> {
        let metrics = Arc::new(TaskMetrics::new(side));
        let mut tasks = self.lock();
        tasks.retain(|_, known| known.strong_count() > 0);
        tasks.insert(id.clone(), Arc::downgrade(&metrics));
        metrics
    }

    /// Tells of them.
    pub(crate) fn render(&self, text: &mut Text) {
        self.starts.render(text);
        if let Some(rebalances) = &self.rebalances {
            rebalances.render(text);
        }
        render::render(&self.tasks(), text);
    }

    fn tasks(&self) -> Vec<(TaskId, Arc<TaskMetrics>)> {
        let tasks = self.lock();
        let running = tasks
            .iter()
            .filter_map(|(id, known)| Some((id.clone(), known.upgrade()?)));
        running.collect()
    }

    /// Nothing in here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Weak<TaskMetrics>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_connect_api::Progress;

    use super::*;

    fn id(connector: &str, task: u32) -> TaskId {
        TaskId {
            connector: connector.into(),
            task,
        }
    }

    fn text(registry: &Registry) -> String {
        let mut text = Text::default();
        registry.render(&mut text);
        text.finish()
    }

    #[test]
    fn a_task_is_told_of_while_it_runs() {
        let registry = Registry::default();
        assert!(!text(&registry).contains("task_metrics"));
        let source = registry.task(&id("files", 0), Side::Source);
        let sink = registry.task(&id("lake", 3), Side::Sink);
        source.progress(Progress::bytes(600, 1000));
        source.made_of(|| {
            Some(Parts {
                version: "1.2",
                classes: vec![("task_class", "a.b.FilesTask".to_owned())],
            })
        });
        source.took(500, Duration::from_millis(20));
        source.took(100, Duration::from_millis(10));
        source.gave(600);
        source.active(7);
        source.committed(Duration::from_millis(3), Commit::Done);
        source.committed(Duration::from_millis(5), Commit::Failed);
        sink.took(40, Duration::ZERO);
        sink.gave(39);
        sink.put(Duration::from_millis(2));
        sink.assigned(2, Some(1000));
        sink.errors.failed(1_700_000_000_000);
        let told = text(&registry);
        for line in [
            "kafka_connect_source_task_metrics_source_record_poll_total{connector=\"files\",task=\"0\"} 600",
            "kafka_connect_source_task_metrics_source_record_write_total{connector=\"files\",task=\"0\"} 600",
            "kafka_connect_source_task_metrics_source_record_active_count{connector=\"files\",task=\"0\"} 7",
            "kafka_connect_source_task_metrics_poll_batch_avg_time_ms{connector=\"files\",task=\"0\"} 15",
            "kafka_connect_connector_task_metrics_batch_size_max{connector=\"files\",task=\"0\"} 500",
            "kafka_connect_connector_task_metrics_offset_commit_success_percentage{connector=\"files\",task=\"0\"} 0.5",
            "kafka_connect_connector_task_metrics_task_class{connector=\"files\",task=\"0\",task_class=\"a.b.FilesTask\"} 1",
            "kafka_connect_connector_task_metrics_task_version{connector=\"files\",task=\"0\",task_version=\"1.2\"} 1",
            "forebay_connect_source_task_progress_done{connector=\"files\",task=\"0\",unit=\"bytes\"} 600",
            "forebay_connect_source_task_progress_whole{connector=\"files\",task=\"0\",unit=\"bytes\"} 1000",
            "kafka_connect_sink_task_metrics_sink_record_read_total{connector=\"lake\",task=\"3\"} 40",
            "kafka_connect_sink_task_metrics_sink_record_send_total{connector=\"lake\",task=\"3\"} 39",
            "kafka_connect_sink_task_metrics_sink_record_lag_max{connector=\"lake\",task=\"3\"} 1000",
            "kafka_connect_sink_task_metrics_partition_count{connector=\"lake\",task=\"3\"} 2",
            "kafka_connect_task_error_metrics_total_record_errors{connector=\"lake\",task=\"3\"} 1",
            "kafka_connect_task_error_metrics_last_error_timestamp{connector=\"lake\",task=\"3\"} 1700000000000",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
        }
        assert!(!told.contains("sink_task_metrics_sink_record_read_total{connector=\"files\""));
        assert!(!told.contains("transaction_size"), "there was none");
        drop(source);
        assert!(!text(&registry).contains("files"), "it has ended");
    }
}
