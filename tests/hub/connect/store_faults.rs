//! An S3 store that fails (faults.md C7): it asks to slow down, forbids, gets other bytes than were sent, answers nobody although it has
//! made the object, or its bucket is gone. The task waits or fails and says why, nothing is committed that is not stored, and once
//! the store is well each row is there once. Objects are put in one piece: there are no uploads of several parts to be aborted.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::rejected::{committed, trace};
use super::{call, create, numbered, parquet_sink, stored_rows, until_states};
use crate::crash::store::{Fault, Faults, Store};
use crate::librdkafka::{create_topic, produce_values};
use crate::process::{Hub, eventually};

/// How many records there are before, during and after.
const RECORDS: usize = 20;

/// What a store does wrong, and what becomes of the task.
struct Case {
    name: &'static str,
    fault: Fault,
    /// Only objects cannot be made; otherwise everything goes wrong.
    of_puts: bool,
    outcome: Outcome,
    more: &'static [(&'static str, &'static str)],
}

/// What becomes of a task.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// It waits, and its status says so.
    Waits(&'static str),
    /// It fails, with this in its trace.
    Fails(&'static str),
    /// It does not need to wait.
    GoesOn,
}

const CASES: [Case; 6] = [
    Case {
        name: "slow-down",
        fault: Fault::Refuses(503, "SlowDown"),
        of_puts: true,
        outcome: Outcome::Waits("SlowDown"),
        more: &[],
    },
    Case {
        name: "digest",
        fault: Fault::Refuses(400, "XAmzContentSHA256Mismatch"),
        of_puts: true,
        outcome: Outcome::Waits("XAmzContentSHA256Mismatch"),
        more: &[],
    },
    Case {
        name: "answers",
        fault: Fault::LosesAnswer,
        of_puts: true,
        outcome: Outcome::GoesOn,
        more: &[],
    },
    Case {
        name: "forbidden",
        fault: Fault::Refuses(403, "AccessDenied"),
        of_puts: false,
        outcome: Outcome::Fails("AccessDenied"),
        more: &[],
    },
    Case {
        name: "bucket",
        fault: Fault::Refuses(404, "NoSuchBucket"),
        of_puts: false,
        outcome: Outcome::Fails("NoSuchBucket"),
        more: &[],
    },
    Case {
        name: "bucket-by-itself",
        fault: Fault::Refuses(404, "NoSuchBucket"),
        of_puts: false,
        outcome: Outcome::Fails("NoSuchBucket"),
        // It tries again until its bucket is back.
        more: &[
            ("errors.restart.max.attempts", "-1"),
            ("errors.restart.delay.ms", "200"),
            ("errors.restart.delay.max.ms", "500"),
        ],
    },
];

/// A sink with a store of its own.
struct Running {
    case: &'static Case,
    store: Store,
    faults: Arc<Faults>,
}

impl Running {
    fn start(hub: &Hub, directory: &Path, case: &'static Case) -> Self {
        let faults = Arc::new(Faults::default());
        let store = Store::failing_s3(&directory.join(case.name), Arc::clone(&faults));
        let running = Self { case, store, faults };
        create(hub, case.name, &running.config());
        running
    }

    fn config(&self) -> Value {
        let mut config = parquet_sink("t", Path::new("/"));
        let keys = self.store.keys();
        let keys = keys.as_object().expect("an object").clone();
        let more = self
            .case
            .more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)));
        let backoff = [("retry.backoff.ms".to_owned(), json!("100"))];
        for (key, value) in keys.into_iter().chain(more).chain(backoff) {
            config[key] = value;
        }
        config
    }

    fn rows(&self) -> Vec<String> {
        stored_rows(self.store.directory(), "t")
    }

    fn until_rows(&self, values: &[String]) {
        eventually(&format!("{}: {} rows", self.case.name, values.len()), || {
            (self.rows().len() >= values.len()).then_some(())
        });
        assert_eq!(self.rows(), values, "{}", self.case.name);
    }

    /// What the fault does to the task; nothing is committed that is not stored.
    fn check(&self, hub: &Hub) {
        let name = self.case.name;
        match self.case.outcome {
            Outcome::Waits(why) => {
                eventually(&format!("{name} says why it waits"), || {
                    trace(hub, name).contains(why).then_some(())
                });
                until_states(hub, name, "RUNNING: RUNNING");
            }
            Outcome::Fails(why) => {
                eventually(&format!("{name} says why it has failed"), || {
                    trace(hub, name).contains(why).then_some(())
                });
                // One that is started again by itself is on its way to fail again.
                if self.case.more.is_empty() {
                    until_states(hub, name, "RUNNING: FAILED");
                }
            }
            Outcome::GoesOn => {
                eventually(&format!("{name} goes on"), || {
                    (self.rows().len() == 2 * RECORDS).then_some(())
                });
                assert!(self.faults.lost() > 0, "{name}: no answer was lost");
                return;
            }
        }
        assert!(self.faults.hits() > 0, "{name}");
        assert_eq!(self.rows().len(), RECORDS, "{name}: nothing gets through");
        assert_eq!(
            committed(hub, name),
            Some(RECORDS as u64),
            "{name}: nothing is committed"
        );
    }
}

#[test]
fn a_store_that_fails_holds_its_task_up_and_has_each_row_once_in_the_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(
        directory.path(),
        "broker,connect",
        &["connect.offset.flush.interval.ms=100"],
    );
    create_topic(&hub.bootstrap(), "t", 1);
    let values = numbered("value", 0..3 * RECORDS);
    let produce = |range: std::ops::Range<usize>| {
        produce_values(&hub.bootstrap(), "t", Some(0), &values[range], &[]);
    };
    let all: Vec<Running> = CASES
        .iter()
        .map(|case| Running::start(&hub, directory.path(), case))
        .collect();
    produce(0..RECORDS);
    for running in &all {
        running.until_rows(&values[..RECORDS]);
        let name = running.case.name;
        eventually(&format!("{name} has committed"), || {
            (committed(&hub, name) == Some(RECORDS as u64)).then_some(())
        });
        running.faults.begin(running.case.fault, running.case.of_puts);
    }
    produce(RECORDS..2 * RECORDS);
    for running in &all {
        running.check(&hub);
    }
    // A bucket of which the name is wrong, say: that is no reason to wait.
    let bucket = all
        .iter()
        .find(|running| running.case.name == "bucket")
        .expect("it is one of the cases");
    create(&hub, "another", &bucket.config());
    until_states(&hub, "another", "RUNNING: FAILED");
    call(&hub, "DELETE", "/connectors/another", None).ok();
    produce(2 * RECORDS..3 * RECORDS);
    for running in &all {
        running.faults.end();
        if matches!(running.case.outcome, Outcome::Fails(_)) && running.case.more.is_empty() {
            let path = format!(
                "/connectors/{}/restart?includeTasks=true&onlyFailed=true",
                running.case.name
            );
            call(&hub, "POST", &path, None).ok();
        }
    }
    for running in &all {
        running.until_rows(&values);
        until_states(&hub, running.case.name, "RUNNING: RUNNING");
        let uploads = running.faults.requests_with("upload");
        assert_eq!(uploads, Vec::<String>::new(), "objects are put in one piece");
        assert_ne!(running.faults.requests_with("PUT "), Vec::<String>::new());
    }
}
