//! All of it in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use forebay_connect_api::{Progress, TaskId};
use forebay_metrics::{Kind, Text};

use super::families::{ERRORS, Family, OfTask, SINK, SOURCE, TASK};
use super::task::{Counted, ErrorMetrics, Parts, Side, TaskMetrics};

/// The figures of the tasks that run here.
pub(crate) fn render(tasks: &[(TaskId, Arc<TaskMetrics>)], text: &mut Text) {
    let of = |side: Side| tasks.iter().filter(move |(_, task)| task.side() == side);
    families(
        "kafka_connect_connector_task_metrics",
        TASK,
        text,
        || tasks.iter(),
        counted,
    );
    families(
        "kafka_connect_source_task_metrics",
        SOURCE,
        text,
        || of(Side::Source),
        counted,
    );
    families(
        "kafka_connect_sink_task_metrics",
        SINK,
        text,
        || of(Side::Sink),
        counted,
    );
    let errors =
        |task: &TaskMetrics, value: OfTask<Arc<ErrorMetrics>>, now| value(&mut Arc::clone(&task.errors), now);
    families(
        "kafka_connect_task_error_metrics",
        ERRORS,
        text,
        || tasks.iter(),
        errors,
    );
    words(tasks, text);
    progress(tasks, text);
}

/// Kafka has words there; here they are labels of samples that are 1.
fn words(tasks: &[(TaskId, Arc<TaskMetrics>)], text: &mut Text) {
    let mut families: BTreeMap<String, Vec<(&TaskId, &str)>> = BTreeMap::new();
    for (id, task) in tasks {
        let Some(Some(Parts { version, classes })) = task.made_of.get() else {
            continue;
        };
        for (name, class) in classes {
            families.entry((*name).to_owned()).or_default().push((id, class));
            if let Some(stem) = name.strip_suffix("_class") {
                let of_version = families.entry(format!("{stem}_version")).or_default();
                of_version.push((id, version));
            }
        }
    }
    for (label, samples) in families {
        let name = format!("kafka_connect_connector_task_metrics_{label}");
        text.family(&name, Kind::Gauge, "1 for what the task is made of");
        for (id, word) in samples {
            let labels: [(&str, &dyn Display); 3] =
                [("connector", &id.connector), ("task", &id.task), (&label, &word)];
            text.sample(&name, &labels, 1);
        }
    }
}

/// A figure of a source's progress.
type AmountOf = fn(&Progress) -> u64;

/// How far sources are that have an end, of which Kafka knows nothing.
fn progress(tasks: &[(TaskId, Arc<TaskMetrics>)], text: &mut Text) {
    let told = tasks
        .iter()
        .filter_map(|(id, task)| Some((id, task.lock().progress?)));
    let told: Vec<(&TaskId, Progress)> = told.collect();
    let families: [(&str, &str, AmountOf); 2] = [
        ("done", "What a source with an end has given out", |progress| {
            progress.done
        }),
        ("whole", "Of how much that is", |progress| progress.whole),
    ];
    for (end, help, value) in families.into_iter().filter(|_| !told.is_empty()) {
        let name = format!("forebay_connect_source_task_progress_{end}");
        text.family(&name, Kind::Gauge, help);
        for (id, progress) in &told {
            let unit = progress.unit.name();
            let labels: [(&str, &dyn Display); 3] =
                [("connector", &id.connector), ("task", &id.task), ("unit", &unit)];
            text.sample(&name, &labels, value(progress));
        }
    }
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
