//! The table that people see.

use std::collections::BTreeMap;

use anyhow::bail;

use super::figures::{Progress, Task};
use super::{Connector, Figures, State};

/// The column that is left out where no source has an end.
const PROGRESS: usize = 8;
const HEADER: [&str; 10] = [
    "CONNECTOR",
    "TYPE",
    "CLASS",
    "STATE",
    "TASKS",
    "RECORDS/S",
    "LAG",
    "ERRORS",
    "PROGRESS",
    "WORKER",
];

/// What is printed, and whether all of it is well.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) text: String,
    /// Nothing has failed.
    pub(super) is_well: bool,
}

/// All connectors, a line each; or those of these names with their tasks. Below it why something has failed.
pub(super) fn of(
    connectors: &BTreeMap<String, Connector>,
    figures: &Figures,
    names: &[String],
) -> anyhow::Result<Shown> {
    check_names(connectors, names)?;
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    let mut failures = Vec::new();
    let wanted = connectors
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name));
    for (name, connector) in wanted {
        rows.push(row(name, connector, figures));
        let Some(status) = &connector.status else { continue };
        if !names.is_empty() {
            rows.extend(status.tasks.iter().map(|task| task_row(name, task, figures)));
        }
        for state in status.tasks.iter().chain([&status.connector]) {
            failures.extend(failure(name, state));
        }
    }
    let mut text = if rows.len() == 1 {
        "There are no connectors; POST one to /connectors.\n".to_owned()
    } else {
        aligned(&rows)
    };
    for failure in &failures {
        text.push('\n');
        text.push_str(failure);
        text.push('\n');
    }
    Ok(Shown {
        text,
        is_well: failures.is_empty(),
    })
}

/// Whether these connectors are there.
pub(super) fn check_names(connectors: &BTreeMap<String, Connector>, names: &[String]) -> anyhow::Result<()> {
    if let Some(name) = names.iter().find(|name| !connectors.contains_key(*name)) {
        let known: Vec<&str> = connectors.keys().map(String::as_str).collect();
        bail!("there is no connector {name}; there are: {}", known.join(", "));
    }
    Ok(())
}

fn row(name: &str, connector: &Connector, figures: &Figures) -> Vec<String> {
    let class = connector
        .info
        .as_ref()
        .and_then(|info| info.config.get("connector.class"));
    let class = class.map_or("", |class| class.rsplit('.').next().unwrap_or(class));
    let kind = connector
        .info
        .as_ref()
        .and_then(|info| info.connector_type.clone());
    let (state, tasks, worker) = match &connector.status {
        None => ("UNASSIGNED", String::new(), String::new()),
        Some(status) => {
            let running = status.tasks.iter().filter(|task| task.state == "RUNNING");
            let tasks = format!("{}/{}", running.count(), status.tasks.len());
            let connector = &status.connector;
            // A connector runs on while its tasks do not.
            let failed = status.tasks.iter().any(|task| task.state == "FAILED");
            let state = if failed && connector.state == "RUNNING" {
                "DEGRADED"
            } else {
                &connector.state
            };
            (state, tasks, connector.worker_id.clone())
        }
    };
    let of_connector = figures.iter().filter(|((connector, _), _)| connector == name);
    let all = of_connector.fold(Task::default(), |all, (_, task)| Task {
        rate: sum(all.rate, task.rate),
        lag: sum(all.lag, task.lag),
        errors: sum(all.errors, task.errors),
        active: sum(all.active, task.active),
        progress: all_of(all.progress, task.progress),
    });
    let mut row = vec![name.to_owned(), kind.unwrap_or_default(), class.to_owned()];
    row.extend([state.to_owned(), tasks]);
    row.extend(numbers(&all));
    row.push(worker);
    row
}

fn task_row(name: &str, task: &State, figures: &Figures) -> Vec<String> {
    let id = task.id.unwrap_or_default();
    let known = figures.get(&(name.to_owned(), id)).copied().unwrap_or_default();
    let mut row = vec![format!("  task {id}"), String::new(), String::new()];
    row.extend([task.state.clone(), String::new()]);
    row.extend(numbers(&known));
    row.push(task.worker_id.clone());
    row
}

fn numbers(task: &Task) -> [String; 4] {
    let rate = task.rate.map(|rate| match rate {
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        rate => grouped(rate),
    });
    let progress = task.progress.map(|progress| format!("{}%", progress.percent()));
    [rate, task.lag.map(grouped), task.errors.map(grouped), progress]
        .map(|number| number.unwrap_or_else(|| "-".to_owned()))
}

/// Tasks of one connector count the same; of others there is no sum.
fn all_of(one: Option<Progress>, other: Option<Progress>) -> Option<Progress> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Progress {
            done: one.done + other.done,
            whole: one.whole + other.whole,
            ..one
        }),
        (one, other) => one.or(other),
    }
}

