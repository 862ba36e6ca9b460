//! What the worker tells of itself: how many connectors and tasks it runs, what they are doing, what the tasks count.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_connect_api::Plugin;
use forebay_metrics::{Kind, Text};

use super::Herder;
use crate::store::status::{State, Status};

/// The counters of a worker, for whoever answers scrapes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Herder>);

impl Metrics {
    pub(crate) fn new(herder: Arc<Herder>) -> Self {
        Self(herder)
    }

    /// All of them in Prometheus' text form, under the names of Kafka's metrics behind the usual exporter of its beans.
    pub fn render(&self) -> String {
        self.0.render_metrics()
    }
}

/// What a connector of this worker is doing, and its tasks here.
struct Here {
    name: Arc<str>,
    connector: Option<State>,
    tasks: Vec<(u32, State)>,
}

/// A word about a connector.
type WordOf = fn(&Plugin) -> &str;

/// The states of tasks that Kafka counts (`connect-worker-metrics`).
const TASK_STATES: [(State, &str); 5] = [
    (State::Running, "running"),
    (State::Paused, "paused"),
    (State::Failed, "failed"),
    (State::Unassigned, "unassigned"),
    (State::Restarting, "restarting"),
];

impl Herder {
    fn render_metrics(&self) -> String {
        let mut text = Text::default();
        let here = self.here();
        let connectors = here.iter().filter(|here| here.connector.is_some()).count();
        let tasks: usize = here.iter().map(|here| here.tasks.len()).sum();
        let group = "kafka_connect_connect_worker_metrics";
        let name = format!("{group}_connector_count");
        text.single(&name, Kind::Gauge, "Connectors that this worker runs", connectors);
        text.single(
            &format!("{group}_task_count"),
            Kind::Gauge,
            "Tasks that this worker runs",
            tasks,
        );
        let name = format!("{group}_connector_total_task_count");
        per_connector(&mut text, &name, "Tasks of the connector here", &here, |here| {
            here.tasks.len()
        });
        for (state, label) in TASK_STATES {
            let name = format!("{group}_connector_{label}_task_count");
            let help = format!("Tasks of the connector here that are {}", state.name());
            per_connector(&mut text, &name, &help, &here, |here| {
                here.tasks.iter().filter(|(_, task)| *task == state).count()
            });
        }
        states(&mut text, &here);
        self.classes(&mut text, &here);
        self.context.metrics.render(&mut text);
        text.finish()
    }

    /// Kafka has words there; here they are labels of samples that are 1.
    fn classes(&self, text: &mut Text, here: &[Here]) {
        let state = self.cluster.state();
        let plugins = here
            .iter()
            .filter(|here| here.connector.is_some())
            .filter_map(|here| {
                let class = state.get(&here.name)?.config.get("connector.class")?;
                Some((here, self.context.plugins.find(class).ok()?))
            });
        let plugins: Vec<(&Here, &Plugin)> = plugins.collect();
        let families: [(&str, WordOf); 3] = [
            ("connector_type", |plugin| plugin.plugin_type().name()),
            ("connector_class", |plugin| plugin.class),
            ("connector_version", |plugin| plugin.version),
        ];
        for (label, word) in families.into_iter().filter(|_| !plugins.is_empty()) {
            let name = format!("kafka_connect_connector_metrics_{label}");
            text.family(&name, Kind::Gauge, "1 for what the connector is");
            for (here, plugin) in &plugins {
                text.sample(&name, &[("connector", &here.name), (label, &word(plugin))], 1);
            }
        }
    }

    /// What this worker has said last of what it runs.
    fn here(&self) -> Vec<Here> {
        let statuses = &self.context.statuses;
        let own = |status: Status| (status.worker_id == self.context.worker_id).then_some(status.state);
        let mut all = BTreeMap::new();
        for name in self.connectors() {
            let mut tasks: Vec<(u32, State)> = statuses
                .tasks(&name)
                .into_iter()
                .filter_map(|id| Some((id.task, own(statuses.task(&id)?)?)))
                .collect();
            tasks.sort_unstable_by_key(|(task, _)| *task);
            let connector = statuses.connector(&name).and_then(own);
            if connector.is_some() || !tasks.is_empty() {
                all.insert(name, (connector, tasks));
            }
        }
        let here = all.into_iter().map(|(name, (connector, tasks))| Here {
            name,
            connector,
            tasks,
        });
        here.collect()
    }
}

fn per_connector(text: &mut Text, name: &str, help: &str, here: &[Here], count: impl Fn(&Here) -> usize) {
    if !here.is_empty() {
        text.family(name, Kind::Gauge, help);
    }
    for here in here {
        text.sample(name, &[("connector", &here.name)], count(here));
    }
}

/// Kafka's `status` is a word; here it is a label of a sample that is 1.
fn states(text: &mut Text, here: &[Here]) {
    if here.is_empty() {
        return;
    }
    let name = "kafka_connect_connector_metrics_status";
    text.family(name, Kind::Gauge, "1 for the state that the connector is in");
    for (here, state) in here.iter().filter_map(|here| Some((here, here.connector?))) {
        let status = state.name().to_ascii_lowercase();
        text.sample(name, &[("connector", &here.name), ("status", &status)], 1);
    }
    let name = "kafka_connect_connector_task_metrics_status";
    text.family(name, Kind::Gauge, "1 for the state that the task is in");
    for here in here {
        for (task, state) in &here.tasks {
            let status = state.name().to_ascii_lowercase();
            let labels: [(&str, &dyn std::fmt::Display); 3] =
                [("connector", &here.name), ("task", task), ("status", &status)];
            text.sample(name, &labels, 1);
        }
    }
}
