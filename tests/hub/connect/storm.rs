//! Tasks that fail as soon as they start, by the hundred (faults.md C16): each is FAILED and says why, those that are to be started again
//! are, more and more slowly, and the processor has little to do meanwhile. What is measured is processor time, not how long it takes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{STRING, call, create};
use crate::librdkafka::create_topic;
use crate::process::{Hub, eventually};

const TASKS: usize = 100;

/// How long the processor's time is counted.
const WINDOW: Duration = Duration::from_secs(5);

/// How much of it they may take, several times what they do: each is started once meanwhile. Without a pause they take all that there is.
const SHARE_MAX: f64 = 0.4;

/// The delay before the first restart, in seconds.
const DELAY: u64 = 2;

/// A queue that cannot be made on one broker.
fn failing(more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "DatagenSource",
        "kafka.topic": "t",
        "quickstart": "users",
        "tasks.max": TASKS.to_string(),
        "key.converter": STRING,
        "value.converter": STRING,
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.topic.replication.factor": "3",
    });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

/// What the statuses say of the tasks that are FAILED.
fn traces(hub: &Hub, name: &str) -> Vec<String> {
    let status = call(hub, "GET", &format!("/connectors/{name}/status"), None);
    if status.status == 404 {
        return Vec::new();
    }
    let status = status.ok();
    let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
    let failed = tasks.iter().filter(|task| task["state"] == "FAILED");
    failed
        .map(|task| task["trace"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// For which time in a row a task is started again next.
fn time(trace: &str) -> u32 {
    let number = trace
        .split_once("for the ")
        .and_then(|(_, rest)| rest.split_once(". time"));
    number
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or_default()
}

/// Waits until as many tasks of a connector as there are have failed so often.
fn until_failed(hub: &Hub, name: &str, times: u32) {
    eventually(&format!("all tasks of {name} have failed"), || {
        let traces = traces(hub, name);
        let is_so = |trace: &String| {
            assert!(
                trace.contains("Could not initialize dead letter queue"),
                "{trace}"
            );
            time(trace) >= times
        };
        (traces.len() == TASKS && traces.iter().all(is_so)).then_some(())
    });
}

#[test]
fn a_hundred_tasks_that_fail_again_and_again_leave_the_processor_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    create_topic(&hub.bootstrap(), "t", 1);
    create(&hub, "once", &failing(&[]));
    let began = Instant::now();
    let delay = (DELAY * 1000).to_string();
    let again = [
        ("errors.restart.max.attempts", "-1"),
        ("errors.restart.delay.ms", delay.as_str()),
    ];
    create(&hub, "again", &failing(&again));
    until_failed(&hub, "once", 0);
    until_failed(&hub, "again", 2);
    let Some(before) = hub.processor_time() else {
        return; // Nobody counts it here.
    };
    // This is what is measured: what happens meanwhile.
    std::thread::sleep(WINDOW);
    let spent = hub.processor_time().expect("it was there") - before;
    let share = spent.as_secs_f64() / WINDOW.as_secs_f64();
    assert!(share < SHARE_MAX, "{spent:?} in {WINDOW:?}");
    until_failed(&hub, "again", 3);
    // However fast or slow the machine is: so many doubled delays have passed before.
    let traces_again = traces(&hub, "again");
    let seconds = began.elapsed().as_secs();
    for trace in traces_again {
        let restarts = time(&trace) - 1;
        let passed = DELAY.saturating_mul(2_u64.saturating_pow(restarts) - 1);
        assert!(passed <= seconds, "{seconds} s: {trace}");
    }
    assert!(
        traces(&hub, "once").iter().all(|trace| time(trace) == 0),
        "nobody asked for that"
    );
}
