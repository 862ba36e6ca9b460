//! All of it in Prometheus' text form.

use std::sync::Arc;
use std::time::Instant;

use forebay_connect_api::TaskId;
use forebay_metrics::Text;

use super::families::{ERRORS, Family, OfTask, SINK, SOURCE, TASK};
use super::task::{Counted, ErrorMetrics, Side, TaskMetrics};

/// The figures of the tasks that run here.
pub(crate) fn render(tasks: &[(TaskId, Arc<TaskMetrics>)], text: &mut Text) {
    let of = |side: Side| tasks.iter().filter(move |(_, task)| task.side() == side);
    families(
        "kafka_connect_connector_task_metrics",
        &TASK,
        text,
        || tasks.iter(),
        counted,
    );
    families(
        "kafka_connect_source_task_metrics",
        &SOURCE,
        text,
        || of(Side::Source),
        counted,
    );
    families(
        "kafka_connect_sink_task_metrics",
        &SINK,
        text,
        || of(Side::Sink),
        counted,
    );
    let errors =
        |task: &TaskMetrics, value: OfTask<Arc<ErrorMetrics>>, now| value(&mut Arc::clone(&task.errors), now);
    families(
        "kafka_connect_task_error_metrics",
        &ERRORS,
        text,
        || tasks.iter(),
        errors,
    );
}

fn counted(task: &TaskMetrics, value: OfTask<Counted>, now: Instant) -> Option<f64> {
    value(&mut task.lock(), now)
}

/// Each family once, with a sample for each task that has one.
fn families<'a, T, I: Iterator<Item = &'a (TaskId, Arc<TaskMetrics>)>>(
    group: &str,
    families: &[Family<T>],
    text: &mut Text,
    tasks: impl Fn() -> I,
    read: impl Fn(&TaskMetrics, OfTask<T>, Instant) -> Option<f64>,
) {
    let now = Instant::now();
    for (name, kind, help, value) in families {
        let name = format!("{group}_{name}");
        let mut has_begun = false;
        for (id, task) in tasks() {
            let Some(value) = read(task, *value, now) else {
                continue;
            };
            if !std::mem::replace(&mut has_begun, true) {
                text.family(&name, *kind, help);
            }
            text.sample(&name, &[("connector", &id.connector), ("task", &id.task)], value);
        }
    }
}