fn sum(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
    }
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Who has failed and why: the first line of the trace says what, the last one what is at the bottom of it.
pub(super) fn failure(name: &str, state: &State) -> Option<String> {
    if state.state != "FAILED" {
        return None;
    }
    let who = state
        .id
        .map_or_else(|| name.to_owned(), |id| format!("task {id} of {name}"));
    let trace = state.trace.as_deref().unwrap_or("it did not say why");
    let mut lines = trace.lines().filter(|line| !line.trim_start().starts_with("at "));
    let first = lines.next().unwrap_or_default();
    let cause = lines
        .rfind(|line| line.starts_with("Caused by"))
        .map(|line| format!("\n  {line}"));
    Some(format!("{who} has failed: {first}{}", cause.unwrap_or_default()))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEADER.len())
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let has_progress = rows.iter().skip(1).any(|row| row[PROGRESS] != "-");
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.filter(|(column, _)| has_progress || *column != PROGRESS);
        let cells = cells.map(|(column, (cell, width))| match column {
            5..=PROGRESS => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connectors() -> BTreeMap<String, Connector> {
        let all = json!({
            "files": {
                "info": { "name": "files", "type": "source", "tasks": [],
                          "config": { "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector" } },
                "status": { "name": "files", "type": "source", "connector": { "state": "RUNNING", "worker_id": "w:1" },
                            "tasks": [{ "id": 0, "state": "RUNNING", "worker_id": "w:1" }] },
            },
            "lake": {
                "info": { "name": "lake", "type": "sink", "tasks": [], "config": { "connector.class": "S3Sink" } },
                "status": { "name": "lake", "type": "sink", "connector": { "state": "RUNNING", "worker_id": "w:2" },
                            "tasks": [{ "id": 0, "state": "RUNNING", "worker_id": "w:1" },
                                      { "id": 1, "state": "FAILED", "worker_id": "w:2",
                                        "trace": "Exiting WorkerSinkTask\n\tat somewhere\nCaused by: no room\n\tat there" }] },
            },
        });
        serde_json::from_value(all).expect("as workers answer")
    }

    fn figures() -> Figures {
        let task = |rate, lag, errors| Task {
            rate,
            lag,
            errors,
            ..Task::default()
        };
        Figures::from([
            (("files".to_owned(), 0), task(Some(1204.4), None, Some(0.0))),
            (
                ("lake".to_owned(), 0),
                task(Some(2.25), Some(1_000_000.0), Some(3.0)),
            ),
            (("lake".to_owned(), 1), task(None, Some(5.0), None)),
        ])
    }

    #[test]
    fn a_line_for_each_connector_and_why_it_has_failed() {
        let shown = of(&connectors(), &figures(), &[]).expect("shown");
        assert!(!shown.is_well);
        assert_eq!(
            shown.text,
            "CONNECTOR  TYPE    CLASS                      STATE     TASKS  RECORDS/S        LAG  ERRORS  WORKER\n\
             files      source  FileStreamSourceConnector  RUNNING   1/1        1,204          -       0  w:1\n\
             lake       sink    S3Sink                     DEGRADED  1/2          2.2  1,000,005       3  w:2\n\
             \n\
             task 1 of lake has failed: Exiting WorkerSinkTask\n  Caused by: no room\n"
        );
    }

    #[test]
    fn a_connector_by_name_with_its_tasks() {
        let shown = of(&connectors(), &figures(), &["files".to_owned()]).expect("shown");
        assert!(shown.is_well);
        assert_eq!(
            shown.text,
            "CONNECTOR  TYPE    CLASS                      STATE    TASKS  RECORDS/S  LAG  ERRORS  WORKER\n\
             files      source  FileStreamSourceConnector  RUNNING  1/1        1,204    -       0  w:1\n  \
             task 0                                      RUNNING             1,204    -       0  w:1\n"
        );
        let unknown = of(&connectors(), &figures(), &["file".to_owned()]).expect_err("unknown");
        assert_eq!(
            unknown.to_string(),
            "there is no connector file; there are: files, lake"
        );
    }

    #[test]
    fn a_source_that_has_an_end_says_how_far_it_is() {
        let mut figures = figures();
        let files = figures.get_mut(&("files".to_owned(), 0)).expect("it is there");
        files.progress = Some(Progress {
            done: 199.0,
            whole: 200.0,
            is_bytes: false,
        });
        let shown = of(&connectors(), &figures, &[]).expect("shown");
        let lines: Vec<&str> = shown.text.lines().take(3).map(|line| &line[46..]).collect();
        assert_eq!(
            lines,
            [
                "STATE     TASKS  RECORDS/S        LAG  ERRORS  PROGRESS  WORKER",
                "RUNNING   1/1        1,204          -       0       99%  w:1",
                "DEGRADED  1/2          2.2  1,000,005       3         -  w:2",
            ]
        );
    }

    #[test]
    fn a_worker_without_metrics_and_one_without_connectors() {
        let shown = of(&connectors(), &Figures::new(), &["files".to_owned()]).expect("shown");
        assert!(
            shown.text.contains("1/1            -    -       -  w:1"),
            "{}",
            shown.text
        );
        let none = of(&BTreeMap::new(), &Figures::new(), &[]).expect("shown");
        assert_eq!(none.text, "There are no connectors; POST one to /connectors.\n");
    }
}
