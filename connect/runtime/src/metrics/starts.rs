//! How often connectors and tasks were started here, and how that went: the startup figures of Kafka's `connect-worker-metrics`.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use forebay_connect_api::TaskId;
use forebay_metrics::{Kind, Sampled, Text};

use crate::store::status::State;

/// Of all that this worker has run. A start succeeds when the unit says that it runs, and fails when it says that it has failed before
/// that; one that was told to stop before either did neither.
#[derive(Debug)]
pub(crate) struct Starts {
    connectors: Mutex<Counts<Arc<str>>>,
    tasks: Mutex<Counts<TaskId>>,
}

#[derive(Debug)]
struct Counts<K> {
    /// Those of which it is not known yet.
    begun: HashSet<K>,
    succeeded: u64,
    failed: u64,
    /// 1 for a start that succeeded, 0 for one that failed.
    results: Sampled,
}

impl Default for Starts {
    fn default() -> Self {
        Self {
            connectors: Mutex::new(Counts::new()),
            tasks: Mutex::new(Counts::new()),
        }
    }
}

impl Starts {
    /// A connector is started.
    pub(crate) fn connector_begins(&self, name: &Arc<str>) {
        lock(&self.connectors).begun.insert(Arc::clone(name));
    }

    /// What it says of itself.
    pub(crate) fn connector_is(&self, name: &str, state: State) {
        lock(&self.connectors).says(name, state);
    }

    /// A task is started.
    pub(crate) fn task_begins(&self, id: &TaskId) {
        lock(&self.tasks).begun.insert(id.clone());
    }

    /// What it says of itself.
    pub(crate) fn task_is(&self, id: &TaskId, state: State) {
        lock(&self.tasks).says(id, state);
    }

    /// Tells of them.
    pub(crate) fn render(&self, text: &mut Text) {
        lock(&self.connectors).render("connector", text);
        lock(&self.tasks).render("task", text);
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn new() -> Self {
        Self {
            begun: HashSet::new(),
            succeeded: 0,
            failed: 0,
            results: Sampled::new(Instant::now()),
        }
    }

    fn says<Q: Eq + Hash + ?Sized>(&mut self, unit: &Q, state: State)
    where
        K: Borrow<Q>,
    {
        let succeeds = match state {
            State::Running => true,
            State::Failed => false,
            State::Unassigned => {
                self.begun.remove(unit);
                return;
            }
            State::Paused | State::Stopped | State::Restarting => return,
        };
        if self.begun.remove(unit) {
            let count = if succeeds {
                &mut self.succeeded
            } else {
                &mut self.failed
            };
            *count += 1;
            self.results.record(f64::from(u8::from(succeeds)), Instant::now());
        }
    }

    fn render(&mut self, what: &str, text: &mut Text) {
        let group = "kafka_connect_connect_worker_metrics";
        for (name, help, count) in [
            ("attempts", "were tried", self.succeeded + self.failed),
            ("success", "succeeded", self.succeeded),
            ("failure", "failed", self.failed),
        ] {
            let name = format!("{group}_{what}_startup_{name}_total");
            text.single(
                &name,
                Kind::Counter,
                &format!("Starts of a {what} that {help}"),
                count,
            );
        }
        let Some(success) = self.results.average(Instant::now()) else {
            return;
        };
        for (name, help, share) in [
            ("success", "succeeded", success),
            ("failure", "failed", 1.0 - success),
        ] {
            let name = format!("{group}_{what}_startup_{name}_percentage");
            let help = format!("Starts of a {what} that {help} lately, 0 to 1");
            text.single(&name, Kind::Gauge, &help, share);
        }
    }
}

/// Nothing in here panics while it holds the lock.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_counts_once_however_it_goes() {
        let starts = Starts::default();
        let name: Arc<str> = "files".into();
        let task = TaskId {
            connector: Arc::clone(&name),
            task: 0,
        };
        // What is not begun is not a start: a task that goes on after a pause, or fails later.
        starts.connector_begins(&name);
        for state in [State::Running, State::Paused, State::Running, State::Failed] {
            starts.connector_is("files", state);
        }
        for states in [
            &[State::Paused, State::Running][..],
            &[State::Failed],
            &[State::Unassigned, State::Running],
            &[State::Failed, State::Running],
        ] {
            starts.task_begins(&task);
            states.iter().for_each(|state| starts.task_is(&task, *state));
        }
        let mut text = Text::default();
        starts.render(&mut text);
        let text = text.finish();
        for (name, value) in [
            ("connector_startup_attempts_total", "1"),
            ("connector_startup_success_total", "1"),
            ("connector_startup_failure_total", "0"),
            ("connector_startup_success_percentage", "1"),
            ("connector_startup_failure_percentage", "0"),
            ("task_startup_attempts_total", "3"),
            ("task_startup_success_total", "1"),
            ("task_startup_failure_total", "2"),
        ] {
            let line = format!("kafka_connect_connect_worker_metrics_{name} {value}");
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
