//! Rates, lag and errors, read from the metrics of workers.

use std::collections::{BTreeMap, BTreeSet};

use super::Connector;

/// What is known of one task beside its state.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Task {
    /// Records per second that it delivers, of late.
    pub(super) rate: Option<f64>,
    /// Records behind the end of the topic, of the partition that is furthest behind.
    pub(super) lag: Option<f64>,
    /// Records that could not be processed since it was started.
    pub(super) errors: Option<f64>,
    /// Records that a source has given out and that are not acknowledged yet.
    pub(super) active: Option<f64>,
    /// How far a source is that has an end.
    pub(super) progress: Option<Progress>,
}

/// What is done of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Progress {
    pub(super) done: f64,
    pub(super) whole: f64,
    /// Whether these are bytes; else they are records.
    pub(super) is_bytes: bool,
}

impl Progress {
    /// How much of it is done; 100 only when all is.
    pub(super) fn percent(&self) -> u64 {
        if self.is_done() {
            return 100;
        }
        let share = self.done / self.whole;
        ((share * 100.0) as u64).min(99)
    }

    /// Whether all is.
    pub(super) fn is_done(&self) -> bool {
        self.done >= self.whole
    }
}

/// By connector and task.
pub(super) type Figures = BTreeMap<(String, u32), Task>;

/// Asks every worker that runs something; those that do not tell are left out.
pub(super) async fn of_workers(
    client: &reqwest::Client,
    url: &str,
    connectors: &BTreeMap<String, Connector>,
) -> Figures {
    let statuses = connectors.values().filter_map(|one| one.status.as_ref());
    let states = statuses.flat_map(|status| status.tasks.iter().chain([&status.connector]));
    let workers: BTreeSet<&str> = states.map(|state| state.worker_id.as_str()).collect();
    let mut figures = Figures::new();
    // The one that was asked may be known by another name from here.
    let addresses = workers.iter().map(|worker| format!("http://{worker}"));
    for address in addresses.chain([url.to_owned()]) {
        let Ok(answer) = client.get(format!("{address}/metrics")).send().await else {
            continue;
        };
        if let (true, Ok(text)) = (answer.status().is_success(), answer.text().await) {
            read(&text, &mut figures);
        }
    }
    figures
}

/// Takes what is of use from Prometheus' text form.
fn read(text: &str, figures: &mut Figures) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else {
            continue;
        };
        let Some((labels, value)) = rest.rsplit_once("} ") else {
            continue;
        };
        let Some(name) = ["kafka_connect_", "forebay_connect_"]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix))
        else {
            continue;
        };
        let of = |task: &mut Task, value| match name {
            "source_task_metrics_source_record_write_rate" | "sink_task_metrics_sink_record_send_rate" => {
                task.rate = Some(value);
            }
            "sink_task_metrics_sink_record_lag_max" => task.lag = Some(value),
            "task_error_metrics_total_record_errors" => task.errors = Some(value),
            "source_task_metrics_source_record_active_count" => task.active = Some(value),
            "source_task_progress_done" => {
                let progress = task.progress.get_or_insert_default();
                progress.done = value;
                progress.is_bytes = label(labels, "unit").as_deref() == Some("bytes");
            }
            "source_task_progress_whole" => task.progress.get_or_insert_default().whole = value,
            _ => {}
        };
        let (Some(connector), Some(task)) = (label(labels, "connector"), label(labels, "task")) else {
            continue;
        };
        if let (Ok(task), Ok(value)) = (task.parse(), value.trim().parse()) {
            of(figures.entry((connector, task)).or_default(), value);
        }
    }
}

/// A label's value.
fn label(labels: &str, wanted: &str) -> Option<String> {
    let start = labels.find(&format!("{wanted}=\""))? + wanted.len() + 2;
    let mut value = String::new();
    let mut characters = labels[start..].chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_connector_and_task() {
        let text = "# TYPE kafka_connect_source_task_metrics_source_record_write_rate gauge\n\
            kafka_connect_source_task_metrics_source_record_write_rate{connector=\"a \\\"b\\\\\",task=\"1\"} 12.5\n\
            kafka_connect_sink_task_metrics_sink_record_lag_max{connector=\"c\",task=\"0\"} 7\n\
            kafka_connect_task_error_metrics_total_record_errors{connector=\"c\",task=\"0\"} 2\n\
            kafka_connect_sink_task_metrics_sink_record_lag_max{connector=\"c\"} 7\n\
            forebay_connect_source_task_progress_done{connector=\"d\",task=\"0\",unit=\"bytes\"} 5\n\
            forebay_connect_source_task_progress_whole{connector=\"d\",task=\"0\",unit=\"bytes\"} 10\n\
            kafka_connect_source_task_metrics_source_record_active_count{connector=\"d\",task=\"0\"} 3\n\
            kafka_server_something{connector=\"c\",task=\"0\"} 1\n";
        let mut figures = Figures::new();
        read(text, &mut figures);
        let (rate, lag, errors) = (Some(12.5), Some(7.0), Some(2.0));
        let progress = Progress {
            done: 5.0,
            whole: 10.0,
            is_bytes: true,
        };
        let expected = [
            (
                ("a \"b\\".to_owned(), 1),
                Task {
                    rate,
                    ..Task::default()
                },
            ),
            (
                ("c".to_owned(), 0),
                Task {
                    lag,
                    errors,
                    ..Task::default()
                },
            ),
            (
                ("d".to_owned(), 0),
                Task {
                    active: Some(3.0),
                    progress: Some(progress),
                    ..Task::default()
                },
            ),
        ];
        assert_eq!(figures, Figures::from(expected));
    }
}
