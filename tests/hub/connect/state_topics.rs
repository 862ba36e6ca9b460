//! The config topic in the hands of others (faults.md C12): half a set of tasks, damaged records, a kill while a configuration is
//! written. What was good goes on, and what was asked for is there as a whole or not at all.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::json;

use super::workers::{append, source, until_lines};
use super::{STRING, call, create, numbered, states, until_states};
use crate::crash::Chance;
use crate::librdkafka::{self, create_topic, producer, read_all, watermarks};
use crate::process::{Hub, PATIENCE, eventually};
use crate::rest::try_send;

const KILLS: usize = 4;

/// Within this a request to change a configuration is begun, written and answered.
const WRITE_MAX: Duration = Duration::from_millis(40);

/// What somebody else writes to the config topic.
fn write(hub: &Hub, records: &[(&str, &str)]) {
    let (producer, deliveries) = producer(&hub.bootstrap(), &[]);
    for (number, (key, value)) in records.iter().enumerate() {
        let record = BaseRecord::with_opaque_to("connect-configs", Box::new(number));
        let sent = producer.send(record.key(*key).payload(*value));
        sent.map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(PATIENCE).expect("delivered");
    deliveries.look(|it| assert_eq!(it.acknowledged.len(), records.len()));
}

/// A task's record that sends the file's lines to another topic.
fn task(file: &Path, topic: &str) -> String {
    json!({ "properties": {
        "task.class": "org.apache.kafka.connect.file.FileStreamSourceTask",
        "file": file,
        "topic": topic,
    }})
    .to_string()
}

#[test]
fn half_a_set_of_tasks_and_damaged_records_change_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,connect", &[]);
    let [file, other] = ["in", "other"].map(|name| directory.path().join(name));
    for topic in ["t", "elsewhere"] {
        create_topic(&hub.bootstrap(), topic, 1);
    }
    append(&file, &numbered("first", 0..10));
    create(&hub, "c", &source(&file, "t"));
    append(&other, &numbered("other", 0..10));
    create(&hub, "p", &source(&other, "t"));
    until_lines(&hub, "t", &numbered("first", 0..10));
    until_lines(&hub, "t", &numbered("other", 0..10));
    assert_eq!(call(&hub, "PUT", "/connectors/p/pause", None).status, 202);
    until_states(&hub, "p", "PAUSED: PAUSED");
    let stray = task(&file, "elsewhere");
    write(
        &hub,
        &[
            ("task-c-0", &stray),
            // There is no second one.
            ("commit-c", r#"{"tasks":2}"#),
            ("connector-c", "["),
            ("commit-p", r#"{"tasks":-1}"#),
            ("target-state-p", r#"{"state":"GONE"}"#),
            ("tasks-fencing-c", "{}"),
            ("rubbish", "\u{0}"),
        ],
    );
    let goes_on = |hub: &Hub, prefix: &str, topic: &str| {
        until_states(hub, "c", "RUNNING: RUNNING");
        append(&file, &numbered(prefix, 0..10));
        until_lines(hub, topic, &numbered(prefix, 0..10));
        assert_eq!(states(hub, "p"), "PAUSED: PAUSED");
    };
    goes_on(&hub, "alive", "t");
    hub.process().kill();
    hub.restart();
    goes_on(&hub, "again", "t");
    assert_eq!(read_all(&hub.bootstrap(), "elsewhere", 1), []);
    // Were half a set taken for a whole one, the above would have seen it: a whole one is.
    write(&hub, &[("task-c-0", &stray), ("commit-c", r#"{"tasks":1}"#)]);
    eventually("the task of the whole set is there", || {
        let tasks = call(&hub, "GET", "/connectors/c/tasks", None).ok();
        (tasks[0]["config"]["topic"] == "elsewhere").then_some(())
    });
    goes_on(&hub, "whole", "elsewhere");
}

#[test]
fn a_configuration_that_is_being_written_at_a_kill_is_there_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,connect", &[]);
    let file = directory.path().join("in");
    let topics = ["even", "odd"];
    for topic in topics {
        create_topic(&hub.bootstrap(), topic, 1);
    }
    append(&file, &numbered("line", 0..10));
    let config = |topic: &str| {
        json!({
            "connector.class": "FileStreamSource",
            "tasks.max": "1",
            "file": file,
            "topic": topic,
            "key.converter": STRING,
            "value.converter": STRING,
        })
    };
    create(&hub, "c", &config(topics[0]));
    until_lines(&hub, topics[0], &numbered("line", 0..10));
    let mut chance = Chance(u64::from(std::process::id()));
    for kill in 1..=KILLS {
        let (url, body) = (
            hub.url("connect", "/connectors/c/config"),
            config(topics[kill % 2]).to_string(),
        );
        let asking = std::thread::spawn(move || {
            // It may be answered, refused, or cut off.
            let _ = try_send(&url, "PUT", &[("content-type", "application/json")], Some(&body));
        });
        // A random moment; nothing waits for it.
        std::thread::sleep(Duration::from_millis(chance.below(WRITE_MAX.as_millis() as u64)));
        hub.process().kill();
        asking.join().expect("it does not panic");
        hub.restart();
        let topic = eventually("the tasks are those of the configuration", || {
            let config = call(&hub, "GET", "/connectors/c/config", None).ok();
            let tasks = call(&hub, "GET", "/connectors/c/tasks", None).ok();
            let topic = topics.into_iter().find(|topic| config["topic"] == *topic)?;
            (states(&hub, "c") == "RUNNING: RUNNING" && tasks[0]["config"]["topic"] == topic).then_some(topic)
        });
        let lines = numbered(&format!("after {kill}"), 0..10);
        append(&file, &lines);
        until_lines(&hub, topic, &lines);
    }
}

/// So many tasks, each with a configuration of this length: their set is written in several pieces.
const TASKS: usize = 40;
const PADDING: usize = 60_000;

/// The set is cut off when so many records of it are in the log.
const CUT_OFF_AT: i64 = 8;

/// How often a kill may miss the middle of a set.
const ATTEMPTS: usize = 20;

/// How many sets of the connector's tasks were cut off: they have a beginning, and no commit before the next begins.
fn cut_off(hub: &Hub) -> usize {
    let mut cut_off = 0;
    let mut is_open = false;
    for record in read_all(&hub.bootstrap(), "connect-configs", 1) {
        let key = record.key.as_deref().unwrap_or_default();
        if key == b"task-c-0" {
            cut_off += usize::from(is_open);
            is_open = true;
        } else if key == b"commit-c" {
            is_open = false;
        }
    }
    cut_off
}

#[test]
fn a_set_of_tasks_that_is_cut_off_by_a_kill_is_not_mixed_with_the_one_before() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let overrides = ["connect.exactly.once.source.support=disabled"];
    let mut hub = Hub::start(directory.path(), "broker,connect", &overrides);
    create_topic(&hub.bootstrap(), "t", 1);
    let config = |version: usize| {
        json!({
            "connector.class": "DatagenSource",
            "tasks.max": TASKS.to_string(),
            "kafka.topic": "t",
            "quickstart": "users",
            // They have nothing to do.
            "max.interval": "3600000",
            "key.converter": STRING,
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "version": version.to_string(),
            "padding": "x".repeat(PADDING),
        })
    };
    create(&hub, "c", &config(0));
    // The versions that the tasks have; one, unless sets are mixed.
    let versions = |hub: &Hub| -> BTreeSet<String> {
        let tasks = call(hub, "GET", "/connectors/c/tasks", None).ok();
        let tasks = tasks.as_array().expect("a list");
        assert!([0, TASKS].contains(&tasks.len()), "{} tasks", tasks.len());
        let version =
            |task: &serde_json::Value| task["config"]["version"].as_str().expect("a text").to_owned();
        tasks.iter().map(version).collect()
    };
    let until_whole = |hub: &Hub| {
        eventually("the tasks are those of the configuration", || {
            let found = versions(hub);
            assert!(found.len() <= 1, "sets are mixed: {found:?}");
            let config = call(hub, "GET", "/connectors/c/config", None).ok();
            found.contains(config["version"].as_str()?).then_some(())
        });
        until_states(hub, "c", &format!("RUNNING: {}", ["RUNNING"; TASKS].join(" ")));
    };
    until_whole(&hub);
    for version in 1..=ATTEMPTS {
        let before = watermarks(&hub.bootstrap(), "connect-configs", 0).1;
        let (url, body) = (
            hub.url("connect", "/connectors/c/config"),
            config(version).to_string(),
        );
        let asking = std::thread::spawn(move || {
            // It may be answered, or cut off.
            let _ = try_send(&url, "PUT", &[("content-type", "application/json")], Some(&body));
        });
        let consumer: BaseConsumer = librdkafka::config(&hub.bootstrap()).create().expect("a consumer");
        let end = || {
            let watermarks = consumer.fetch_watermarks("connect-configs", 0, PATIENCE);
            watermarks.expect("ListOffsets is answered").1
        };
        let deadline = Instant::now() + PATIENCE;
        // Looked at without a pause: the rest of the set is there soon.
        while end() < before + CUT_OFF_AT {
            assert!(Instant::now() < deadline, "no part of the set is in the log");
        }
        hub.process().kill();
        asking.join().expect("it does not panic");
        hub.restart();
        until_whole(&hub);
        if cut_off(&hub) > 0 {
            return;
        }
    }
    panic!("no kill was in the middle of a set");
}
