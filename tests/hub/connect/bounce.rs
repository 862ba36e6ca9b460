//! Kafka's `test_bounce` (faults.md C1): three workers, three tasks of sources and three of a sink; each worker in turn is stopped, and
//! then killed, and started again. Every line is stored once. `FOREBAY_TEST_BREAK=transaction` runs sources without transactions, and
//! it must fail.

use std::collections::BTreeSet;

use super::exactly_once::{Growing, SUPPORT, is_broken, until_all_are_there, until_longer};
use super::workers::{Worker, source, start_broker};
use super::{parquet_sink, stored_rows};
use crate::librdkafka::create_topic;
use crate::process::eventually;

const TASKS: usize = 3;

#[test]
fn workers_that_are_stopped_and_killed_in_turn_store_every_line_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let support = if is_broken() { "disabled" } else { "enabled" };
    let start = |name: &str| {
        let more = format!("{SUPPORT}={support}\n");
        Worker::start_with(directory.path(), &hub, name, &more)
    };
    let names = ["a", "b", "c"];
    let mut workers = names.map(start);
    create_topic(&hub.bootstrap(), "lines", 3);
    let files: Vec<_> = (0..TASKS)
        .map(|file| directory.path().join(format!("{file}.txt")))
        .collect();
    let mut growing = Growing::start(&files);
    let mut connectors = vec!["sink".to_owned()];
    for (number, file) in files.iter().enumerate() {
        let name = format!("source{number}");
        workers[number].create(&name, &source(file, "lines"));
        connectors.push(name);
    }
    let store = directory.path().join("store");
    let mut sink = parquet_sink("lines", &store);
    sink["tasks.max"] = TASKS.to_string().into();
    workers[0].create("sink", &sink);
    let until_all_run = |by: &Worker| {
        eventually("all connectors and tasks run", || {
            (by.running(&connectors).len() == connectors.len() + 2 * TASKS).then_some(())
        });
    };
    until_all_run(&workers[1]);
    let mut length = 0;
    for is_hard in [false, true] {
        for (number, name) in names.iter().enumerate() {
            length = until_longer(&hub, "lines", 3, length);
            let process = workers[number].process();
            if is_hard {
                process.kill();
            } else {
                assert!(process.terminate().success());
            }
            workers[number] = start(name);
            until_all_run(&workers[(number + 1) % names.len()]);
        }
    }
    let lines = growing.finish();
    until_all_are_there(&hub, ("lines", 3), &lines);
    let rows = eventually("all lines are stored", || {
        let rows = stored_rows(&store, "lines");
        let stored: BTreeSet<String> = rows.iter().cloned().collect();
        lines.is_subset(&stored).then_some(rows)
    });
    let stored: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(stored, lines);
    assert_eq!(rows.len(), lines.len(), "lines were stored twice");
}
